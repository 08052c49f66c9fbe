"""Flights: an operator on a real stream, whose state lives in an InMemoryStore.

    data -> clock              the flights of New York in 2013, in event-time order
    windows                    what is kept and answered: the rules of both operators
    compiled.pyx, plain.py     the operator in Cython and in pure Python, one interface
    measure                    one operator over the stream, each event timed
    report, picture            what is shown at the end

Start reading at windows.py, then plain.py, then compiled.pyx.
"""
