"""Tags: keys that know the type of their value, and a default for it.

Which key a tag is, is the object, as with a variable: two tags with one label are two
keys.  The label is for messages.  Start at `tag`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, overload

if TYPE_CHECKING:
    from typing_extensions import TypeForm

__all__ = ["Tag", "tag"]

T = TypeVar("T")

_NOTHING: Any = object()


class Tag(Generic[T]):
    """A key for values of type T; made by `tag`.

    Copies of a tag are the tag itself, so that a copied structure finds what was stored
    under it.  Another process has tags of its own, so pickling raises TypeError.
    """

    __slots__ = ("_make_default", "label", "value_type")

    def __init__(
        self,
        label: str,
        value_type: Any = None,
        make_default: Callable[[], T] | None = None,
    ) -> None:
        if not isinstance(label, str):
            raise TypeError(f"a label is a str, not {type(label).__name__}")
        if not label:
            raise ValueError("a tag needs a label, which messages name it by")
        self.label = label
        self.value_type = value_type
        self._make_default = make_default
        if value_type is not None:
            try:
                isinstance(None, value_type)
            except TypeError as error:
                raise TypeError(
                    f"{self!r}: {value_type!r} is no type that a value can be checked "
                    "against; annotate the tag instead: t: Tag[list[int]] = tag(...)"
                ) from error

    @property
    def has_default(self) -> bool:
        """Whether `DataStore.get_or_set` needs no value."""
        return self._make_default is not None

    def default(self) -> T:
        """Return the default, a new one if it has a factory; LookupError without one."""
        if self._make_default is None:
            raise LookupError(f"{self!r} has no default")
        return self.checked(self._make_default())

    def checked(self, value: T) -> T:
        """Return the value, or raise TypeError if the tag has a type and it is none."""
        if self.value_type is None or isinstance(value, self.value_type):
            return value
        raise TypeError(
            f"{self!r} holds {_name(self.value_type)}, not {type(value).__name__}"
        )

    def __repr__(self) -> str:
        return f"tag({self.label!r})"

    def __copy__(self) -> Tag[T]:
        return self

    def __deepcopy__(self, memo: object) -> Tag[T]:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r}: a tag is this object and no other, so not pickled")


@overload
def tag(label: str) -> Tag[Any]: ...
@overload
def tag(label: str, *, type: TypeForm[T], default: T = ...) -> Tag[T]: ...
@overload
def tag(
    label: str, *, type: TypeForm[T], default_factory: Callable[[], T]
) -> Tag[T]: ...
@overload
def tag(label: str, *, default: T) -> Tag[T]: ...
@overload
def tag(label: str, *, default_factory: Callable[[], T]) -> Tag[T]: ...
def tag(
    label: str,
    *,
    type: Any = None,
    default: Any = _NOTHING,
    default_factory: Callable[[], Any] | None = None,
) -> Any:
    """Make a tag; with a type, what is stored under it is checked.

    A default is stored only by `DataStore.get_or_set`.  A default_factory makes one for
    each store; a default that can change would be shared by all of them: ValueError.

    >>> from latency_kv.atoms import DataStore
    >>> retries = tag("retries", type=int, default=3)
    >>> seen = tag("seen", default_factory=set[str])
    >>> data = DataStore()
    >>> data.get(retries), data.get_or_set(retries), data.get(retries)
    (None, 3, 3)
    """
    if default is _NOTHING:
        return Tag(label, type, default_factory)
    made = Tag(label, type, lambda: default)
    if default_factory is not None:
        raise ValueError(f"{made!r}: give it a default or a default_factory, not both")
    # As dataclasses see it: what compares by its content and has no hash can change.
    if default.__class__.__hash__ is None:
        kind = default.__class__.__name__
        raise ValueError(
            f"{made!r}: one {kind} would be the default of every store; "
            f"make one for each: default_factory={kind}"
        )
    made.checked(default)
    return made


def _name(value_type: Any) -> str:
    return getattr(value_type, "__name__", None) or str(value_type)
