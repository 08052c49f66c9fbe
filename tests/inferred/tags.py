"""Tags: what checkers know of a tag, and of what a DataStore has under it."""

from __future__ import annotations

from typing import Protocol, reveal_type

from latency_kv import DataStore, Tag, tag


class Clock(Protocol):
    """A facet of the user's own."""

    def now(self) -> float: ...


# What a tag's type comes from: nothing, the type, the default, its factory, the name's
# annotation.
LOOSE = tag("loose")
RETRIES = tag("retries", type=int)
NAME = tag("name", default="nobody")
TIMEOUT = tag("timeout", type=float, default=1)
SEEN = tag("seen", default_factory=set[str])
PARENT = tag("parent", type=int | None, default=None)
CLOCK = tag("clock", type=Clock)
LIMITS: Tag[dict[str, int]] = tag("limits", type=dict, default_factory=dict)
ROUTE: Tag[list[str]] = tag("route")

reveal_type(LOOSE)  # Tag[Any]
reveal_type(RETRIES)  # Tag[int]
reveal_type(NAME)  # Tag[str]
reveal_type(TIMEOUT)  # Tag[float]
reveal_type(SEEN)  # Tag[set[str]]
reveal_type(PARENT)  # Tag[int | None]
reveal_type(CLOCK)  # Tag[Clock]
reveal_type(LIMITS)  # Tag[dict[str, int]]
reveal_type(ROUTE)  # Tag[list[str]]
reveal_type(RETRIES.label)  # str
reveal_type(RETRIES.has_default)  # bool

LABELS: Tag[int] = tag("labels", type=str)  # error: a tag of str
ORDER: Tag[list[int]] = tag("order", default_factory=list[str])  # error: of str
BARE: Tag[float] = RETRIES  # error: what is set as a float may not be an int
tag(3)  # error: no label
tag("both", default=1, default_factory=int)  # error: one of the two


def read(data: DataStore) -> None:
    """What is stored, or the default that is passed: never the tag's own."""
    reveal_type(data.get(RETRIES))  # int | None
    reveal_type(data.get(RETRIES, None))  # int | None
    reveal_type(data.get(RETRIES, 0))  # int
    reveal_type(data.get(RETRIES, "none"))  # int | str
    reveal_type(data.get(NAME))  # str | None
    reveal_type(data.get(LIMITS, {}))  # dict[str, int]
    reveal_type(data.get(PARENT))  # int | None
    reveal_type(data.get(CLOCK))  # Clock | None
    reveal_type(data.get(LOOSE))  # Any | None
    reveal_type(data.has(RETRIES))  # bool
    reveal_type(RETRIES in data)  # bool
    data.get("retries")  # error: no tag
    data.has("retries")  # error: no tag


def write(data: DataStore) -> None:
    """What is set is of the tag's type."""
    data.set(RETRIES, 3)
    data.set(TIMEOUT, 3)
    data.set(LIMITS, {})
    data.set(PARENT, None)
    data.set(LOOSE, object())
    data.set(RETRIES, "3")  # error: no int
    data.set(RETRIES, None)  # error: None is a value, and no int
    data.set(LIMITS, {"a": "b"})  # error: no dict[str, int]
    data.set(CLOCK, 3)  # error: no Clock
    data.set("retries", 3)  # error: no tag
    reveal_type(data.delete(RETRIES))  # bool


def make(data: DataStore) -> None:
    """get_or_set returns the tag's type, whatever is passed."""
    reveal_type(data.get_or_set(NAME))  # str
    reveal_type(data.get_or_set(RETRIES, 3))  # int
    reveal_type(data.get_or_set(LIMITS, {}))  # dict[str, int]
    data.get_or_set(RETRIES, "3")  # error: no int
    data.get_or_set(RETRIES, None)  # error: no int
