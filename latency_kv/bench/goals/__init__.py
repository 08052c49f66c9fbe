"""Goals: the figures that the engine has to reach, each beside its peer.

Start at rows.py, the table of what is measured and how much it may be; the other
modules measure what it names.
"""
