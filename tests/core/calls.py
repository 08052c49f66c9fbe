"""Calls: every public method of the store once, and every way to call it wrongly.

The tables that the tests of failed allocations, leaks and bad input share. A call runs
on a store and on the model alike. It does not know what the answers are: the model
does. Start at `CALLS`, then `MISTAKES`; `contents` is what they run on.
"""

import copy
import operator
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from latency_kv import InMemoryStore, StateSnapshot

KEY = b"route/JFK/0007"
ABSENT = b"route/JFK/0007/absent"
COUNTER = b"counter"
FULL_COUNTER = b"counter/full"
LARGE = b"large"

# A count whose int Python has to allocate: the answer may fail after the work is done.
COUNTED = 1 << 40
PREFIX = b"route/JFK/"

# Above the threshold from which the store holds a bytes object by reference.
LARGE_VALUE = b"large value " * 1_000
NEW_ENTRIES = {b"new/%04d" % n: b"value %d" % n for n in range(64)}
LONG_KEY = bytes(65_536)
STRIDED = memoryview(b"strided!")[::2]
STRIDED_ERRORS = (BufferError, TypeError, ValueError)
SOME_KEYS = [PREFIX + b"%04d" % n for n in range(0, 90, 3)] + [ABSENT, LARGE]


# 70 rows, more than a batch, and every third of them without an entry.
ARRAY_KEYS = memoryview(
    b"".join(PREFIX + b"%04d" % (n if n % 3 else n + 5_000) for n in range(10, 80))
).cast("B", (70, len(PREFIX) + 4))
NEW_ARRAYS = (
    memoryview(b"".join(b"array/%04d" % n for n in range(70))).cast("B", (70, 10)),
    memoryview(b"".join(b"value %02d" % n for n in range(70))).cast("B", (70, 8)),
)


IMAGE = InMemoryStore(NEW_ENTRIES | {LARGE: LARGE_VALUE}).snapshot().to_bytes()


class Call(NamedTuple):
    """One use of one method, named for the test's report."""

    name: str
    run: Callable[[Any], object]


class Mistake(NamedTuple):
    """One wrong use of one method, and what it raises."""

    name: str
    run: Callable[[Any], object]
    error: type[Exception] | tuple[type[Exception], ...]


class Refused(Exception):
    """Raised by the functions and iterables that the mistakes pass in."""


def contents() -> dict[bytes, bytes]:
    """Entries for several pages and leaves of any build, two of them counters."""
    entries = {
        b"route/%s/%04d" % (airport, number): b"delay %d" % number
        for airport in (b"EWR", b"JFK", b"LGA")
        for number in range(90)
    }
    entries[COUNTER] = COUNTED.to_bytes(8, "little")
    entries[FULL_COUNTER] = ((1 << 63) - 1).to_bytes(8, "little")
    entries[LARGE] = LARGE_VALUE
    return entries


# Made here: CPython 3.12 crashes when memory ends while it makes a function.
def exclaimed(value: bytes | None) -> bytes:
    return (value or b"") + b"!"


def arrays_got(store: Any) -> object:
    """How many values an array of keys has, the values, and which they are."""
    values = memoryview(bytearray(b"." * 560)).cast("B", (70, 8))
    found = bytearray(70)
    return store.get_array(ARRAY_KEYS, values, found), values.tobytes(), found


def forgotten(_: object) -> None:
    return None


def refuse(_: object = None) -> bytes:
    raise Refused


def entries_then_refusal() -> Iterator[tuple[bytes, bytes]]:
    yield from NEW_ENTRIES.items()
    raise Refused


def keys_then_refusal() -> Iterator[bytes]:
    yield from SOME_KEYS
    raise Refused


def released() -> memoryview:
    view = memoryview(b"released")
    view.release()
    return view


def rebuilt(store: Any) -> Any:
    """What pickling does, without pickle, which has an error of its own for memory."""
    make, arguments = store.__reduce_ex__(4)
    return make(*arguments)


