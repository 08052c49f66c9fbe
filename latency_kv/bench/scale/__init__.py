"""Scale: how each cost grows with the entries, up to where one process ends.

    python -m latency_kv.bench.scale [SIZE...] [--json PATH]

    __main__    options, what fits into this machine, and the report
    rows        what is measured, by name
    process     what one fresh process measures of one engine at one size
    entries     as many as one likes, in no memory
    memory      what a process takes, and what is free

Start at `rows`, then `process`.
"""
