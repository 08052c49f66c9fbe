"""Loggers with one defect each."""

from collections.abc import Mapping
from threading import get_ident
from typing import Any

from latency_kv.testing.logger import LoggedMessage, LoggerContract
from testing.in_memory.logger import InMemoryLogger
from testing.planting import seen_by


@seen_by(LoggerContract.test_provider_is_a_logger)
class WithoutWarn(InMemoryLogger):
    warn = None  # type: ignore[assignment]


@seen_by(LoggerContract.test_child_is_a_logger)
class ChildrenWithoutChildren(InMemoryLogger):
    def child(self, context: Mapping[str, Any], /) -> Any:
        class Leaf:
            debug, info, warn, error = self.debug, self.info, self.warn, self.error

        return Leaf()


@seen_by(
    LoggerContract.test_calls_return_when_it_is_written,
    LoggerContract.test_each_level_is_written_as_what_it_is,
)
class WritesWhenAwaited(InMemoryLogger):
    def info(self, *arguments: Any) -> Any:
        class Later:
            def __await__(later) -> Any:
                yield from ()
                InMemoryLogger.info(self, *arguments)

        return Later()


@seen_by(LoggerContract.test_each_level_is_written_as_what_it_is)
class WarnIsInfo(InMemoryLogger):
    warn = InMemoryLogger.info


@seen_by(LoggerContract.test_each_level_is_written_as_what_it_is)
class NewestFirst(InMemoryLogger):
    def write(self, message: LoggedMessage) -> None:
        self.messages.insert(0, message)


@seen_by(LoggerContract.test_messages_are_taken_literally)
class FillsPercent(InMemoryLogger):
    def write(self, message: LoggedMessage) -> None:
        text = message.message % message.context
        super().write(message._replace(message=text))


@seen_by(LoggerContract.test_messages_are_taken_literally)
class FillsBraces(InMemoryLogger):
    def write(self, message: LoggedMessage) -> None:
        text = message.message.format(0, **message.context)
        super().write(message._replace(message=text))


@seen_by(LoggerContract.test_messages_are_taken_literally)
class DropsEmptyMessages(InMemoryLogger):
    def write(self, message: LoggedMessage) -> None:
        if message.message:
            super().write(message)


@seen_by(LoggerContract.test_context_may_be_left_out)
class NeedsContext(InMemoryLogger):
    def merged(self, context: Mapping[str, Any] | None) -> dict[str, Any]:
        return self.context | dict(context)  # type: ignore[arg-type]


@seen_by(LoggerContract.test_context_may_be_left_out)
class AddsToContext(InMemoryLogger):
    def merged(self, context: Mapping[str, Any] | None) -> dict[str, Any]:
        return {"context": context, **super().merged(context)}


@seen_by(
    LoggerContract.test_context_holds_any_object,
    LoggerContract.test_child_adds_its_context,
)
class DropsWhatIsNoText(InMemoryLogger):
    def merged(self, context: Mapping[str, Any] | None) -> dict[str, Any]:
        merged = super().merged(context).items()
        return {key: value for key, value in merged if isinstance(value, str)}


@seen_by(LoggerContract.test_context_holds_any_object)
class NeedsADict(InMemoryLogger):
    def merged(self, context: Mapping[str, Any] | None) -> dict[str, Any]:
        if not isinstance(context, dict | None):
            raise TypeError(context)
        return super().merged(context)


@seen_by(LoggerContract.test_what_cannot_be_shown_raises_nothing)
class ShowsAtOnce(InMemoryLogger):
    def write(self, message: LoggedMessage) -> None:
        str(message)
        super().write(message)


@seen_by(LoggerContract.test_what_cannot_be_shown_raises_nothing)
class FallsSilent(InMemoryLogger):
    def write(self, message: LoggedMessage) -> None:
        try:
            str(self.messages)
            super().write(message)
        except RuntimeError:
            """Nothing is said any more."""


@seen_by(LoggerContract.test_any_thread_may_log)
class OfOneThread(InMemoryLogger):
    def __init__(self, *arguments: Any, **context: Any) -> None:
        super().__init__(*arguments, **context)
        self.thread = get_ident()

    def write(self, message: LoggedMessage) -> None:
        if get_ident() == self.thread:
            super().write(message)


@seen_by(
    LoggerContract.test_child_adds_its_context,
    LoggerContract.test_children_of_children_add_theirs,
    LoggerContract.test_the_innermost_context_wins,
)
class ForgetfulChildren(InMemoryLogger):
    def child(self, context: Mapping[str, Any], /) -> InMemoryLogger:
        return type(self)(self.messages)


@seen_by(LoggerContract.test_children_of_children_add_theirs)
class OrphanedChildren(InMemoryLogger):
    def child(self, context: Mapping[str, Any], /) -> InMemoryLogger:
        return type(self)(self.messages, **context)


@seen_by(LoggerContract.test_the_innermost_context_wins)
class OutermostWins(InMemoryLogger):
    def merged(self, context: Mapping[str, Any] | None) -> dict[str, Any]:
        return {**(context or {}), **self.context}


@seen_by(LoggerContract.test_child_leaves_parent_and_siblings_as_they_are)
class ChildrenChangeParents(InMemoryLogger):
    def child(self, context: Mapping[str, Any], /) -> InMemoryLogger:
        self.context.update(context)
        return super().child(context)


@seen_by(LoggerContract.test_child_leaves_parent_and_siblings_as_they_are)
class CallsStick(InMemoryLogger):
    def merged(self, context: Mapping[str, Any] | None) -> dict[str, Any]:
        self.context.update(context or {})
        return dict(self.context)


@seen_by(LoggerContract.test_later_change_of_a_childs_mapping_reaches_nobody)
class SharesMappings(InMemoryLogger):
    def child(self, context: Mapping[str, Any], /) -> InMemoryLogger:
        child = super().child(context)
        child.context = context  # type: ignore[assignment]
        return child


@seen_by(LoggerContract.test_given_mappings_stay_as_they_are)
class ChangesMappings(InMemoryLogger):
    def merged(self, context: Mapping[str, Any] | None) -> dict[str, Any]:
        merged = super().merged(context)
        if isinstance(context, dict):
            context.update(merged)
        return merged