def store_of_new_entries(store: Any) -> Any:
    return type(store)(NEW_ENTRIES)


CALLS = [
    Call("get", lambda store: store.get(KEY)),
    Call("get_absent", lambda store: store.get(ABSENT, b"default")),
    Call("get_large", lambda store: store.get(LARGE)),
    Call("getitem", lambda store: store[KEY]),
    Call("contains", lambda store: store.contains(KEY)),
    Call("in", lambda store: ABSENT in store),
    Call("len", len),
    Call("bool", bool),
    Call("is_empty", lambda store: store.is_empty()),
    Call("size_bytes", lambda store: store.size_bytes()),
    Call("get_many", lambda store: store.get_many(SOME_KEYS)),
    Call("first", lambda store: store.first(PREFIX)),
    Call("last", lambda store: store.last(PREFIX)),
    Call("floor", lambda store: store.floor(ABSENT)),
    Call("ceiling", lambda store: store.ceiling(ABSENT)),
    Call("prefix_scan", lambda store: list(store.prefix_scan(PREFIX))),
    Call(
        "prefix_scan_reverse",
        lambda store: list(store.prefix_scan(PREFIX, reverse=True)),
    ),
    Call(
        "range_scan",
        lambda store: list(store.range_scan(b"large", b"route/LGA", limit=9)),
    ),
    Call("prefix_keys", lambda store: list(store.prefix_keys(PREFIX, limit=9))),
    Call("range_keys", lambda store: list(store.range_keys(reverse=True))),
    Call("iter", lambda store: list(store)),
    Call("reversed", lambda store: list(reversed(store))),
    Call("keys", lambda store: list(store.keys())),
    Call("values", lambda store: list(store.values())),
    Call("items", lambda store: list(store.items())),
    Call("equal", lambda store: store == dict(store)),
    Call("put_new", lambda store: store.put(ABSENT, b"value")),
    Call("put_same_size", lambda store: store.put(KEY, b"DELAY 7")),
    Call("put_longer", lambda store: store.put(KEY, bytes(500))),
    Call("put_large", lambda store: store.put(KEY, LARGE_VALUE)),
    Call("put_large_bytearray", lambda store: store.put(KEY, bytearray(LARGE_VALUE))),
    Call("put_over_large", lambda store: store.put(LARGE, b"small")),
    Call("setitem", lambda store: store.__setitem__(ABSENT, b"value")),
    Call("put_many", lambda store: store.put_many(NEW_ENTRIES)),
    Call("put_many_pairs", lambda store: store.put_many(NEW_ENTRIES.items())),
    Call("put_array", lambda store: store.put_array(*NEW_ARRAYS)),
    Call("get_array", arrays_got),
    Call("snapshot_get_array", lambda store: arrays_got(store.snapshot())),
    Call("update", lambda store: store.update(NEW_ENTRIES)),
    Call("delete", lambda store: store.delete(KEY)),
    Call("delete_absent", lambda store: store.delete(ABSENT)),
    Call("delitem", lambda store: store.__delitem__(LARGE)),
    Call("delete_many", lambda store: store.delete_many(SOME_KEYS)),
    Call("delete_prefix", lambda store: store.delete_prefix(PREFIX)),
    Call("delete_range", lambda store: store.delete_range(b"large", PREFIX)),
    Call("clear", lambda store: store.clear()),
    Call("pop", lambda store: store.pop(KEY)),
    Call("pop_default", lambda store: store.pop(ABSENT, None)),
    Call("setdefault", lambda store: store.setdefault(ABSENT, b"value")),
    Call("put_if_absent", lambda store: store.put_if_absent(ABSENT, b"value")),
    Call("swap", lambda store: store.compare_and_swap(KEY, b"delay 7", b"on time")),
    Call("swap_in", lambda store: store.compare_and_swap(ABSENT, None, b"value")),
    Call("swap_out", lambda store: store.compare_and_swap(KEY, b"delay 7", None)),
    Call("increment", lambda store: store.increment(COUNTER)),
    Call("increment_absent", lambda store: store.increment(ABSENT, -5)),
    Call("compute", lambda store: store.compute(KEY, exclaimed)),
    Call("compute_delete", lambda store: store.compute(KEY, forgotten)),
    Call("snapshot", lambda store: store.snapshot()),
    Call("snapshot_scan", lambda store: list(store.snapshot().prefix_scan(PREFIX))),
    Call("snapshot_get_many", lambda store: store.snapshot().get_many(SOME_KEYS)),
    Call("copy", lambda store: store.copy()),
    Call(
        "restore", lambda store: store.restore(store_of_new_entries(store).snapshot())
    ),
    Call("or", lambda store: store | NEW_ENTRIES),
    Call("ror", lambda store: NEW_ENTRIES | store),
    Call("ior", lambda store: operator.ior(store, NEW_ENTRIES)),
]
"""Every method that the model answers too, and alike."""

