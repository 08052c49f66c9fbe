"""Kills: kill -9 at random moments loses no checkpoint that was acknowledged.

The killing is lives.py, in an interpreter of its own.
"""

import pytest

from fresh import call_fresh

# Kills of one writer, and of two that share a folder.
SMALL_KILLS = {1: 1_000, 2: 200}
FULL_KILLS = {1: 20_000, 2: 4_000}


@pytest.mark.parametrize("writers", [1, 2])
def test_killed_writers_lose_nothing(writers: int, seed: int, full: bool) -> None:
    kills = (FULL_KILLS if full else SMALL_KILLS)[writers]
    call_fresh(
        "checkpoints.lives:kill_checkpoints", str(kills), str(writers), str(seed)
    )
