"""States: what every PluginStateStore keeps of its promise, and names to break it with.

A test file of one kind of state inherits `PluginStateTests` and gives it the `state`.
Start there.
"""

from collections.abc import Callable
from enum import StrEnum
from random import Random
from typing import Any

import pytest

from latency_kv.facets.stores import (
    ByteStateStore,
    DocumentStateStore,
    PluginStateStore,
)

# Characters at which packed names could run into one another: ends, escapes, the last
# of each width in UTF-8, and those of the prefix itself.
HOSTILE = "\0\1\2\x7f\x80\xff\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff:-ap"

HOSTILE_NAMES = [
    "a",
    "ab",
    "abc",
    "a\0",
    "a\0b",
    "a\1",
    "a\1\1",
    "a\2",
    "\0",
    "\1",
    "\0\0",
    "\0\1",
    "\1\0",
    "\1\1",
    "\xff",
    "\xff\xff",
    "\U0010ffff",
    "plugin-state:",
    "plugin-state:a\0",
    " ",
    "A",
    "\u00e9",
    "e\u0301",
    "..",
    "a/b",
    "clock" * 1_000,
]
"""No two of these are one plugin."""

HOSTILE_KEYS = ["", *HOSTILE_NAMES]

NO_TEXTS: list[Any] = [None, 0, 1.5, b"count", bytearray(b"count"), ("count",), object]

VALUES: tuple[Any, ...] = (
    None,
    False,
    True,
    0,
    -(1 << 63),
    (1 << 64) - 1,
    1.5,
    "",
    "\0\U0010ffff",
    b"\0\xff",
    [],
    {},
    [1, [2, {"three": None}]],
    {"": 0, "nested": {"list": [None, "a"]}},
)
"""Values that every state hands back equal to what was set."""


class Key(StrEnum):
    """What plugins write whose keys are not to be mistyped."""

    COUNT = "count"


class Liar(str):
    """A str that says that it is another one, wherever it is asked."""

    __slots__ = ()

    def __hash__(self) -> int:
        return hash("other")

    def __eq__(self, other: object) -> bool:
        return other == "other"

    def __add__(self, other: str) -> str:
        return "other" + other

    def __contains__(self, part: object) -> bool:
        return False

    def __str__(self) -> str:
        return "other"


def hostile_name(random: Random) -> str:
    """A name that often is another one's start, or nearly another one."""
    if random.random() < 0.3:
        return random.choice(HOSTILE_NAMES)
    return "".join(random.choices(HOSTILE, k=random.choice([1, 1, 2, 2, 3])))


def hostile_key(random: Random) -> str:
    return "" if random.random() < 0.1 else hostile_name(random)


def check_store(state: PluginStateStore, model: dict[str, Any]) -> None:
    """A state that shows what is in a dict, and nothing else of what might be."""
    for key, value in model.items():
        assert state.has(key), key
        assert state.get(key, ...) == value
    for key in HOSTILE_KEYS:
        assert state.has(key) == (key in model), key


