"""Daily notes: a draft that is typed, and the notes of each day that were kept.

    {"notes": [{"day": "2026-03-02", "text": "Water the fern"}], "draft": "Call"}

A draft changes with each key that is pressed, and waits with `save_later` until nobody
types; a note that is kept is on disk when `keep` returns.  Nobody else writes these
notes, so what is in memory is what is to be on disk: it is changed first, and saved
whole.  A document that others change too wants `update`: see flight_board.py.

Start at `DailyNotes.typed`.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from latency_kv.documents import StateErrorEvent, StateSavedEvent
from latency_kv.facets.stores import Migration
from plugin_host.host import Context

# Seconds without a key, and the most that a crash may cost.
_QUIET = 2.0
_AT_MOST = 20.0


def kept(data: Any, day: date) -> Any:
    """Return the data with its draft as a note; ValueError if it is empty.

    >>> kept({"notes": [], "draft": "Water the fern"}, date(2026, 3, 2))
    {'notes': [{'day': '2026-03-02', 'text': 'Water the fern'}], 'draft': ''}
    """
    if not data["draft"].strip():
        raise ValueError("an empty draft is no note")
    note = {"day": day.isoformat(), "text": data["draft"]}
    return {"notes": [*data["notes"], note], "draft": ""}


class DailyNotes:
    """Keeps notes; `trouble` is why the last of them are not on disk, if they are not.

    `save_later` has returned when its save fails: only an event tells of it.
    """

    name = "daily-notes"
    version = 1
    migrations: Mapping[int, Migration] = {}

    def __init__(self) -> None:
        self.data: Any = {"notes": [], "draft": ""}
        self.trouble: Exception | None = None

    def accepts(self, data: Any) -> bool:
        """Tell whether it is a draft and notes."""
        match data:
            case {"notes": [*notes], "draft": str()}:
                return all(map(_is_note, notes))
        return False

    async def start(self, context: Context, data: Any) -> None:
        """Go on with the notes that were saved."""
        self._state = context.state
        context.events.on("state.saved", self._saved)
        context.events.on("state.error", self._failed)
        if data is not None:
            self.data = data

    async def typed(self, key: str) -> None:
        """Add what was typed to the draft, to be saved when nobody types any more."""
        self.data = {**self.data, "draft": self.data["draft"] + key}
        await self._state.save_later(
            self.data, version=self.version, delay=_QUIET, max_delay=_AT_MOST
        )

    async def keep(self, day: date) -> None:
        """Make a note of the draft; what waits to be saved is written before it."""
        self.data = kept(self.data, day)
        await self._state.save(self.data, version=self.version)

    # The host's events are those of all its plugins.

    def _saved(self, event: StateSavedEvent) -> None:
        if event.plugin_name == self.name:
            self.trouble = None

    def _failed(self, event: StateErrorEvent) -> None:
        if event.plugin_name == self.name:
            self.trouble = event.error


def _is_note(note: Any) -> bool:
    match note:
        case {"day": str(), "text": str()}:
            return True
    return False
