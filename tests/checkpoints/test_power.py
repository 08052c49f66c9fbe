"""Power: a cut at random moments loses no checkpoint that was acknowledged.

The cutting is lives.py, on file systems of its own, in an interpreter of its own.
"""

import functools

import pytest

from fresh import call_fresh
from power import what_is_missing

SMALL_CUTS, FULL_CUTS = 30, 5_000

# More than enough to lose something where nothing is synced.
UNSYNCED_CUTS = 20

missing = functools.cache(what_is_missing)


@pytest.fixture(autouse=True)
def a_disk_to_cut() -> None:
    if reason := missing():
        pytest.skip(reason)


def test_power_cuts_lose_nothing(seed: int, full: bool) -> None:
    cuts = FULL_CUTS if full else SMALL_CUTS
    call_fresh("checkpoints.lives:cut_checkpoints", str(cuts), str(seed))


def test_writer_that_never_syncs_is_noticed(seed: int) -> None:
    call_fresh(
        "checkpoints.lives:cut_unsynced_checkpoints", str(UNSYNCED_CUTS), str(seed)
    )
