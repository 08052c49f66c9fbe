"""The bench: `python -m latency_kv.bench` measures the engine against its peers.

Start at rows.py, the table of what is measured and what has to be reached.  points,
pauses, scans and footprint measure; timing.py holds the rules that make two figures
comparable; native.py builds the Cython operator and the Rust reference; report.py
prints.  Nothing outside this room imports it.
"""
