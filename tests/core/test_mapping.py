"""Mapping: the store is a MutableMapping of bytes to bytes, in key order.

What users of dict expect, and where the store differs from it: iteration is sorted, and
writing while iterating is allowed. It does not cover the store's own methods.
"""

import collections.abc
from collections.abc import Callable
from typing import Any

import pytest

from latency_kv import InMemoryStore, StateSnapshot

ENTRIES = {b"b": b"2", b"": b"0", b"\xff": b"9", b"a": b"1"}
SORTED = sorted(ENTRIES.items())


@pytest.fixture
def store() -> InMemoryStore:
    return InMemoryStore(ENTRIES)


@pytest.fixture(params=["store", "snapshot"])
def mapping(request: pytest.FixtureRequest) -> InMemoryStore | StateSnapshot:
    store = InMemoryStore(ENTRIES)
    return store if request.param == "store" else store.snapshot()


def test_store_is_a_mutable_mapping_and_a_snapshot_a_mapping(
    store: InMemoryStore,
) -> None:
    assert isinstance(store, collections.abc.MutableMapping)
    assert isinstance(store.snapshot(), collections.abc.Mapping)
    assert not isinstance(store.snapshot(), collections.abc.MutableMapping)


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize(
    "source",
    [ENTRIES, list(ENTRIES.items()), InMemoryStore(ENTRIES)],
    ids=["dict", "pairs", "store"],
)
def test_store_is_made_of_a_mapping_or_pairs(source: Any, ordered: bool) -> None:
    assert list(InMemoryStore(source, ordered=ordered).items()) == SORTED


def test_store_is_made_of_an_iterator_or_a_snapshot() -> None:
    store = InMemoryStore(iter(ENTRIES.items()))
    assert InMemoryStore(store.snapshot()) == ENTRIES
    assert InMemoryStore() == {}


def test_iteration_is_in_key_order(mapping: InMemoryStore | StateSnapshot) -> None:
    assert list(mapping) == sorted(ENTRIES)
    assert list(reversed(mapping)) == sorted(ENTRIES, reverse=True)


def test_views_are_in_key_order(mapping: InMemoryStore | StateSnapshot) -> None:
    assert list(mapping.keys()) == sorted(ENTRIES)
    assert list(mapping.items()) == SORTED
    assert list(mapping.values()) == [value for _, value in SORTED]


def test_views_measure_and_contain(mapping: InMemoryStore | StateSnapshot) -> None:
    assert len(mapping.keys()) == len(mapping.values()) == len(mapping.items()) == 4
    assert b"a" in mapping.keys()  # noqa: SIM118 - the view is what is tested
    assert b"c" not in mapping.keys()  # noqa: SIM118
    assert b"9" in mapping.values()
    assert (b"a", b"1") in mapping.items()
    assert (b"a", b"2") not in mapping.items()
    assert (b"c", b"1") not in mapping.items()


def test_key_and_item_views_are_sets(mapping: InMemoryStore | StateSnapshot) -> None:
    assert mapping.keys() == ENTRIES.keys()
    assert mapping.items() == ENTRIES.items()
    assert mapping.keys() & {b"a", b"z"} == {b"a"}
    assert mapping.keys() | {b"z"} == {*ENTRIES, b"z"}
    assert mapping.items() - {(b"a", b"1")} == ENTRIES.items() - {(b"a", b"1")}


def test_views_follow_the_store(store: InMemoryStore) -> None:
    keys, items = store.keys(), store.items()
    store[b"c"] = b"3"
    assert b"c" in keys
    assert (b"c", b"3") in items
    assert len(keys) == len(items) == 5


def test_length_and_truth(mapping: InMemoryStore | StateSnapshot) -> None:
    assert len(mapping) == 4
    assert mapping
    assert not InMemoryStore()
    assert not InMemoryStore().snapshot()


def test_equality_is_of_entries(mapping: InMemoryStore | StateSnapshot) -> None:
    assert mapping == ENTRIES
    assert ENTRIES == mapping
    assert mapping == InMemoryStore(SORTED)
    assert mapping == InMemoryStore(SORTED).snapshot()
    assert mapping != {**ENTRIES, b"a": b"2"}
    assert mapping != {**ENTRIES, b"c": b"3"}
    assert mapping != {b"a": b"1"}
    assert mapping != {"a": 1, "b": 2, "c": 3, "d": 4}


@pytest.mark.parametrize("other", [None, 7, "text", b"bytes", list(ENTRIES)])
def test_store_equals_no_other_type(
    mapping: InMemoryStore | StateSnapshot, other: object
) -> None:
    assert mapping != other
    assert not mapping == other  # noqa: SIM201 - both operators are tested


