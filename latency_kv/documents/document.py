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

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from latency_kv import json_values
from latency_kv.errors import (
    JsonValueError,
    StateFormatError,
    StateParseError,
    StateWriteError,
)
from latency_kv.facets.stores import StateData, StateMetadata
from latency_kv.json_values import MAX_DEPTH, is_short, kind_of, parsed_json, shown

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

# In bytes: a document is read and written as a whole.
MAX_SIZE = 256 << 20

_FORMAT = 1

_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?"
    r"(?:Z|[+-][0-9]{2}:[0-9]{2})"
)


def detached(data: Any, plugin_name: str) -> Any:
    """Copy what is to be stored, as `json_values.detached_value` does.

    Raises StateWriteError, which tells the place, for anything that JSON has no word for.

    >>> detached({"a": [1, None]}, "clock")
    {'a': [1, None]}
    """
    try:
        return json_values.detached_value(data, "data")
    except JsonValueError as error:
        raise StateWriteError(plugin_name, error.reason) from error


def checked_version(version: int) -> int:
    """Return the version; TypeError for a non-int, ValueError for one below 0."""
    if isinstance(version, bool) or not isinstance(version, int):
        raise TypeError(f"a version is an int, not {type(version).__name__}")
    if version < 0:
        raise ValueError(f"a version is an int from 0, not {shown(version)}")
    if not is_short(version):
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
    raw = msgspec.json.encode(document)
    if pretty_print:
        raw = msgspec.json.format(raw, indent=2)
    raw += b"\n"
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
    except (JsonValueError, _Refused) as refused:
        later = isinstance(refused, _LaterFormat)
        kind = StateFormatError if later else StateParseError
        text = raw.decode("utf-8", "backslashreplace")
        cause = refused.__cause__ or refused
        raise kind(plugin_name, str(refused), path, text) from cause


class _Refused(ValueError):
    """JSON that is no document."""


class _LaterFormat(_Refused):
    """The document is for a later release."""


def _decoded(raw: bytes, plugin_name: str) -> StateData[Any]:
    if len(raw) > MAX_SIZE:
        raise _Refused(f"it has {len(raw)} bytes, and at most {MAX_SIZE} are stored")
    # The document is an object itself, around its data.
    document, repeated = parsed_json(raw, around=1)
    if type(document) is not dict:
        raise _Refused(f"it is {kind_of(document)}, and a document is a JSON object")
    # First of all: the rest need not hold for a later format.
    number = document.pop("format", _FORMAT)
    if isinstance(number, int) and not isinstance(number, bool) and number > _FORMAT:
        raise _LaterFormat(
            f"it has format {shown(number)}, and this release knows {_FORMAT}: use it "
            "with a newer release"
        )
    if type(number) is not int or number != _FORMAT:
        raise _Refused(f"its format is {shown(number)}, and not an int from 1")
    if repeated:
        raise _Refused(f"an object has the key {shown(repeated[0])} more than once")
    _check_fields(document, {"version", "data", "metadata"}, "it")
    version, metadata = document["version"], document["metadata"]
    if type(version) is not int or version < 0:
        raise _Refused(f"its version is {shown(version)}, and not an int from 0")
    if type(metadata) is not dict:
        raise _Refused(f"its metadata are {kind_of(metadata)}, and not an object")
    _check_fields(metadata, {"lastModified", "pluginName"}, "metadata")
    name = metadata["pluginName"]
    if name != plugin_name:
        raise _Refused(f"it is of plugin {shown(name)}, not of {plugin_name!r}")
    modified = _time_of(metadata["lastModified"])
    return StateData(
        version,
        json_values.detached_value(document["data"], "data"),
        StateMetadata(modified, plugin_name),
    )


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
            f"its lastModified is {shown(text)}, and not an ISO date with a time zone"
        ) from None


def _listed(names: set[str]) -> str:
    return ", ".join(shown(name) for name in sorted(names)[:3])