ENGINE_CALLS = [
    Call("popitem", lambda store: store.popitem()),
    Call("repr", repr),
    Call("sizeof", lambda store: store.__sizeof__()),
    Call("memory_bytes", lambda store: store.memory_bytes()),
    Call("stats", lambda store: store.stats()),
    Call("check", lambda store: store.check()),
    Call("to_bytes", lambda store: store.snapshot().to_bytes()),
    Call("memoryview", lambda store: memoryview(store.snapshot())),
    Call("from_bytes", lambda store: StateSnapshot.from_bytes(IMAGE)),
    Call("from_bytearray", lambda _: StateSnapshot.from_bytes(bytearray(IMAGE))),
    Call("image_get", lambda _: StateSnapshot.from_bytes(IMAGE).get(b"new/0007")),
    Call("image_get_many", lambda _: StateSnapshot.from_bytes(IMAGE).get_many([LARGE])),
    Call("image_scan", lambda _: list(StateSnapshot.from_bytes(IMAGE).items())),
    Call("image_equal", lambda store: StateSnapshot.from_bytes(IMAGE) == store),
    Call("restore_image", lambda store: store.restore(StateSnapshot.from_bytes(IMAGE))),
    Call(
        "from_snapshot",
        lambda _: InMemoryStore.from_snapshot(
            StateSnapshot.from_bytes(IMAGE), ordered=True
        ),
    ),
    Call("reduce", rebuilt),
    Call("deepcopy", copy.deepcopy),
]
"""What the model does not do, or may do otherwise."""

