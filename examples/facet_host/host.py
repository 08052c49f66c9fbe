"""Host: one store, a plugin manager, and what the host itself provides.

    "plugin-state:"   what each plugin keeps in `ctx.state`
    "decision:"       the duty office's questions
    "position"        how many flights were heard

All of it is in one InMemoryStore, so one snapshot has all of it, as of one moment
between two flights.  Start at `Host.__init__`, then `Host.hear`.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

from facet_host.duty import DutyOffice
from facet_host.facets import BOARD_WANTED, FLIGHT_KNOWN, Flight
from facet_host.plugins.delays import Delays
from facet_host.plugins.desk import Desk
from facet_host.plugins.gates import Gates
from latency_kv import InMemoryStore, PluginManager
from latency_kv.facets import DecisionHandler, DecisionResult, Logger
from latency_kv.plugins import FacetRegistry, StoredPluginState
from latency_kv.plugins.manager import Plugin
from latency_kv.providers import PyeeEventBus

# The desk comes first: in which order they are loaded is found from their manifests.
PLUGINS: tuple[Callable[[], Plugin], ...] = (Desk, Gates, Delays)

CONFIG: Mapping[str, Mapping[str, Any]] = {
    "gates": {
        "9E": ["C60", "C62", "C64", "C66", "C68"],
        "AA": ["B31", "B33", "B35"],
        "B6": ["A5", "A7", "A9", "A11", "A12", "A14"],
        "DL": ["D20", "D22", "D24", "D26"],
        "MQ": ["B42", "B44", "B46"],
        "UA": ["E2"],
        "US": ["E4"],
    },
    "delays": {"late_minutes": 45, "least_flights": 4},
}

# After so many flights two passengers look at the board, one after the other.
BOARD_EVERY = 10

# From this hour on somebody is at the duty office.
_DUTY_HOUR = 18

_ANSWER = DecisionResult("rebook", "the duty manager")

_POSITION = b"position"


class Host:
    """Runs the airport's plugins on a store, from the state that is in it."""

    def __init__(self, store: InMemoryStore, logger: Logger | None = None) -> None:
        self.store = store
        # The time of the airport is that of the last news.
        self.now = datetime.min.replace(tzinfo=UTC)
        self.duty = DutyOffice(store, lambda: self.now)
        registry = FacetRegistry()
        registry.register(DecisionHandler, self.duty)
        self.events = PyeeEventBus()
        self.plugins = PluginManager(
            registry=registry,
            logger=logger,
            events=self.events,
            config=CONFIG,
            # What makes every plugin's state a part of the store, unseen by the plugin.
            state=partial(StoredPluginState, store),
        )
        for make_plugin in PLUGINS:
            self.plugins.register(make_plugin())

    @property
    def position(self) -> int:
        """How many flights were heard."""
        return int.from_bytes(self.store.get(_POSITION, b""))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Load the plugins; leaving unloads them."""
        async with self.plugins:
            await self.plugins.load_all()
            yield

    async def hear(self, flight: Flight) -> None:
        """Tell the plugins of the next flight, and of whoever asks after it."""
        self.now = flight.known_at
        if self.now.hour >= _DUTY_HOUR:
            for decision in await self.duty.list_pending_decisions():
                await self.duty.resolve_decision(decision.id, _ANSWER)
        await self.events.emit(FLIGHT_KNOWN, flight)
        position = self.position + 1
        if position % BOARD_EVERY == 0:
            for _ in range(2):
                await self.events.emit(BOARD_WANTED)
        # Counted last: what a snapshot has of a flight it has whole.
        self.store.put(_POSITION, position.to_bytes(8))
