"""Logger: what a plugin says to whoever runs it.  Start at `Logger`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

__all__ = ["Logger"]


@runtime_checkable
class Logger(Protocol):
    """Messages at four levels, with context; sync, so that any code can say something.

    A message is text and no template: `%` and braces are characters like any other.
    Context is what a machine should find: it stays apart from the message, and its
    values are not changed, so a consumer hands over what it will not change either.

    A call returns soon, from any thread.  What goes wrong in writing is the provider's
    affair: no call raises on account of it.  Secrets are the consumer's affair: a logger
    writes what it is told.
    """

    def debug(self, message: str, /, context: Mapping[str, Any] | None = None) -> None:
        """Say what only somebody who looks for a fault wants to know."""
        ...

    def info(self, message: str, /, context: Mapping[str, Any] | None = None) -> None:
        """Say what went as it should."""
        ...

    def warn(self, message: str, /, context: Mapping[str, Any] | None = None) -> None:
        """Say what somebody should look at, although the work went on."""
        ...

    def error(self, message: str, /, context: Mapping[str, Any] | None = None) -> None:
        """Say what failed."""
        ...

    def child(self, context: Mapping[str, Any], /) -> Logger:
        """Return a logger that adds the context to all that it is told.

        Where keys meet, a call's win over the logger's, and a child's over its
        parent's.  The parent stays as it is, and a later change of the mapping reaches
        nobody.
        """
        ...
