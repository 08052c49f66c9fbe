"""Delays: how many flights of each carrier are known, cancelled, and how late.

    "tally DL"    [flights, cancelled, minutes]
    "late DL"     True, once the carrier was late enough to tell
    "carriers"    the carriers that have a tally, a list

Nothing is kept elsewhere: where the state survives, the counts do.  Start at
`Delays.activate`.
"""

from facet_host.facets import (
    CARRIER_LATE,
    DELAYS_COUNTED,
    FLIGHT_KNOWN,
    DelayBook,
    Flight,
    Tally,
)
from facet_host.manifests import manifest_beside
from latency_kv import PluginContext


class Delays:
    """Provides the DelayBook, itself.

    Its config: a carrier is late at `late_minutes` on average, after `least_flights`.
    """

    manifest = manifest_beside(__file__)

    def activate(self, ctx: PluginContext) -> None:
        """Count the flights that become known."""
        self._state = ctx.state
        self._events = ctx.events
        self._late_minutes: int = ctx.config["late_minutes"]
        self._least_flights: int = ctx.config["least_flights"]
        ctx.events.on(FLIGHT_KNOWN, self._known)
        ctx.provide(DelayBook, self)

    def tally(self, carrier: str) -> Tally:
        """Return what is counted of a carrier."""
        return Tally(*self._state.get(f"tally {carrier}", ()))

    def carriers(self) -> list[str]:
        """List the carriers that something is counted of."""
        return [*self._state.get("carriers", [])]

    async def _known(self, flight: Flight) -> None:
        carrier, state = flight.carrier, self._state
        before = self.tally(carrier)
        tally = Tally(
            before.flights + 1,
            before.cancelled + (flight.delay is None),
            before.minutes + max(flight.delay or 0, 0),
        )
        state.set(f"tally {carrier}", tally)
        state.set("carriers", sorted({*self.carriers(), carrier}))
        await self._events.emit(DELAYS_COUNTED, carrier)
        if self._is_late(tally) and not state.has(f"late {carrier}"):
            state.set(f"late {carrier}", True)
            await self._events.emit(CARRIER_LATE, carrier)

    def _is_late(self, tally: Tally) -> bool:
        departed = tally.flights - tally.cancelled
        return departed >= self._least_flights and tally.mean >= self._late_minutes
