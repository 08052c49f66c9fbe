"""MemoryStateStore: the contract, a model with a clock, and what is in the InMemoryStore.

Start at `test_any_calls_do_what_the_model_does`.
"""

import gc
import pickle
import weakref
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import anyio
import pytest

from fresh import run_fresh
from latency_kv import InMemoryStore
from latency_kv.errors import JsonValueError, StateParseError
from latency_kv.facets.stores import OpenedStateStore
from latency_kv.plugins.stored_state import StoredPluginState
from latency_kv.providers.memory import MAX_KEY_SIZE, STATE_KEYS, MemoryStateStore
from latency_kv.testing import StateStoreContract

pytestmark = pytest.mark.anyio

KEYS = [
    "",
    "a",
    "ab",
    "a\x00",
    "\x00",
    "b",
    "\x7f",
    "\xe9",
    "\uffff",
    "\U0001f600",
    "*",
]
VALUES: list[Any] = [None, 0, False, 0.0, 1, True, 1.0, "", "1", [], {}, {"a": [1]}]

# Of what the provider keeps beside the values.
ENDS = b"state-store-ends"


class Clock:
    """Seconds that pass when somebody says so."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def states(clock: Clock) -> MemoryStateStore:
    return MemoryStateStore(clock=clock)


class TestContract(StateStoreContract):
    capabilities = (OpenedStateStore,)
    strict = True

    @pytest.fixture
    def provider(self) -> MemoryStateStore:
        return MemoryStateStore(clock=Clock())

    async def pass_time(self, provider: Any, seconds: float) -> None:
        provider.clock.now += seconds

    def beside(self, provider: Any) -> Any:
        return MemoryStateStore(provider.store, clock=provider.clock)


class Model:
    """What a namespace holds: each key's value, by its repr, and its end."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.entries: dict[str, tuple[Any, float | None]] = {}

    def live(self) -> dict[str, Any]:
        return {
            key: value
            for key, (value, end) in self.entries.items()
            if end is None or self.clock.now < end
        }

    def put(self, key: str, value: Any, ttl: float | None = None) -> None:
        self.entries[key] = value, None if ttl is None else self.clock.now + ttl

    def drop(self, key: str) -> bool:
        was_there = key in self.live()
        self.entries.pop(key, None)
        return was_there


def typed(value: Any) -> str:
    return repr(value)


async def play(states: MemoryStateStore, model: Model, random: Random) -> None:
    """Make one call at random, and see that it answers as the model does."""
    key, value = random.choice(KEYS), random.choice(VALUES)
    live = model.live()
    match random.randrange(11):
        case 0 | 1:
            await states.set(key, value)
            model.put(key, value)
        case 2 | 3:
            ttl = random.choice([0.5, 1, 2.0, 4.5, 60])
            await states.set(key, value, ttl=ttl)
            model.put(key, value, ttl)
        case 4:
            assert await states.delete(key) is model.drop(key)
        case 5:
            stored = await states.set_if_absent(key, value)
            assert stored is (key not in live)
            if stored:
                model.put(key, value)
        case 6:
            expected = random.choice([live.get(key), random.choice(VALUES)])
            stored = await states.compare_and_set(key, expected, value)
            assert stored is (key in live and typed(live[key]) == typed(expected))
            if stored:
                model.put(key, value)
        case 7:
            several = {random.choice(KEYS): random.choice(VALUES) for _ in range(4)}
            await states.set_many(several)
            for each, new in several.items():
                model.put(each, new)
        case 8:
            asked = random.choices(KEYS, k=5)
            assert typed(await states.get_many(asked)) == typed(
                [live.get(each) for each in asked]
            )
        case _:
            # Halves, so that ends are met exactly.
            model.clock.now += random.choice([0, 0.5, 1, 3])
            live = model.live()
            assert await states.has(key) is (key in live)
            assert typed(await states.get(key, "?")) == typed(live.get(key, "?"))
    prefix = random.choice(["", "a", "\x00", "\xe9", "\U0001f600"])
    expected = sorted(each for each in model.live() if each.startswith(prefix))
    assert await states.keys(prefix) == expected
    assert [each async for each in states.iter_keys(prefix)] == expected


