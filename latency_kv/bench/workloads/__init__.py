"""Workloads: what stores are used for, under the field's names, on every engine.

    table      each workload: what it does, checks, and which engines it is asked of
    content    the keys and values of a shape, and the order in which they are asked for
    engines    every engine from Python: its phrases; compiled has Cython's and Rust's
    seat       one engine's place in a process: its store, and what must be in it
    worker     one process: the engines take turns, lap by lap
    plan       the shapes of a run and its manifest: the cells that it must have
    runner     the processes of a run, and what came of each cell
    results    laps into rates, percentiles, ratios and spreads
    tables     the same for a terminal

Start at `table.WORKLOADS`.
"""
