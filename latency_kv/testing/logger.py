"""LoggerContract: what a provider of the Logger facet has to show.

Knows the facet and no provider.  Start at `LoggerContract.provider`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import anyio.to_thread
import pytest

from latency_kv.facets.logger import Logger

__all__ = ["LoggedMessage", "LoggerContract"]


class LoggedMessage(NamedTuple):
    """A message as a logger wrote it, with the context that came with it."""

    level: Literal["debug", "info", "warn", "error"]
    message: str
    context: Mapping[str, Any] = MappingProxyType({})


class _Unshowable:
    """A value of which nobody can make text."""

    def __repr__(self) -> str:
        raise RuntimeError("nothing to see here")


class LoggerContract:
    """Run by a test class that inherits it and overrides `provider` and `written`."""

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def provider(self) -> Any:
        """A logger that writes every level; may be async, and may clean up."""
        raise NotImplementedError(f"{type(self).__name__} has to override `provider`")

    def written(self, provider: Any) -> Sequence[LoggedMessage]:
        """Return what the logger and its children wrote, the oldest first.

        The context is what was given to `child` and to the call, without what the
        logger adds of its own.
        """
        raise NotImplementedError(f"{type(self).__name__} has to override `written`")

    async def test_provider_is_a_logger(self, provider: Logger) -> None:
        assert isinstance(provider, Logger)

    async def test_calls_return_when_it_is_written(self, provider: Logger) -> None:
        """Sync: what they return is None, and nothing has to be awaited."""
        for log in (provider.debug, provider.info, provider.warn, provider.error):
            assert log("message") is None
        assert len(self.written(provider)) == 4

    async def test_each_level_is_written_as_what_it_is(self, provider: Logger) -> None:
        provider.error("four", {"n": 4})
        provider.debug("one", {"n": 1})
        provider.info("two", {"n": 2})
        provider.warn("three", {"n": 3})
        assert list(self.written(provider)) == [
            LoggedMessage("error", "four", {"n": 4}),
            LoggedMessage("debug", "one", {"n": 1}),
            LoggedMessage("info", "two", {"n": 2}),
            LoggedMessage("warn", "three", {"n": 3}),
        ]

    async def test_messages_are_taken_literally(self, provider: Logger) -> None:
        """Nothing in them is a placeholder, with a context or without one."""
        for message in ["100% of %s and %(n)d", "{n} of {0}", "\\n", ""]:
            provider.info(message)
            provider.info(message, {"n": 1})
            assert [line.message for line in self.written(provider)[-2:]] == [
                message,
                message,
            ]

    async def test_context_may_be_left_out(self, provider: Logger) -> None:
        provider.info("without")
        provider.info("none", None)
        provider.info("empty", {})
        assert [line.context for line in self.written(provider)] == [{}, {}, {}]

    async def test_context_holds_any_object(self, provider: Logger) -> None:
        context = {"error": ValueError("x"), "set": {1}, "none": None, "text": "a b=c"}
        provider.error("message", context=MappingProxyType(context))
        assert set(self.written(provider)[-1].context) == set(context)

    async def test_what_cannot_be_shown_raises_nothing(self, provider: Logger) -> None:
        """Of that message something may be lost; of the next one nothing."""
        provider.info("unshowable", {"value": _Unshowable()})
        provider.child({"value": _Unshowable()}).info("unshowable")
        provider.info("message", {"n": 1})
        assert self.written(provider)[-1] == ("info", "message", {"n": 1})

    async def test_any_thread_may_log(self, provider: Logger) -> None:
        child = provider.child({"plugin": "clock"})
        await anyio.to_thread.run_sync(child.info, "message", {"n": 1})
        context = {"plugin": "clock", "n": 1}
        assert list(self.written(provider)) == [("info", "message", context)]

    async def test_child_is_a_logger(self, provider: Logger) -> None:
        assert isinstance(provider.child({}), Logger)

    async def test_child_adds_its_context(self, provider: Logger) -> None:
        child = provider.child({"plugin": "clock"})
        for log in (child.debug, child.info, child.warn, child.error):
            log("message", {"n": 1})
        child.info("without")
        contexts = [line.context for line in self.written(provider)]
        assert contexts == [{"plugin": "clock", "n": 1}] * 4 + [{"plugin": "clock"}]

    async def test_children_of_children_add_theirs(self, provider: Logger) -> None:
        child = provider.child({"plugin": "clock"}).child({"task": 7}).child({})
        child.info("message")
        assert self.written(provider)[-1].context == {"plugin": "clock", "task": 7}

    async def test_the_innermost_context_wins(self, provider: Logger) -> None:
        child = provider.child({"a": 1, "b": 1, "c": 1}).child({"b": 2, "c": 2})
        child.info("message", {"c": 3})
        assert self.written(provider)[-1].context == {"a": 1, "b": 2, "c": 3}

    async def test_child_leaves_parent_and_siblings_as_they_are(
        self, provider: Logger
    ) -> None:
        parent = provider.child({"plugin": "clock"})
        first, second = parent.child({"task": 1}), parent.child({"other": 2})
        first.info("first", {"n": 1})
        for log in (second, parent, provider):
            log.info("message")
        assert [line.context for line in self.written(provider)[1:]] == [
            {"plugin": "clock", "other": 2},
            {"plugin": "clock"},
            {},
        ]

    async def test_later_change_of_a_childs_mapping_reaches_nobody(
        self, provider: Logger
    ) -> None:
        context = {"plugin": "clock"}
        child = provider.child(context)
        context["plugin"] = "other"
        child.info("message")
        assert self.written(provider)[-1].context == {"plugin": "clock"}

    async def test_given_mappings_stay_as_they_are(self, provider: Logger) -> None:
        of_child, of_call = {"plugin": "clock"}, {"n": 1}
        provider.child(of_child).info("message", of_call)
        assert (of_child, of_call) == ({"plugin": "clock"}, {"n": 1})
