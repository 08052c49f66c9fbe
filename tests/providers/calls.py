"""Calls: what a store can be asked for about `key`, by kind, to be tested each in turn.

    READS        may be repeated
    SETS         are the same when made twice
    DECISIONS    answer otherwise the second time

All are about a key that has "old", or for set_if_absent may have none. Start at `CALLS`.
"""

import traceback
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from latency_kv.errors import StateError, StateReadError, StateWriteError

Call = Callable[[Any], Coroutine[Any, Any, Any]]

READS: dict[str, Call] = {
    "get": lambda store: store.get("key"),
    "has": lambda store: store.has("key"),
    "get_many": lambda store: store.get_many(["key"]),
    "keys": lambda store: store.keys(),
}
SETS: dict[str, Call] = {
    "set": lambda store: store.set("key", "new"),
    "set with ttl": lambda store: store.set("key", "new", ttl=3_600),
    "set_many": lambda store: store.set_many({"key": "new"}),
}
DECISIONS: dict[str, Call] = {
    "delete": lambda store: store.delete("key"),
    "set_if_absent": lambda store: store.set_if_absent("key", "new"),
    "compare_and_set": lambda store: store.compare_and_set("key", "old", "new"),
}
WRITES = {**SETS, **DECISIONS}
CALLS = {**READS, **WRITES}

KEYLESS = [READS["keys"], SETS["set_many"]]

by_read = pytest.mark.parametrize("read", READS.values(), ids=READS)
by_set = pytest.mark.parametrize("write", SETS.values(), ids=SETS)
by_decision = pytest.mark.parametrize("write", DECISIONS.values(), ids=DECISIONS)
by_write = pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
by_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


def key_of(call: Call) -> str | None:
    """The key that an error of a call names."""
    return None if call in KEYLESS else "key"


def failure_of(call: Call) -> type[StateError]:
    """What a call raises that surely was not applied."""
    return StateReadError if call in READS.values() else StateWriteError


def left_by(call: Call) -> str:
    """What `key`, which had "old", has after a call; "gone" for nothing."""
    if call is DECISIONS["delete"]:
        return "gone"
    changes = call in WRITES.values() and call is not DECISIONS["set_if_absent"]
    return "new" if changes else "old"


def shown(error: BaseException) -> str:
    """All that anybody shows of an error, and of what led to it."""
    return "".join([*traceback.format_exception(error), repr(error), repr(error.args)])