async def test_any_calls_do_what_the_model_does(
    seed: int, full: bool, clock: Clock
) -> None:
    """In two namespaces of one store, which a snapshot takes back together."""
    random = Random(seed)
    store = InMemoryStore()
    pairs = [
        (MemoryStateStore(store, name, clock=clock), Model(clock))
        for name in ("a", "aa")
    ]
    taken = store.snapshot(), [dict(model.entries) for _, model in pairs]
    for _ in range(20_000 if full else 1_000):
        states, model = random.choice(pairs)
        await play(states, model, random)
        check_ends(store)
        if random.random() < 0.05:
            taken = store.snapshot(), [dict(model.entries) for _, model in pairs]
        elif random.random() < 0.03:
            store.restore(taken[0])
            for (_, model), entries in zip(pairs, taken[1], strict=True):
                model.entries = dict(entries)
    # Whatever is over goes, by some writes more.
    clock.now += 1_000
    for _ in range(20):
        await pairs[0][0].set("z", 1)
    alive = sum(len(model.live()) for _, model in pairs)
    assert len(store) == alive + ("z" not in pairs[0][1].live())


def check_ends(store: InMemoryStore) -> None:
    """Assert the first invariant, and that nothing else is kept."""
    values = {
        key: raw[:8] for key, raw in store.prefix_scan(b"state-store:") if any(raw[:8])
    }
    ends = {
        b"state-store:" + key[len(ENDS) + 9 :]: key[len(ENDS) + 1 :][:8]
        for key in store.prefix_keys(ENDS + b":")
    }
    assert ends == values
    assert store.contains(ENDS) == bool(ends)


async def test_one_snapshot_holds_all_namespaces_and_their_ends(clock: Clock) -> None:
    store = InMemoryStore()
    shop = MemoryStateStore(store, "shop", clock=clock)
    office = MemoryStateStore(store, "office", clock=clock)
    plugin = StoredPluginState(store, "shop")
    await shop.set("a", 1)
    await office.set("a", 2, ttl=10)
    plugin.set("a", 3)
    copy = InMemoryStore.from_snapshot(store.snapshot())
    await shop.set("a", 9)
    await office.delete("a")
    shop, office = (
        MemoryStateStore(copy, name, clock=clock) for name in ("shop", "office")
    )
    assert (await shop.get("a"), await office.get("a")) == (1, 2)
    assert StoredPluginState(copy, "shop").get("a") == 3
    clock.now += 10
    assert (await shop.keys(), await office.keys()) == (["a"], [])
    await shop.set("b", 1)
    assert len(copy.prefix_scan(b"") and list(copy)) == 3


async def test_namespaces_have_no_key_in_common(clock: Clock) -> None:
    store = InMemoryStore()
    names = ["a", "a.", "aa", "A", "a-", "ab"]
    states = {name: MemoryStateStore(store, name, clock=clock) for name in names}
    for name, each in states.items():
        for key in ["", "a", "\x00", "b\x00"]:
            await each.set(key, [name, key], ttl=1)
    for name, each in states.items():
        assert await each.keys() == ["", "\x00", "a", "b\x00"]
        for key in await each.keys():
            assert await each.get(key) == [name, key]
    await states["a"].delete("a")
    assert [await each.has("a") for each in states.values()] == [False] + [True] * 5


async def test_value_is_over_at_its_end_and_not_before(
    states: MemoryStateStore, clock: Clock
) -> None:
    await states.set("a", 1, ttl=2)
    clock.now += 1.999
    assert await states.get("a") == 1
    clock.now += 0.001
    assert await states.get("a", "gone") == "gone"
    assert not await states.has("a")
    assert await states.keys() == []
    assert await states.get_many(["a"]) == [None]
    assert not await states.compare_and_set("a", 1, 2)
    assert not await states.delete("a")


async def test_ttl_is_rounded_up_to_the_resolution(
    states: MemoryStateStore, clock: Clock
) -> None:
    await states.set("a", 1, ttl=1e-300)
    assert await states.has("a")
    clock.now += 2 * states.ttl_resolution
    assert not await states.has("a")


@pytest.mark.parametrize("ttl", [0, -1, float("nan"), float("inf"), 1e300])
async def test_ttl_that_is_none_changes_nothing(
    states: MemoryStateStore, ttl: float
) -> None:
    await states.set("a", 1)
    with pytest.raises(ValueError, match="a ttl is above 0"):
        await states.set("a", 2, ttl=ttl)
    assert await states.get("a") == 1


Write = Callable[[MemoryStateStore], Awaitable[object]]


