"""Schedules: a scope keeps its promises in whatever order things happen.

Each schedule is one seed: a graph of atoms and some actors (actors.py), on a loop that
chooses what runs next (schedules.py), judged by what was seen (history.py). A schedule
that fails says how to repeat it: with its own seed, the first of the run. Start at
`play_scene`.
"""

import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product

import pytest

from atoms.actors import Scene
from atoms.history import check
from atoms.scenes import leaves
from fresh import call_fresh
from schedules import Hops, play, play_on_trio

# Of each kind, in `make test` and in `make check`.
ON_ASYNCIO = 1_500, 150_000
ON_TRIO = 400, 20_000

# In two processes, to be compared; and to be seen what they do at all.
REPEATED = 100
SURVEYED = 3_000

# How many run in asyncio's own order, first in, first out.
UNSHUFFLED_RATE = 0.2


@pytest.fixture(autouse=True)
def no_log(caplog: pytest.LogCaptureFixture) -> None:
    """What a cancelled call cannot raise is logged, here by the thousands."""
    caplog.set_level(logging.CRITICAL + 1, logger="latency_kv.atoms")


@contextmanager
def told(seed: int, node: str, scene: Scene) -> Iterator[None]:
    """Add to what is raised how to see it again, and what was seen."""
    try:
        yield
    except BaseException as error:
        command = f"LATENCY_KV_SEED={seed} python -m pytest '{node}'"
        error.add_note(f"repeat with: {command}")
        error.add_note(f"{scene}\n{scene.history}")
        raise


def play_scene(seed: int, node: str, *, backend: str = "asyncio") -> Scene:
    """Play one schedule, and check what was seen."""
    chance = random.Random(seed)
    hops = Hops(chance)
    scene = Scene(chance, backend)
    with told(seed, node, scene):
        if backend == "trio":
            play_on_trio(scene.run, hops)
        else:
            is_shuffled = chance.random() > UNSHUFFLED_RATE
            play(scene.run, hops, is_shuffled=is_shuffled)
        check(scene.history)
    return scene


@pytest.mark.parametrize(
    ("backend", "counts"),
    [("asyncio", ON_ASYNCIO), ("trio", ON_TRIO)],
    ids=["asyncio", "trio"],
)
def test_any_schedule_keeps_the_promises(
    backend: str,
    counts: tuple[int, int],
    seed: int,
    full: bool,
    request: pytest.FixtureRequest,
) -> None:
    for number in range(seed, seed + counts[full]):
        play_scene(number, request.node.nodeid, backend=backend)


def test_schedules_do_all_that_is_to_be_judged(
    seed: int, request: pytest.FixtureRequest
) -> None:
    """What never happens is kept by any promise."""
    outcomes = product(
        ("resolve", "flush", "release", "set", "dispose"),
        ("returned", "raised", "cancelled"),
    )
    unseen = {
        *(" ".join(outcome) for outcome in outcomes),
        *("FactoryError", "CleanUpError", "RuntimeError"),
        *("CircularDependencyError", "InvalidationLoopError"),
    }
    for number in range(seed, seed + SURVEYED):
        for call in play_scene(number, request.node.nodeid).history.calls:
            unseen.discard(f"{call.method} {call.outcome}")
            unseen -= {type(leaf).__name__ for leaf in leaves(call.error)}
        if not unseen:
            return
    raise AssertionError(f"in {SURVEYED} schedules never seen: {unseen}")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_seed_is_the_same_schedule_in_every_process(backend: str, seed: int) -> None:
    """Where objects lie in memory has no part in it."""
    program = "atoms.test_schedules:print_histories"
    first, second = (call_fresh(program, backend, str(seed)) for _ in range(2))
    assert first == second
    assert first.count("resolve") > REPEATED


def print_histories(backend: str, seed: str) -> None:
    logging.disable()
    for number in range(int(seed), int(seed) + REPEATED):
        scene = play_scene(number, "", backend=backend)
        print(scene, scene.history, sep="\n")
