"""Story: four acts in one folder of checkpoints, and what is claimed of each.

An act's docstring is what the reader is told.  Claims are held against the checkpoints,
read without any plugin, and against what the processes reported, never against what a
plugin believes.  Start at `killed`.
"""

import logging
import signal
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from facet_host.checks import (
    boards_of,
    claims_of_the_end,
    since_checkpoint,
    tallies_in,
    uninterrupted,
)
from facet_host.duty import decisions_in
from facet_host.evening import read_evening
from facet_host.host import BOARD_EVERY, Host
from facet_host.life import CHECKPOINT_EVERY, Said, digest, restored_store
from facet_host.lives import Life, lived
from facet_host.others import CREWS, FLEET, LOUNGE, PARKING, Stranger
from latency_kv import CheckpointDirectory, InMemoryStore
from latency_kv.errors import (
    CircularDependencyError,
    LatencyKVError,
    MissingDependencyError,
    PluginInUseError,
    PluginManifestError,
)
from latency_kv.plugins import StoredPluginState

NAMES = ("gates", "delays", "desk")

# Between two checkpoints, and before anybody is at the duty office.
KILLED_AT = 27
KEPT_AT = KILLED_AT - KILLED_AT % CHECKPOINT_EVERY


@dataclass
class Stage:
    """Where the story is played, and the lives of the host so far."""

    folder: Path
    backend: str
    lives: list[Life] = field(default_factory=list)

    def newest(self) -> InMemoryStore:
        """Return a store with the newest checkpoint."""
        return restored_store(CheckpointDirectory(self.folder))


class Act(NamedTuple):
    """What there is to see when an act is over, by title, and which claims hold."""

    parts: dict[str, list[str]]
    claims: dict[str, bool]


async def loaded(stage: Stage) -> Act:
    """Load three plugins that do not know one another.

    Each has a manifest, a TOML file beside its module. The desk is registered first and
    loaded last: it is bound to what the two others provide, and to the host's own duty
    office. It imports neither of them.
    """
    host = Host(InMemoryStore())
    async with host.running():
        names = host.plugins.loaded
        lines = [_binding(host, name) for name in names]
        dependencies = host.plugins.contexts["desk"].dependencies
    claims = {
        "the desk was loaded when all that it requires was there": names == NAMES,
        "its facets alone tell whom it depends on": dependencies == NAMES[:2],
    }
    return Act({"Loaded, in this order": lines}, claims)


async def killed(stage: Stage) -> Act:
    """Kill the host amid the evening.

    It hears of the flights of a real evening at JFK, one by one, and after every tenth
    it writes one snapshot of its store: a checkpoint. That has the plugins' states, for
    the host makes each of them a StoredPluginState, the questions that are open, and
    how many flights were heard. Behind the 27th the process gets SIGKILL.
    """
    life = await lived(stage.folder, KILLED_AT, stage.backend, kill=True)
    stage.lives.append(life)
    store = stage.newest()
    keys = {name: StoredPluginState(store, name).keys() for name in NAMES}
    questions = [*decisions_in(store)]
    kept = life.kept[-1]
    claims = {
        "the process was killed": life.exit_status == -signal.SIGKILL,
        f"the newest checkpoint is of flight {KEPT_AT}": kept.position == KEPT_AT,
        "it is what the process had then, entry for entry": digest(store) == kept.state,
        "it has all three plugins' states": all(keys.values()),
        "it has a question that is open": [each.status for each in questions]
        == ["pending"],
    }
    parts = {
        "The log": _log(life.said),
        f"In checkpoint {kept.generation}": [
            *(_first_of(store, name) for name in NAMES),
            *(f"duty office: {each.title} {each.description}" for each in questions),
            f"host: {Host(store).position} flights were heard",
        ],
        "Not in it, and gone": [
            f"flights {kept.position + 1} to {life.reached} were heard, and this said:",
            *_log(since_checkpoint(life)),
        ],
    }
    return Act(parts, claims)


