"""DataStore: values under tags; what is stored is told from what is not."""

from collections.abc import Callable
from typing import Any

import pytest

from latency_kv.atoms import DataStore, Tag, tag
from latency_kv.errors import LatencyKVError, MissingTagError

# What no store holds.
ABSENT: Any = object()

RETRIES: Tag[Any] = tag("retries", default=3)
LIMIT: Tag[int] = tag("limit", type=int)
ANYTHING: Tag[Any] = tag("anything")


@pytest.fixture
def data() -> DataStore:
    return DataStore()


def test_store_begins_empty(data: DataStore) -> None:
    assert len(data) == 0
    assert not data.has(RETRIES)
    assert RETRIES not in data


def test_get_of_absent_tag_is_none_or_the_default_that_is_passed(
    data: DataStore,
) -> None:
    assert data.get(RETRIES) is None
    assert data.get(RETRIES, ABSENT) is ABSENT
    assert data.get(RETRIES, default=ABSENT) is ABSENT


def test_get_stores_nothing_and_asks_no_default_factory(data: DataStore) -> None:
    def fail() -> Any:
        raise AssertionError("called")

    made = tag("made", default_factory=fail)
    assert data.get(made) is None
    assert not data.has(made)
    assert data.get(RETRIES, 7) == 7
    assert len(data) == 0


@pytest.mark.parametrize("value", [None, 0, "", False, (), [], {}, NotImplemented, ...])
def test_any_value_is_stored_and_found_as_it_is(data: DataStore, value: Any) -> None:
    data.set(ANYTHING, value)
    assert data.get(ANYTHING, ABSENT) is value
    assert data.has(ANYTHING)
    assert ANYTHING in data
    assert len(data) == 1
    assert data.get_or_set(ANYTHING, ABSENT) is value
    assert data.delete(ANYTHING) is True


def test_set_overwrites(data: DataStore) -> None:
    data.set(ANYTHING, 1)
    data.set(ANYTHING, 2)
    assert (data.get(ANYTHING), len(data)) == (2, 1)


def test_tags_with_one_label_are_two_keys(data: DataStore) -> None:
    first, second = tag("same"), tag("same")
    data.set(first, 1)
    assert not data.has(second)
    data.set(second, 2)
    assert (data.get(first), data.get(second), len(data)) == (1, 2, 2)
    data.delete(first)
    assert data.get(second) == 2


def test_delete_tells_whether_there_was_something(data: DataStore) -> None:
    assert data.delete(ANYTHING) is False
    data.set(ANYTHING, None)
    assert data.delete(ANYTHING) is True
    assert data.delete(ANYTHING) is False
    assert not data.has(ANYTHING)


def test_clear_removes_all_and_the_store_can_be_used_again(data: DataStore) -> None:
    data.set(ANYTHING, 1)
    data.set(LIMIT, 2)
    data.clear()
    assert len(data) == 0
    assert not data.has(ANYTHING)
    data.clear()
    data.set(ANYTHING, 3)
    assert data.get(ANYTHING) == 3


@pytest.mark.parametrize("key", ["retries", None, 3, object(), ["unhashable"], Tag])
@pytest.mark.parametrize(
    "use",
    [
        lambda data, key: data.get(key),
        lambda data, key: data.get(key, 1),
        lambda data, key: data.set(key, 1),
        lambda data, key: data.has(key),
        lambda data, key: data.delete(key),
        lambda data, key: data.get_or_set(key),
        lambda data, key: data.get_or_set(key, 1),
        lambda data, key: key in data,
    ],
    ids=[
        *("get", "get with default", "set", "has", "delete"),
        *("get_or_set", "get_or_set with value", "in"),
    ],
)
def test_key_that_is_no_tag_is_refused(
    data: DataStore, use: Callable[[Any, Any], Any], key: Any
) -> None:
    with pytest.raises(TypeError):
        use(data, key)
    assert len(data) == 0


@pytest.mark.parametrize("method", ["set", "get_or_set"])
@pytest.mark.parametrize("value", ["seven", None, 7.0])
def test_value_that_is_not_of_the_type_is_refused(
    data: DataStore, method: str, value: Any
) -> None:
    with pytest.raises(TypeError, match="limit"):
        getattr(data, method)(LIMIT, value)
    assert not data.has(LIMIT)
    data.set(LIMIT, 7)
    with pytest.raises(TypeError):
        data.set(LIMIT, value)
    assert data.get(LIMIT) == 7


