"""StoredPluginState: plugins in one store that cannot meet, and one snapshot of them all.

Start at `test_no_name_reaches_another`, then `Play`.
"""

import copy
import gc
import inspect
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from latency_kv import InMemoryStore, StateSnapshot
from latency_kv.errors import LatencyKVError, StateDecodeError
from latency_kv.facets.stores import PluginStateStore
from latency_kv.plugins.stored_state import PLUGIN_KEYS, StoredPluginState
from latency_kv.typed.codecs import Codec, JsonCodec, RawCodec, StructCodec
from plugins.states import (
    HOSTILE,
    HOSTILE_KEYS,
    HOSTILE_NAMES,
    VALUES,
    Key,
    Liar,
    PluginStateTests,
    hostile_key,
    hostile_name,
)

Model = dict[str, dict[str, Any]]

# What a host keeps beside the plugins' values, on both sides of them.
FOREIGN = {b"": b"1", b"plugin-state": b"2", b"plugin-state;": b"3", b"\xff": b"4"}

KEY_SIZE_MAX = 65_535

NAMES = st.sampled_from(HOSTILE_NAMES) | st.text(
    st.sampled_from(HOSTILE) | st.characters(exclude_categories=["Cs"]), min_size=1
)
KEYS = st.just("") | NAMES


@pytest.fixture
def store() -> InMemoryStore:
    return InMemoryStore(FOREIGN)


@pytest.fixture
def state(store: InMemoryStore) -> StoredPluginState:
    return StoredPluginState(store, "clock")


def check_types(state: StoredPluginState) -> None:
    promised: PluginStateStore = state
    del promised


class TestStoredPluginState(PluginStateTests):
    """The promise that every state keeps."""


class TestStoredPluginStateInJson(PluginStateTests):
    """The same with another codec, and in a store that is kept in order."""

    values = tuple(value for value in VALUES if not isinstance(value, bytes))

    @pytest.fixture
    def state(self) -> StoredPluginState:
        return StoredPluginState(InMemoryStore(ordered=True), "\0", JsonCodec())


# Apart by construction


@given(NAMES, NAMES, KEYS, KEYS)
@example("a", "ab", "b", "")
@example("a", "a\0", "\0", "")
@example("\1", "\1\1", "\1", "")
def test_no_name_reaches_another(
    name: str, other: str, key: str, other_key: str
) -> None:
    packed = PLUGIN_KEYS.pack(name, key)
    assert packed.startswith(PLUGIN_KEYS.prefix(name))
    assert packed.startswith(b"plugin-state:")
    assert PLUGIN_KEYS.unpack(packed) == (name, key)
    if name != other:
        assert not packed.startswith(PLUGIN_KEYS.prefix(other))
    same = (name, key) == (other, other_key)
    assert (packed == PLUGIN_KEYS.pack(other, other_key)) is same


def test_hostile_names_are_all_apart(store: InMemoryStore) -> None:
    states = {name: StoredPluginState(store, name) for name in HOSTILE_NAMES}
    for name, state in states.items():
        assert state.keys() == []
        for key in HOSTILE_KEYS:
            assert not state.has(key)
            state.set(key, [name, key])
    assert len(store) == len(HOSTILE_NAMES) * len(HOSTILE_KEYS) + len(FOREIGN)
    for name, state in states.items():
        assert state.keys() == sorted(HOSTILE_KEYS)
        assert all(state.get(key) == [name, key] for key in HOSTILE_KEYS)
    for state in states.values():
        assert state.clear() == len(HOSTILE_KEYS)
        assert state.clear() == 0
        assert state.keys() == []
    assert store == FOREIGN


def test_entry_is_where_the_layout_says(
    store: InMemoryStore, state: StoredPluginState
) -> None:
    state.set("seats/12A", 7)
    (entry,) = store.prefix_scan(b"plugin-state:")
    assert entry == (b"plugin-state:clock\0seats/12A\0", b"\x07")


def test_two_states_of_one_name_are_one(store: InMemoryStore) -> None:
    one, other = StoredPluginState(store, "clock"), StoredPluginState(store, "clock")
    one.set("key", 1)
    assert other.get("key") == 1
    assert other.delete("key")
    assert not one.has("key")