MISTAKES = [
    Mistake("getitem_absent", lambda store: store[ABSENT], KeyError),
    Mistake("delitem_absent", lambda store: store.__delitem__(ABSENT), KeyError),
    Mistake("pop_absent", lambda store: store.pop(ABSENT), KeyError),
    Mistake("pop_list_key", lambda store: store.pop([], None), TypeError),
    Mistake("get_nothing", lambda store: store.get(), TypeError),
    Mistake("get_too_much", lambda store: store.get(KEY, None, None), TypeError),
    Mistake("put_nothing", lambda store: store.put(KEY), TypeError),
    Mistake("put_int_value", lambda store: store.put(KEY, 7), TypeError),
    Mistake("put_none_value", lambda store: store.put(KEY, None), TypeError),
    Mistake("put_list_value", lambda store: store.put(KEY, [1]), TypeError),
    Mistake("setitem_none", lambda store: store.__setitem__(KEY, None), TypeError),
    Mistake("setdefault_none", lambda store: store.setdefault(ABSENT), TypeError),
    Mistake("put_strided_key", lambda store: store.put(STRIDED, b""), STRIDED_ERRORS),
    Mistake("put_strided_value", lambda store: store.put(KEY, STRIDED), STRIDED_ERRORS),
    Mistake("get_strided", lambda store: store.get(STRIDED), STRIDED_ERRORS),
    Mistake("put_released", lambda store: store.put(KEY, released()), ValueError),
    Mistake("scan_int", lambda store: store.prefix_scan(7), TypeError),
    Mistake("scan_limit_str", lambda store: store.prefix_scan(limit="7"), TypeError),
    Mistake("scan_limit_float", lambda store: store.range_keys(limit=7.0), TypeError),
    Mistake("scan_positional", lambda store: store.prefix_scan(KEY, True), TypeError),
    Mistake("get_many_of_int", lambda store: store.get_many(7), TypeError),
    Mistake("get_many_int_key", lambda store: store.get_many([KEY, 7]), TypeError),
    Mistake(
        "get_many_refused", lambda store: store.get_many(keys_then_refusal()), Refused
    ),
    Mistake("put_array_of_int", lambda store: store.put_array(7, b""), TypeError),
    Mistake("put_array_uneven", lambda store: store.put_array(b"ab", b"a"), ValueError),
    Mistake(
        "put_array_of_long_keys",
        lambda store: store.put_array(
            memoryview(LONG_KEY).cast("B", (1, 65_536)), b"a"
        ),
        ValueError,
    ),
    Mistake(
        "get_array_of_int", lambda store: store.get_array(7, bytearray()), TypeError
    ),
    Mistake(
        "get_array_uneven",
        lambda store: store.get_array(b"ab", bytearray(3)),
        ValueError,
    ),
    Mistake(
        "get_array_into_bytes", lambda store: store.get_array(b"a", b"a"), BufferError
    ),
    Mistake("put_many_of_int", lambda store: store.put_many(7), TypeError),
    Mistake("put_many_of_ints", lambda store: store.put_many([7]), TypeError),
    Mistake(
        "put_many_triple",
        lambda store: store.put_many([(ABSENT, b""), (KEY, b"", b"")]),
        (TypeError, ValueError),
    ),
    Mistake(
        "put_many_bad_value",
        lambda store: store.put_many([*NEW_ENTRIES.items(), (KEY, 7), (ABSENT, b"")]),
        TypeError,
    ),
    Mistake(
        "put_many_bad_mapping",
        lambda store: store.put_many({**NEW_ENTRIES, "text": b""}),
        TypeError,
    ),
    Mistake(
        "put_many_refused",
        lambda store: store.put_many(entries_then_refusal()),
        Refused,
    ),
    Mistake(
        "update_refused", lambda store: store.update(entries_then_refusal()), Refused
    ),
    Mistake("update_keyword", lambda store: store.update(text=b""), TypeError),
    Mistake("ior_int", lambda store: operator.ior(store, 7), TypeError),
    Mistake("or_int", lambda store: store | 7, TypeError),
    Mistake("delete_many_of_int", lambda store: store.delete_many(7), TypeError),
    Mistake("delete_many_int", lambda store: store.delete_many([KEY, 7]), TypeError),
    Mistake(
        "delete_many_refused",
        lambda store: store.delete_many(keys_then_refusal()),
        Refused,
    ),
    Mistake("swap_int", lambda store: store.compare_and_swap(KEY, 7, b""), TypeError),
    Mistake(
        "swap_to_int", lambda store: store.compare_and_swap(ABSENT, None, 7), TypeError
    ),
    Mistake("increment_width", lambda store: store.increment(KEY), ValueError),
    Mistake("increment_large", lambda store: store.increment(LARGE), ValueError),
    Mistake(
        "increment_over", lambda store: store.increment(FULL_COUNTER), OverflowError
    ),
    Mistake(
        "increment_far_over",
        lambda store: store.increment(ABSENT, 1 << 70),
        OverflowError,
    ),
    Mistake("increment_float", lambda store: store.increment(COUNTER, 1.5), TypeError),
    Mistake("increment_str", lambda store: store.increment(COUNTER, "1"), TypeError),
    Mistake("compute_refused", lambda store: store.compute(KEY, refuse), Refused),
    Mistake("compute_of_int", lambda store: store.compute(KEY, 7), TypeError),
    Mistake("compute_int", lambda store: store.compute(KEY, lambda _: 7), TypeError),
    Mistake("restore_none", lambda store: store.restore(None), TypeError),
    Mistake("restore_store", lambda store: store.restore(store), TypeError),
    Mistake("restore_dict", lambda store: store.restore(NEW_ENTRIES), TypeError),
    Mistake("hash", hash, TypeError),
]