def test_store_has_no_order_and_no_hash(store: InMemoryStore) -> None:
    with pytest.raises(TypeError):
        hash(store)
    with pytest.raises(TypeError):
        store < ENTRIES  # type: ignore[operator]  # noqa: B015


def test_or_makes_a_new_store_where_the_right_side_wins(store: InMemoryStore) -> None:
    other = {b"a": b"new", b"c": b"3"}
    both = store | other
    assert type(both) is InMemoryStore
    assert both == {**ENTRIES, **other}
    assert store == ENTRIES
    assert store | InMemoryStore(other) == both


def test_or_of_a_dict_and_a_store_is_a_store(store: InMemoryStore) -> None:
    both = {b"a": b"old", b"c": b"3"} | store
    assert type(both) is InMemoryStore
    assert both == {b"c": b"3", **ENTRIES}
    assert store == ENTRIES


def test_or_in_place_keeps_the_store(store: InMemoryStore) -> None:
    same = store
    same |= {b"c": b"3"}
    same |= [(b"d", b"4")]
    assert same is store
    assert store == {**ENTRIES, b"c": b"3", b"d": b"4"}


def test_or_with_itself_changes_nothing(store: InMemoryStore) -> None:
    store |= store
    assert store == ENTRIES
    assert store | store == ENTRIES


@pytest.mark.parametrize(
    "update",
    [
        lambda store: store.update({b"a": b"new"}),
        lambda store: store.update([(b"a", b"old"), (b"a", b"new")]),
        lambda store: store.update(iter([(b"a", b"new")])),
        lambda store: store.update(InMemoryStore({b"a": b"new"})),
    ],
    ids=["dict", "pairs", "iterator", "store"],
)
def test_update_takes_a_mapping_or_pairs(
    store: InMemoryStore, update: Callable[[InMemoryStore], None]
) -> None:
    update(store)
    assert store == {**ENTRIES, b"a": b"new"}


def test_update_with_itself_or_nothing_changes_nothing(store: InMemoryStore) -> None:
    store.update(store)
    store.update()
    assert store == ENTRIES


def test_getitem_and_delitem_of_absent_key_raise_with_the_key(
    store: InMemoryStore,
) -> None:
    with pytest.raises(KeyError) as raised:
        store[b"absent"]
    assert raised.value.args == (b"absent",)
    with pytest.raises(KeyError):
        del store[b"absent"]
    with pytest.raises(KeyError):
        store.snapshot()[b"absent"]


def test_pop_returns_the_value_or_the_default(store: InMemoryStore) -> None:
    default = object()
    assert store.pop(b"a") == b"1"
    assert store.pop(b"a", default) is default
    assert store.pop(b"a", None) is None
    with pytest.raises(KeyError):
        store.pop(b"a")


def test_popitem_empties_the_store_entry_by_entry(store: InMemoryStore) -> None:
    popped = dict(store.popitem() for _ in ENTRIES)
    assert popped == ENTRIES
    assert store.is_empty()
    with pytest.raises(KeyError):
        store.popitem()


def test_setdefault_keeps_what_is_there(store: InMemoryStore) -> None:
    assert store.setdefault(b"a", b"other") == b"1"
    assert store.setdefault(b"c", bytearray(b"3")) == b"3"
    assert store == {**ENTRIES, b"c": b"3"}


def test_get_of_absent_key_returns_the_default(
    mapping: InMemoryStore | StateSnapshot,
) -> None:
    default = object()
    assert mapping.get(b"c") is None
    assert mapping.get(b"c", default) is default
    assert mapping.get(b"c", default=default) is default


def test_copy_is_a_store_of_its_own(store: InMemoryStore) -> None:
    copy = store.copy()
    assert type(copy) is InMemoryStore
    copy[b"c"] = b"3"
    del store[b"a"]
    assert copy == {**ENTRIES, b"c": b"3"}
    assert store == {b"": b"0", b"b": b"2", b"\xff": b"9"}


def test_iterating_while_writing_sees_what_was_there(store: InMemoryStore) -> None:
    for key in store:
        store[key + b"+"] = b"new"
        del store[key]
    assert list(store) == sorted(key + b"+" for key in ENTRIES)


def test_repr_shows_the_size_and_no_contents() -> None:
    store = InMemoryStore({b"secret-key": b"secret-value"})
    for shown in (repr(store), repr(store.snapshot()), str(store), f"{store}"):
        assert "secret" not in shown
        assert "1" in shown
    assert "InMemoryStore" in repr(store)
    assert "StateSnapshot" in repr(store.snapshot())


def test_match_statement_takes_the_store_for_a_mapping(store: InMemoryStore) -> None:
    match store:
        case {b"a": value}:
            assert value == b"1"
        case _:
            pytest.fail("a store has to match a mapping pattern")


def test_unpacking_and_dict_take_the_store(store: InMemoryStore) -> None:
    assert dict(store) == {**store} == ENTRIES
