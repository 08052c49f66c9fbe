"""Main: python -m flights, the operator over the whole year.

Reads the flights, runs the compiled operator (with --python the one in pure Python
too, whose answers must be the same), and shows what they answered and cost.
"""

import sys
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

from flights import compiled, plain
from flights.data import Flight, FlightsMissingError, flights_path, read_flights
from flights.measure import Run, measure, timer_cost
from flights.picture import draw
from flights.report import show
from flights.windows import Operator
from latency_kv import InMemoryStore


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what the command line asks for."""
    parser = ArgumentParser("python -m flights", description=__doc__.split("\n\n")[1])
    parser.add_argument(
        "--python", action="store_true", help="run the operator in pure Python too"
    )
    parser.add_argument(
        "--limit", type=int, metavar="N", help="stop after the first N flights"
    )
    parser.add_argument(
        "--picture",
        type=Path,
        metavar="PATH",
        help="draw latencies and the store's size into this PNG file",
    )
    options = parser.parse_args(arguments)
    if options.limit is not None and options.limit < 1:
        parser.error(f"--limit must be at least 1, not {options.limit}")

    console = Console()
    try:
        with console.status("Reading the flights"):
            flights = read_flights(flights_path())[: options.limit]
    except FlightsMissingError as error:
        sys.exit(f"{error}")

    runs = [_run(console, "Cython", compiled.DelayOperator, flights)]
    if options.python:
        runs.append(_run(console, "pure Python", plain.DelayOperator, flights))
        if not runs[1].agrees_with(runs[0]):
            sys.exit("the two operators disagree: one of them is wrong")

    show(console, runs, timer_cost())
    if options.python:
        console.print("Both operators gave the same answers and keep the same state.")
    if options.picture:
        draw(runs, options.picture)
        console.print(f"Picture: {options.picture}")


def _run(
    console: Console,
    name: str,
    operator: Callable[[InMemoryStore], Operator],
    flights: list[Flight],
) -> Run:
    # The bar draws when told to: by itself it would draw in the middle of an event.
    columns = (
        "{task.description:>12}",
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, auto_refresh=False) as progress:
        task = progress.add_task(name, total=len(flights))

        def advance(events: int) -> None:
            progress.update(task, advance=events, refresh=True)

        return measure(name, operator(InMemoryStore()), flights, advance)


if __name__ == "__main__":
    main()
