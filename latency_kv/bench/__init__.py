"""The bench: `python -m latency_kv.bench` measures the engine against its peers.

    goals/        what has to be reached, one figure and one peer a row: see rows.py
    workloads/    every engine on every workload: see table.py
    reports/      pages and plots, made from the JSON of a run

What they share: timing.py, the rules that make two figures comparable; keys.py; peers.py,
the engines of the goals; native.py, which builds the Cython operator and the Rust
reference; machine.py; report.py, which prints.  state_stores.py is a bench of its own.
Nothing outside this room imports it.
"""
