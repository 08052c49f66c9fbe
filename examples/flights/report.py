"""Report: what the operators answered and what they cost, as tables.

Knows runs, lives and the terminal, no operator.  Start at `show`.
"""

from collections.abc import Sequence
from datetime import date

from rich.console import Console
from rich.table import Table

from flights.checkpoints import Checkpoints
from flights.clock import wall_clock
from flights.measure import Answer, Run, percentiles
from flights.recovery import Life
from flights.windows import Delays

_WORST_DAYS = 5

# Of fewer, p99.9 is the longest.
_MANY = 1_000


def show(console: Console, runs: Sequence[Run], timer_cost: int) -> None:
    """Print all tables; the answers are those of the first run."""
    answered = runs[0]
    console.print(_worst_days(answered), _last_day(answered), _costs(runs))
    total = answered.operator.total
    console.print(
        f"In all {total.departed:,} flights departed, {total.late:,} of them late, the "
        f"mean delay was {minutes(total.mean_seconds)} minutes; {total.cancelled:,} were "
        "cancelled."
    )
    console.print(
        f"Each latency includes the timer, about {timer_cost} ns. "
        f"{len(answered.answers):,} of the {len(answered.latencies):,} events opened "
        "a window: ranked a day, forgot an hour."
    )


def show_pauses(
    console: Console,
    runs: Sequence[Run],
    checkpoints: Checkpoints,
    pickled: Sequence[int],
) -> None:
    """Print what checkpoints cost the last run, beside what pickling would have.

    The first run is of the same operator without them.
    """
    table = Table(title="What a checkpoint costs the operator", title_justify="left")
    table.add_column("")
    for column in ("p50, us", "p99.9, us", "longest, us", "times"):
        table.add_column(column, justify="right")
    writing = runs[-1].latencies_within(checkpoints.writes)
    for name, values in (
        ("the pause: snapshot and submit", checkpoints.pauses),
        ("pickle.dumps of an equal dict", pickled),
        ("an event while one is written", writing),
        ("an event without checkpoints", runs[0].latencies),
    ):
        figures = [f"{each / 1e3:,.1f}" for each in percentiles(values, 0.5, 0.999, 1)]
        if len(values) < _MANY:
            figures[1] = ""
        table.add_row(name, *figures, f"{len(values):,}")
    console.print(table)
    console.print(
        f"A checkpoint every {checkpoints.every:,} events: "
        f"{len(checkpoints.pauses):,} were taken and {len(checkpoints.writes):,} written; "
        "a newer one took the place of each of the others before its turn came."
    )


def show_lives(console: Console, lives: Sequence[Life]) -> None:
    """Print where each life of the operator began and how it ended."""
    table = Table(title="Killed, and gone on, by event", title_justify="left")
    table.add_column("life")
    for column in (
        "went on from",
        "last durable",
        "ended at",
        "amid a write",
        "counted again",
    ):
        table.add_column(column, justify="right")
    for number, life in enumerate(lives, 1):
        table.add_row(
            f"{number}",
            f"{life.restored:,}",
            f"{life.durable:,}",
            f"{life.reached:,}",
            "yes" if life.taken > life.durable else "no",
            f"{life.reached - life.left:,}",
        )
    console.print(table)


def minutes(seconds: int) -> str:
    """Return a duration in minutes.

    >>> minutes(754)
    '12.6'
    """
    return f"{seconds / 60:.1f}"


def route_name(route: bytes) -> str:
    """Return a route as it is read.

    >>> route_name(b"JFKLAX")
    'JFK-LAX'
    """
    return f"{route[:3].decode()}-{route[3:].decode()}"


def _worst_days(run: Run) -> Table:
    """Tell the first answer of a date alone, so that no flight is in two of them."""
    first: dict[date, Answer] = {}
    for answer in run.answers:
        if answer.worst:
            first.setdefault(_date(answer.window), answer)
    table = _delay_table("The worst route of the last day, on the worst mornings")
    table.add_column("asked on")
    ranked = sorted(first.values(), key=lambda each: -each.worst[0].delays.mean_seconds)
    for window, worst in ranked[:_WORST_DAYS]:
        route, delays = worst[0]
        table.add_row(route_name(route), *_delay_cells(delays), f"{_date(window)}")
    return table


def _last_day(run: Run) -> Table:
    """Tell the last answer, with each route's week beside it."""
    operator = run.operator
    asked = f"{wall_clock(operator.open_window):%Y-%m-%d %H:%M}"
    table = _delay_table(f"The worst routes of the last day, asked on {asked}")
    table.add_column("week's mean", justify="right")
    for route, delays in operator.worst_routes:
        week = operator.route_week(route)
        table.add_row(
            route_name(route), *_delay_cells(delays), minutes(week.mean_seconds)
        )
    return table


def _delay_table(title: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("route")
    for column in ("departed", "cancelled", "late", "mean, min", "longest"):
        table.add_column(column, justify="right")
    return table


def _delay_cells(delays: Delays) -> tuple[str, ...]:
    return (
        f"{delays.departed}",
        f"{delays.cancelled}",
        f"{delays.late}",
        minutes(delays.mean_seconds),
        f"{delays.longest}",
    )


def _date(instant: int) -> date:
    return wall_clock(instant).date()


def _costs(runs: Sequence[Run]) -> Table:
    table = Table(title="What it cost", title_justify="left")
    table.add_column("")
    for run in runs:
        table.add_column(run.name, justify="right")
    for row in zip(_COSTS, *map(_cost_cells, runs), strict=True):
        table.add_row(*row)
    return table


_COSTS = (
    "events",
    "events per second",
    "p50 per event, us",
    "p99, us",
    "p99.9, us",
    "longest, us",
    "interruptions by other processes",
    "state, entries",
    "state, bytes of keys and values",
    "state, most entries",
    "store's memory, bytes",
)


def _cost_cells(run: Run) -> tuple[str, ...]:
    last = run.sizes[-1]
    return (
        f"{len(run.latencies):,}",
        f"{run.events_per_second:,.0f}",
        *(f"{each / 1e3:,.1f}" for each in run.percentiles(0.5, 0.99, 0.999, 1)),
        f"{run.interruptions:,}",
        f"{last.entries:,}",
        f"{last.content:,}",
        f"{max(size.entries for size in run.sizes):,}",
        f"{last.memory:,}",
    )
