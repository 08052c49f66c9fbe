"""ObjectPluginState: the facet's promise, by reference, and no object kept for ever."""

import copy
import gc
import inspect
import pickle
import sys
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from fresh import call_fresh
from latency_kv.facets.stores import PluginStateStore
from latency_kv.plugins import object_state
from latency_kv.plugins.object_state import ObjectPluginState
from plugins.states import Key, PluginStateTests


class Connection:
    """An object that no codec knows, and that can be watched."""

    state: ObjectPluginState


@pytest.fixture
def state() -> ObjectPluginState:
    return ObjectPluginState()


def check_types(state: ObjectPluginState) -> None:
    promised: PluginStateStore = state
    del promised


class TestObjectPluginState(PluginStateTests):
    """The promise that every state keeps."""


def test_state_is_compiled() -> None:
    assert not str(object_state.__file__).endswith(".py")


def test_value_is_the_very_object(state: ObjectPluginState) -> None:
    values = [Connection(), [], object, len, state]
    for number, value in enumerate(values):
        state.set(str(number), value)
    for number, value in enumerate(values):
        assert state.get(str(number)) is value


def test_value_that_is_changed_is_changed_within(state: ObjectPluginState) -> None:
    state.set("list", [])
    state.get("list").append(1)
    assert state.get("list") == [1]


def test_states_share_nothing() -> None:
    states = [ObjectPluginState() for _ in range(3)]
    for number, state in enumerate(states):
        state.set("key", number)
    assert states[0].delete("key")
    assert [state.get("key", "absent") for state in states] == ["absent", 1, 2]


def test_lone_surrogate_is_a_key_like_any_other(state: ObjectPluginState) -> None:
    state.set("\ud800", 1)
    assert state.get("\ud800") == 1
    assert not state.has("\ud801")


def test_state_keeps_the_text_and_not_the_subclass_of_str(
    state: ObjectPluginState,
) -> None:
    class Named(str):
        pass

    name = Named("count")
    gone = weakref.ref(name)
    state.set(name, 1)
    del name
    assert gone() is None
    assert state.get("count") == 1
    state.set(Key.COUNT, 2)
    (values,) = gc.get_referents(state)
    assert [type(key) for key in values] == [str]


@pytest.mark.parametrize(
    "let_go",
    [
        lambda state: state.delete("connection"),
        lambda state: state.set("connection", None),
    ],
    ids=["delete", "set"],
)
def test_value_is_let_go_at_once(
    state: ObjectPluginState, let_go: Callable[[ObjectPluginState], object]
) -> None:
    connection = Connection()
    gone = weakref.ref(connection)
    state.set("connection", connection)
    del connection
    assert gone() is not None
    let_go(state)
    assert gone() is None


def test_values_go_with_the_state() -> None:
    state = ObjectPluginState()
    connection = Connection()
    state.set("connection", connection)
    gone, connection_gone = weakref.ref(state), weakref.ref(connection)
    del state, connection
    assert gone() is None
    assert connection_gone() is None


def test_no_call_counts_a_reference_too_many(state: ObjectPluginState) -> None:
    value, default, key = Connection(), Connection(), f"a key {id(state)}"
    watched = (value, default, key)
    before = [sys.getrefcount(each) for each in watched]
    for _ in range(100):
        assert state.get(key, default) is default
        state.set(key, value)
        assert state.get(key, default) is value
        assert state.has(key)
        state.set(key, value)
        assert state.delete(key)
        assert not state.delete(key)
        for call in (state.get, state.has, state.delete):
            with pytest.raises(TypeError):
                call(value)
    assert [sys.getrefcount(each) for each in watched] == before


def test_circle_through_the_state_is_collected() -> None:
    state, connection = ObjectPluginState(), Connection()
    connection.state = state
    state.set("connection", connection)
    state.set("itself", state)
    state.set("tuple", (state,))
    gone = weakref.ref(connection)
    gc.collect()
    assert gone() is connection
    del state, connection
    assert gone() is not None
    gc.collect()
    assert gone() is None


def test_collector_sees_what_the_state_holds(state: ObjectPluginState) -> None:
    assert gc.is_tracked(state)
    (values,) = gc.get_referents(state)
    assert values == {}
    state.set("key", 1)
    assert values == {"key": 1}


