"""Facets: what this airport's plugins provide to one another, and what they emit.

    GateBoard, DelayBook    facets of the host's own, beside those of the catalog
    Flight, Tally           what is handed over by them
    FLIGHT_KNOWN, ...       events, each with its payload

No plugin imports another: what two of them have in common stands here.  Start at
`GateBoard`.
"""

from datetime import datetime
from typing import NamedTuple, Protocol, runtime_checkable

FLIGHT_KNOWN = "flight.known"
"""Flight: whether and when it left is known now; the host emits it."""

GATE_CLOSED = "gate.closed"
"""Flight: it is cancelled, and stays at its gate."""

DELAYS_COUNTED = "delays.counted"
"""str: a carrier, one of whose flights was counted."""

CARRIER_LATE = "carrier.late"
"""str: a carrier that is as late as that for the first time this evening."""

BOARD_WANTED = "board.wanted"
"""None: a passenger looks up; the host emits it."""


class Flight(NamedTuple):
    """A flight whose outcome is known; `delay` is in minutes, None if cancelled."""

    known_at: datetime
    number: str
    destination: str
    delay: int | None

    @property
    def carrier(self) -> str:
        """The first part of its number."""
        return self.number.split()[0]


class Tally(NamedTuple):
    """What is counted of a carrier's flights; who leaves early is 0 minutes late."""

    flights: int = 0
    cancelled: int = 0
    minutes: int = 0

    @property
    def mean(self) -> int:
        """Whole minutes for each flight that left, 0 if none did.

        >>> Tally(flights=5, cancelled=2, minutes=80).mean
        26
        """
        departed = self.flights - self.cancelled
        return self.minutes // departed if departed else 0


@runtime_checkable
class GateBoard(Protocol):
    """Which flight has which gate; sync."""

    def gate_of(self, number: str, /) -> str | None:
        """Return the gate of a flight that is known, None for one without a gate."""
        ...

    def closed(self, carrier: str, /) -> list[str]:
        """List a carrier's gates that a cancelled flight stays at, the first first."""
        ...


@runtime_checkable
class DelayBook(Protocol):
    """How late carriers are this evening; sync."""

    def tally(self, carrier: str, /) -> Tally:
        """Return what is counted of a carrier, all 0 if nothing is."""
        ...

    def carriers(self) -> list[str]:
        """List the carriers that something is counted of, in order."""
        ...
