"""Document: what a plugin's document may be, and its bytes; the one room that knows both.

    {
      "version": 2,
      "data": {"theme": "dark"},
      "metadata": {
        "lastModified": "2024-01-01T00:00:00.000Z",
        "pluginName": "clock"
      }
    }

UTF-8, with a newline at the end.  A field "format" says that the others are as above if
it is 1, as it is where there is none; a later format is for a later release.

Invariants
    1. What `detached` lets pass and fits MAX_SIZE, `decode` gives back equal, of equal
       types.
    2. Whatever the bytes, `decode` returns such a document or raises StateParseError.

Knows no file.  Start at `detached`, then `decode`.
"""

from __future__ import annotations

import json
import re
import reprlib
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from json import JSONDecodeError, JSONDecoder
from math import isfinite
from typing import TYPE_CHECKING, Any

from latency_kv.errors import StateFormatError, StateParseError, StateWriteError
from latency_kv.facets.stores import StateData, StateMetadata

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "MAX_DEPTH",
    "MAX_SIZE",
    "checked_version",
    "decode",
    "detached",
    "encode",
]

# Lists and dicts inside one another.  Far below where Python's recursion ends, whoever
# calls; and no circle gets further.
MAX_DEPTH = 100

# In bytes: a document is read and written as a whole.
MAX_SIZE = 256 << 20

_FORMAT = 1

# Python's limit to the digits of an int can be set to no less.
_LEAST_LIMIT = sys.int_info.str_digits_check_threshold

# Ints of at most so many bits are below the least limit, whatever the limit is.
_SURELY_SHORT = (10**_LEAST_LIMIT).bit_length() - 1

_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?"
    r"(?:Z|[+-][0-9]{2}:[0-9]{2})"
)

# A string, which may have brackets in it, or a bracket.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)

# Of the way to a place in a document: what is deeper is likely a circle.
_MOST_SHOWN_KEYS = 12

_KINDS = "dict with str keys, list, str, int, float, bool and None are"

_VOWELS = tuple("aeiouAEIOU")

# Values and names in messages: enough to tell one from another.
_brief = reprlib.Repr()
_brief.maxstring = 80
_brief.maxother = 80


def detached(data: Any, plugin_name: str) -> Any:
    """Copy what is to be stored, as dict, list, str, int, float, bool and None.

    Instances of their subclasses become plain ones; nothing else is converted.  Raises
    StateWriteError, which tells the place, for anything that JSON has no word for.
    Quick, since an event loop waits for it: 30 to 50 ns for a scalar in it, 200 for a
    list or a dict.

    >>> detached({"a": [1, None]}, "clock")
    {'a': [1, None]}
    """
    try:
        return _copied([data], 0)[0]
    except _Refused as refused:
        raise StateWriteError(plugin_name, str(refused)) from refused


def checked_version(version: int) -> int:
    """Return the version; TypeError for a non-int, ValueError for one below 0."""
    if isinstance(version, bool) or not isinstance(version, int):
        raise TypeError(f"a version is an int, not {type(version).__name__}")
    if version < 0:
        raise ValueError(f"a version is an int from 0, not {_shown(version)}")
    if not _is_short(version):
        raise ValueError("a version has no more digits than PYTHONINTMAXSTRDIGITS")
    return int(version)


def encode(state: StateData[Any], *, pretty_print: bool) -> bytes:
    """Return the bytes of a document whose data is detached.

    StateWriteError if they are more than MAX_SIZE.
    """
    metadata = state.metadata
    modified = metadata.last_modified.astimezone(UTC).replace(tzinfo=None)
    document = {
        "version": state.version,
        "data": state.data,
        "metadata": {
            "lastModified": modified.isoformat(timespec="milliseconds") + "Z",
            "pluginName": metadata.plugin_name,
        },
    }
    text = json.dumps(
        document,
        ensure_ascii=False,
        check_circular=False,
        allow_nan=False,
        indent=2 if pretty_print else None,
        separators=None if pretty_print else (",", ":"),
    )
    raw = f"{text}\n".encode()
    if len(raw) > MAX_SIZE:
        raise StateWriteError(
            metadata.plugin_name,
            f"the document has {len(raw)} bytes, and at most {MAX_SIZE} are stored",
        )
    return raw