@pytest.mark.parametrize(
    "write",
    [
        lambda states: states.set("b", 1),
        lambda states: states.set("b", 1, ttl=1_000),
        lambda states: states.set_many({"b": 1, "c": 2}),
        lambda states: states.set_if_absent("b", 1),
        lambda states: states.compare_and_set("one", 1, 2),
        lambda states: states.delete("one"),
        lambda states: states.delete("none"),
    ],
)
async def test_what_is_due_is_reclaimed_by_every_kind_of_write(
    states: MemoryStateStore, clock: Clock, write: Write
) -> None:
    await states.set("one", 1)
    for number in range(3):
        await states.set(f"due:{number}", 1, ttl=1)
    await states.set("later", 1, ttl=1_000)
    clock.now += 1
    await write(states)
    assert list(states.store.prefix_keys(STATE_KEYS.prefix("default") + b"due:")) == []
    assert await states.has("later")


async def test_reclaiming_goes_in_small_pieces_and_faster_than_new_ones_come(
    states: MemoryStateStore, clock: Clock
) -> None:
    for number in range(1_000):
        await states.set(f"old:{number}", 1, ttl=1)
    clock.now += 1
    longest = 0
    writes = 0
    while states.store.contains(STATE_KEYS.prefix("default") + b"old:999") or any(
        states.store.prefix_keys(STATE_KEYS.prefix("default") + b"old:", limit=1)
    ):
        before = len(states.store)
        await states.set(f"new:{writes}", 1, ttl=1_000)
        writes += 1
        # An entry and its end come, and others go.
        longest = max(longest, before + 2 - len(states.store))
        assert writes <= 600
    assert 2 < longest <= 20


async def test_namespace_that_nobody_uses_any_more_is_reclaimed(clock: Clock) -> None:
    store = InMemoryStore()
    await MemoryStateStore(store, "yesterday", clock=clock).set("a", 1, ttl=1)
    clock.now += 1
    await MemoryStateStore(store, "today", clock=clock).set("a", 1)
    assert list(store) == [STATE_KEYS.pack("today") + b"a"]


async def test_end_that_is_no_values_any_more_ends_none(
    states: MemoryStateStore, clock: Clock
) -> None:
    """It may come from a snapshot of somebody else's making."""
    await states.set("a", 1, ttl=1)
    ends = {key: raw for key, raw in states.store.items() if key.startswith(ENDS)}
    await states.set("a", 2)
    assert list(states.store) == [STATE_KEYS.pack("default") + b"a"]
    states.store.put_many(ends)
    clock.now += 1
    await states.set("b", 1)
    assert await states.get("a") == 2
    assert len(states.store) == 2


async def test_reads_change_nothing(states: MemoryStateStore, clock: Clock) -> None:
    await states.set("a", 1, ttl=1)
    clock.now += 1
    before = dict(states.store)
    await states.get("a")
    await states.has("a")
    await states.keys()
    await states.get_many(["a"])
    assert [key async for key in states.iter_keys()] == []
    assert dict(states.store) == before


async def test_store_without_ends_is_never_asked_for_an_order(
    states: MemoryStateStore,
) -> None:
    for number in range(100):
        await states.set(f"{number}", number)
    await states.set_many({"a": 1})
    await states.delete("1")
    await states.set_if_absent("b", 1)
    await states.compare_and_set("b", 1, 2)
    assert not states.store.stats().indexed
    await states.keys()
    assert states.store.stats().indexed


async def test_empty_store_that_is_given_is_used() -> None:
    store = InMemoryStore()
    states = MemoryStateStore(store)
    assert states.store is store
    await states.set("a", 1)
    assert dict(store) == {STATE_KEYS.pack("default") + b"a": bytes(8) + b"1"}


async def test_keys_have_the_engines_limit(states: MemoryStateStore) -> None:
    longest = "x" * MAX_KEY_SIZE
    name = MemoryStateStore(states.store, "n" * 100)
    for each in (states, name):
        await each.set(longest, 1, ttl=1)
        assert await each.keys("x") == [longest]
        for call in (each.get, each.delete, each.has):
            with pytest.raises(ValueError, match=f"at most {MAX_KEY_SIZE}"):
                await call(longest + "x")
        with pytest.raises(ValueError, match=f"at most {MAX_KEY_SIZE}"):
            await each.set_many({"a": 1, longest + "x": 1})
        assert not await each.has("a")
        assert await each.keys(longest + "x") == []


