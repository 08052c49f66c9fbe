"""Power: a cut at random moments loses no document that was acknowledged.

The cutting is lives.py, on file systems of its own, in an interpreter of its own.
"""

from fresh import call_fresh
from power import CARELESS_CUTS


def test_power_cuts_lose_nothing(cuts: int, seed: int) -> None:
    call_fresh("documents.lives:cut_documents", str(cuts), str(seed))


def test_store_that_is_not_durable_is_noticed(cuts: int, seed: int) -> None:
    few = min(cuts, CARELESS_CUTS)
    call_fresh(
        "documents.lives:cut_documents_that_are_not_durable", str(few), str(seed)
    )