def decode(raw: bytes, plugin_name: str, path: Path | None) -> StateData[Any]:
    """Return the document that these bytes are, its time in UTC.

    Raises StateFormatError if they are of a later format, as far as they are JSON, and
    StateParseError for whatever else is wrong with them.  path is for these to carry.
    """
    try:
        return _decoded(raw, plugin_name)
    except _Refused as refused:
        later = isinstance(refused, _LaterFormat)
        kind = StateFormatError if later else StateParseError
        text = raw.decode("utf-8", "backslashreplace")
        cause = refused.__cause__ or refused
        raise kind(plugin_name, str(refused), path, text) from cause


class _Refused(ValueError):
    """Something that has no place in a document, or no document.

    keys lead to it from within: each list or dict on the way out adds its own.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.keys: list[str | int] = []

    def __str__(self) -> str:
        if not self.keys:
            return self.reason
        # The outermost is the list that `detached` puts around everything.
        keys = [f"[{_shown(key)}]" for key in self.keys[-2::-1]]
        if len(keys) > _MOST_SHOWN_KEYS:
            keys[_MOST_SHOWN_KEYS:] = ["..."]
        return f"data{''.join(keys)}: {self.reason}"


class _LaterFormat(_Refused):
    """The document is for a later release."""


class _LongInt(int):
    """Stands in for an int of a file's that has more digits than Python may read."""


def _copied(values: Any, depth: int) -> Any:
    """Copy a list or a dict of exactly this type, inside of `depth` others."""
    if depth > MAX_DEPTH:
        raise _Refused(
            f"it is deeper than {MAX_DEPTH} lists and dicts, or has itself in it"
        )
    # The rest is about the copy, which no other thread can change meanwhile.
    copy = values.copy()
    if type(copy) is dict:
        for key in copy:
            if type(key) is not str or not (key.isascii() or _is_text(key)):
                copy = _with_plain_keys(copy)
                break
        items: Iterable[tuple[Any, Any]] = copy.items()
    else:
        items = enumerate(copy)
    for key, value in items:
        kind = type(value)
        if kind is str:
            if value.isascii() or _is_text(value):
                continue
        elif kind is int:
            if value.bit_length() <= _SURELY_SHORT:
                continue
        elif kind is float:
            if isfinite(value):
                continue
        elif kind is bool or value is None:
            continue
        try:
            if kind is dict or kind is list:
                copy[key] = _copied(value, depth + 1)
            else:
                copy[key] = _plain(value, depth + 1)
        except _Refused as refused:
            refused.keys.append(key)
            raise
    return copy


def _with_plain_keys(values: dict[Any, Any]) -> dict[Any, Any]:
    plain = {_plain_key(key): value for key, value in values.items()}
    if len(plain) < len(values):
        raise _Refused("two of its keys are the same when taken as plain str")
    return plain


def _plain_key(key: Any) -> str:
    # By type: isinstance believes what an object says of itself, a mock's too.
    if not issubclass(type(key), str):
        raise _Refused(
            f"the key {_shown(key)} is {_a(key)}; JSON has str keys, and nothing is "
            "converted"
        )
    return _checked_text(str.__str__(key), "the key")


def _plain(value: Any, depth: int) -> Any:
    """Copy a value that is no everyday one, inside of depth - 1 lists and dicts."""
    kind = type(value)
    if issubclass(kind, str):
        return _checked_text(str.__str__(value), "the str")
    if issubclass(kind, int):
        if kind is _LongInt or not _is_short(int.__int__(value)):
            raise _Refused(
                f"an int of more than {sys.get_int_max_str_digits()} digits; "
                "PYTHONINTMAXSTRDIGITS sets how many Python reads and writes"
            )
        return int.__int__(value)
    if issubclass(kind, float):
        number = float.__float__(value)
        if not isfinite(number):
            raise _Refused(f"JSON has no {number}")
        return number
    if issubclass(kind, dict):
        return _copied(dict(value.items()), depth)
    if issubclass(kind, list):
        return _copied(list(value), depth)
    raise _Refused(f"{_a(value)} is no JSON value; {_KINDS}")


def _checked_text(text: str, what: str) -> str:
    if _is_text(text):
        return text
    raise _Refused(
        f"{what} {_shown(text)} has a lone surrogate, which UTF-8 has no bytes for"
    )