async def test_bad_entry_of_many_stores_none(states: MemoryStateStore) -> None:
    for values in ({"a": 1, "b": (1,)}, {"a": 1, "\ud800": 1}, {"a": 1, 2: 1}):
        with pytest.raises((ValueError, TypeError)):
            await states.set_many(values)  # type: ignore[arg-type]
        assert len(states.store) == 0
    with pytest.raises(JsonValueError, match=r"^value\['x'\]: a set is no JSON value"):
        await states.set("a", {"x": set()})
    with pytest.raises(JsonValueError):
        await states.compare_and_set("a", (1,), 1)


@pytest.mark.parametrize("raw", [b"", b"\0" * 7, b"\0" * 8, b"\0" * 8 + b"nul"])
async def test_damaged_value_is_told_and_stays(
    states: MemoryStateStore, raw: bytes
) -> None:
    """It is no missing one: neither the default nor a reset."""
    states.store.put(STATE_KEYS.pack("default") + b"a", raw)
    with pytest.raises(StateParseError) as caught:
        await states.get("a", "default")
    assert str(caught.value).startswith("key 'a' of memory:?namespace=default: ")
    with pytest.raises(StateParseError):
        await states.get_many(["b", "a"])
    assert await states.has("a")
    assert not await states.set_if_absent("a", 1)
    assert not await states.compare_and_set("a", 1, 2)
    assert await states.keys() == ["a"]
    await states.set("a", 1)
    assert await states.get("a") == 1


async def test_pages_go_on_where_they_ended_whatever_comes_and_goes(
    states: MemoryStateStore,
) -> None:
    await states.set_many({f"{number:04}": number for number in range(1_000)})
    seen = []
    async for key in states.iter_keys():
        seen.append(key)
        if len(seen) % 100 == 1:
            await states.delete(key)
            await states.set(key + "\x00", 1)
            await states.set(f"x{key}", 1)
    old = [key for key in seen if len(key) == 4]
    assert old == [f"{number:04}" for number in range(1_000)]
    assert seen == sorted(set(seen))


async def test_key_that_ends_between_two_steps_is_not_listed(
    states: MemoryStateStore, clock: Clock
) -> None:
    await states.set("a", 1)
    await states.set("b", 1, ttl=1)
    seen = []
    async for key in states.iter_keys():
        clock.now += 1
        seen.append(key)
    assert seen == ["a"]


async def test_end_is_an_end(states: MemoryStateStore) -> None:
    keys = states.iter_keys()
    async with states as entered:
        assert entered is states
        await states.set("a", 1)
    await states.aclose()
    await states.aclose()
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: states.get("a"),
        lambda: states.set("a", 1),
        lambda: states.delete("a"),
        lambda: states.has("a"),
        states.keys,
        lambda: states.set_if_absent("a", 1),
        lambda: states.compare_and_set("a", 1, 1),
        lambda: states.get_many([]),
        lambda: states.get_many(["a"]),
        lambda: states.set_many({}),
        lambda: states.set_many({"a": 1}),
        states.__aenter__,
        lambda: anext(keys),
    ]
    for call in calls:
        with pytest.raises(RuntimeError, match="memory:.namespace=default.* is closed"):
            await call()
    with pytest.raises(RuntimeError, match="is closed"):
        states.iter_keys()
    # The InMemoryStore is its owner's.
    assert await MemoryStateStore(states.store).get("a") == 1


async def test_nothing_is_kept_of_a_store_that_is_gone() -> None:
    class Counted(MemoryStateStore):
        pass

    states = Counted()
    gone = weakref.ref(states)
    await states.set("a", 1, ttl=1)
    keys = states.iter_keys()
    assert await anext(keys) == "a"
    del states, keys
    gc.collect()
    assert gone() is None


def test_repr_tells_the_namespace() -> None:
    states = MemoryStateStore(namespace="shop")
    assert repr(states) == "MemoryStateStore('memory:?namespace=shop')"
    assert states.namespace == "shop"
    with pytest.raises(ValueError, match="letters, digits"):
        MemoryStateStore(namespace="a b")


def test_errors_are_pickled(clock: Clock) -> None:
    states = MemoryStateStore(clock=clock)
    states.store.put(STATE_KEYS.pack("default") + b"a", b"")
    with pytest.raises(StateParseError) as caught:
        anyio.run(states.get, "a")
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)


def test_no_other_provider_is_imported() -> None:
    program = """
import sys
from latency_kv.providers.memory import MemoryStateStore
print([name for name in sys.modules if name.startswith("latency_kv.documents")])
"""
    assert run_fresh("-c", program) == "[]\n"
