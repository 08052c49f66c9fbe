"""TypedStore: typed values in and out, and an error, never a reset, for what is not.

The `assert_type` calls are for mypy; at run time they do nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, assert_type

import msgspec
import pytest

from latency_kv import InMemoryStore
from latency_kv.errors import LatencyKVError, StateDecodeError
from latency_kv.providers.memory import MemoryStateStore
from latency_kv.typed.codecs import Codec, JsonCodec, RawCodec, StructCodec
from latency_kv.typed.store import TypedStore


@dataclass
class Seats:
    taken: int
    free: int = 0


@pytest.fixture
def typed() -> TypedStore:
    return TypedStore(InMemoryStore())


@pytest.fixture
def counts(typed: TypedStore) -> TypedStore:
    """a0 to a4 and b0 to b4, each with its number."""
    for letter in "ab":
        for number in range(5):
            typed.put_typed(f"{letter}{number}".encode(), number)
    return typed


def test_value_comes_back_as_its_type(typed: TypedStore) -> None:
    typed.put_typed(b"JFK", Seats(3, 4))
    assert_type(typed.get_typed(b"JFK", Seats), Seats | None)
    assert typed.get_typed(b"JFK", Seats) == Seats(3, 4)
    assert typed.get_typed(b"JFK", dict[str, int]) == {"taken": 3, "free": 4}
    assert typed.get_typed(bytearray(b"JFK"), dict) == {"taken": 3, "free": 4}


def test_missing_key_is_the_default(typed: TypedStore) -> None:
    assert typed.get_typed(b"x", int) is None
    assert_type(typed.get_typed(b"x", int, 7), int)
    assert_type(typed.get_typed(b"x", int, "none"), int | str)
    assert typed.get_typed(b"x", int, 7) == 7
    assert typed.get_typed(b"x", int | None, default="none") == "none"


@pytest.mark.parametrize("store", [{}, None, b"", MemoryStateStore()])
def test_what_is_no_byte_store_is_refused(store: Any) -> None:
    kind = type(store).__name__
    with pytest.raises(TypeError, match=f"over a byte store, .* not {kind}$"):
        TypedStore(store)


def test_falsy_values_are_values(typed: TypedStore) -> None:
    values: list[Any] = [None, False, 0, "", [], {}]
    for value in values:
        typed.put_typed(b"k", value)
        assert typed.get_typed(b"k", Any, "absent") == value


def test_bytes_of_another_type_raise_and_stay(typed: TypedStore) -> None:
    typed.put_typed(b"k", "seven")
    before = typed.store.get(b"k")
    with pytest.raises(
        StateDecodeError, match=r"not <class 'int'>.*got `str`"
    ) as caught:
        typed.get_typed(memoryview(b"k"), int, 0)
    assert caught.value.key == b"k"
    assert isinstance(caught.value.__cause__, msgspec.ValidationError)
    assert isinstance(caught.value, (LatencyKVError, ValueError))
    with pytest.raises(StateDecodeError):
        typed.update(b"k", lambda number: (number or 0) + 1, type=int)
    assert typed.store.get(b"k") == before


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\xa1\xff", b"\xdd\xff\xff\xff\xff"])
def test_damaged_bytes_raise(typed: TypedStore, data: bytes) -> None:
    typed.store.put(b"k", data)
    with pytest.raises(StateDecodeError):
        typed.get_typed(b"k", Any)
    with pytest.raises(StateDecodeError):
        list(typed.prefix_scan_typed(b"", Any))


def test_bytes_that_nest_without_end_raise(typed: TypedStore) -> None:
    typed.store.put(b"k", b"\x91" * 1_000_000)
    with pytest.raises(StateDecodeError) as caught:
        typed.get_typed(b"k", Any)
    assert isinstance(caught.value.__cause__, RecursionError)


def test_type_that_cannot_be_made_is_the_callers_mistake(typed: TypedStore) -> None:
    with pytest.raises(TypeError):
        typed.get_typed(b"absent", 5)  # type: ignore[call-overload]
    with pytest.raises(TypeError):
        typed.prefix_scan_typed(b"", 5)  # type: ignore[arg-type]


def test_value_that_cannot_be_encoded_changes_nothing(typed: TypedStore) -> None:
    typed.put_typed(b"k", 1)
    with pytest.raises(TypeError):
        typed.put_typed(b"k", object())
    with pytest.raises(OverflowError):
        typed.update(b"k", lambda number: 1 << 70, type=int)
    assert typed.get_typed(b"k", int) == 1


def test_update_reads_changes_and_writes(typed: TypedStore) -> None:
    def book(seats: Seats | None) -> Seats:
        return Seats(1) if seats is None else Seats(seats.taken + 1)

    assert_type(typed.update(b"JFK", book, Seats), Seats | None)
    assert typed.update(b"JFK", book, type=Seats) == Seats(2)
    assert typed.get_typed(b"JFK", Seats) == Seats(2)
    assert typed.update(b"plain", lambda count: (count or 0) + 1) == 1


def test_update_to_none_deletes(typed: TypedStore) -> None:
    typed.put_typed(b"k", 1)
    assert typed.update(b"k", lambda _: None, type=int) is None
    assert not typed.contains(b"k")
    assert typed.update(b"k", lambda _: None, type=int) is None


def test_update_that_raises_changes_nothing(typed: TypedStore) -> None:
    typed.put_typed(b"k", [1])

    def fails(numbers: list[int] | None) -> list[int]:
        assert numbers is not None
        numbers.append(2)
        raise KeyError("on purpose")

    with pytest.raises(KeyError, match="on purpose"):
        typed.update(b"k", fails, type=list[int])
    assert typed.get_typed(b"k", list[int]) == [1]


def test_update_may_use_the_store(typed: TypedStore) -> None:
    def moves(value: int | None) -> int:
        typed.store.clear()
        typed.put_typed(b"other", 5)
        typed.put_typed(b"k", 6)
        return 7

    typed.update(b"k", moves, type=int)
    assert dict(typed.prefix_scan_typed(b"", int)) == {b"k": 7, b"other": 5}


def test_prefix_scan_is_in_key_order(counts: TypedStore) -> None:
    scan = counts.prefix_scan_typed(b"a", int)
    assert_type(scan, Iterator[tuple[bytes, int]])
    expected = [(f"a{number}".encode(), number) for number in range(5)]
    assert list(scan) == expected
    assert list(counts.prefix_scan_typed(b"a", int, reverse=True)) == expected[::-1]
    assert list(counts.prefix_scan_typed(b"a", int, limit=2)) == expected[:2]
    assert list(counts.prefix_scan_typed(b"a", int, limit=0)) == []
    assert len(list(counts.prefix_scan_typed(b"", int | None))) == 10


def test_range_scan_is_half_open(counts: TypedStore) -> None:
    def numbers(start: Any, stop: Any, **options: Any) -> list[int]:
        scan = counts.range_scan_typed(start, stop, int, **options)
        return [number for _, number in scan]

    assert numbers(b"a1", b"a3") == [1, 2]
    assert numbers(b"a1", b"a3", reverse=True) == [2, 1]
    assert numbers(b"a3", b"a1") == []
    assert numbers(None, b"a2") == [0, 1]
    assert numbers(b"b3", None, limit=1) == [3]
    assert numbers(None, None, reverse=True, limit=3) == [4, 3, 2]


def test_scan_is_point_in_time_from_its_creation(counts: TypedStore) -> None:
    scans = [
        counts.prefix_scan_typed(b"a", int),
        counts.range_scan_typed(b"a", b"b", int),
    ]
    counts.put_typed(b"a0", -1)
    counts.delete(b"a1")
    assert [[value for _, value in scan] for scan in scans] == [[0, 1, 2, 3, 4]] * 2


def test_scan_tells_the_key_that_does_not_decode(counts: TypedStore) -> None:
    counts.put_typed(b"a2", "two")
    scan = counts.prefix_scan_typed(b"a", int)
    assert [next(scan), next(scan)] == [(b"a0", 0), (b"a1", 1)]
    with pytest.raises(StateDecodeError) as caught:
        next(scan)
    assert caught.value.key == b"a2"


def test_delete_and_contains_pass_through(counts: TypedStore) -> None:
    assert counts.contains(b"a0") and b"a0" in counts
    assert counts.delete(b"a0") is True
    assert counts.delete(b"a0") is False
    assert not counts.contains(b"a0") and b"a0" not in counts


@pytest.mark.parametrize(
    ("codec", "value", "data"),
    [
        (JsonCodec(), {"a": 1}, b'{"a":1}'),
        (StructCodec("<q"), 7, b"\x07\0\0\0\0\0\0\0"),
        (RawCodec(), b"\0", b"\0"),
    ],
)
def test_codec_decides_the_bytes(codec: Codec, value: Any, data: bytes) -> None:
    typed = TypedStore(InMemoryStore(), codec)
    typed.put_typed(b"k", value)
    assert typed.store.get(b"k") == data
    assert typed.get_typed(b"k", type(value)) == value
    assert typed.codec is codec


def test_struct_codec_reads_what_increment_counts() -> None:
    store = InMemoryStore()
    counters = TypedStore(store, StructCodec("<q"))
    store.increment(b"seen", 41)
    assert counters.update(b"seen", lambda count: (count or 0) + 1, type=int) == 42
    assert store.increment(b"seen", -50) == counters.get_typed(b"seen", int) == -8


class Counted:
    """A codec that counts the decoders it makes, and fails as it is told."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.made: list[Any] = []
        self.failure = failure

    def encode(self, value: bytes) -> bytes:
        return value

    def decoder(self, type: Any) -> Any:
        self.made.append(type)
        return self.decode

    def decode(self, data: bytes) -> bytes:
        if self.failure is not None:
            raise self.failure
        return data


def test_one_decoder_is_made_for_each_type() -> None:
    codec = Counted()
    typed = TypedStore(InMemoryStore({b"k": b""}), codec)
    for _ in range(3):
        typed.get_typed(b"k", bytes)
        typed.get_typed(b"k", list[int])
        list(typed.prefix_scan_typed(b"", bytes))
    assert codec.made == [bytes, list[int]]


def test_lack_of_memory_is_no_damage() -> None:
    typed = TypedStore(InMemoryStore({b"k": b""}), Counted(MemoryError()))
    with pytest.raises(MemoryError):
        typed.get_typed(b"k", bytes)
    with pytest.raises(MemoryError):
        list(typed.prefix_scan_typed(b"k", bytes))


def test_repr_names_store_and_codec() -> None:
    text = repr(TypedStore(InMemoryStore({b"secret": b"hidden"}), RawCodec()))
    assert text.startswith("TypedStore(") and "RawCodec" in text
    assert "secret" not in text and "hidden" not in text
