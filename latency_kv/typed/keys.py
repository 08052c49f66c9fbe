"""Keys: composite keys packed so that byte order is value order.

    WINDOWS = KeyLayout(b"win:", "int64", "str", "str")

    w i n : | 80 00 00 00 50 e2 27 00 | J F K 00 | A A 00
    prefix    int64                     str        str

The prefix stands as it is, and the fields follow in the forms that `fields` gives them.
No packed field is the start of another value's, so a key cut between two fields is a
prefix to scan with.  Each tuple of values has one key, and unpack accepts no other: what
it accepts packs to the same key again.

Knows no store and no codec.  Start at `KeyLayout`.
"""

from __future__ import annotations

from collections.abc import Callable
from reprlib import repr as shorten
from struct import Struct
from struct import error as StructError
from typing import TYPE_CHECKING, Any, NamedTuple

from latency_kv.errors import StateDecodeError
from latency_kv.typed.fields import FIXED, SCOPE, STRINGS, TAKEN, Field

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["Field", "KeyLayout", "successor"]


class KeyLayout:
    """The prefix and the fields of one kind of key.

        pack(*values) -> bytes      the key of these values
        unpack(key) -> tuple        the values of a key that pack made
        prefix(*values) -> bytes    what all keys with these first values start with:
                                    to scan, or as an end of a range

    The fields: "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64",
    "float64", "str" and "bytes".

    A value out of its field's range raises ValueError, one of another type TypeError,
    and a key that is not of this layout StateDecodeError.  Layouts that share a store
    need prefixes of which none is the start of another.

    >>> windows = KeyLayout(b"win:", "int64", "str")
    >>> windows.unpack(windows.pack(-60, "JFK"))
    (-60, 'JFK')
    >>> windows.pack(-60, "JFK") < windows.pack(0, "ATL") < windows.prefix(60)
    True
    """

    __slots__ = ("_constant", "_packs", "fields", "pack", "unpack")

    pack: Callable[..., bytes]
    unpack: Callable[[Buffer], tuple[Any, ...]]

    def __init__(self, prefix: Buffer, *fields: Field) -> None:
        for field in fields:
            if field not in FIXED and field not in STRINGS:
                known = ", ".join([*FIXED, *STRINGS])
                raise ValueError(f"no field is called {field!r}: there are {known}")
        if isinstance(prefix, str):
            written = prefix.encode(errors="replace")
            raise TypeError(f"the prefix is bytes, not str: {written!r}")
        self._constant = memoryview(prefix).tobytes()
        self.fields = fields
        self._packs = [
            _compile_pack(self, self._constant, fields[:count])
            for count in range(len(fields) + 1)
        ]
        self.pack = self._packs[-1]
        self.unpack = _compile_unpack(self, self._constant, fields)

    def __repr__(self) -> str:
        return f"KeyLayout({', '.join(map(repr, (self._constant, *self.fields)))})"

    def __reduce__(self) -> tuple[Any, ...]:
        return KeyLayout, (self._constant, *self.fields)

    def prefix(self, *values: Any) -> bytes:
        """Pack the first fields, as many as there are values."""
        if len(values) > len(self.fields):
            raise TypeError(f"{len(values)} values are too many for {self!r}")
        return self._packs[len(values)](*values)


def successor(prefix: bytes) -> bytes | None:
    """Return the lowest key above every key with the prefix, None if there is none.

    As `stop` it ends a range where the prefix ends.

    >>> successor(b"win:"), successor(b"a\\xff"), successor(b"\\xff")
    (b'win;', b'b', None)
    """
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes((stem[-1] + 1,)) if stem else None


# pack and unpack are written as source for each layout, because a loop over the fields
# takes 2.4 times as long (int64, str, str: 720 ns against 300).  The source is made of
# the expressions of `fields` and of numbers: nothing that a caller passed is in it.


class _Run(NamedTuple):
    """Neighbours that are read in one go: fixed fields, or strings if codes is empty."""

    codes: str
    names: list[str]
    fields: list[str]


def _runs(prefix: bytes, fields: tuple[str, ...]) -> list[_Run]:
    """Split the fields into runs, of which the first begins with the prefix."""
    runs = [_Run(f">{len(prefix)}s", [], [])]
    for number, field in enumerate(fields, 1):
        codes, names, members = runs[-1]
        name = f"{field}_{number}"
        code = FIXED[field].code if field in FIXED else ""
        if bool(code) == bool(codes):
            names.append(name)
            members.append(field)
            runs[-1] = _Run(codes + code, names, members)
        else:
            runs.append(_Run(code and ">" + code, [name], [field]))
    return runs


