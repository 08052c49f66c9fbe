"""InMemoryLogger: the Logger facet over a list, for tests that read what was logged.

Start at `InMemoryLogger.child`.
"""

from collections.abc import Mapping
from typing import Any

from latency_kv.testing.logger import LoggedMessage


class InMemoryLogger:
    """Keeps each message; children share the list of the first of them."""

    def __init__(
        self, messages: list[LoggedMessage] | None = None, **context: Any
    ) -> None:
        self.messages = [] if messages is None else messages
        self.context = context

    def debug(self, message: str, /, context: Mapping[str, Any] | None = None) -> None:
        self.write(LoggedMessage("debug", message, self.merged(context)))

    def info(self, message: str, /, context: Mapping[str, Any] | None = None) -> None:
        self.write(LoggedMessage("info", message, self.merged(context)))

    def warn(self, message: str, /, context: Mapping[str, Any] | None = None) -> None:
        self.write(LoggedMessage("warn", message, self.merged(context)))

    def error(self, message: str, /, context: Mapping[str, Any] | None = None) -> None:
        self.write(LoggedMessage("error", message, self.merged(context)))

    def child(self, context: Mapping[str, Any], /) -> "InMemoryLogger":
        return type(self)(self.messages, **self.merged(context))

    def merged(self, context: Mapping[str, Any] | None) -> dict[str, Any]:
        return {**self.context, **(context or {})}

    def write(self, message: LoggedMessage) -> None:
        self.messages.append(message)
