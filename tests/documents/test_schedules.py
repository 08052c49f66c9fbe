"""Schedules: the document store keeps its promises in whatever order things happen.

Each schedule is one seed: some actors with a store, cancelled and hindered at random
(actors.py), on a loop that chooses what runs next (schedules.py), judged by what was
seen (history.py). A few runs have real threads. A schedule that fails says how to
repeat it: with its own seed, the first of the run. Start at `play_scene`.
"""

import gc
import json
import logging
import os
import random
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import anyio
import pytest

from core.waiting import eventually
from documents.actors import MemoryFiles, Scene
from documents.history import State, check
from fresh import call_fresh
from kills import quick_folder
from latency_kv.documents.files import DocumentFiles
from schedules import Hops, play, play_on_trio

# Of each kind, in `make test` and in `make check`.
ON_ASYNCIO = 3_000, 300_000
ON_TRIO = 400, 20_000
ON_REAL_FILES = 200, 5_000
WITH_REAL_THREADS = 150, 5_000
ABANDONED = 300, 20_000

# In two processes, to be compared.
REPEATED = 300

# How many run in asyncio's own order, first in, first out.
UNSHUFFLED_RATE = 0.2

# A real second is this many virtual ones, since nobody waits for these.
THREADS_UNIT_S = 0.02

DESCRIPTORS = Path("/proc/self/fd")


@pytest.fixture(autouse=True)
def no_log(caplog: pytest.LogCaptureFixture) -> None:
    """Failures are wanted here, and logged by the ten thousand."""
    caplog.set_level(logging.CRITICAL + 1, logger="latency_kv.documents")


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


def scene_of(
    seed: int,
    *,
    backend: str = "asyncio",
    folder: Path | None = None,
    end: str = "",
) -> tuple[Scene, Callable[[], None]]:
    """What a seed makes, and the function that plays it."""
    chance = random.Random(seed)
    hops = Hops(chance)
    scene = Scene(chance, touch=hops.touch, backend=backend, folder=folder, end=end)
    if backend == "trio":
        return scene, partial(play_on_trio, scene.run, hops)
    is_shuffled = chance.random() > UNSHUFFLED_RATE
    return scene, partial(play, scene.run, hops, is_shuffled=is_shuffled)


def play_scene(
    seed: int,
    node: str,
    *,
    backend: str = "asyncio",
    folder: Path | None = None,
    end: str = "",
) -> None:
    """Play one schedule, and check what was seen and what is in the files."""
    scene, run = scene_of(seed, backend=backend, folder=folder, end=end)
    with told(seed, node, scene):
        run()
        for name, state in check(scene.history).items():
            assert state_in(scene.files.inner, name) == state


def state_in(files: DocumentFiles, name: str) -> State:
    """What is in a plugin's files."""
    if isinstance(files, MemoryFiles):
        return files.states.get(name, State())
    found = files.read(name)
    document = None if found is None else (found.version, tuple(found.data))
    backups = [json.loads(path.read_bytes()) for path in files.backups(name)]
    return State(document, tuple((b["version"], tuple(b["data"])) for b in backups))


def seeds(seed: int, counts: tuple[int, int], full: bool) -> range:
    return range(seed, seed + counts[full])


def test_any_schedule_keeps_the_promises(
    seed: int, full: bool, request: pytest.FixtureRequest
) -> None:
    for number in seeds(seed, ON_ASYNCIO, full):
        play_scene(number, request.node.nodeid)


def test_any_schedule_of_trio_keeps_the_promises(
    seed: int, full: bool, request: pytest.FixtureRequest
) -> None:
    for number in seeds(seed, ON_TRIO, full):
        play_scene(number, request.node.nodeid, backend="trio")


def test_any_schedule_keeps_the_promises_with_real_files(
    seed: int, full: bool, request: pytest.FixtureRequest
) -> None:
    before = open_descriptors()
    for number in seeds(seed, ON_REAL_FILES, full):
        with quick_folder() as folder:
            play_scene(number, request.node.nodeid, folder=folder / "state")
    assert open_descriptors() == before


def test_store_that_a_run_leaves_open_is_closed_whole(
    seed: int, full: bool, request: pytest.FixtureRequest
) -> None:
    """asyncio.run cancels all tasks that are left, those of the store with them."""
    with warnings.catch_warnings():
        # anyio never awaits the coroutine of a task that was cancelled unstarted.  It is
        # collected here: within a namedtuple's __new__, which has no __import__, Python
        # could not warn of it, and would tell that instead.
        warnings.simplefilter("ignore", RuntimeWarning)
        gc.disable()
        try:
            for number in seeds(seed, ABANDONED, full):
                play_scene(number, request.node.nodeid, end="abandoned")
                if number % 100 == 0:
                    gc.collect(1)
        finally:
            gc.collect()
            gc.enable()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_real_threads_keep_the_promises_and_none_is_left(
    backend: str, seed: int, full: bool, request: pytest.FixtureRequest
) -> None:
    threads, descriptors = set(threading.enumerate()), open_descriptors()
    for number in seeds(seed, WITH_REAL_THREADS, full):
        with quick_folder() as parent:
            scene = Scene(
                random.Random(number),
                folder=parent / "state",
                backend=backend,
                unit_s=THREADS_UNIT_S,
            )
            with told(number, request.node.nodeid, scene):
                anyio.run(scene.run, backend=backend)
                for name, state in check(scene.history).items():
                    assert state_in(scene.files.inner, name) == state
    assert eventually(partial(no_threads_but, threads))
    assert open_descriptors() == descriptors


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_seed_is_the_same_schedule_in_every_process(backend: str, seed: int) -> None:
    """Where objects lie in memory has no part in it."""
    program = "documents.test_schedules:print_histories"
    first, second = (call_fresh(program, backend, str(seed)) for _ in range(2))
    assert first == second
    assert first.count("call") > REPEATED


def print_histories(backend: str, seed: str) -> None:
    logging.disable()
    for number in range(int(seed), int(seed) + REPEATED):
        scene, run = scene_of(number, backend=backend)
        run()
        print(scene, scene.history, sep="\n")


def no_threads_but(threads: set[threading.Thread]) -> bool:
    """Whether none is left but those that trio keeps idle for a while."""
    left = set(threading.enumerate()) - threads
    return all(thread.name.startswith("Trio thread ") for thread in left)


def open_descriptors() -> int:
    """How many files this process has open, 0 where the system does not tell."""
    return len(os.listdir(DESCRIPTORS)) if DESCRIPTORS.is_dir() else 0
