"""Logging: the Logger facet over the standard library's logging.

Levels, handlers and formats are the application's, set where it sets all the others.

Knows no plugin.  Start at `StandardLogger`.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

__all__ = ["StandardLogger"]

# From `logging`'s own call to the one who called debug, info, warn or error.
_STACK_LEVEL = 3

# What would end a value, or make it look like something else.
_MARKS = frozenset(" '\"=")


class StandardLogger:
    """A Logger that writes to one logger of `logging`, given or by its name.

    The context of a call goes over the logger's own; both are on the record, as the
    dict `context`, and behind the message as `key=value` pairs.  A value that is not
    one plain word is shown by its `repr`, and nothing in the context can start a new
    line.  The message is shown as it is: what comes from outside belongs in the context.

    A level that is off costs one look, and leaves message and context alone.  No call
    raises: what goes wrong in writing goes to stderr, as `logging` itself has it with
    its handlers, unless `logging.raiseExceptions` is off.

    >>> logger = StandardLogger("shop").child({"plugin": "seats"})
    >>> logger.child({"seat": "12A"})
    StandardLogger('shop', keys=['plugin', 'seat'])
    """

    __slots__ = ("_context", "_logger")

    def __init__(
        self,
        logger: logging.Logger | str = "latency_kv.plugins",
        context: Mapping[str, Any] | None = None,
    ) -> None:
        self._logger = logging.getLogger(logger) if isinstance(logger, str) else logger
        self._context: dict[str, Any] = {} if context is None else dict(context)

    def __repr__(self) -> str:
        return f"StandardLogger({self._logger.name!r}, keys={list(self._context)!r})"

    def debug(self, message: str, context: Mapping[str, Any] | None = None) -> None:
        """Write what helps to find a mistake; level DEBUG."""
        self._write(logging.DEBUG, message, context)

    def info(self, message: str, context: Mapping[str, Any] | None = None) -> None:
        """Write what happened, as it should; level INFO."""
        self._write(logging.INFO, message, context)

    def warn(self, message: str, context: Mapping[str, Any] | None = None) -> None:
        """Write what somebody should look at; level WARNING."""
        self._write(logging.WARNING, message, context)

    def error(self, message: str, context: Mapping[str, Any] | None = None) -> None:
        """Write what failed; level ERROR."""
        self._write(logging.ERROR, message, context)

    def child(self, context: Mapping[str, Any]) -> StandardLogger:
        """Return a logger with this context over the parent's, which stays as it is."""
        return StandardLogger(self._logger, {**self._context, **context})

    def _write(
        self, level: int, message: str, context: Mapping[str, Any] | None
    ) -> None:
        if not self._logger.isEnabledFor(level):
            return
        try:
            # A copy: a filter may change what is on its record.
            merged = {**self._context, **(context or {})}
            text = str(message)
            arguments: tuple[str, ...] = ()
            if merged:
                # The message stays the record's template, by which tools group.
                text = text.replace("%", "%%") + " %s"
                arguments = (_pairs(merged),)
            self._logger.log(
                level,
                text,
                *arguments,
                stacklevel=_STACK_LEVEL,
                extra={"context": merged},
            )
        except Exception:  # noqa: BLE001 - who logs has other things to do than fail
            if logging.raiseExceptions:
                with suppress(OSError, ValueError):
                    traceback.print_exc()


def _pairs(context: Mapping[str, Any]) -> str:
    return " ".join(f"{_shown(key)}={_shown(value)}" for key, value in context.items())


def _shown(value: Any) -> str:
    """Return one plain word, or a repr that is of one line."""
    if issubclass(type(value), str):
        # Of a str's subclass too, an enum's say, its characters and not its own word.
        text = str.__str__(value)
        is_plain = text != "" and text.isprintable() and _MARKS.isdisjoint(text)
        return text if is_plain else repr(text)
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001 - no value may keep others from the log
        text = f"<{type(value).__name__}, whose repr raised {type(error).__name__}>"
    return text if text.isprintable() else repr(text)
