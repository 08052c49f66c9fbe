"""StateModel: a dict that says what a StateStore has to answer, at random.

    store.set("a:1", 1.0)      values["a:1"] = 1.0
    store.keys("a:")      ->   sorted(key for key in values if it starts so)

Calls are made at random on both, those of the capabilities that the store has too, and
each answer is compared, types and all.  Time is not measured: what has a ttl either
lasts longer than the run, or is let expire before anyone looks.

Knows the facet and no provider.  Start at `StateModel.play`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, Final

from latency_kv.facets.stores import (
    AtomicStateStore,
    BatchStateStore,
    ExpiringStateStore,
    PagedStateStore,
)

__all__ = ["KEYS", "ODD_KEYS", "StateModel", "typed"]

KEYS: Final = ["a", "a:", "a:1", "a:10", "a:2", "A:1", "a*", "b%", "b_", "\u00e9"]
KEYS.extend(["\uffff", "\U00010000", "a:\U0001f600"])
"""Keys that begin like one another, or mean something to an engine."""

ODD_KEYS: Final = ["", "\0", "a\0", "a\0\0", "\x01", "\x7f", "a\xff", "\U0010ffff"]
ODD_KEYS.extend([" ", "\n", "\r\n", "{a}", "'\"", "\\", "../a", "[a-z]?"])
"""Keys that only a strict store takes."""

_PREFIXES: Final = ["", "", "a", "a:", "a:1", "A", "\u00e9", "nothing"]

# Few, so that one is often equal to another, or nearly.
_VALUES: Final[list[Any]] = [None, False, True, 0, 1, -1, 0.0, 1.0, 0.1, "", "1", 2**70]
_VALUES.extend([[], [1], [1.0], {}, {"a": 1, "b": [None]}, {"b": [None], "a": 1}])

_MANY = 5

# Calls meet on few keys at a time, and on others later.
_KEYS_AT_A_TIME = 6

# What ends before anyone looks, what ends after the run, and what does not end.
_ENDS: Final = ["soon", "late", "never", "deleted"]
_LATE_S = 3_600.0

# A ttl is let pass once in so many calls: by some clocks that has to be waited for.
_EXPIRY_EVERY = 40

# How often everything is compared, and how much is told of what led to a difference.
_COMPARED_EVERY = 50
_TOLD = 25


def typed(value: Any) -> Any:
    """Return the value with its types beside it: True is not 1 then, nor 1 1.0."""
    if isinstance(value, list):
        return [typed(item) for item in value]
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    return type(value), value


class StateModel:
    """A StateStore that is empty, and what it has to answer."""

    def __init__(self, store: Any, random: Random, keys: list[str]) -> None:
        self.store = store
        self.random = random
        self.all_keys = keys
        self.keys = keys[:_KEYS_AT_A_TIME]
        self.values: dict[str, Any] = {}
        self.calls: deque[str] = deque(maxlen=_TOLD)
        self._steps = [self._set, self._set, self._get, self._default]
        self._steps += [self._delete, self._has, self._list]
        if isinstance(store, AtomicStateStore):
            self._steps += [self._set_if_absent, self._compare_and_set] * 2
        if isinstance(store, BatchStateStore):
            self._steps += [self._get_many, self._set_many]
        if isinstance(store, PagedStateStore):
            self._steps += [self._iterate]

    def lets_expire(self, ttl: float, expire: Callable[[], Awaitable[None]]) -> None:
        """Play with ends too; expire() returns when what had this ttl is gone."""
        assert isinstance(self.store, ExpiringStateStore)
        self._ttl = ttl
        self._let_pass = expire
        self._steps += [self._set_for_long]
        weight = max(1, _EXPIRY_EVERY // len(self._steps))
        self._steps = self._steps * weight + [self._expire]

    async def play(self, steps: int) -> None:
        """Make so many calls; AssertionError tells the last ones before a difference."""
        try:
            for number in range(1, steps + 1):
                await self.random.choice(self._steps)()
                if number % _COMPARED_EVERY == 0:
                    await self.compare()
                    self.keys = self.random.sample(self.all_keys, _KEYS_AT_A_TIME)
            await self.compare()
        except BaseException:
            print("the last calls:", *self.calls, sep="\n    ")
            raise

    async def compare(self) -> None:
        """Compare all that is there."""
        await self._check("keys()", self.store.keys(), self._listed(""))
        for key, value in self.values.items():
            await self._check(f"get({key!r})", self.store.get(key), value)

    async def _check(self, call: str, answer: Awaitable[Any], expected: Any) -> None:
        self.calls.append(call)
        got = await answer
        paged = isinstance(self.store, PagedStateStore)
        if call.startswith("keys(") and not paged:
            got = sorted(got)
        assert typed(got) == typed(expected), f"{call} is {got!r}, not {expected!r}"

    def _listed(self, prefix: str) -> list[str]:
        # By code points, so by UTF-8.
        return sorted(key for key in self.values if key.startswith(prefix))

    def _key(self) -> str:
        return self.random.choice(self.keys)

    def _value(self) -> Any:
        return self.random.choice(_VALUES)

    def _some(self) -> list[str]:
        return self.random.choices(self.keys, k=self.random.randrange(_MANY))

    async def _set(self) -> None:
        key, value = self._key(), self._value()
        await self._check(f"set({key!r}, {value!r})", self.store.set(key, value), None)
        self.values[key] = value

    async def _get(self) -> None:
        key = self._key()
        await self._check(f"get({key!r})", self.store.get(key), self.values.get(key))

    async def _default(self) -> None:
        key = self._key()
        answer = self.store.get(key, "default")
        expected = self.values.get(key, "default")
        await self._check(f"get({key!r}, 'default')", answer, expected)

    async def _delete(self) -> None:
        key = self._key()
        there = key in self.values
        await self._check(f"delete({key!r})", self.store.delete(key), there)
        self.values.pop(key, None)

    async def _has(self) -> None:
        key = self._key()
        await self._check(f"has({key!r})", self.store.has(key), key in self.values)

    async def _list(self) -> None:
        prefix = self.random.choice(_PREFIXES)
        expected = self._listed(prefix)
        await self._check(f"keys({prefix!r})", self.store.keys(prefix), expected)

    async def _iterate(self) -> None:
        prefix = self.random.choice(_PREFIXES)

        async def iterate() -> list[str]:
            return [key async for key in self.store.iter_keys(prefix)]

        expected = self._listed(prefix)
        await self._check(f"iter_keys({prefix!r})", iterate(), expected)

    async def _set_if_absent(self) -> None:
        key, value = self._key(), self._value()
        absent = key not in self.values
        answer = self.store.set_if_absent(key, value)
        await self._check(f"set_if_absent({key!r}, {value!r})", answer, absent)
        self.values.setdefault(key, value)

    async def _compare_and_set(self) -> None:
        key, new = self._key(), self._value()
        guess = self._value()
        expected = self.values.get(key, guess) if self.random.random() < 0.6 else guess
        met = key in self.values and typed(self.values[key]) == typed(expected)
        call = f"compare_and_set({key!r}, {expected!r}, {new!r})"
        await self._check(call, self.store.compare_and_set(key, expected, new), met)
        if met:
            self.values[key] = new

    async def _get_many(self) -> None:
        keys = self._some()
        expected = [self.values.get(key) for key in keys]
        await self._check(f"get_many({keys!r})", self.store.get_many(keys), expected)

    async def _set_many(self) -> None:
        values = {key: self._value() for key in self._some()}
        await self._check(f"set_many({values!r})", self.store.set_many(values), None)
        self.values.update(values)

    async def _set_for_long(self) -> None:
        key, value = self._key(), self._value()
        answer = self.store.set(key, value, ttl=_LATE_S)
        await self._check(f"set({key!r}, {value!r}, ttl={_LATE_S})", answer, None)
        self.values[key] = value

    async def _expire(self) -> None:
        """Write to some keys, some of them often, and look when the ttl is over.

        What a key's last write makes of it is all that counts.
        """
        for key in [*self._some(), self._key(), *self._some()]:
            value, end = self._value(), self.random.choice(_ENDS)
            self.calls.append(f"{key!r} = {value!r}, ends: {end}")
            if end == "deleted":
                await self.store.delete(key)
            elif end == "never":
                await self.store.set(key, value)
            else:
                ttl = self._ttl if end == "soon" else _LATE_S
                await self.store.set(key, value, ttl=ttl)
            if end in ("soon", "deleted"):
                self.values.pop(key, None)
            else:
                self.values[key] = value
        self.calls.append("(the ttl passes)")
        await self._let_pass()
        await self.compare()
