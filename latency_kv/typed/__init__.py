"""Typed access: values and composite keys over any byte store.

    store     TypedStore: get, put, update and scan values of Python types
    codecs    how a value becomes bytes
    keys      keys of several fields whose byte order is value order
    fields    the forms of those fields

Knows the byte store by its protocol only.  Start at `store`.
"""

from latency_kv.typed.codecs import (
    Codec,
    JsonCodec,
    MsgpackCodec,
    RawCodec,
    StructCodec,
)
from latency_kv.typed.keys import KeyLayout, successor
from latency_kv.typed.store import TypedStore

__all__ = [
    "Codec",
    "JsonCodec",
    "KeyLayout",
    "MsgpackCodec",
    "RawCodec",
    "StructCodec",
    "TypedStore",
    "successor",
]