@pytest.mark.parametrize("method", ["set", "get_or_set"])
def test_value_of_the_type_or_a_subtype_is_taken(data: DataStore, method: str) -> None:
    for value in (7, True):
        data.clear()
        getattr(data, method)(LIMIT, value)
        assert data.get(LIMIT) is value


def test_default_passed_to_get_is_not_checked(data: DataStore) -> None:
    assert data.get(LIMIT, ABSENT) is ABSENT


def test_get_or_set_stores_the_default(data: DataStore) -> None:
    assert data.get_or_set(RETRIES) == 3
    assert data.has(RETRIES)
    assert data.get(RETRIES) == 3


@pytest.mark.parametrize("default", [None, 0, "", False])
def test_get_or_set_stores_a_falsy_default(data: DataStore, default: Any) -> None:
    falsy = tag("falsy", default=default)
    assert data.get_or_set(falsy) is default
    assert data.has(falsy)


@pytest.mark.parametrize("value", [7, None, 0, False])
def test_get_or_set_value_beats_the_default(data: DataStore, value: Any) -> None:
    assert data.get_or_set(RETRIES, value) is value
    assert data.get(RETRIES, ABSENT) is value


def test_get_or_set_keeps_what_is_there(data: DataStore) -> None:
    data.set(RETRIES, None)
    assert data.get_or_set(RETRIES) is None
    assert data.get_or_set(RETRIES, 7) is None
    assert data.get(RETRIES, ABSENT) is None


def test_get_or_set_with_neither_raises_and_stores_nothing(data: DataStore) -> None:
    with pytest.raises(MissingTagError, match="'anything'") as caught:
        data.get_or_set(ANYTHING)
    assert caught.value.label == "anything"
    assert isinstance(caught.value, LookupError)
    assert isinstance(caught.value, LatencyKVError)
    assert not data.has(ANYTHING)
    assert data.get_or_set(ANYTHING, 1) == 1


def test_default_factory_is_called_once_a_store() -> None:
    made: list[list[int]] = []

    def make() -> list[int]:
        made.append([])
        return made[-1]

    seen = tag("seen", default_factory=make)
    first, second = DataStore(), DataStore()
    assert first.get_or_set(seen) is first.get_or_set(seen) is made[0]
    assert second.get_or_set(seen) is made[1]
    assert len(made) == 2


def test_default_factory_is_called_only_where_it_is_needed(data: DataStore) -> None:
    def fail() -> Any:
        raise AssertionError("called")

    made = tag("made", default_factory=fail)
    assert data.get_or_set(made, 1) == 1
    assert data.get_or_set(made) == 1


def test_default_factory_is_called_again_after_delete_and_clear(
    data: DataStore,
) -> None:
    seen: Tag[list[Any]] = tag("seen", default_factory=list)
    first = data.get_or_set(seen)
    data.delete(seen)
    second = data.get_or_set(seen)
    data.clear()
    third = data.get_or_set(seen)
    assert len({id(first), id(second), id(third)}) == 3


def test_default_factory_that_raises_leaves_nothing(data: DataStore) -> None:
    def fail() -> Any:
        raise OSError("nothing to make it of")

    made = tag("made", default_factory=fail)
    for _ in range(2):
        with pytest.raises(OSError, match="nothing to make it of"):
            data.get_or_set(made)
        assert not data.has(made)


def test_default_factory_of_another_type_is_refused(data: DataStore) -> None:
    make: Any = str
    made = tag("made", type=int, default_factory=make)
    with pytest.raises(TypeError, match="made"):
        data.get_or_set(made)
    assert not data.has(made)


def test_default_factory_may_use_the_store(data: DataStore) -> None:
    def make() -> int:
        return int(data.get_or_set(RETRIES)) + 1

    made = tag("made", default_factory=make)
    assert data.get_or_set(made) == 4
    assert data.get(RETRIES) == 3


def test_stores_are_separate() -> None:
    first, second = DataStore(), DataStore()
    first.set(ANYTHING, 1)
    assert not second.has(ANYTHING)
    second.clear()
    assert first.has(ANYTHING)


def test_failing_calls_leave_what_is_stored(data: DataStore) -> None:
    data.set(LIMIT, 7)
    wrong: Any = "seven"
    assert data.get_or_set(LIMIT, wrong) == 7
    for method in (data.set, data.get_or_set):
        key: Any = "limit"
        with pytest.raises(TypeError):
            method(key, 1)
    assert (data.get(LIMIT), len(data)) == (7, 1)
