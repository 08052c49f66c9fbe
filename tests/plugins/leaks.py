"""Leaks: what a thousand calls on a plugin's state leave behind in the process.

Whatever a call is given, it is given anew: a count that is one too high is then a block
of memory for each call, a slope of a thousand.  Runs in a fresh interpreter, since
pytest allocates too.  Start at `find_leaks`.
"""

import copy
import gc
import pickle
import sys
import weakref
from collections.abc import Callable
from contextlib import suppress
from itertools import count

from latency_kv import InMemoryStore
from latency_kv.facets.stores import PluginStateStore
from latency_kv.plugins.object_state import ObjectPluginState
from latency_kv.plugins.stored_state import StoredPluginState

WARM_UP = 150
REPETITIONS = 1_000
# One leaked block in four calls already fails.
MOST_BLOCKS = REPETITIONS // 4
# A leak grows each time; what a cache keeps does not.
ATTEMPTS = 4

NUMBERS = count(1 << 40)


class Text(str):
    """A subclass of str: its text is copied before it is a key."""

    __slots__ = ()


class Holder:
    """An object that can be part of a circle."""

    def __init__(self, held: object) -> None:
        self.held = held


def text() -> str:
    """A str that nobody else holds."""
    return f"key/{next(NUMBERS)}"


def value() -> list[object]:
    return [next(NUMBERS)]


def there(state: PluginStateStore) -> None:
    key = text()
    state.set(key, value())
    state.get(key)
    state.get(key, value())
    state.has(key)
    state.set(key, value())
    state.delete(key)


def there_by_subclass(state: PluginStateStore) -> None:
    key = text()
    state.set(Text(key), value())
    state.get(Text(key))
    state.has(Text(key))
    state.delete(Text(key))


def absent(state: PluginStateStore) -> None:
    state.get(text())
    state.get(text(), value())
    state.has(text())
    state.delete(text())


def over(state: PluginStateStore) -> None:
    state.set("kept", value())


def described(state: PluginStateStore) -> None:
    repr(state)
    weakref.ref(state)


MISTAKES: dict[str, Callable[[PluginStateStore], object]] = {
    "get by no str": lambda state: state.get(value(), value()),  # type: ignore[arg-type]
    "set by no str": lambda state: state.set(value(), value()),  # type: ignore[arg-type]
    "delete by no str": lambda state: state.delete(value()),  # type: ignore[arg-type]
    "has by no str": lambda state: state.has(value()),  # type: ignore[arg-type]
    "copy": lambda state: copy.copy(state),
    "pickle": lambda state: pickle.dumps(state),
    "set nothing": lambda state: state.set(text()),  # type: ignore[call-arg]
}

CALLS: dict[str, Callable[[PluginStateStore], object]] = {
    "there": there,
    "there by a subclass": there_by_subclass,
    "absent": absent,
    "over": over,
    **MISTAKES,
}


def made_and_dropped(_: PluginStateStore) -> None:
    state = ObjectPluginState()
    state.set(text(), value())


def circle(_: PluginStateStore) -> None:
    state = ObjectPluginState()
    state.set(text(), Holder(state))
    state.set(text(), state)


def refused(_: PluginStateStore) -> None:
    ObjectPluginState(value())  # type: ignore[call-arg]


def unencodable(state: PluginStateStore) -> None:
    state.set(text(), object())


def slope(run: Callable[[PluginStateStore], object], state: PluginStateStore) -> int:
    """The blocks that a thousand repetitions add, once everything is warm."""

    def repeat(times: int) -> int:
        for _ in range(times):
            with suppress(Exception):
                run(state)
        gc.collect()
        return sys.getallocatedblocks()

    before = repeat(WARM_UP)
    for _ in range(ATTEMPTS):
        after = repeat(REPETITIONS)
        grown, before = after - before, after
        if grown <= MOST_BLOCKS:
            break
    return grown


def find_leaks() -> None:
    """Raise with every call that leaves something behind, of either state."""
    objects = ObjectPluginState()
    stored = StoredPluginState(InMemoryStore(), "clock")
    found = {
        f"object: {name}": slope(run, objects)
        for name, run in {
            **CALLS,
            "described": described,
            "made and dropped": made_and_dropped,
            "circle": circle,
            "refused": refused,
        }.items()
    }
    for name, run in {**CALLS, "unencodable": unencodable}.items():
        if name not in ("copy", "pickle"):
            found[f"stored: {name}"] = slope(run, stored)
    leaks = {name: blocks for name, blocks in found.items() if blocks > MOST_BLOCKS}
    assert not leaks, leaks
