"""Bad input: the right exception, a message that says what to do, the store unchanged.

The wrong calls are the tables of calls.py; here are what they must leave behind, the
words of the messages, and the limits of size. Start at
`test_mistake_raises_and_changes_nothing`.
"""

import inspect
import mmap
import re
from collections.abc import Callable
from typing import Any

import pytest

from core.calls import (
    KEY,
    LONG_KEY,
    MISTAKES,
    OVERSIZED_MISTAKES,
    TEXT_MISTAKES,
    Mistake,
    contents,
)
from latency_kv import InMemoryStore

LONGEST_KEY = LONG_KEY[:-1]
LARGEST_VALUE_SIZE = (1 << 31) - 1

READING_MISTAKES = {
    mistake
    for mistake in (*MISTAKES, *TEXT_MISTAKES)
    if mistake.name.split("_")[0]
    in {"get", "getitem", "contains", "in", "prefix", "range", "scan"}
    or mistake.name in {"first", "last", "floor", "ceiling"}
}


def named(mistakes: list[Mistake]) -> pytest.MarkDecorator:
    names = [mistake.name for mistake in mistakes]
    return pytest.mark.parametrize("mistake", mistakes, ids=names)


def raises_and_changes_nothing(mistake: Mistake) -> str:
    """Make the mistake on a store that is shared with a snapshot and a scan."""
    store = InMemoryStore(contents())
    snapshot, scan = store.snapshot(), store.prefix_scan()
    with pytest.raises(mistake.error) as raised:
        mistake.run(store)
    store.check()
    assert list(store.items()) == list(snapshot.items()) == list(scan)
    assert store == contents()
    return str(raised.value)


@named(MISTAKES)
def test_mistake_raises_and_changes_nothing(mistake: Mistake) -> None:
    raises_and_changes_nothing(mistake)


@named(TEXT_MISTAKES)
def test_text_is_refused_with_the_word_encode(mistake: Mistake) -> None:
    assert "encode" in raises_and_changes_nothing(mistake)


@named(OVERSIZED_MISTAKES)
def test_oversized_key_is_refused_with_both_numbers(mistake: Mistake) -> None:
    message = re.sub(r"[_,]", "", raises_and_changes_nothing(mistake))
    assert "65535" in message
    assert "65536" in message


@named(sorted(READING_MISTAKES))
def test_snapshot_refuses_what_the_store_refuses(mistake: Mistake) -> None:
    snapshot = InMemoryStore(contents()).snapshot()
    with pytest.raises(mistake.error):
        mistake.run(snapshot)
    assert snapshot == contents()


@pytest.mark.parametrize("take", [InMemoryStore().restore, InMemoryStore.from_snapshot])
def test_what_is_no_snapshot_is_refused_with_how_to_open_one(
    take: Callable[[Any], object],
) -> None:
    with pytest.raises(TypeError, match=r"not str: StateSnapshot.open\(path\) reads"):
        take("x.lkv")


def test_oversized_keys_are_absent_or_refused_when_looked_up() -> None:
    store = InMemoryStore({LONGEST_KEY: b"longest"})
    for look in (store.get, store.contains, store.delete, store.first, store.floor):
        try:
            found = look(LONG_KEY)
        except ValueError:
            continue
        assert found in (None, False, (LONGEST_KEY, b"longest"))
    assert store == {LONGEST_KEY: b"longest"}


def test_longest_key_is_a_key() -> None:
    store = InMemoryStore({LONGEST_KEY: b"value", LONGEST_KEY[1:]: b""})
    assert store[LONGEST_KEY] == b"value"
    assert store.last() == (LONGEST_KEY, b"value")
    assert store.delete(LONGEST_KEY)


