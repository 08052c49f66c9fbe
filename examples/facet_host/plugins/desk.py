"""Desk: announces closed gates, shows who is late, asks what is to be done about it.

    "open"    the ids of its questions that are not answered, a list

Who is late is an atom: made when a passenger looks, kept for the next one, invalid when
a flight was counted.  What an atom keeps lives as long as the process, for whatever can
be made again need not survive.  What others must do is asked by facet; who they are is
nowhere here.  Start at `Desk.activate`.
"""

from typing import NamedTuple

from facet_host.facets import (
    BOARD_WANTED,
    CARRIER_LATE,
    DELAYS_COUNTED,
    GATE_CLOSED,
    DelayBook,
    Flight,
    GateBoard,
)
from facet_host.manifests import manifest_beside
from latency_kv import PluginContext, Scope, atom, tag
from latency_kv.atoms import AtomContext
from latency_kv.facets import DecisionHandler, DecisionOption, DecisionSpec

# How many carriers are on the board.
_ROWS = 3

# How often the board was made; it is made anew, this stays.
_MADE = tag("made", type=int, default=0)

_ANSWERS = (
    DecisionOption("rebook", "on other carriers' flights"),
    DecisionOption("wait"),
)


class Board(NamedTuple):
    """What a passenger sees, and which one it is since the process began."""

    number: int
    text: str


class Desk:
    """Requires the two facets of the airport's, and one of the catalog's."""

    manifest = manifest_beside(__file__)

    def activate(self, ctx: PluginContext) -> None:
        """Go on with the questions that were open."""
        self._ctx = ctx
        self._gates = ctx.require(GateBoard)
        self._delays = ctx.require(DelayBook)
        self._decisions = ctx.require(DecisionHandler)
        self._scope = Scope()
        self._board = atom(self._make_board)
        ctx.events.on(GATE_CLOSED, self._announce)
        ctx.events.on(CARRIER_LATE, self._ask)
        ctx.events.on(DELAYS_COUNTED, self._counted)
        ctx.events.on(BOARD_WANTED, self._show)

    async def deactivate(self) -> None:
        """Drop the board; subscriptions are the host's to end."""
        await self._scope.dispose()

    def _announce(self, flight: Flight) -> None:
        gate = self._gates.gate_of(flight.number)
        self._ctx.logger.info(
            f"{flight.number} to {flight.destination} is cancelled, gate {gate} closed"
        )

    async def _ask(self, carrier: str) -> None:
        tally = self._delays.tally(carrier)
        closed = self._gates.closed(carrier)
        spec = DecisionSpec(
            f"Rebook the passengers of {carrier}?",
            f"{tally.mean} minutes late on average, {tally.cancelled} of "
            f"{tally.flights} flights cancelled, gates closed: {len(closed)}",
            _ANSWERS,
            "high",
        )
        decision = await self._ctx.request_decision(spec)
        self._ctx.state.set("open", [*self._open(), decision.id])
        self._ctx.logger.info(f"asks: {spec.title}", {"question": decision.id})

    async def _counted(self, carrier: str) -> None:
        self._scope.invalidate(self._board)
        for id in self._open():
            decision = await self._decisions.get_decision(id)
            if decision.result is not None:
                left = [each for each in self._open() if each != id]
                self._ctx.state.set("open", left)
                answer = decision.result.selected_option
                self._ctx.logger.info(f"hears: {answer}", {"question": id})

    async def _show(self, _: None) -> None:
        board = await self._scope.resolve(self._board)
        self._ctx.logger.debug(board.text, {"board": board.number})

    def _make_board(self, ctx: AtomContext) -> Board:
        number = ctx.data.get_or_set(_MADE) + 1
        ctx.data.set(_MADE, number)
        tallies = {each: self._delays.tally(each) for each in self._delays.carriers()}
        # The sort is stable: of equals, the first by name.
        latest = sorted(tallies, key=lambda each: -tallies[each].mean)[:_ROWS]
        text = ", ".join(f"{each} {tallies[each].mean} min" for each in latest)
        self._ctx.logger.info(f"makes board {number}: {text}")
        return Board(number, text)

    def _open(self) -> list[str]:
        return [*self._ctx.state.get("open", [])]