def test_same_name_in_another_store_is_another_plugin(state: StoredPluginState) -> None:
    other = StoredPluginState(InMemoryStore(), "clock")
    state.set("key", 1)
    assert not other.has("key")


def test_state_stays_that_of_its_plugin(state: StoredPluginState) -> None:
    assert state.plugin_name == "clock"
    with pytest.raises(AttributeError):
        state.plugin_name = "watch"  # type: ignore[misc]


def test_name_of_an_enum_is_its_text(store: InMemoryStore) -> None:
    for name in (Key.COUNT, Liar("count")):
        state = StoredPluginState(store, name)
        assert type(state.plugin_name) is str
        state.set("key", 1)
        assert StoredPluginState(store, "count").delete("key")


# Names and keys that cannot be


@pytest.mark.parametrize("name", [None, b"clock", 7, InMemoryStore()], ids=repr)
def test_plugin_name_that_is_no_str_is_refused(store: InMemoryStore, name: Any) -> None:
    with pytest.raises(TypeError, match="a plugin's name is a str, not"):
        StoredPluginState(store, name)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("", "not empty"), ("\ud800", "UTF-8"), ("a\udfffb", "surrogates not allowed")],
)
def test_plugin_name_that_cannot_be_is_refused(
    store: InMemoryStore, name: str, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        StoredPluginState(store, name)


@pytest.mark.parametrize("key", ["\ud800", "a\udfff", "\ud83d \ude00", "\0\udc80"])
def test_key_with_a_surrogate_is_refused_and_never_there(
    store: InMemoryStore, state: StoredPluginState, key: str
) -> None:
    with pytest.raises(ValueError, match=r"'clock' cannot set '.*surrogate") as caught:
        state.set(key, 1)
    assert ascii(key)[1:-1] in str(caught.value)
    assert state.get(key, "absent") == "absent"
    assert state.has(key) is False
    assert state.delete(key) is False
    assert store == FOREIGN


def test_longest_key_is_one_like_any_other(
    store: InMemoryStore, state: StoredPluginState
) -> None:
    room = KEY_SIZE_MAX - len(PLUGIN_KEYS.pack("clock", ""))
    for key in ("k" * room, "\0" * (room // 2), "\U0010ffff" * (room // 4)):
        state.set(key, [1])
        assert (state.get(key), state.keys()) == ([1], [key])
        assert state.delete(key)
    for key in ("k" * (room + 1), "\0" * (room // 2 + 1), "\u00e9" * room):
        with pytest.raises(ValueError, match=r"'clock' cannot set '.*65,535") as caught:
            state.set(key, 1)
        assert len(str(caught.value)) < 300
        assert isinstance(caught.value.__cause__, ValueError)
        assert state.get(key, "absent") == "absent"
        assert state.has(key) is False
        assert state.delete(key) is False
    assert store == FOREIGN


def test_plugin_name_that_fills_a_key_has_no_values(store: InMemoryStore) -> None:
    state = StoredPluginState(store, "n" * KEY_SIZE_MAX)
    with pytest.raises(ValueError, match=r"'n+\.\.\.n+' cannot set 'key': .*65,535"):
        state.set("key", 1)
    assert (state.get("key", 7), state.has("key"), state.delete("key")) == (7, 0, 0)
    assert (state.keys(), state.clear()) == ([], 0)
    assert store == FOREIGN


# Values


def circular() -> list[Any]:
    values: list[Any] = []
    values.append(values)
    return values


@pytest.mark.parametrize(
    ("value", "error", "reason"),
    [
        (object(), TypeError, "type object is unsupported"),
        ({"deep": [1, 1j]}, TypeError, "type complex is unsupported"),
        (len, TypeError, "unsupported"),
        (1 << 64, ValueError, "2\\*\\*64"),
        ([-(1 << 63) - 1], ValueError, "2\\*\\*63"),
        ("\ud800", ValueError, "surrogates not allowed"),
        (circular(), ValueError, "recursion"),
    ],
    ids=["object", "complex", "function", "large", "small", "surrogate", "circular"],
)
def test_value_that_cannot_be_encoded_names_its_key_and_changes_nothing(
    state: StoredPluginState, value: Any, error: type[Exception], reason: str
) -> None:
    for there in (False, True):
        if there:
            state.set("alarms", [7])
        before = state.store.snapshot()
        with pytest.raises(error, match=f"'clock' cannot set 'alarms': .*{reason}") as (
            caught
        ):
            state.set("alarms", value)
        assert type(caught.value) is error
        assert isinstance(caught.value.__cause__, Exception)
        assert state.store == before
        assert state.get("alarms", "absent") == ([7] if there else "absent")


class Odd:
    """A codec that fails as it is told to; what it reads are the bytes."""

    def __init__(self, error: BaseException | None = None, made: Any = b"") -> None:
        self.error = error
        self.made = made

    def _answer(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.made

    def encode(self, value: Any, /) -> bytes:
        answer: bytes = self._answer()
        return answer

    def decoder(self, type: Any, /) -> Callable[[bytes], Any]:
        assert type is Any
        return lambda data: self._answer()


@pytest.mark.parametrize(
    ("error", "seen_setting", "seen_getting"),
    [
        (KeyError("k"), ValueError, StateDecodeError),
        (TypeError("t"), TypeError, StateDecodeError),
        (RuntimeError("r"), ValueError, StateDecodeError),
        (RecursionError("deep"), ValueError, StateDecodeError),
        (MemoryError("full"), MemoryError, MemoryError),
        (GeneratorExit("g"), GeneratorExit, GeneratorExit),
    ],
    ids=lambda value: "" if isinstance(value, type) else type(value).__name__,
)
def test_whatever_a_codec_raises_becomes_a_clear_error(
    state: StoredPluginState,
    error: BaseException,
    seen_setting: type[BaseException],
    seen_getting: type[BaseException],
) -> None:
    state.set("key", 1)
    before = state.store.snapshot()
    odd = StoredPluginState(state.store, "clock", Odd(error))
    with pytest.raises(seen_setting) as setting:
        odd.set("key", 2)
    with pytest.raises(seen_getting) as getting:
        odd.get("key")
    for caught in (setting.value, getting.value):
        assert caught is error or caught.__cause__ is error
    assert state.store == before
    assert odd.has("key")
    assert odd.get("absent", 7) == 7


def test_codec_that_makes_no_bytes_is_refused(store: InMemoryStore) -> None:
    odd = StoredPluginState(store, "clock", Odd(made="text"))
    with pytest.raises(TypeError, match="'clock' cannot set 'key': a value is bytes"):
        odd.set("key", 1)
    assert store == FOREIGN


def test_codec_may_use_the_state_while_it_encodes(store: InMemoryStore) -> None:
    class Meddling(Odd):
        def encode(self, value: Any, /) -> bytes:
            StoredPluginState(store, "clock").clear()
            StoredPluginState(store, "watch").set("key", "kept")
            return b"\x02"

    StoredPluginState(store, "clock").set("older", 1)
    state = StoredPluginState(store, "clock", Meddling())
    state.set("key", 2)
    assert state.keys() == ["key"]
    assert StoredPluginState(store, "clock").get("key") == 2
    assert StoredPluginState(store, "watch").get("key") == "kept"


@pytest.mark.parametrize(
    "data", [b"", b"\xc1", b"\xa1\xff", b"\xdd\xff\xff\xff\xff", b"\x91" * 100_000]
)
def test_damaged_bytes_raise_and_stay(state: StoredPluginState, data: bytes) -> None:
    packed = PLUGIN_KEYS.pack("clock", "alarms")
    state.store.put(packed, data)
    with pytest.raises(StateDecodeError, match="plugin 'clock': .*alarms") as caught:
        state.get("alarms", 7)
    assert caught.value.key == packed
    assert isinstance(caught.value.__cause__, Exception)
    assert isinstance(caught.value, (LatencyKVError, ValueError))
    assert state.store.get(packed) == data
    assert state.has("alarms") is True
    assert state.keys() == ["alarms"]
    state.set("alarms", [8])
    assert state.get("alarms") == [8]
    state.store.put(packed, data)
    assert state.delete("alarms") is True


def test_key_that_nobody_packed_raises(state: StoredPluginState) -> None:
    state.set("alarms", 1)
    state.store.put(b"plugin-state:clock\0no end", b"\x01")
    with pytest.raises(StateDecodeError, match="no end"):
        state.keys()
    assert state.get("alarms") == 1
    assert state.clear() == 2


def test_nothing_that_is_handed_over_is_shared(state: StoredPluginState) -> None:
    value: dict[str, Any] = {"list": [1], "deep": {"list": []}}
    state.set("key", value)
    expected = copy.deepcopy(value)
    value["list"].append(2)
    value["deep"].clear()
    first, second = state.get("key"), state.get("key")
    assert first == second == expected
    first["list"].append(3)
    first["deep"]["list"].append(4)
    assert second == state.get("key") == expected


def test_value_is_let_go_of(state: StoredPluginState) -> None:
    value = [object]
    del value[:]
    state.set("key", value)
    assert gc.get_referrers(value) == []


def test_value_comes_back_as_its_codec_makes_it(state: StoredPluginState) -> None:
    class Seats(msgspec.Struct):
        taken: int

    state.set("key", {"tuple": (1, 2), "seats": Seats(3)})
    assert state.get("key") == {"tuple": [1, 2], "seats": {"taken": 3}}


@pytest.mark.parametrize(
    ("codec", "value", "data"),
    [
        (None, {"a": 1}, b"\x81\xa1a\x01"),
        (JsonCodec(), {"a": 1}, b'{"a":1}'),
        (StructCodec("<q"), -1, b"\xff" * 8),
        (StructCodec("<hh"), (1, 2), b"\x01\0\x02\0"),
        (RawCodec(), b"as they are", b"as they are"),
    ],
    ids=["default", "json", "struct", "structs", "raw"],
)
def test_codec_is_the_callers_choice(
    store: InMemoryStore, codec: Codec | None, value: Any, data: bytes
) -> None:
    state = StoredPluginState(store, "clock", codec=codec)
    state.set("key", value)
    assert state.get("key") == value
    assert store[PLUGIN_KEYS.pack("clock", "key")] == data
    assert codec is None or state.codec is codec


def test_raw_bytes_are_not_shared(store: InMemoryStore) -> None:
    state = StoredPluginState(store, "clock", RawCodec())
    buffer = bytearray(b"before" * 1_000)
    state.set("key", buffer)
    buffer[:6] = b"after!"
    assert state.get("key") == b"before" * 1_000


# The whole of a plugin


def test_keys_are_listed_by_code_point(state: StoredPluginState) -> None:
    keys = ["b", "", "a", "\0", "\1", "\uffff", "\U00010000", "a\0", "ab", "\u00e9"]
    for key in keys:
        state.set(key, None)
    assert state.keys() == sorted(keys)
    listed = state.keys()
    listed.clear()
    assert len(state.keys()) == len(keys)


def test_clear_removes_what_is_the_plugins_alone(store: InMemoryStore) -> None:
    states = [StoredPluginState(store, name) for name in ("cloc", "clock", "clock\0")]
    for state in states:
        state.set("", 1)
        state.set("key", 2)
    assert states[1].clear() == 2
    assert [state.keys() for state in states] == [["", "key"], [], ["", "key"]]
    assert states[1].clear() == 0
    states[1].set("key", 3)
    assert states[1].keys() == ["key"]
    assert len(store) == len(FOREIGN) + 5


def test_one_snapshot_holds_every_plugins_state(store: InMemoryStore) -> None:
    clock, watch = StoredPluginState(store, "clock"), StoredPluginState(store, "watch")
    clock.set("alarms", [7])
    watch.set("alarms", {"none": None})
    snapshot = store.snapshot()
    clock.set("alarms", [])
    watch.delete("alarms")
    late = StoredPluginState(store, "late")
    late.set("key", 1)
    store.restore(snapshot)
    assert (clock.get("alarms"), watch.get("alarms")) == ([7], {"none": None})
    assert late.keys() == []


def test_state_comes_back_in_another_process_life(store: InMemoryStore) -> None:
    for number, name in enumerate(HOSTILE_NAMES):
        StoredPluginState(store, name).set("number", number)
    image = store.snapshot().to_bytes()
    fresh = InMemoryStore()
    states = [StoredPluginState(fresh, name) for name in HOSTILE_NAMES]
    assert not any(state.has("number") for state in states)
    fresh.restore(StateSnapshot.from_bytes(image))
    assert [state.get("number") for state in states] == [*range(len(states))]
    assert fresh == store


def test_restore_that_fails_changes_no_state(state: StoredPluginState) -> None:
    state.set("key", 1)
    with pytest.raises(TypeError):
        state.store.restore(b"no snapshot")  # type: ignore[arg-type]
    assert state.get("key") == 1


def test_repr_tells_the_plugin_and_the_store(state: StoredPluginState) -> None:
    assert repr(state) == (
        "StoredPluginState(<InMemoryStore of 4 entries, 30 bytes>, 'clock')"
    )


@pytest.mark.parametrize("name", ["get", "set", "delete", "has"])
def test_signature_is_that_of_the_facet(name: str) -> None:
    promised = inspect.signature(getattr(PluginStateStore, name))
    assert inspect.signature(getattr(StoredPluginState, name)) == promised


# At random, beside a dict of dicts


def contents(state: StoredPluginState) -> dict[str, Any]:
    listed = state.keys()
    return {key: state.get(key, ...) for key in listed}


class Play:
    """Plugins of one store beside their model, and the dice that choose what is done."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.store = InMemoryStore(FOREIGN, ordered=random.random() < 0.5)
        names = {hostile_name(random) for _ in range(25)}
        self.names = sorted(names | {"a", "a\0", "ab", "\1", "\1\1"})
        self.model: Model = {name: {} for name in self.names}
        self.states = {name: StoredPluginState(self.store, name) for name in self.names}
        self.kept = [(self.store.snapshot(), copy.deepcopy(self.model))]

    def step(self) -> None:
        random = self.random
        name = random.choice(self.names)
        state, model = self.states[name], self.model[name]
        key = random.choice([*model]) if model and random.random() < 0.4 else None
        key = hostile_key(random) if key is None else key
        match random.choices(range(8), [8, 12, 5, 5, 1, 2, 0.2, 0.2])[0]:
            case 0:
                assert state.get(key, ...) == model.get(key, ...)
            case 1:
                model[key] = random.choice(VALUES)
                state.set(key, model[key])
            case 2:
                assert state.delete(key) is (model.pop(key, ...) is not ...)
            case 3:
                assert state.has(key) is (key in model)
            case 4:
                assert state.clear() == len(model)
                model.clear()
            case 5:
                assert state.keys() == sorted(model)
            case 6:
                self.kept.append((self.store.snapshot(), copy.deepcopy(self.model)))
            case _:
                snapshot, kept = random.choice(self.kept)
                if random.random() < 0.5:
                    snapshot = StateSnapshot.from_bytes(snapshot.to_bytes())
                self.store.restore(snapshot)
                self.model = copy.deepcopy(kept)

    def check(self) -> None:
        for name, model in self.model.items():
            state = self.states[name]
            assert state.keys() == sorted(model)
            assert contents(state) == model
        count = sum(map(len, self.model.values()))
        assert len(self.store) == count + len(FOREIGN)
        assert self.store.items() >= FOREIGN.items()
        self.store.check()


def test_plugins_answer_as_a_dict_of_dicts(seed: int, full: bool) -> None:
    play = Play(Random(seed))
    for number in range(60_000 if full else 4_000):
        play.step()
        if number % 500 == 0:
            play.check()
    play.check()


@given(
    st.lists(
        st.tuples(st.integers(0, 3), NAMES, KEYS, st.sampled_from(VALUES)), max_size=30
    )
)
def test_any_calls_answer_as_a_dict_of_dicts(
    calls: list[tuple[int, str, str, Any]],
) -> None:
    store = InMemoryStore()
    model: Model = {}
    for kind, name, key, value in calls:
        state, values = StoredPluginState(store, name), model.setdefault(name, {})
        if kind == 0:
            state.set(key, value)
            values[key] = value
        elif kind == 1:
            assert state.delete(key) is (values.pop(key, ...) is not ...)
        elif kind == 2:
            assert state.clear() == len(values)
            values.clear()
        assert state.get(key, ...) == values.get(key, ...)
    for name, values in model.items():
        state = StoredPluginState(store, name)
        assert contents(state) == values
    assert len(store) == sum(map(len, model.values()))
