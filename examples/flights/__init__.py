"""Flights: an operator on a real stream, whose state lives in an InMemoryStore.

    data -> clock              the flights of New York in 2013, in event-time order
    windows                    what is kept and answered: the rules of both operators
    compiled.pyx, plain.py     the operator in Cython and in pure Python, one interface
    checkpoints                its state made durable in the background, and the pauses
    measure                    one operator over the stream, each event timed
    recovery -> life, stream   the operator killed again and again, and going on
    report, picture            what is shown at the end

Start reading at windows.py, then plain.py, then compiled.pyx; for checkpoints at life.py.
"""
