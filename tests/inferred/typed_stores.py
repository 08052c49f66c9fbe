"""Typed stores: what is asked for as a type comes back as that type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, reveal_type

from latency_kv import ByteStateStore, InMemoryStore, StateSnapshot, TypedStore
from latency_kv.typed import (
    Codec,
    JsonCodec,
    KeyLayout,
    MsgpackCodec,
    RawCodec,
    StructCodec,
)


@dataclass
class Delay:
    """A value of the user's own type."""

    route: str
    minutes: float


BY_ROUTE = KeyLayout(b"delay", "str", "uint32")


def bump(count: int | None) -> int | None:
    """Count one more."""
    return (count or 0) + 1


def read(typed: TypedStore, kind: type[Delay], unknown: Any) -> None:
    """The value as the type, or the default."""
    reveal_type(typed.get_typed(b"k", int))  # int | None
    reveal_type(typed.get_typed(b"k", int, None))  # int | None
    reveal_type(typed.get_typed(b"k", int, 0))  # int
    reveal_type(typed.get_typed(b"k", int, "none"))  # int | str
    reveal_type(typed.get_typed(b"k", Delay))  # Delay | None
    reveal_type(typed.get_typed(b"k", kind))  # Delay | None
    reveal_type(typed.get_typed(b"k", dict[str, float]))  # dict[str, float] | None
    reveal_type(typed.get_typed(b"k", list[Delay], []))  # list[Delay]
    reveal_type(typed.get_typed(b"k", int | str))  # int | str | None
    reveal_type(typed.get_typed(b"k", int | None, 0))  # int | None
    reveal_type(typed.get_typed(b"k", Literal["a"]))  # Literal['a'] | None
    reveal_type(typed.get_typed(b"k", Any))  # Any | None
    reveal_type(typed.get_typed(b"k", unknown))  # Any | None
    reveal_type(typed.contains(b"k"))  # bool
    reveal_type(b"k" in typed)  # bool
    typed.get_typed("k", int)  # error: a key is no str
    typed.get_typed(b"k", 5)  # error: 5 is no type
    typed.get_typed(b"k")  # error: no type


def write(typed: TypedStore) -> None:
    """Any value goes in; what update makes of it is of its type."""
    typed.put_typed(BY_ROUTE.pack("JFK-LAX", 3), Delay("JFK-LAX", 4.5))
    typed.put_typed("k", 3)  # error: a key is no str
    reveal_type(typed.update(b"k", bump, int))  # int | None
    reveal_type(typed.update(b"k", lambda count: (count or 0) + 1, int))  # int | None
    reveal_type(typed.update(b"k", lambda old: old, type=int | str))  # int | str | None
    reveal_type(typed.update(b"k", bump))  # Any
    typed.update(b"k", bump, str)  # error: bump takes no str
    typed.update(b"k", lambda count: "3", type=int)  # error: it makes no int
    reveal_type(typed.delete(b"k"))  # bool


def scan(typed: TypedStore, unknown: Any) -> None:
    """Keys are bytes, values are of the type."""
    for key, value in typed.prefix_scan_typed(b"", Delay, limit=3):
        reveal_type(key)  # bytes
        reveal_type(value)  # Delay
    for _, value in typed.range_scan_typed(None, b"k", Delay, reverse=True):
        reveal_type(value)  # Delay
    for _, several in typed.prefix_scan_typed(b"", dict[str, int | None]):
        reveal_type(several)  # dict[str, int | None]
    for _, either in typed.range_scan_typed(None, None, int | str):
        reveal_type(either)  # int | str
    for _, loose in typed.prefix_scan_typed(b"", unknown):
        reveal_type(loose)  # Any
    typed.prefix_scan_typed(b"", 5)  # error: 5 is no type
    typed.range_scan_typed("a", "b", int)  # error: keys are no str


def keys() -> None:
    """A layout packs fields into bytes, and its own fields out of them."""
    reveal_type(BY_ROUTE.pack("JFK-LAX", 3))  # bytes
    reveal_type(BY_ROUTE.prefix("JFK-LAX"))  # bytes
    reveal_type(BY_ROUTE.unpack(b""))  # tuple[Any, ...]
    KeyLayout("delay", "str")  # error: a prefix is bytes
    KeyLayout(b"delay", "text")  # error: no field is called that


def bytes_below(store: InMemoryStore, snapshot: StateSnapshot) -> None:
    """The byte store itself, and its snapshot."""
    reveal_type(store.get(b"k"))  # bytes | None
    reveal_type(store.get(b"k", b""))  # bytes
    reveal_type(store.get(b"k", 0))  # bytes | int
    reveal_type(store.pop(b"k"))  # bytes
    reveal_type(store.pop(b"k", b""))  # bytes
    reveal_type(store.pop(b"k", None))  # bytes | None
    reveal_type(store[b"k"])  # bytes
    reveal_type(snapshot.get(b"k"))  # bytes | None
    reveal_type(snapshot.get(b"k", b""))  # bytes
    for key, value in snapshot.prefix_scan(b""):
        reveal_type((key, value))  # tuple[bytes, bytes]
    store.get("k")  # error: a key is no str
    store.put(b"k", "v")  # error: a value is no str


# What is handed over where a protocol is asked for.
BYTES: ByteStateStore = InMemoryStore()
CODECS: list[Codec] = [MsgpackCodec(), JsonCodec(), RawCodec(), StructCodec("<q")]
TYPED = TypedStore(InMemoryStore(), MsgpackCodec())
TypedStore({})  # error: a dict has no scans
TypedStore(InMemoryStore(), str)  # error: no codec