def _is_text(text: str) -> bool:
    """Tell whether a str is Unicode text: without lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_short(value: int) -> bool:
    """Tell whether Python may write an int in decimal digits, and read it again."""
    limit = sys.get_int_max_str_digits()
    return limit == 0 or -(10**limit) < value < 10**limit


def _decoded(raw: bytes, plugin_name: str) -> StateData[Any]:
    if len(raw) > MAX_SIZE:
        raise _Refused(f"it has {len(raw)} bytes, and at most {MAX_SIZE} are stored")
    if not raw:
        raise _Refused("it is empty")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise _Refused(
            f"it is no UTF-8 from byte {error.start} on: {error.reason}"
        ) from error
    if text[0] == "\ufeff":
        raise _Refused("it begins with a byte order mark, which JSON has not")
    document, repeated = _parsed(text)
    if type(document) is not dict:
        raise _Refused(f"it is {_a(document)}, and a document is a JSON object")
    # First of all: the rest need not hold for a later format.
    number = document.pop("format", _FORMAT)
    if isinstance(number, int) and not isinstance(number, bool) and number > _FORMAT:
        raise _LaterFormat(
            f"it has format {_shown(number)}, and this release knows {_FORMAT}: use it "
            "with a newer release"
        )
    if type(number) is not int or number != _FORMAT:
        raise _Refused(f"its format is {_shown(number)}, and not an int from 1")
    if repeated:
        raise _Refused(f"an object has the key {_shown(repeated[0])} more than once")
    _check_fields(document, {"version", "data", "metadata"}, "it")
    version, metadata = document["version"], document["metadata"]
    if type(version) is not int or version < 0:
        raise _Refused(f"its version is {_shown(version)}, and not an int from 0")
    if type(metadata) is not dict:
        raise _Refused(f"its metadata are {_a(metadata)}, and not an object")
    _check_fields(metadata, {"lastModified", "pluginName"}, "metadata")
    name = metadata["pluginName"]
    if name != plugin_name:
        raise _Refused(f"it is of plugin {_shown(name)}, not of {plugin_name!r}")
    modified = _time_of(metadata["lastModified"])
    return StateData(
        version,
        _copied([document["data"]], 0)[0],
        StateMetadata(modified, plugin_name),
    )


def _parsed(text: str) -> tuple[Any, list[str]]:
    """Return the JSON value of a text, and keys that an object has more than once.

    What JSON has no numbers for is in it, to be refused where it is.
    """
    repeated: list[str] = []

    def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) < len(pairs) and not repeated:
            seen: set[str] = set()
            for key, _ in pairs:
                if key in seen:
                    repeated.append(key)
                seen.add(key)
        return values

    try:
        try:
            decoder = JSONDecoder(object_pairs_hook=object_of)
            return decoder.decode(text), repeated
        except JSONDecodeError:
            raise
        except ValueError:
            # An int of too many digits.
            decoder = JSONDecoder(object_pairs_hook=object_of, parse_int=_int_of)
            return decoder.decode(text), repeated
    except JSONDecodeError as error:
        raise _Refused(
            f"it is no JSON: {error.msg} (line {error.lineno}, column {error.colno})"
        ) from error
    except RecursionError:
        # A caller deep in the stack is no damage.
        if not _is_deep(text):
            raise
        raise _Refused(f"it is deeper than {MAX_DEPTH} lists and dicts") from None


def _int_of(digits: str) -> int:
    try:
        return int(digits)
    except ValueError:
        # As many of them as always can be read keep the sign, and that it is no 0 or 1.
        return _LongInt(digits[:_LEAST_LIMIT])


def _is_deep(text: str) -> bool:
    """Tell whether a text, JSON as far as that, is too deep for a document."""
    depth = 0
    for token in _TOKEN.finditer(text):
        bracket = token[0]
        if bracket in "[{":
            depth += 1
            # One more than data: the document is an object itself.
            if depth > MAX_DEPTH + 1:
                return True
        elif bracket in "]}":
            depth -= 1
    return False


def _check_fields(values: dict[str, Any], known: set[str], whose: str) -> None:
    if missing := known - values.keys():
        raise _Refused(f"{whose} has no field {_listed(missing)}")
    if unknown := values.keys() - known:
        raise _Refused(f"{whose} has a field that nobody knows: {_listed(unknown)}")


def _time_of(text: Any) -> datetime:
    try:
        if not _DATE.fullmatch(text):
            raise ValueError
        return datetime.fromisoformat(text).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise _Refused(
            f"its lastModified is {_shown(text)}, and not an ISO date with a time zone"
        ) from None


def _listed(names: set[str]) -> str:
    return ", ".join(_shown(name) for name in sorted(names)[:3])


def _shown(value: Any) -> str:
    """Write a value for a message, cut short."""
    try:
        return _brief.repr(value)
    except ValueError:
        # An int of too many digits, or something with one in it.
        return f"<{type(value).__name__}>"


def _a(value: Any) -> str:
    """Name a value's type, with its article."""
    name = type(value).__name__
    return f"{'an' if name.startswith(_VOWELS) else 'a'} {name}"
