"""TypedStore: values of Python types over any byte store.

Knows the byte store by its protocol only, and of the values what the codec makes of
them.  Start at `TypedStore.get_typed`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar, overload

from latency_kv.errors import StateDecodeError
from latency_kv.facets.stores import ByteStateStore
from latency_kv.typed.codecs import Codec, MsgpackCodec

if TYPE_CHECKING:
    from typing_extensions import Buffer, TypeForm

__all__ = ["TypedStore"]

T = TypeVar("T")
D = TypeVar("D")


class TypedStore:
    """A byte store whose values are encoded and decoded by a codec.

        get_typed(key, type)            the value, or the default
        put_typed(key, value)           encode and put
        update(key, f, type=)           read, change, write
        prefix_scan_typed(prefix, type) (key, value) in key order
        range_scan_typed(start, stop, type)
        delete(key)  contains(key)  key in typed

    The type says what the bytes have to be; a value that is not raises StateDecodeError
    and stays as it is.  Whatever the codec does not need to know, snapshots for one, is
    asked of `store`.

    One decoder is kept for each type ever asked for.

    >>> from latency_kv import InMemoryStore
    >>> typed = TypedStore(InMemoryStore())
    >>> typed.put_typed(b"JFK", {"delay": 4.5})
    >>> typed.get_typed(b"JFK", dict[str, float])
    {'delay': 4.5}
    """

    __slots__ = ("_decoders", "_encode", "_get", "_put", "codec", "store")

    def __init__(self, store: ByteStateStore, codec: Codec | None = None) -> None:
        try:
            self._get, self._put = store.get, store.put
        except AttributeError as error:
            raise TypeError(
                "a TypedStore is over a byte store, such as InMemoryStore, not "
                f"{type(store).__name__}"
            ) from error
        self.store = store
        self.codec: Codec = MsgpackCodec() if codec is None else codec
        self._decoders = _Decoders(self.codec)
        self._encode = self.codec.encode

    def __repr__(self) -> str:
        return f"TypedStore({self.store!r}, codec={self.codec!r})"

    @overload
    def get_typed(
        self, key: Buffer, type: TypeForm[T], default: None = None
    ) -> T | None: ...
    @overload
    def get_typed(self, key: Buffer, type: TypeForm[T], default: D) -> T | D: ...
    def get_typed(self, key: Buffer, type: Any, default: Any = None) -> Any:
        """Return the value under the key as the type, or the default if there is none.

        Raises StateDecodeError for bytes that are no such value, TypeError for a type
        that the codec cannot make.
        """
        decode = self._decoders[type]
        data = self._get(key)
        if data is None:
            return default
        try:
            return decode(data)
        except MemoryError:
            raise
        except Exception as error:
            raise _not_decoded(key, type, error) from error

    def put_typed(self, key: Buffer, value: Any) -> None:
        """Encode the value and store it under the key, over an older one."""
        self._put(key, self._encode(value))

    @overload
    def update(
        self, key: Buffer, f: Callable[[T | None], T | None], type: TypeForm[T]
    ) -> T | None: ...
    @overload
    def update(self, key: Buffer, f: Callable[[Any], Any]) -> Any: ...
    def update(self, key: Buffer, f: Callable[[Any], Any], type: Any = Any) -> Any:
        """Store what f makes of the value, and return it.

        f is given None where there is no value, and returns None to delete the key.
        If anything raises, nothing changes.  f may use the store; what it wrote under
        the key itself is overwritten.

        >>> from latency_kv import InMemoryStore
        >>> typed = TypedStore(InMemoryStore())
        >>> typed.update(b"seats", lambda count: (count or 0) + 2, type=int)
        2
        """
        value = f(self.get_typed(key, type))
        if value is None:
            self.store.delete(key)
        else:
            self._put(key, self._encode(value))
        return value

    def prefix_scan_typed(
        self,
        prefix: Buffer,
        type: TypeForm[T],
        *,
        reverse: bool = False,
        limit: int | None = None,
    ) -> Iterator[tuple[bytes, T]]:
        """Scan the keys with the prefix, point-in-time, each value as the type."""
        decode = self._decoders[type]
        scan = self.store.prefix_scan(prefix, reverse=reverse, limit=limit)
        return _decoded(scan, decode, type)

    def range_scan_typed(
        self,
        start: Buffer | None,
        stop: Buffer | None,
        type: TypeForm[T],
        *,
        reverse: bool = False,
        limit: int | None = None,
    ) -> Iterator[tuple[bytes, T]]:
        """Scan the keys in `[start, stop)`, point-in-time, each value as the type."""
        decode = self._decoders[type]
        scan = self.store.range_scan(start, stop, reverse=reverse, limit=limit)
        return _decoded(scan, decode, type)

    def delete(self, key: Buffer) -> bool:
        """Delete the entry; return whether there was one."""
        return self.store.delete(key)

    def contains(self, key: Buffer) -> bool:
        """Tell whether the key is there, whatever its value."""
        return self.store.contains(key)

    __contains__ = contains


class _Decoders(dict[Any, Callable[[bytes], Any]]):
    """The decoder of each type, made when it is first asked for."""

    __slots__ = ("_codec",)

    def __init__(self, codec: Codec) -> None:
        super().__init__()
        self._codec = codec

    def __missing__(self, type: Any) -> Callable[[bytes], Any]:
        decode = self[type] = self._codec.decoder(type)
        return decode


def _decoded(
    scan: Iterator[tuple[bytes, bytes]], decode: Callable[[bytes], Any], type: Any
) -> Iterator[tuple[bytes, Any]]:
    for key, data in scan:
        try:
            value = decode(data)
        except MemoryError:
            raise
        except Exception as error:
            raise _not_decoded(key, type, error) from error
        yield key, value


def _not_decoded(key: Buffer, type: Any, error: Exception) -> StateDecodeError:
    return StateDecodeError(bytes(key), f"the value is not {type!r}: {error}")
