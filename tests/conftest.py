"""What every test shares: the seed, the tier, a folder, and hypothesis' profiles.

The tier is small unless LATENCY_KV_CHECK=1, which `make check` sets. A test that plays
at random asks for `seed`, which prints the command that repeats the run; pytest shows
it when the test fails. Start at `seed`.
"""

import os
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from kills import quick_folder
from power import FULL_CUTS, SMALL_CUTS, what_is_missing
from servers import MISSING

FULL = os.environ.get("LATENCY_KV_CHECK") == "1"

settings.register_profile(
    "test", max_examples=60, stateful_step_count=40, deadline=None, print_blob=True
)
settings.register_profile(
    "check",
    max_examples=3_000,
    stateful_step_count=100,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("check" if FULL else "test")


@pytest.fixture
def full() -> bool:
    """Whether this run is `make check`, with full counts."""
    return FULL


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """A seed, LATENCY_KV_SEED if it is set, printed with the way to repeat the run."""
    given = os.environ.get("LATENCY_KV_SEED")
    chosen = int(given) if given else random.SystemRandom().getrandbits(32)
    tier = "LATENCY_KV_CHECK=1 " if FULL else ""
    command = f"{tier}LATENCY_KV_SEED={chosen} python -m pytest"
    print(f"repeat with: {command} '{request.node.nodeid}'")
    return chosen


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder, where no test waits for a disk."""
    with quick_folder() as folder:
        yield folder


@pytest.fixture
def cuts(full: bool) -> int:
    """How often to cut the power; a skip, with its reason, where that cannot be."""
    if reason := what_is_missing():
        pytest.skip(f"no power to cut: {reason}")
    return FULL_CUTS if full else SMALL_CUTS


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what was not tested for want of a server."""
    reasons = Counter(
        report.longrepr[2].removeprefix("Skipped: ")
        for report in terminalreporter.getreports("skipped")
        if isinstance(report.longrepr, tuple) and MISSING in report.longrepr[2]
    )
    for reason, count in reasons.items():
        terminalreporter.write_line(f"NOT TESTED: {count} tests: {reason}", red=True)