def test_state_answers_while_the_collector_takes_it_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its last values may run code that asks for others: they are gone, no more."""
    answers: list[object] = []
    failed: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", failed.append)

    class Late:
        """Set while the circle is finalized, so its own end comes in the clearing."""

        def __init__(self, state: "weakref.ref[ObjectPluginState]") -> None:
            self.state = state

        def __del__(self) -> None:
            state = self.state()
            if state is not None:
                answers.append((state.get("x", 7), state.has("x"), state.delete("x")))
                state.set("x", 1)
                answers.append(repr(state))

    class Ending:
        def __init__(self, state: ObjectPluginState) -> None:
            self.state = state

        def __del__(self) -> None:
            self.state.set("late", Late(weakref.ref(self.state)))

    state = ObjectPluginState()
    # The dict is tracked from here on, and cleared in this order: late goes first.
    state.set("late", [])
    state.set("ending", Ending(state))
    del state
    gc.collect()
    gc.collect()
    assert failed == []
    # Newer interpreters clear that weak reference first, and there is nobody to ask.
    assert answers in ([], [(7, False, False), "<ObjectPluginState of 1 entries>"])


def test_value_that_asks_as_it_goes_finds_the_new_state_of_things(
    state: ObjectPluginState,
) -> None:
    answers: list[object] = []

    class Asking:
        def __del__(self) -> None:
            answers.append(state.get("key", "absent"))
            state.set("key", "from the old one")

    state.set("key", Asking())
    state.set("key", "new")
    assert answers == ["new"]
    assert state.get("key") == "from the old one"
    state.set("key", Asking())
    assert state.delete("key") is True
    assert answers == ["new", "absent"]
    assert state.get("key") == "from the old one"


def test_long_chain_of_states_ends_without_a_deep_stack() -> None:
    first = state = ObjectPluginState()
    for _ in range(200_000):
        inner = ObjectPluginState()
        state.set("next", inner)
        state = inner
    gone = weakref.ref(state)
    del first, state, inner
    assert gone() is None


@pytest.mark.parametrize(
    "travel",
    [
        copy.copy,
        copy.deepcopy,
        *(partial(pickle.dumps, protocol=protocol) for protocol in range(6)),
    ],
)
def test_state_is_neither_copied_nor_pickled(
    state: ObjectPluginState, travel: Callable[[ObjectPluginState], object]
) -> None:
    state.set("key", 1)
    with pytest.raises(TypeError, match="neither copied nor pickled.*StoredPlugin"):
        travel(state)


def test_state_has_no_subclass_and_no_other_attributes(
    state: ObjectPluginState,
) -> None:
    with pytest.raises(TypeError, match="not an acceptable base type"):
        type("Mine", (ObjectPluginState,), {})
    with pytest.raises(AttributeError):
        state.other = 1  # type: ignore[attr-defined]
    assert not hasattr(state, "values")


def test_state_takes_no_arguments() -> None:
    with pytest.raises(TypeError, match="argument"):
        ObjectPluginState({"key": 1})  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="argument"):
        ObjectPluginState(key=1)  # type: ignore[call-arg]


def test_repr_counts() -> None:
    state = ObjectPluginState()
    for number in range(1_234):
        state.set(str(number), number)
    assert repr(state) == "<ObjectPluginState of 1,234 entries>"


@pytest.mark.parametrize("name", ["get", "set", "delete", "has"])
def test_signature_is_that_of_the_facet(name: str) -> None:
    promised = inspect.signature(getattr(PluginStateStore, name)).parameters
    given = inspect.signature(getattr(ObjectPluginState, name)).parameters
    assert [(each.name, each.kind, each.default) for each in given.values()] == [
        (each.name, each.kind, each.default) for each in promised.values()
    ]
    assert getattr(ObjectPluginState, name).__doc__


def test_class_has_a_signature_and_a_docstring() -> None:
    assert str(inspect.signature(ObjectPluginState)) == "()"
    assert str(ObjectPluginState.__doc__).startswith("One plugin's values")


def test_no_call_leaks() -> None:
    call_fresh("plugins.leaks:find_leaks")


def test_states_are_equal_to_themselves_alone() -> None:
    one, other = ObjectPluginState(), ObjectPluginState()
    by_state: dict[Any, int] = {one: 1, other: 2}
    assert one != other
    assert by_state[one] == 1