class PluginStateTests:
    """The facet's promise, held by whatever the fixture `state` is.

    `values` are what it is tried with: equal when they come back, and of the same type.
    """

    values = VALUES

    def test_is_a_plugin_state_store_alone(self, state: PluginStateStore) -> None:
        assert isinstance(state, PluginStateStore)
        assert not isinstance(state, (ByteStateStore, DocumentStateStore))

    def test_missing_key_is_the_default(self, state: PluginStateStore) -> None:
        default = object()
        assert state.get("count") is None
        assert state.get("count", default) is default
        assert not state.has("count")
        state.set("count", 1)
        assert state.get("count", default) == 1
        assert state.get("Count", default) is default

    def test_values_come_back(self, state: PluginStateStore) -> None:
        for value in self.values:
            state.set("key", value)
            assert state.has("key") is True
            assert state.get("key", "absent") == value
            assert type(state.get("key", "absent")) is type(value)

    def test_none_is_a_value(self, state: PluginStateStore) -> None:
        state.set("key", None)
        assert state.get("key", "absent") is None
        assert state.has("key")
        assert state.delete("key")
        assert state.get("key", "absent") == "absent"

    def test_set_goes_over_an_older_value(self, state: PluginStateStore) -> None:
        for value in (1, "one", None, [1]):
            state.set("key", value)
            assert state.get("key", "absent") == value
        assert state.delete("key")
        assert not state.has("key")

    def test_delete_tells_whether_there_was_one(self, state: PluginStateStore) -> None:
        state.set("key", 1)
        state.set("other", 2)
        assert state.delete("key") is True
        assert state.delete("key") is False
        assert state.delete("never") is False
        assert state.has("key") is False
        assert state.get("other") == 2
        state.set("key", 3)
        assert state.get("key") == 3

    def test_keys_are_apart_whatever_their_characters(
        self, state: PluginStateStore
    ) -> None:
        model: dict[str, Any] = {}
        for number, key in enumerate(HOSTILE_KEYS):
            assert not state.has(key), key
            state.set(key, number)
            model[key] = number
            check_store(state, model)
        for key in HOSTILE_KEYS:
            assert state.delete(key)
            del model[key]
            check_store(state, model)

    @pytest.mark.parametrize("key", NO_TEXTS, ids=repr)
    def test_key_that_is_no_str_is_refused(
        self, state: PluginStateStore, key: Any
    ) -> None:
        state.set("count", 1)
        calls: list[Callable[[], object]] = [
            lambda: state.get(key),
            lambda: state.get(key, 0),
            lambda: state.set(key, 0),
            lambda: state.delete(key),
            lambda: state.has(key),
        ]
        for call in calls:
            with pytest.raises(TypeError, match=f"a key is a str, not {_name(key)}"):
                call()
        assert state.get("count") == 1

    def test_key_of_an_enum_is_its_text(self, state: PluginStateStore) -> None:
        state.set(Key.COUNT, 1)
        assert (state.get("count"), state.get(Key.COUNT)) == (1, 1)
        state.set("count", 2)
        assert (state.get("count"), state.get(Key.COUNT)) == (2, 2)
        assert state.has(Key.COUNT)
        assert state.delete(Key.COUNT)
        assert not state.has("count")

    def test_key_that_lies_about_itself_is_its_text(
        self, state: PluginStateStore
    ) -> None:
        state.set("other", "other")
        state.set(Liar("count"), 1)
        assert state.get("count") == state.get(Liar("count")) == 1
        assert state.has("count") and state.has(Liar("count"))
        assert state.delete(Liar("count"))
        assert not state.delete("count")
        assert state.get("other") == "other"

    def test_keys_and_defaults_are_positional(self, state: PluginStateStore) -> None:
        loose: Any = state
        calls: list[Callable[[], object]] = [
            lambda: loose.get(key="key"),
            lambda: loose.get("key", default=1),
            lambda: loose.set("key", value=1),
            lambda: loose.delete(key="key"),
            lambda: loose.has(key="key"),
            lambda: loose.get(),
            lambda: loose.get("key", 1, 2),
            lambda: loose.set("key"),
        ]
        for call in calls:
            with pytest.raises(TypeError, match="argument"):
                call()
        assert not state.has("key")

    def test_repr_shows_no_values(self, state: PluginStateStore) -> None:
        state.set("password", "hunter2")
        assert "hunter2" not in repr(state)
        assert type(state).__name__ in repr(state)

    def test_random_calls_answer_as_a_dict(
        self, state: PluginStateStore, seed: int, full: bool
    ) -> None:
        random = Random(seed)
        model: dict[str, Any] = {}
        for _ in range(50_000 if full else 3_000):
            key = hostile_key(random)
            match random.randrange(4):
                case 0:
                    assert state.get(key, ...) == model.get(key, ...)
                case 1:
                    value = random.choice(self.values)
                    state.set(key, value)
                    model[key] = value
                case 2:
                    assert state.delete(key) is (model.pop(key, ...) is not ...)
                case _:
                    assert state.has(key) is (key in model)
        check_store(state, model)


def _name(key: object) -> str:
    return type(key).__name__
