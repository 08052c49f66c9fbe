"""Reports: what a run of the bench says, made from its JSON alone.

    python -m latency_kv.bench.reports html RUN.json OUT.html
    python -m latency_kv.bench.reports pictures RUN.json FOLDER
    python -m latency_kv.bench.reports fill RUN.json... PAGE.md...
    python -m latency_kv.bench.reports compare A.json B.json

    runs          the JSON of a run, checked
    wording       numbers and names as text
    tables        figures chosen and put in rows
    plots         the same drawn
    html          a page that needs nothing beside it
    pictures      PNG files for README and docs
    pages         blocks in Markdown that are filled from runs
    comparison    two runs of one machine, ratio by ratio

Nothing here measures, and nothing here trusts a file.  Start at `runs.BenchRun`.
"""
