"""Main: python -m flights, the operator over the whole year.

Reads the flights, runs the compiled operator (with --python the one in pure Python
too, whose answers must be the same), and shows what they answered and cost. With
--state it checkpoints, is killed again and again, and must come back as it was.
"""

import logging
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random, SystemRandom

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

from flights import compiled, plain
from flights.checkpoints import Checkpoints, pickle_pauses
from flights.data import Flight, FlightsMissingError, flights_path, read_flights
from flights.measure import Run, measure, timer_cost
from flights.picture import draw
from flights.recovery import RecoveryError, check_recovered, recover
from flights.report import show, show_lives, show_pauses
from flights.windows import Operator
from latency_kv import CheckpointDirectory, InMemoryStore

KILLS = 5

# Some hundred checkpoints in the year.
EVERY = 2_000


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
    parser.add_argument(
        "--state",
        type=Path,
        metavar="FOLDER",
        help="checkpoint into this folder, new or empty, and kill the operator "
        f"{KILLS} times: it must recover",
    )
    parser.add_argument(
        "--every",
        type=int,
        metavar="N",
        default=EVERY,
        help="how many events are between two checkpoints (%(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        help="repeat the kills of an earlier run, as far as time repeats itself",
    )
    options = parser.parse_args(arguments)
    for option in ("limit", "every"):
        value = getattr(options, option)
        if value is not None and value < 1:
            parser.error(f"--{option} must be at least 1, not {value}")
    state = options.state
    if state and state.exists() and (not state.is_dir() or any(state.iterdir())):
        parser.error(f"--state must be a new or an empty folder: {state}")

    console = Console()
    try:
        with console.status("Reading the flights"):
            flights = read_flights(flights_path())[: options.limit]
    except FlightsMissingError as error:
        sys.exit(f"{error}")

    runs = [_run(console, "Cython", compiled.DelayOperator, flights)]
    if options.python:
        runs.append(_run(console, "pure Python", plain.DelayOperator, flights))
    if state:
        folder = state / "uninterrupted"
        with CheckpointDirectory(folder).background() as writer:
            checkpoints = Checkpoints(writer.submit, options.every)
            name = "checkpointing"
            runs.append(
                _run(console, name, compiled.DelayOperator, flights, checkpoints)
            )
        with _steps(console, "pickling", flights) as advance:
            operator = compiled.DelayOperator(InMemoryStore())
            pickled = pickle_pauses(operator, flights, options.every, advance)
    for run in runs[1:]:
        if not run.agrees_with(runs[0]):
            sys.exit(f"{runs[0].name} and {run.name} disagree: one of them is wrong")
    show(console, runs, timer_cost())
    if options.python:
        console.print("Both operators gave the same answers and keep the same state.")
    if state:
        show_pauses(console, runs, checkpoints, pickled)
        _recover(console, options, flights, runs[0].operator)
    if options.picture:
        draw(runs, options.picture)
        console.print(f"Picture: {options.picture}")


def _run(
    console: Console,
    name: str,
    operator: Callable[[InMemoryStore], Operator],
    flights: list[Flight],
    checkpoints: Checkpoints | None = None,
) -> Run:
    with _steps(console, name, flights) as advance:
        return measure(name, operator(InMemoryStore()), flights, advance, checkpoints)


@contextmanager
def _steps(
    console: Console, name: str, flights: list[Flight]
) -> Iterator[Callable[[int], None]]:
    """Show a bar that draws when told to: by itself it would draw within an event."""
    with _bar(console, auto_refresh=False) as progress:
        task = progress.add_task(name, total=len(flights))

        def advance(events: int) -> None:
            progress.update(task, advance=events, refresh=True)

        yield advance


def _recover(
    console: Console, options: Namespace, flights: list[Flight], expected: Operator
) -> None:
    seed = SystemRandom().getrandbits(32) if options.seed is None else options.seed
    console.print(f"Kills with --seed {seed}")
    try:
        with _bar(console) as progress:
            task = progress.add_task("killed", total=len(flights))
            lives, recovered = recover(
                options.state / "killed",
                flights,
                operator="compiled",
                every=options.every,
                kills=KILLS,
                random=Random(seed),
                progress=lambda reached: progress.update(task, completed=reached),
            )
        check_recovered(recovered, expected)
    except RecoveryError as error:
        sys.exit(f"{error} (--seed {seed})")
    show_lives(console, lives)
    store = recovered.store
    console.print(
        f"After {KILLS} kills the table is exactly that of an uninterrupted run: "
        f"{len(store):,} entries, {store.size_bytes():,} bytes, the same answers."
    )


def _bar(console: Console, *, auto_refresh: bool = True) -> Progress:
    columns = (
        "{task.description:>13}",
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console, auto_refresh=auto_refresh)


if __name__ == "__main__":
    # How far a writer falls behind is in the table, once and not at every write.
    logging.getLogger("latency_kv.checkpoints").setLevel(logging.ERROR)
    main()