TEXT_MISTAKES = [
    Mistake("get", lambda store: store.get("text"), TypeError),
    Mistake("getitem", lambda store: store["text"], TypeError),
    Mistake("contains", lambda store: store.contains("text"), TypeError),
    Mistake("in", lambda store: "text" in store, TypeError),
    Mistake("put_key", lambda store: store.put("text", b""), TypeError),
    Mistake("put_value", lambda store: store.put(ABSENT, "text"), TypeError),
    Mistake("setitem", lambda store: store.__setitem__("text", b""), TypeError),
    Mistake("delete", lambda store: store.delete("text"), TypeError),
    Mistake("delitem", lambda store: store.__delitem__("text"), TypeError),
    Mistake("pop", lambda store: store.pop("text", None), TypeError),
    Mistake("setdefault", lambda store: store.setdefault("text", b""), TypeError),
    Mistake("prefix_scan", lambda store: store.prefix_scan("text"), TypeError),
    Mistake("prefix_keys", lambda store: store.prefix_keys("text"), TypeError),
    Mistake("range_scan", lambda store: store.range_scan("text"), TypeError),
    Mistake("range_keys", lambda store: store.range_keys(None, "text"), TypeError),
    Mistake("delete_prefix", lambda store: store.delete_prefix("text"), TypeError),
    Mistake("delete_range", lambda store: store.delete_range("a", "z"), TypeError),
    Mistake("first", lambda store: store.first("text"), TypeError),
    Mistake("last", lambda store: store.last("text"), TypeError),
    Mistake("floor", lambda store: store.floor("text"), TypeError),
    Mistake("ceiling", lambda store: store.ceiling("text"), TypeError),
    Mistake("get_many", lambda store: store.get_many([KEY, "text"]), TypeError),
    Mistake("put_many", lambda store: store.put_many({"text": b""}), TypeError),
    Mistake("put_many_value", lambda store: store.put_many({KEY: "text"}), TypeError),
    Mistake("update", lambda store: store.update({"text": b""}), TypeError),
    Mistake("delete_many", lambda store: store.delete_many([KEY, "text"]), TypeError),
    Mistake("put_if_absent", lambda store: store.put_if_absent("text", b""), TypeError),
    Mistake("swap", lambda store: store.compare_and_swap(KEY, None, "text"), TypeError),
    Mistake("increment", lambda store: store.increment("text"), TypeError),
    Mistake("compute", lambda store: store.compute("text", refuse), TypeError),
    Mistake("compute_text", lambda store: store.compute(KEY, lambda _: "a"), TypeError),
]
"""Text where bytes belong: the message says to encode it."""

OVERSIZED_MISTAKES = [
    Mistake("put", lambda store: store.put(LONG_KEY, b""), ValueError),
    Mistake("setitem", lambda store: store.__setitem__(LONG_KEY, b""), ValueError),
    Mistake("setdefault", lambda store: store.setdefault(LONG_KEY, b""), ValueError),
    Mistake(
        "put_many", lambda store: store.put_many({KEY: b"", LONG_KEY: b""}), ValueError
    ),
    Mistake("update", lambda store: store.update({LONG_KEY: b""}), ValueError),
    Mistake(
        "put_if_absent", lambda store: store.put_if_absent(LONG_KEY, b""), ValueError
    ),
    Mistake(
        "swap", lambda store: store.compare_and_swap(LONG_KEY, None, b""), ValueError
    ),
    Mistake("increment", lambda store: store.increment(LONG_KEY), ValueError),
    Mistake(
        "compute", lambda store: store.compute(LONG_KEY, lambda _: b""), ValueError
    ),
    Mistake("or", lambda store: store | {LONG_KEY: b""}, ValueError),
    Mistake("ior", lambda store: operator.ior(store, {LONG_KEY: b""}), ValueError),
]
"""Keys one byte too long, in every method that would store them."""