def _compile_pack(
    layout: KeyLayout, prefix: bytes, fields: tuple[str, ...]
) -> Callable[..., bytes]:
    """Write the function that packs these fields; for an int64 and a bytes field:

    def pack(int64_1, bytes_2):
        try:
            return (
                s0(prefix, index(int64_1) + 9223372036854775808)
                + bytes_to_bytes(bytes_2)
            )
        except (StructError, OverflowError, TypeError) as error:
            raise refusal(error, int64_1, bytes_2) from error
    """

    def refusal(error: Exception, *values: Any) -> Exception:
        if isinstance(error, TypeError):
            return TypeError(_wrong_type(layout, fields, values) or str(error))
        return ValueError(f"a number out of range in {shorten(values)} for {layout!r}")

    scope: dict[str, Any] = {"prefix": prefix, "refusal": refusal}
    terms = []
    runs = _runs(prefix, fields)
    for number, (codes, names, members) in enumerate(runs):
        values = list(zip(names, members, strict=True))
        if codes:
            scope[f"s{number}"] = Struct(codes).pack
            arguments = [FIXED[field].to_number.format(name) for name, field in values]
            if number == 0:
                arguments.insert(0, "prefix")
            terms.append(f"s{number}({', '.join(arguments)})")
        else:
            terms += [STRINGS[field].to_bytes.format(name) for name, field in values]
    parameters = ", ".join(name for run in runs for name in run.names)
    pack = _define(
        "pack",
        f"def pack({parameters}):\n"
        f" try:\n"
        f"  return {' + '.join(terms)}\n"
        f" except (StructError, OverflowError, TypeError) as error:\n"
        f"  raise refusal(error, {parameters}) from error\n",
        scope,
    )
    # Python's own error about the number of values begins with it.
    pack.__qualname__ = f"{layout!r}.pack"
    return pack


def _wrong_type(
    layout: KeyLayout, fields: tuple[str, ...], values: tuple[Any, ...]
) -> str:
    """Say which value is of another type than its field; "" if each is of the right."""
    for number, (field, value) in enumerate(zip(fields, values, strict=True), 1):
        wanted, take = TAKEN[field]
        try:
            take(value)
        except TypeError:
            advice = ""
            if field == "str" and isinstance(value, bytes | bytearray | memoryview):
                advice = ": decode it first"
            elif field == "bytes" and isinstance(value, str):
                advice = ": encode it first, as in text.encode()"
            elif wanted == "int" and isinstance(value, float):
                advice = ": round it first"
            return (
                f"field {number} of {layout!r} takes {wanted}, not "
                f"{type(value).__name__}{advice}"
            )
    return ""


def _compile_unpack(
    layout: KeyLayout, prefix: bytes, fields: tuple[str, ...]
) -> Callable[[Buffer], tuple[Any, ...]]:
    """Write the function that unpacks these fields; for an int64 and a bytes field:

    def unpack(key):
        rest = key = key if key.__class__ is bytes else memoryview(key).tobytes()
        try:
            found, int64_1, = s0(rest, 0)
            bytes_2, rest = rest[12:].split(NUL, 1)
            if found != prefix or len(rest) != 0:
                raise ValueError("the prefix or the length is another")
            return (
                int64_1 - 9223372036854775808,
                (unescaped(bytes_2) if 1 in bytes_2 else bytes_2),
            )
        except (StructError, ValueError) as error:
            raise refusal(key) from error
    """

    def refusal(key: bytes) -> StateDecodeError:
        return StateDecodeError(key, f"the key is not of {layout!r}")

    scope: dict[str, Any] = {"prefix": prefix, "refusal": refusal}
    steps = []
    results = []
    size = 0  # of what stands before the next run in `rest`
    for number, (codes, names, members) in enumerate(_runs(prefix, fields)):
        values = list(zip(names, members, strict=True))
        if codes:
            run = Struct(codes)
            scope[f"s{number}"] = run.unpack_from
            targets = ", ".join(names if number else ["found", *names])
            steps.append(f"{targets}, = s{number}(rest, 0)")
            results += [FIXED[field].from_number.format(name) for name, field in values]
            size = run.size
        else:
            targets = ", ".join([*names, "rest"])
            steps.append(f"{targets} = rest[{size}:].split(NUL, {len(names)})")
            results += [
                STRINGS[field].from_bytes.format(name) for name, field in values
            ]
            size = 0
    body = "".join(f"  {step}\n" for step in steps)
    return _define(
        "unpack",
        f"def unpack(key):\n"
        f" rest = key = key if key.__class__ is bytes else memoryview(key).tobytes()\n"
        f" try:\n"
        f"{body}"
        f"  if found != prefix or len(rest) != {size}:\n"
        f"   raise ValueError('the prefix or the length is another')\n"
        f"  return ({''.join(f'{result}, ' for result in results)})\n"
        f" except (StructError, ValueError) as error:\n"
        f"  raise refusal(key) from error\n",
        scope,
    )


def _define(name: str, source: str, scope: dict[str, Any]) -> Callable[..., Any]:
    scope = {**SCOPE, **scope, "StructError": StructError, "__name__": __name__}
    exec(source, scope)  # noqa: S102  the source is our own, see above
    function: Callable[..., Any] = scope[name]
    return function
