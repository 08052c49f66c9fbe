"""The command line: `latency-kv` and `python -m latency_kv`, one function a verb.

    snapshot     the verbs that look into a snapshot's file: start there
    source       a snapshot from a file or a folder of checkpoints, or what is wrong
    survey       all entries in a few figures
    comparison   two snapshots, side by side

    state        the verbs for a folder of documents: start there, or at
    state_...    changes: those that write; files: what is there; the rest: its looks
    difference   two JSON values, place by place
    imported     a function of the user's, by its name

    store        the verbs for a state store, wherever it is: start there, or at
    store_...    access: a store as they use it; copy: from one into another
    copying      what a copy does, and its counts

    facets       the catalog of what plugins can meet through

    app          what the sub-commands share, and how their help looks
    screen       lines, colours and bars, for a terminal or a pipe
    notation     bytes of strangers as text, and back; json_text: values likewise, and
    json_screen  the looks of a value

A sub-command is a module of this room with an `app`, and a line in `__main__`'s table.
Needs typer and rich, the extra `cli`; nothing below this floor does.
"""
