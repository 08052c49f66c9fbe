"""The command line: `latency-kv` and `python -m latency_kv`, one function a verb.

    snapshot     the verbs that look into a snapshot's file: start there
    source       a snapshot from a file or a folder of checkpoints, or what is wrong
    survey       all entries in a few figures
    comparison   two snapshots, side by side
    screen       lines, colours and bars, for a terminal or a pipe
    notation     bytes of strangers as text, and back

A sub-command is a module of this room with an `app`, and a line in `__main__`'s table.
Needs typer and rich, the extra `cli`; nothing below this floor does.
"""
