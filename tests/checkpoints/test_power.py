"""Power: a cut at random moments loses no checkpoint that was acknowledged.

The cutting is lives.py, on file systems of its own, in an interpreter of its own.
"""

from fresh import call_fresh
from power import CARELESS_CUTS


def test_power_cuts_lose_nothing(cuts: int, seed: int) -> None:
    call_fresh("checkpoints.lives:cut_checkpoints", str(cuts), str(seed))


def test_writer_that_never_syncs_is_noticed(cuts: int, seed: int) -> None:
    few = min(cuts, CARELESS_CUTS)
    call_fresh("checkpoints.lives:cut_unsynced_checkpoints", str(few), str(seed))
