"""Worker: one case of a goal, in a process that measures nothing else.

    python -m latency_kv.bench.goals.worker TASK

TASK is JSON: a row's name, a case and a plan.  What comes out is a pair.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from latency_kv.bench.figures import Case, Plan
from latency_kv.bench.goals.rows import chosen, pair_of

__all__: list[str] = []


def _main(task: str) -> None:
    name, case, plan = json.loads(task)
    (row,) = chosen([name])
    print(json.dumps(asdict(pair_of(row, Case(**case), Plan(**plan)))))


if __name__ == "__main__":
    _main(sys.argv[1])
