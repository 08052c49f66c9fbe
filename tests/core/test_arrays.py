"""Arrays: rows of keys and of values, read and written without an object for each.

Against the model, in the shapes that numpy has. Start at `test_array_is_many_entries`.
"""

import ctypes
import random
import struct
from typing import Any

import numpy as np
import pytest

from latency_kv import InMemoryStore, StateSnapshot
from model import Model

# Rows that do not lie one behind the other.
COLUMNS = np.zeros((4, 4))[:, :2]

FROZEN = np.zeros(2, np.uint8)
FROZEN.flags.writeable = False

COUNTS = (0, 1, 31, 32, 33, 64, 1_000)


def matrix(count: int, size: int, seed: int) -> Any:
    return np.frombuffer(random.Random(seed).randbytes(count * size), np.uint8).reshape(
        count, size
    )


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize(("key_size", "value_size"), [(16, 16), (3, 1), (200, 2_000)])
def test_array_is_many_entries(count: int, key_size: int, value_size: int) -> None:
    keys, values = matrix(count, key_size, 1), matrix(count, value_size, 2)
    store, model = InMemoryStore({b"other": b"o"}), Model({b"other": b"o"})
    for each in (store, model):
        each.put_array(keys, values)
        # Over what is there, and with a key twice: the last of them wins.
        each.put_array(np.concatenate([keys, keys]), np.concatenate([values, values]))
    assert dict(store) == dict(model)
    store.check()
    out = np.zeros_like(values)
    assert store.get_array(keys, out) == count
    assert [row.tobytes() for row in out] == store.get_many(map(bytes, keys))


@pytest.mark.parametrize("count", COUNTS)
def test_rows_without_an_entry_stay_as_they_are(count: int) -> None:
    keys, values = matrix(2 * count, 16, 3), matrix(2 * count, 8, 4)
    store = InMemoryStore()
    store.put_array(keys[:count], values[:count])
    order = np.random.default_rng(5).permutation(2 * count)
    out, found = np.full((2 * count, 8), 7, np.uint8), np.full(2 * count, 9, np.uint8)
    for reader in (store, store.snapshot(), image_of(store)):
        out[:], found[:] = 7, 9
        assert reader.get_array(keys[order], out, found) == count
        assert found.tolist() == [int(number < count) for number in order]
        assert (out[order < count] == values[order[order < count]]).all()
        assert (out[order >= count] == 7).all()


def image_of(store: InMemoryStore) -> StateSnapshot:
    return StateSnapshot.from_bytes(store.snapshot().to_bytes())


def test_rows_may_be_numbers() -> None:
    keys = np.arange(100, dtype=">u8")
    store = InMemoryStore()
    store.put_array(keys, keys.astype("<i8") * 3)
    assert store.get(struct.pack(">Q", 7)) == struct.pack("<q", 21)
    out, found = np.full(3, -1, "<i8"), np.zeros(3, np.bool_)
    assert store.get_array(np.array([5, 1_000, 99], ">u8"), out, found) == 2
    assert out.tolist() == [15, -1, 297] and found.tolist() == [True, False, True]
    # Big-endian: the order of the keys is that of the numbers.
    assert [struct.unpack(">Q", key)[0] for key in store] == [*range(100)]


def test_rows_may_be_strings_records_and_have_more_dimensions() -> None:
    store = InMemoryStore()
    store.put_array(np.array([b"JFK", b"LGA"], "S3"), np.zeros((2, 2, 3), "<f4"))
    assert store.get(b"LGA") == bytes(24)
    record = np.zeros(2, [("count", "<u4"), ("Origin", "<f8")])
    store.put_array(record, record)
    assert store.get(bytes(12)) == bytes(12)


def test_rows_may_have_no_bytes() -> None:
    store = InMemoryStore()
    store.put_array(np.zeros((3, 0), np.uint8), np.zeros((3, 0), np.uint8))
    assert dict(store) == {b"": b""}
    found = np.zeros(2, np.uint8)
    out = np.zeros((2, 0), np.uint8)
    assert store.get_array(np.zeros((2, 0), np.uint8), out, found) == 2
    assert found.all()


def test_large_values_are_rows_too() -> None:
    keys, values = matrix(3, 4, 6), matrix(3, 5_000, 7)
    store = InMemoryStore()
    store.put_array(keys, values)
    out = np.zeros_like(values)
    assert store.get_array(keys, out) == 3 and (out == values).all()


def test_array_is_read_and_not_kept() -> None:
    keys, values = matrix(10, 16, 8).copy(), matrix(10, 16, 9).copy()
    store = InMemoryStore()
    store.put_array(keys, values)
    before = dict(store)
    keys[:], values[:] = 0, 0
    assert dict(store) == before


