"""Kills: kill -9 at random moments loses no document that was acknowledged.

The killing is lives.py, in an interpreter of its own.
"""

import pytest

from fresh import call_fresh

# Two writers of one document are killed each time, who work on its files or through a
# store: 1,000 in all, or 100,000.
SMALL_COUNTS = {"files": 300, "store": 200}
FULL_COUNTS = {"files": 30_000, "store": 20_000}

# More than enough to lose something without a lock.
CARELESS_COUNT = 40


@pytest.mark.parametrize("writer", ["files", "store"])
def test_killed_writers_lose_nothing(writer: str, seed: int, full: bool) -> None:
    kills = (FULL_COUNTS if full else SMALL_COUNTS)[writer]
    call_fresh("documents.lives:kill_documents", writer, str(kills), str(seed))


def test_writers_without_a_lock_are_noticed(seed: int) -> None:
    call_fresh(
        "documents.lives:kill_documents_without_lock", str(CARELESS_COUNT), str(seed)
    )
