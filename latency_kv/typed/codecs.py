"""Codecs: how values become the bytes of a store, and what proves them on the way back.

    MsgpackCodec   any type that msgspec knows, compact; the default
    JsonCodec      the same types, readable by everything
    StructCodec    numbers in a fixed layout, as C code reads them
    RawCodec       bytes as they are

None of them executes what it reads.  Knows no store.  Start at `Codec`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import msgspec

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["Codec", "JsonCodec", "MsgpackCodec", "RawCodec", "StructCodec"]


@runtime_checkable
class Codec(Protocol):
    """Turns values into bytes, and makes the decoders that turn bytes into values.

    Decoding takes two steps, so that the work that a type asks for is done once:
    `decoder(type)` raises TypeError for a type that the codec cannot make, which is the
    caller's mistake; the function it returns raises any exception for bytes that are no
    such value, which is the data's.
    """

    def encode(self, value: Any, /) -> bytes:
        """Return the value's bytes, or raise for a value that has none."""
        ...

    def decoder(self, type: Any, /) -> Callable[[bytes], Any]:
        """Return the function from bytes to a value of this type.

        `typing.Any` stands for whatever type the bytes tell.
        """
        ...


class _Encode(Protocol):
    """The method `encode` where a slot holds it.

    A Callable there is to pyright a function of the class, and bound to its object.
    """

    def __call__(self, value: Any, /) -> bytes: ...


class MsgpackCodec:
    """MessagePack by msgspec, checked against the type asked for.

    Integers have 64 bits.  A set is written in its own order, which differs from one
    process to the next.

    >>> codec = MsgpackCodec()
    >>> codec.decoder(dict[str, int])(codec.encode({"AA": 3}))
    {'AA': 3}
    """

    __slots__ = ("encode",)

    def __init__(self) -> None:
        self.encode: _Encode = msgspec.msgpack.Encoder().encode

    def decoder(self, type: Any, /) -> Callable[[bytes], Any]:
        """Return the `decode` of a msgspec decoder made for the type."""
        return msgspec.msgpack.Decoder(type).decode


class JsonCodec:
    """JSON by msgspec, checked against the type asked for.

    JSON has no NaN, no infinities and no bytes: the first two are written as null, which
    does not decode as a float, the last as base64.

    >>> JsonCodec().encode([1, "a", None])
    b'[1,"a",null]'
    """

    __slots__ = ("encode",)

    def __init__(self) -> None:
        self.encode: _Encode = msgspec.json.Encoder().encode

    def decoder(self, type: Any, /) -> Callable[[bytes], Any]:
        """Return the `decode` of a msgspec decoder made for the type."""
        return msgspec.json.Decoder(type).decode


class StructCodec:
    """Numbers in the fixed layout that a `struct` format names, byte order first.

    A layout of one number is that number, of several a tuple of them, or any type made
    from such a tuple, a NamedTuple for one.  "<q" is the counter of `increment`; a
    layout that starts with ">" is one whose unsigned integers are in byte order.

    >>> codec = StructCodec("<qd")
    >>> codec.decoder(tuple)(codec.encode((3, 0.5)))
    (3, 0.5)
    """

    __slots__ = ("_is_single", "_struct")

    def __init__(self, layout: str) -> None:
        if layout[:1] not in ("<", ">"):
            raise ValueError(
                f"layout {layout!r}: start it with '<' or '>', since the machine's own "
                "order and padding do not travel"
            )
        if "s" in layout or "p" in layout:
            raise ValueError(
                f"layout {layout!r}: 's' and 'p' cut and pad bytes silently; keep bytes "
                "with MsgpackCodec or RawCodec"
            )
        try:
            self._struct = struct.Struct(layout)
        except struct.error as error:
            raise ValueError(f"layout {layout!r}: {error}") from error
        count = len(self._struct.unpack(bytes(self._struct.size)))
        if count == 0:
            raise ValueError(f"layout {layout!r} holds no number")
        self._is_single = count == 1

    def __repr__(self) -> str:
        return f"StructCodec({self._struct.format!r})"

    def encode(self, value: Any, /) -> bytes:
        """Pack the number, or the tuple of numbers; ValueError if it does not fit."""
        try:
            if self._is_single:
                return self._struct.pack(value)
            return self._struct.pack(*value)
        except (struct.error, OverflowError) as error:
            raise ValueError(
                f"the value does not fit layout {self._struct.format!r}: {error}"
            ) from error

    def decoder(self, type: Any, /) -> Callable[[bytes], Any]:
        """Return a function that unpacks, and converts what is not of the type yet."""
        unpack = self._struct.unpack
        convert = msgspec.convert

        def decode_number(data: bytes) -> Any:
            (number,) = unpack(data)
            return number if number.__class__ is type else convert(number, type)

        def decode_tuple(data: bytes) -> Any:
            numbers = unpack(data)
            return numbers if type is tuple else convert(numbers, type)

        # convert would tell of a type that it cannot make only when it meets a value.
        msgspec.msgpack.Decoder(type)
        return decode_number if self._is_single else decode_tuple


class RawCodec:
    """Bytes as they are, for values that have a format of their own."""

    __slots__ = ()

    def encode(self, value: Buffer, /) -> bytes:
        """Return the buffer's bytes, the same object if it is `bytes`."""
        return value if type(value) is bytes else memoryview(value).tobytes()

    def decoder(self, type: Any, /) -> Callable[[bytes], Any]:
        """Return the function that makes `bytes`, `bytearray` or `memoryview`."""
        if type is Any:
            return bytes
        if type in (bytes, bytearray, memoryview):
            maker: Callable[[bytes], Any] = type
            return maker
        raise TypeError(f"RawCodec makes bytes, bytearray and memoryview, not {type!r}")