def test_scan_and_snapshot_do_not_see_it() -> None:
    keys, values = matrix(500, 16, 10), matrix(500, 16, 11)
    store = InMemoryStore(ordered=True)
    store.put_array(keys, values)
    before, snapshot, scan = dict(store), store.snapshot(), store.prefix_scan()
    store.put_array(keys, np.zeros_like(values))
    assert dict(scan) == before == dict(snapshot)
    assert set(store.values()) == {bytes(16)}
    store.check()


def test_value_of_another_size_is_told() -> None:
    store = InMemoryStore({b"a": b"1", b"b": b"22", b"c": b""})
    out = bytearray(b"...")
    with pytest.raises(ValueError, match=r"key b'b', row 1, has 2 bytes, and .* 1$"):
        store.get_array(b"abc", out)
    assert out == b"1.."
    with pytest.raises(ValueError, match=r"key b'c', row 0, has 0 bytes, and .* 1$"):
        store.get_array(b"c", bytearray(1))


@pytest.mark.parametrize(
    ("keys", "values", "found", "error", "message"),
    [
        ("text", b"", None, TypeError, "keys is an array with a buffer, not str"),
        (b"", 7, None, TypeError, "values is an array with a buffer, not int"),
        (b"ab", bytearray(3), None, ValueError, "values has 3 rows, and keys 2"),
        (b"ab", bytearray(2), bytearray(3), ValueError, "found has 3 rows, and keys 2"),
        (b"ab", bytearray(2), np.zeros(2), ValueError, "found has rows of 8 bytes"),
        (b"ab", b"ab", None, BufferError, "^values is an array to be written: "),
        (b"ab", FROZEN, None, ValueError, "^values is an array to be .* read-only"),
        (b"ab", bytearray(2), b"ab", BufferError, "^found is an array to be written"),
        (np.zeros(()), bytearray(1), None, TypeError, "keys is a single value"),
        (b"ab", np.array([None, 1]), None, TypeError, "values is an array of objects"),
        (np.array([{}, 1]), bytearray(2), None, TypeError, "keys is an array of obj"),
        (np.zeros(1, [("a", "O")]), bytearray(1), None, TypeError, "of objects"),
        ([1, 2], bytearray(2), None, TypeError, "numpy.asarray makes one of a list"),
        (COLUMNS, bytearray(4), None, ValueError, "^keys .*ascontiguousarray.keys"),
        (b"abcd", COLUMNS, None, ValueError, "^values is .*contiguous; hand over"),
        (
            memoryview(b"abcd")[::2],
            bytearray(2),
            None,
            BufferError,
            "^keys is an array to be read: .* not C-contiguous; numpy.ascont",
        ),
        ((ctypes.py_object * 2)(1, 2), bytearray(2), None, TypeError, "of objects"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    keys: Any, values: Any, found: Any, error: type[Exception], message: str
) -> None:
    store = InMemoryStore({b"a": b"1"})
    with pytest.raises(error, match=message):
        store.get_array(keys, values, found)


def test_put_that_is_refused_puts_none() -> None:
    store = InMemoryStore({b"a": b"1"})
    with pytest.raises(ValueError, match="65,536 bytes is longer"):
        store.put_array(np.zeros((2, 65_536), np.uint8), bytes(2))
    with pytest.raises(ValueError, match="values has 1 row, and keys 2"):
        store.put_array(b"ab", b"a")
    assert dict(store) == {b"a": b"1"}


@pytest.mark.parametrize("count", [1, 40, 3_000])
def test_random_arrays_agree_with_the_model(count: int, seed: int) -> None:
    chance = random.Random(seed)
    store, model = InMemoryStore(ordered=chance.random() < 0.5), Model()
    for _ in range(20):
        size = chance.choice((1, 2, 8, 16, 40))
        # Few different ones, so that keys come again.
        keys = matrix(chance.randrange(count + 1), size, chance.randrange(4))
        values = matrix(len(keys), 8, chance.randrange(1 << 30))
        held = [store.snapshot()] if chance.random() < 0.3 else []
        for each in (store, model):
            each.put_array(keys, values)
        asked = matrix(count, size, chance.randrange(4))
        outs = [np.zeros((count, 8), np.uint8) for _ in range(2)]
        founds = [np.zeros(count, np.uint8) for _ in outs]
        answers = [
            each.get_array(asked, out, found)
            for each, out, found in zip((store, model), outs, founds, strict=True)
        ]
        assert answers[0] == answers[1]
        assert (founds[0] == founds[1]).all() and (outs[0] == outs[1]).all()
        del held
    assert dict(store) == dict(model)
    store.check()


def test_buffers_are_given_back() -> None:
    """Also by what is refused: an array that is held cannot grow."""
    store = InMemoryStore({b"a": b"1"})
    keys, values, found = bytearray(b"a"), bytearray(1), bytearray(1)
    store.get_array(keys, values, found)
    store.put_array(keys, values)
    with pytest.raises(ValueError, match="rows"):
        store.get_array(keys, values, bytearray(2))
    with pytest.raises(ValueError, match="rows"):
        store.put_array(keys, bytearray(2))
    for each in (keys, values, found):
        each.append(0)
