"""Others: who else writes into the state directory, and what they leave there.

An older version of a plugin, a crash, a tool that checks nothing.  None of them knows
what is here today.  Start at `watch_two_airports`.
"""

from pathlib import Path
from typing import Any

from latency_kv import FileSystemStateStore, StateManager


async def watch_two_airports(state_dir: Path) -> None:
    """Do what flight-board did at version 1: watch an airport, save, watch one more."""
    async with FileSystemStateStore(state_dir=state_dir) as store:
        state = StateManager(store, "flight-board")
        board: dict[str, Any] = {"airports": ["jfk"], "rows": 12, "clock24": True}
        await state.save(board, version=1)
        board["airports"].append("ord")
        await state.save(board, version=1)


def cut(path: Path) -> bytes:
    """Leave half of a file, as a crash amid a careless write does, and return it."""
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path.read_bytes()


async def show_no_rows(state_dir: Path) -> None:
    """Import settings that no board can show: a sound document all the same."""
    async with FileSystemStateStore(state_dir=state_dir) as store:
        await StateManager(store, "flight-board").update(
            lambda board: {**board, "display": {**board["display"], "rows": 0}}
        )
