"""Flight board: the airports that are watched, and how they are shown; at version 3.

    1    {"airports": ["jfk", "ord"], "rows": 12, "clock24": true}
    2    {"airports": ["JFK", "ORD"], "display": {"rows": 12, "clock": "24h"}}
    3    {"airports": {"JFK": "America/New_York", ...}, "display": ... as in 2}

The plugin knows version 3 alone; what came before it, only the migrations do.  Each
makes new data of what it is given and leaves that as it was.  Start at
`FlightBoard.migrations`, then `FlightBoard.watch`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from anyio.lowlevel import checkpoint

from latency_kv.facets.stores import Migration
from plugin_host.host import Context

_MOST_ROWS = 40

_ZONES = {
    "JFK": "America/New_York",
    "LHR": "Europe/London",
    "ORD": "America/Chicago",
}


async def zone_of(code: str) -> str:
    """Ask the directory of airports; LookupError for one that it does not have.

    A dict stands for it here.  A real one is far away, and so it is awaited.
    """
    await checkpoint()
    if code not in _ZONES:
        raise LookupError(f"no airport {code!r} in the directory")
    return _ZONES[code]


def to_version_2(data: Any, version: int) -> Any:
    """Gather what is shown under `display`, and write airports as the world does."""
    return {
        "airports": [code.upper() for code in data["airports"]],
        "display": {
            "rows": data["rows"],
            "clock": "24h" if data["clock24"] else "12h",
        },
    }


async def to_version_3(data: Any, version: int) -> Any:
    """Add each airport's time zone, which the directory knows."""
    airports = {code: await zone_of(code) for code in data["airports"]}
    return {**data, "airports": airports}


class FlightBoard:
    """Watches airports; `board` is its state as it was last saved."""

    name = "flight-board"
    version = 3
    migrations: Mapping[int, Migration] = {2: to_version_2, 3: to_version_3}

    def __init__(self) -> None:
        self.board: Any = {"airports": {}, "display": {"rows": 12, "clock": "24h"}}

    def accepts(self, data: Any) -> bool:
        """Tell whether it is a board that can be shown."""
        match data:
            case {
                "airports": {**airports},
                "display": {"rows": int(rows), "clock": "12h" | "24h"},
            }:
                named = all(isinstance(zone, str) for zone in airports.values())
                return named and 1 <= rows <= _MOST_ROWS
        return False

    async def start(self, context: Context, data: Any) -> None:
        """Go on with the board that was saved."""
        self._state = context.state
        if data is not None:
            self.board = data

    async def watch(self, code: str) -> None:
        """Watch one more airport."""
        # Asked before the change: others wait for the document while a change runs.
        zone = await zone_of(code)
        await self._change(
            lambda board: {**board, "airports": {**board["airports"], code: zone}}
        )

    async def resize(self, rows: int) -> None:
        """Show so many rows; ValueError, and nothing is saved, for what cannot be."""
        await self._change(
            lambda board: {**board, "display": {**board["display"], "rows": rows}}
        )

    async def _change(self, changed: Callable[[Any], Any]) -> None:
        """Change what is on disk now, whoever wrote it, and keep what was saved."""

        def update(stored: Any) -> Any:
            board = changed(self.board if stored is None else stored)
            if not self.accepts(board):
                raise ValueError(f"no board that could be shown: {board}")
            return board

        # With its version: a first document would be taken for one of version 1.
        self.board = await self._state.update(update, version=self.version)
