"""Gates: a carrier's flights take its gates in turn; a cancelled one stays at its gate.

    "turn DL"       how many flights of the carrier had a gate
    "gate DL 161"   the flight's gate
    "closed B6"     the carrier's gates that are closed, a list

Which gates a carrier has is the plugin's config.  Start at `Gates.activate`.
"""

from facet_host.facets import FLIGHT_KNOWN, GATE_CLOSED, Flight, GateBoard
from facet_host.manifests import manifest_beside
from latency_kv import PluginContext


class Gates:
    """Provides the GateBoard, itself; all that it knows is in `ctx.state`."""

    manifest = manifest_beside(__file__)

    def activate(self, ctx: PluginContext) -> None:
        """Give gates to the flights that become known."""
        self._state = ctx.state
        self._events = ctx.events
        self._gates_of = ctx.config
        ctx.events.on(FLIGHT_KNOWN, self._known)
        ctx.provide(GateBoard, self)

    def gate_of(self, number: str) -> str | None:
        """Return the gate of a flight, None for one that is unknown or had none."""
        gate: str | None = self._state.get(f"gate {number}")
        return gate

    def closed(self, carrier: str) -> list[str]:
        """List the carrier's gates that are closed."""
        return [*self._state.get(f"closed {carrier}", [])]

    async def _known(self, flight: Flight) -> None:
        carrier, state = flight.carrier, self._state
        closed = self.closed(carrier)
        free = [gate for gate in self._gates_of[carrier] if gate not in closed]
        if not free:
            # It is boarded from the apron.
            return
        turn = state.get(f"turn {carrier}", 0)
        gate = free[turn % len(free)]
        state.set(f"turn {carrier}", turn + 1)
        state.set(f"gate {flight.number}", gate)
        if flight.delay is None:
            state.set(f"closed {carrier}", [*closed, gate])
            await self._events.emit(GATE_CLOSED, flight)