@pytest.mark.parametrize(
    "write",
    [
        lambda store, value: store.put(KEY, value),
        lambda store, value: store.put_many([(KEY, value)]),
        lambda store, value: store.put_if_absent(b"new", value),
        lambda store, value: store.compare_and_swap(b"new", None, value),
        lambda store, value: store.compute(KEY, lambda _: value),
        lambda store, value: store.setdefault(b"new", value),
    ],
    ids=["put", "put_many", "put_if_absent", "swap", "compute", "setdefault"],
)
def test_oversized_value_is_refused(write: Callable[[Any, Any], object]) -> None:
    """The pages of an anonymous map are never touched, so its 2 GiB are not there."""
    store = InMemoryStore(contents())
    with mmap.mmap(-1, LARGEST_VALUE_SIZE + 1) as value:
        with pytest.raises(ValueError, match=r"2[_,]?147[_,]?483[_,]?647"):
            write(store, value)
        assert store == contents()
    store.check()


@pytest.mark.parametrize("wrong", [7, None, [(b"a",)], [b"ab"], {"text": b""}, "text"])
def test_store_is_not_made_of_wrong_things(wrong: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        InMemoryStore(wrong)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ("a", TypeError, r"pairs, not str$"),
        (5, TypeError, r"pairs, not int$"),
        ([b"ab"], TypeError, r"pairs: entries\[0\] is bytes$"),
        ([(b"a", b"1"), 7], TypeError, r"pairs: entries\[1\] is int$"),
        (((b"a",),), ValueError, r"pairs: entries\[0\] has 1 part$"),
        ([(b"a", b"1"), (b"b", b"2", b"3")], ValueError, r"entries\[1\] has 3 parts$"),
        # What is wrong first is what is told.
        ([(b"a", 7), (b"b",)], TypeError, r"^a value is bytes .* not int$"),
        ([(b"a" * 70_000, b""), 7], ValueError, r"70,000 bytes"),
    ],
)
def test_what_is_no_entry_is_told(
    wrong: Any, error: type[Exception], message: str
) -> None:
    store = InMemoryStore({b"kept": b"1"})
    for put in (InMemoryStore, store.put_many, store.update):
        with pytest.raises(error, match=message):
            put(wrong)
    assert store == {b"kept": b"1"}


def test_error_of_an_iterable_comes_out_as_it_is() -> None:
    def entries() -> Any:
        yield b"a", b"1"
        raise ValueError("mine")

    class Row(list[Any]):
        """A list whose own iteration fails behind its first entry."""

        def __iter__(self) -> Any:
            return entries()

    for wrong in (entries(), Row([(b"a", b"1"), (b"b", b"2")])):
        with pytest.raises(ValueError, match="^mine$"):
            InMemoryStore(wrong)


def test_signature_is_there_to_be_read() -> None:
    signature = inspect.signature(InMemoryStore)
    assert str(signature) == "(mapping_or_pairs=(), *, ordered=False)"
    assert (inspect.getdoc(InMemoryStore) or "").startswith("A mapping from bytes to")


def test_counts_are_told_in_words() -> None:
    store = InMemoryStore({b"a": b""})
    assert repr(store) == "<InMemoryStore of 1 entry, 1 byte>"
    store.update({b"a": b"1", b"c": b""})
    assert repr(store) == "<InMemoryStore of 2 entries, 3 bytes>"
    with pytest.raises(ValueError, match="the value has 1 byte and is no counter"):
        store.increment(b"a")


def test_store_refuses_unknown_arguments() -> None:
    with pytest.raises(TypeError):
        InMemoryStore({}, True)  # type: ignore[misc]
    with pytest.raises(TypeError):
        InMemoryStore(capacity=9)  # type: ignore[call-arg]


def test_negative_limit_is_refused() -> None:
    store = InMemoryStore(contents())
    for scan in (store.prefix_scan, store.range_keys):
        with pytest.raises(ValueError, match="limit"):
            scan(limit=-1)


def test_uninitialised_store_does_not_crash() -> None:
    store = InMemoryStore.__new__(InMemoryStore)
    assert len(store) == 0
    store.put(b"key", b"value")
    assert store == {b"key": b"value"}
    store.check()


def test_store_initialised_again_is_valid() -> None:
    store = InMemoryStore({b"a": b"1"})
    scan = store.prefix_scan()
    store.__init__({b"b": b"2"})  # type: ignore[misc]
    store.check()
    assert store[b"b"] == b"2"
    assert list(scan) == [(b"a", b"1")]
