"""DataStore: values under tags, private to who holds the store.

Knows tags; no atom and no scope, which only keep one for each of theirs.  Start at
`DataStore`.
"""

from __future__ import annotations

from typing import Any, TypeVar, overload

from latency_kv.atoms.tags import Tag
from latency_kv.errors import MissingTagError

__all__ = ["DataStore"]

T = TypeVar("T")
D = TypeVar("D")

_NOTHING: Any = object()


class DataStore:
    """A map from tags to values of the tags' types.

    Values are kept by reference.  None is a value like any other, so absence is asked
    with `has`, with `in`, or with a default of one's own.  A key that is no tag raises
    TypeError everywhere, and so does a value that is not of its tag's type, if the tag
    was given one: nothing is stored then.
    """

    __slots__ = ("_values",)

    def __init__(self) -> None:
        self._values: dict[Tag[Any], Any] = {}

    @overload
    def get(self, tag: Tag[T], default: None = None) -> T | None: ...
    @overload
    def get(self, tag: Tag[T], default: T) -> T: ...
    @overload
    def get(self, tag: Tag[T], default: D) -> T | D: ...
    def get(self, tag: Tag[Any], default: Any = None) -> Any:
        """Return what is stored, or the default passed here: never the tag's own."""
        return self._values.get(_key(tag), default)

    def set(self, tag: Tag[T], value: T) -> None:
        """Hand over the value, over an older one."""
        self._values[tag] = _key(tag).checked(value)

    def has(self, tag: Tag[Any]) -> bool:
        """Tell whether something is stored, whatever it is."""
        return _key(tag) in self._values

    def delete(self, tag: Tag[Any]) -> bool:
        """Delete the value; return whether there was one."""
        return self._values.pop(_key(tag), _NOTHING) is not _NOTHING

    def clear(self) -> None:
        """Delete all values."""
        self._values.clear()

    @overload
    def get_or_set(self, tag: Tag[T]) -> T: ...
    @overload
    def get_or_set(self, tag: Tag[T], value: T) -> T: ...
    def get_or_set(self, tag: Tag[Any], value: Any = _NOTHING) -> Any:
        """Return what is stored; store the value first if nothing is.

        Without a value the tag's default is stored, and without that either it raises
        MissingTagError.  What a default_factory raises comes out, and nothing is stored.
        """
        stored = self._values.get(_key(tag), _NOTHING)
        if stored is not _NOTHING:
            return stored
        if value is _NOTHING:
            if not tag.has_default:
                raise MissingTagError(tag.label)
            value = tag.default()
        self.set(tag, value)
        return value

    def __contains__(self, tag: Tag[Any]) -> bool:
        return self.has(tag)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        labels = ", ".join(tag.label for tag in self._values)
        return f"<DataStore of {labels}>" if labels else "<DataStore, empty>"


def _key(tag: Tag[T]) -> Tag[T]:
    if not isinstance(tag, Tag):
        raise TypeError(f"a key is a Tag, made by tag(label), not {type(tag).__name__}")
    return tag
