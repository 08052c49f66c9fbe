"""File state: what the document of a file store holds, and how it is changed.

    {
      "values": {"seat:12A": {"sold": true}, "theme": "dark"},
      "ends": {"theme": 1735689600000000},
      "encoded": {}
    }

An end is in microseconds since the epoch.  A value that is too deep to stand in the
document is in it as JSON text, under `encoded`.

Knows no file.  Start at `FileState.put`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from latency_kv.errors import JsonValueError, StateParseError
from latency_kv.json_values import detached_value, encode_value
from latency_kv.providers.state_keys import stored_value

__all__ = ["FileState"]

_FIELDS = {"values": dict, "ends": dict, "encoded": dict}


class FileState:
    """The values and their ends, in the form that the document has.

    StateParseError, with the path, for data that have another.
    """

    __slots__ = ("data", "encoded", "ends", "values")

    def __init__(self, data: Any, path: Path | None = None) -> None:
        if not _is_state(data):
            raise StateParseError(
                None, "the document is not a state store's, and stays", path
            )
        self.data: dict[str, dict[str, Any]] = data
        self.values: dict[str, Any] = data["values"]
        self.ends: dict[str, int] = data["ends"]
        self.encoded: dict[str, str] = data["encoded"]

    @classmethod
    def empty(cls) -> FileState:
        return cls({field: {} for field in _FIELDS})

    def has(self, key: str, now: int) -> bool:
        end = self.ends.get(key)
        return (key in self.values or key in self.encoded) and (
            end is None or now < end
        )

    def value(self, key: str, store: str) -> Any:
        """Return a copy of the value, which is there."""
        if key in self.values:
            return detached_value(self.values[key])
        return stored_value(self.encoded[key].encode(), key, store)

    def keys(self, prefix: str, now: int) -> list[str]:
        # Code points are in the order of their UTF-8.
        return sorted(
            key
            for key in (*self.values, *self.encoded)
            if key.startswith(prefix) and self.has(key, now)
        )

    def put(self, key: str, value: Any, end: int | None) -> None:
        """Store a value that is detached, instead of an older one."""
        self.drop(key)
        try:
            # As deep as it is in the document's data.
            self.values[key] = detached_value({"values": {key: value}})["values"][key]
        except JsonValueError:
            self.encoded[key] = encode_value(value).decode()
        if end is not None:
            self.ends[key] = end

    def drop(self, key: str) -> None:
        for values in self.data.values():
            values.pop(key, None)

    def drop_what_is_over(self, now: int) -> None:
        for key in [key for key, end in self.ends.items() if end <= now]:
            self.drop(key)


def _is_state(data: Any) -> bool:
    return (
        isinstance(data, dict)
        and data.keys() == _FIELDS.keys()
        and all(isinstance(data[field], kind) for field, kind in _FIELDS.items())
        and all(type(end) is int for end in data["ends"].values())
        and all(type(text) is str for text in data["encoded"].values())
        and data["values"].keys().isdisjoint(data["encoded"])
        and data["ends"].keys() <= data["values"].keys() | data["encoded"].keys()
    )
