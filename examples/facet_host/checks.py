"""Checks: what an evening should leave, and what is read of what it left.

Reads states out of a store as any program could, without the plugins that made them.
Start at `claims_of_the_end`.
"""

from collections.abc import Iterable

from facet_host.duty import decisions_in
from facet_host.facets import Flight, Tally
from facet_host.host import Host
from facet_host.life import Said
from facet_host.lives import Life
from latency_kv import InMemoryStore
from latency_kv.plugins import StoredPluginState


async def uninterrupted(flights: Iterable[Flight]) -> InMemoryStore:
    """Return the store of a host that hears all flights in this process."""
    host = Host(InMemoryStore())
    async with host.running():
        for flight in flights:
            await host.hear(flight)
    return host.store


def counted(flights: Iterable[Flight]) -> dict[str, Tally]:
    """Count the flights of each carrier, by carrier, as no plugin does."""
    delays: dict[str, list[int | None]] = {}
    for flight in flights:
        delays.setdefault(flight.carrier, []).append(flight.delay)
    return {
        carrier: Tally(
            len(of_carrier),
            of_carrier.count(None),
            sum(delay for delay in of_carrier if delay is not None and delay > 0),
        )
        for carrier, of_carrier in sorted(delays.items())
    }


def tallies_in(store: InMemoryStore) -> dict[str, Tally]:
    """Return what the plugin delays counted, by carrier."""
    state = StoredPluginState(store, "delays")
    return {
        carrier: Tally(*state.get(f"tally {carrier}", ()))
        for carrier in state.get("carriers", [])
    }


def claims_of_the_end(
    store: InMemoryStore, evening: Iterable[Flight]
) -> dict[str, bool]:
    """Return what should be true of the state behind the last flight."""
    delays, gates = (StoredPluginState(store, name) for name in ("delays", "gates"))
    expected = counted(evening)
    closed = {carrier: gates.get(f"closed {carrier}", []) for carrier in expected}
    late = [carrier for carrier in expected if delays.has(f"late {carrier}")]
    decisions = [*decisions_in(store)]
    return {
        "each carrier's counts are those of the file": tallies_in(store) == expected,
        "each cancelled flight closed a gate": {c: len({*closed[c]}) for c in closed}
        == {carrier: tally.cancelled for carrier, tally in expected.items()},
        "the state has one question for each late carrier": sorted(
            each.title for each in decisions
        )
        == [f"Rebook the passengers of {carrier}?" for carrier in late],
    }


def since_checkpoint(life: Life) -> list[Said]:
    """Return what was said at flights behind the last checkpoint."""
    return [each for each in life.said if each.flight > life.kept[-1].position]


def boards_of(lives: Iterable[Life]) -> tuple[int, int]:
    """Count who looked at a board, and the boards that were made, in all lives."""
    seen = [
        [each.context["board"] for each in life.said if "board" in each.context]
        for life in lives
    ]
    return sum(map(len, seen)), sum(max(boards, default=0) for boards in seen)
