"""Crafted keys: an attacker who knows the secret words gains a constant factor at most.

The fast hash is mirrored here, and inverted: with one factor of its product made zero,
keys of any wanted hash are written down rather than searched for. Needs a build
whose secret is known; test_variants.py runs this file there. Start at `key_of_hash`.
"""

import os
import time
from collections.abc import Callable
from random import Random

import pytest

from latency_kv import InMemoryStore

pytestmark = pytest.mark.skipif(
    os.environ.get("LATENCY_KV_SECRET_IS_KNOWN") != "1",
    reason="needs a build whose hash secret is known",
)

MASK = (1 << 64) - 1
SPREAD = 0x9E3779B97F4A7C15
FIRST, SECOND, THIRD = (
    int.from_bytes(bytes(range(start, start + 8)), "little") for start in (1, 9, 33)
)
KEY_SIZE = 16
SMALL_COUNT, FULL_COUNT = 10_000, 100_000

# The benchmark holds the figure; here a machine may be busy, and what is looked for is
# quadratic: a hundred times slower or worse.
MOST_TIMES_SLOWER = 12
MOST_TIMES_LARGER = 3


def words(*parts: int) -> bytes:
    return b"".join(part.to_bytes(8, "little") for part in parts)


def fold(first: int, second: int) -> int:
    product = first * second
    return (product & MASK) ^ (product >> 64)


def fast_hash(key: bytes) -> int:
    """The documented fast hash of a key of 16 bytes, or of 32."""
    size = len(key)
    parts = [int.from_bytes(key[at : at + 8], "little") for at in range(0, size, 8)]
    mask = SECOND ^ size * SPREAD & MASK
    if size > KEY_SIZE:
        mask = fold(parts[0] ^ FIRST, parts[1] ^ SECOND ^ size)
    a, b = parts[-2:]
    return fold(a ^ FIRST, b ^ mask) ^ (a + b) * THIRD & MASK


def key_of_hash(wanted: int) -> bytes:
    """A key of 16 bytes with this hash: with a first factor of zero, the sum is all."""
    return words(FIRST, (wanted * pow(THIRD, -1, 1 << 64) - FIRST) & MASK)


def equal_hashes(count: int) -> list[bytes]:
    """A factor of the first step is zero: what stands beside it counts for nothing."""
    return [words(FIRST, number, FIRST, 0) for number in range(count)]


def equal_directory_bits(count: int) -> list[bytes]:
    """One place in the directory, however deep it grows."""
    return [key_of_hash((0xABCD << 48) | number << 7) for number in range(count)]


def equal_page_bits(count: int) -> list[bytes]:
    """Spread over the pages, but one place and one tag within each."""
    return [key_of_hash(hash_placed(number)) for number in range(count)]


def hash_placed(number: int) -> int:
    """The number-th hash whose bits within a page are always the same."""
    spread = number << 52 & MASK | 0x5A5A5 << 32 | number * 0x9E3779B1 % (1 << 32)
    mixed = spread * pow(SPREAD, -1, 1 << 64) & MASK
    high = mixed >> 32
    return high << 32 | (mixed & 0xFFFFFFFF) ^ high


def equal_low_half(count: int) -> list[bytes]:
    return [
        key_of_hash(number * 0x9E3779B1 % (1 << 32) << 32) for number in range(count)
    ]


FAMILIES = [
    equal_hashes,
    equal_directory_bits,
    equal_page_bits,
    equal_low_half,
]
Family = Callable[[int], list[bytes]]

crafted = pytest.mark.parametrize("family", FAMILIES, ids=lambda call: call.__name__)


@pytest.fixture
def count(full: bool) -> int:
    return FULL_COUNT if full else SMALL_COUNT


def honest_keys(count: int) -> list[bytes]:
    random = Random(7)
    return [random.randbytes(KEY_SIZE) for _ in range(count)]


def work(keys: list[bytes]) -> tuple[float, InMemoryStore]:
    """Put, read and half delete; the CPU time of it."""
    store = InMemoryStore()
    start = time.process_time()
    for key in keys:
        store.put(key, b"value")
    for key in keys:
        store.get(key)
    for key in keys[::2]:
        store.delete(key)
    return time.process_time() - start, store


def test_keys_of_wanted_hashes_have_them() -> None:
    random = Random(1)
    for _ in range(100):
        wanted = random.getrandbits(64)
        assert fast_hash(key_of_hash(wanted)) == wanted
    assert len({fast_hash(key) for key in equal_hashes(50)}) == 1


def test_equal_hashes_make_the_store_change_its_hash() -> None:
    """Were the mirror wrong, no other test here would attack anything."""
    for family in (equal_hashes, equal_directory_bits):
        store = InMemoryStore()
        assert store.stats().hash == "fast"
        store.put_many((key, b"") for key in family(5_000))
        assert store.stats().hash == "strong"
        store.check()


def test_honest_keys_do_not_make_the_store_change_its_hash(count: int) -> None:
    store = InMemoryStore((key, b"") for key in honest_keys(count))
    store.put_many((b"key:%08d" % number, b"") for number in range(count))
    store.put_many((number.to_bytes(8, "big"), b"") for number in range(count))
    assert store.stats().hash == "fast"


@crafted
def test_crafted_keys_cost_a_constant_factor(family: Family, count: int) -> None:
    honest_time, honest = min(
        (work(honest_keys(count)) for _ in range(3)), key=lambda pair: pair[0]
    )
    crafted_time, store = work(family(count))
    assert crafted_time < MOST_TIMES_SLOWER * honest_time
    assert store.memory_bytes() < MOST_TIMES_LARGER * honest.memory_bytes()
    assert len(store) == count - len(range(0, count, 2))
    store.check()


@crafted
@pytest.mark.parametrize("ordered", [False, True])
def test_store_of_crafted_keys_is_a_store(family: Family, ordered: bool) -> None:
    keys = family(3_000)
    store = InMemoryStore({b"honest": b"1"}, ordered=ordered)
    entries = {b"honest": b"1", **{key: key[:9] for key in keys}}
    store.put_many((key, key[:9]) for key in keys)
    assert store == entries
    assert list(store) == sorted(entries)
    assert store.get_many(keys) == [key[:9] for key in keys]
    assert store.delete_many(keys[::3]) == len(keys[::3])
    assert store.delete(b"honest")
    assert not store.delete(keys[0])
    store.check()


@crafted
def test_holders_from_before_the_change_stay_as_they_were(family: Family) -> None:
    keys = family(4_000)
    few = {key: b"few" for key in keys[:2]}
    store = InMemoryStore(few)
    snapshot, copy, scan = store.snapshot(), store.copy(), store.prefix_scan()
    store.put_many((key, b"many") for key in keys)
    store.check()
    assert snapshot == copy == few
    assert list(scan) == sorted(few.items())
    late = store.snapshot()
    store.restore(snapshot)
    assert store == few
    store.put_many((key, b"again") for key in keys)
    copy.restore(late)
    assert copy == late == dict.fromkeys(keys, b"many")
    assert store == dict.fromkeys(keys, b"again")
    for each in (store, copy):
        each.check()
