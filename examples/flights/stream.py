"""Stream: the flights as a file that can be read again from any event on.

What a log is to an operator: it counts its events, and one that comes back asks for them
from the count in its checkpoint on.

    event     at, 8 bytes | route, 6 | carrier, 2 | delay, 4        little-endian

Knows nothing of operators and checkpoints.  Start at `read_stream`.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from struct import Struct

from flights.data import Flight

_EVENT = Struct("<q6s2si")

# The delay of a flight that was cancelled.
_CANCELLED = 2**31 - 1


def write_stream(path: Path, flights: Iterable[Flight]) -> None:
    """Write all events to a new file."""
    with path.open("xb") as file:
        for at, route, carrier, delay in flights:
            minutes = _CANCELLED if delay is None else delay
            file.write(_EVENT.pack(at, route, carrier, minutes))


def read_stream(path: Path, start: int, stop: int) -> Iterator[Flight]:
    """Yield the events `start` to `stop`, counted from 0, the last not included."""
    with path.open("rb") as file:
        file.seek(start * _EVENT.size)
        events = file.read((stop - start) * _EVENT.size)
    for at, route, carrier, minutes in _EVENT.iter_unpack(events):
        yield Flight(at, route, carrier, None if minutes == _CANCELLED else minutes)


def stream_events(path: Path) -> int:
    """Return how many events there are."""
    return path.stat().st_size // _EVENT.size