async def restarted(stage: Stage) -> Act:
    """Start it again.

    A new process makes its store of the newest checkpoint, and the plugins go on. The
    flights since then are heard once more, so nothing is missing and nothing is counted
    twice. What was said since then is said twice: no snapshot takes back a word. A
    question of the first process is answered in the second. The boards count from 1
    again, for what an atom keeps ends with its process: it can be made anew.
    """
    evening = read_evening()
    first, asked = stage.lives[-1], [*decisions_in(stage.newest())]
    life = await lived(stage.folder, len(evening), stage.backend, kill=False)
    stage.lives.append(life)
    store = stage.newest()

    answered = {
        each.context["question"]
        for each in life.said
        if each.message.startswith("hears")
    }
    repeated = _log(each for each in life.said if each.flight <= first.reached)
    looks, boards = boards_of(stage.lives)
    wanted = sum(
        life.reached // BOARD_EVERY - life.began.position // BOARD_EVERY
        for life in stage.lives
    )
    warnings = [
        each for each in first.said + life.said if each.level >= logging.WARNING
    ]
    claims = {
        "it went on from the newest checkpoint": life.began.position
        == first.kept[-1].position,
        "it began with what the first one had then, entry for entry": life.began.state
        == first.kept[-1].state,
        "what was said since then was said again, and nothing else": repeated
        == _log(since_checkpoint(first)),
        "the question of the first was answered in the second": len(asked) > 0
        and answered.issuperset(each.id for each in asked),
        "a board was made once for two who looked": (looks, boards)
        == (2 * wanted, wanted),
        "no plugin failed, and nobody was warned": not warnings,
        **claims_of_the_end(store, evening),
        "all is as without a kill, entry for entry": digest(store)
        == digest(await uninterrupted(evening)),
    }
    counts = [
        f"{carrier}: {tally.flights} flights, {tally.cancelled} cancelled, "
        f"{tally.mean} minutes late on average"
        for carrier, tally in tallies_in(store).items()
    ]
    return Act({"The log": _log(life.said), "Counted in the end": counts}, claims)


async def refused(stage: Stage) -> Act:
    """Ask for what cannot be loaded.

    Manifests tell, so no line of these plugins runs, and whoever is not concerned is
    loaded all the same. What is wrong is collected and raised together.
    """
    host = Host(InMemoryStore())
    for mapping in (LOUNGE, CREWS, FLEET):
        host.plugins.register(Stranger(mapping))
    async with host.plugins:
        not_loaded = await _raised(host.plugins.load_all())
        names = host.plugins.loaded
        in_use = await _raised(host.plugins.unload("gates"))
    problems: tuple[str, ...] = ()
    try:
        Stranger(PARKING)
    except PluginManifestError as error:
        problems = error.problems
    missing = [e.facet for e in not_loaded if isinstance(e, MissingDependencyError)]
    circles = [e.path for e in not_loaded if isinstance(e, CircularDependencyError)]
    claims = {
        "the facet that nobody provides is named": missing == ["SeatPlan"],
        "the circle is told once, from a plugin to itself": circles
        == [("crews", "fleet", "crews")],
        "the three others are loaded": names == NAMES,
        "a plugin that others need stays": [type(e) for e in in_use]
        == [PluginInUseError],
        "all four problems of a manifest are told at once": len(problems) == 4,
    }
    parts = {
        "load_all()": [_shown(error) for error in not_loaded],
        'unload("gates")': [_shown(error) for error in in_use],
        "A manifest with problems": [*problems],
    }
    return Act(parts, claims)


ACTS = loaded, killed, restarted, refused


def _binding(host: Host, name: str) -> str:
    """Tell what a loaded plugin provides, and who provides what it requires."""
    manifest = host.plugins.contexts[name].manifest
    told = f"{manifest.id} {manifest.version}"
    if manifest.provides:
        told += " provides " + ", ".join(each.facet for each in manifest.provides)
    served = [
        (each.facet, host.plugins.registry.list(each.facet)[0].metadata)
        for each in manifest.requires
    ]
    if served:
        told += " requires " + ", ".join(
            f"{facet} of {metadata.get('plugin', 'the host')}"
            for facet, metadata in served
        )
    return told


def _first_of(store: InMemoryStore, name: str) -> str:
    """Tell how much a plugin keeps in the store, and its first value."""
    state = StoredPluginState(store, name)
    keys = state.keys()
    told = f"{name}: {len(keys)} value{'s' * (len(keys) != 1)}"
    return f"{told}, {keys[0]!r} is {state.get(keys[0])!r}" if keys else told


def _log(said: Iterable[Said]) -> list[str]:
    return [
        f"{each.time}  {each.message}" for each in said if each.level >= logging.INFO
    ]


async def _raised(doing: Awaitable[object]) -> list[Exception]:
    """Return what it raises, several apart."""
    try:
        await doing
    except ExceptionGroup as group:
        return [*group.exceptions]
    except LatencyKVError as error:
        return [error]
    return []


def _shown(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
