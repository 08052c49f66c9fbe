"""Plugin states: what a plugin's get and set cost, beside a dict's.

Plugins ask by names that stand in their code, so the keys are the same objects again
and again, and their hashes are cached on both sides.  The peer of a stored state is the
same done by hand: a dict of bytes and msgspec, without a name in the key, a snapshot or
an error that says whose value it is.
"""

import random
from collections.abc import Callable
from typing import Any

import msgspec

from latency_kv.bench.figures import Pair, Plan
from latency_kv.bench.keys import BATCH
from latency_kv.bench.timing import duel, timed_loop
from latency_kv.core.store import InMemoryStore
from latency_kv.plugins.object_state import ObjectPluginState
from latency_kv.plugins.stored_state import StoredPluginState

OURS = "latency_kv"


class ByHand:
    """What somebody writes who keeps encoded values in a dict."""

    __slots__ = ("decode", "encode", "entries")

    def __init__(self) -> None:
        self.entries: dict[str, bytes] = {}
        self.encode = msgspec.msgpack.Encoder().encode
        self.decode = msgspec.msgpack.Decoder().decode


def get(size: int, peer_name: str, plan: Plan) -> Pair:
    """Get objects by reference."""
    keys = _keys(size)
    state, entries = ObjectPluginState(), {key: object() for key in keys}
    for key, value in entries.items():
        state.set(key, value)
    asked = _asked(keys, plan)
    return duel(
        _side(OURS, state, "key", "target.get(key)", asked),
        _side(peer_name, entries, "key", "target.get(key)", asked),
        plan.rounds,
    )


def put(size: int, peer_name: str, plan: Plan) -> Pair:
    """Set objects by reference, over those that are there."""
    keys = _keys(size)
    asked = [(keys, [object() for _ in keys]) for keys in _asked(keys, plan)]
    state, entries = ObjectPluginState(), dict.fromkeys(keys)
    for key in keys:
        state.set(key, None)
    return duel(
        _side(OURS, state, "key, value", "target.set(key, value)", asked),
        _side(peer_name, entries, "key, value", "target[key] = value", asked),
        plan.rounds,
    )


def stored_get(size: int, peer_name: str, plan: Plan) -> Pair:
    """Get numbers that are stored as bytes."""
    state, by_hand, asked = _stored(size, plan)
    call = "target.decode(target.entries[key])"
    return duel(
        _side(OURS, state, "key", "target.get(key)", asked),
        _side(peer_name, by_hand, "key", call, asked),
        plan.rounds,
    )


def stored_set(size: int, peer_name: str, plan: Plan) -> Pair:
    """Set numbers that are stored as bytes, over those that are there."""
    state, by_hand, asked = _stored(size, plan)
    numbered = [(keys, [*range(len(keys))]) for keys in asked]
    call = "target.entries[key] = target.encode(value)"
    return duel(
        _side(OURS, state, "key, value", "target.set(key, value)", numbered),
        _side(peer_name, by_hand, "key, value", call, numbered),
        plan.rounds,
    )


def _keys(size: int) -> list[str]:
    return [f"setting/{number:06d}" for number in range(size)]


def _asked(keys: list[str], plan: Plan) -> list[list[str]]:
    """The keys of all calls, in an order of their own, a batch at a time."""
    asked = random.Random(3).choices(keys, k=plan.calls)
    return [asked[start : start + BATCH] for start in range(0, plan.calls, BATCH)]


def _stored(size: int, plan: Plan) -> tuple[StoredPluginState, ByHand, list[list[str]]]:
    keys = _keys(size)
    state, by_hand = StoredPluginState(InMemoryStore(), "plugin"), ByHand()
    for number, key in enumerate(keys):
        state.set(key, number)
        by_hand.entries[key] = by_hand.encode(number)
    return state, by_hand, _asked(keys, plan)


def _side(
    engine: str, target: Any, names: str, call: str, batches: list[Any]
) -> Callable[[], float]:
    """One side of a duel, with a loop of its own; ns a call."""
    run = timed_loop(engine, names, call)
    calls = sum(len(batch[0] if "," in names else batch) for batch in batches)
    return lambda: run(target, batches) / calls
