"""EventBusContract: what a provider of the EventBus facet has to show.

Knows the facet and no provider.  Start at `EventBusContract.provider`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from latency_kv.facets.event_bus import EventBus

__all__ = ["EventBusContract"]


class _Equal:
    """A handler that says that it is every other one of its kind; it has no hash."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Equal)

    def __call__(self, payload: Any) -> None:
        self.seen.append(payload)


class EventBusContract:
    """Run by a test class that inherits it and overrides `provider`."""

    pytestmark = pytest.mark.anyio

    patience_s = 10.0
    """How long to wait for what has to happen, before it counts as missing."""

    @pytest.fixture
    def provider(self) -> Any:
        """A bus that nobody listens to; may be async, and may clean up."""
        raise NotImplementedError(f"{type(self).__name__} has to override `provider`")

    async def test_provider_is_an_event_bus(self, provider: EventBus) -> None:
        assert isinstance(provider, EventBus)

    async def test_handler_gets_the_payload_itself(self, provider: EventBus) -> None:
        seen: list[Any] = []
        payload = {"any": object()}
        provider.on("event", seen.append)
        await provider.emit("event", payload)
        assert len(seen) == 1
        assert seen[0] is payload

    async def test_payload_is_none_by_default(self, provider: EventBus) -> None:
        seen: list[Any] = []
        provider.on("event", seen.append)
        await provider.emit("event")
        await provider.emit("event", payload=1)
        assert seen == [None, 1]

    async def test_nothing_is_kept_for_later(self, provider: EventBus) -> None:
        seen: list[Any] = []
        await provider.emit("event", 1)
        provider.on("event", seen.append)
        await provider.emit("event", 2)
        assert seen == [2]

    async def test_emit_returns_nothing_and_needs_no_listener(
        self, provider: EventBus
    ) -> None:
        emit: Any = provider.emit
        assert await emit("event", 1) is None

    async def test_emit_waits_for_async_handlers(self, provider: EventBus) -> None:
        seen: list[Any] = []

        async def slow(payload: Any) -> None:
            for _ in range(5):
                await anyio.lowlevel.checkpoint()
            seen.append(payload)

        provider.on("event", slow)
        await provider.emit("event", 1)
        assert seen == [1]

    async def test_handlers_are_called_in_the_order_of_subscription(
        self, provider: EventBus
    ) -> None:
        """One after the other: the next begins when the one before is through."""
        seen: list[str] = []

        async def slow(payload: Any) -> None:
            seen.append("slow begins")
            await anyio.lowlevel.checkpoint()
            seen.append("slow ends")

        provider.on("event", lambda payload: seen.append("first"))
        provider.on("event", slow)
        provider.on("event", lambda payload: seen.append("last"))
        await provider.emit("event")
        assert seen == ["first", "slow begins", "slow ends", "last"]

    async def test_events_are_apart(self, provider: EventBus) -> None:
        seen: list[Any] = []
        provider.on("event", seen.append)
        await provider.emit("Event", 1)
        await provider.emit("event.inner", 2)
        await provider.emit("event", 3)
        assert seen == [3]

    async def test_one_handler_listens_to_several_events(
        self, provider: EventBus
    ) -> None:
        seen: list[Any] = []
        provider.on("one", seen.append)
        unsubscribe = provider.on("two", seen.append)
        await provider.emit("one", 1)
        await provider.emit("two", 2)
        unsubscribe()
        await provider.emit("two", 3)
        await provider.emit("one", 4)
        assert seen == [1, 2, 4]

    async def test_same_handler_is_called_once_for_an_event(
        self, provider: EventBus
    ) -> None:
        seen: list[Any] = []
        provider.on("event", seen.append)
        provider.on("event", seen.append)
        await provider.emit("event", 1)
        assert seen == [1]

    async def test_handler_that_is_there_keeps_its_place(
        self, provider: EventBus
    ) -> None:
        seen: list[str] = []

        def first(payload: Any) -> None:
            seen.append("first")

        provider.on("event", first)
        provider.on("event", lambda payload: seen.append("second"))
        provider.on("event", first)
        await provider.emit("event")
        assert seen == ["first", "second"]

    async def test_either_handle_of_one_handler_ends_it(
        self, provider: EventBus
    ) -> None:
        seen: list[Any] = []
        for chosen in (0, 1):
            handles = [provider.on("event", seen.append) for _ in range(2)]
            handles[chosen]()
            await provider.emit("event", chosen)
            assert seen == []
            handles[1 - chosen]()

    async def test_equal_handlers_are_two(self, provider: EventBus) -> None:
        """The same is the same object, or the same method of the same object."""
        first, second = _Equal(), _Equal()
        provider.on("event", first)
        provider.on("event", second)
        await provider.emit("event", 1)
        provider.off("event", first)
        await provider.emit("event", 2)
        assert (first.seen, second.seen) == ([1], [1, 2])

    async def test_unsubscribe_ends_the_subscription(self, provider: EventBus) -> None:
        first: list[Any] = []
        second: list[Any] = []
        unsubscribe = provider.on("event", first.append)
        provider.on("event", second.append)
        assert unsubscribe() is None
        await provider.emit("event", 1)
        assert (first, second) == ([], [1])

    async def test_unsubscribe_may_be_called_again(self, provider: EventBus) -> None:
        seen: list[Any] = []
        unsubscribe = provider.on("event", seen.append)
        unsubscribe()
        unsubscribe()
        await provider.emit("event", 1)
        assert seen == []

    async def test_old_handle_does_nothing_to_a_new_subscription(
        self, provider: EventBus
    ) -> None:
        seen: list[Any] = []
        unsubscribe = provider.on("event", seen.append)
        unsubscribe()
        provider.on("event", seen.append)
        unsubscribe()
        await provider.emit("event", 1)
        assert seen == [1]

    async def test_off_ends_the_subscription(self, provider: EventBus) -> None:
        """A bound method is a new object each time, and the same handler."""
        first: list[Any] = []
        second: list[Any] = []
        provider.on("event", first.append)
        provider.on("event", second.append)
        off: Any = provider.off
        assert off("event", first.append) is None
        await provider.emit("event", 1)
        assert (first, second) == ([], [1])

    async def test_off_of_what_is_not_subscribed_does_nothing(
        self, provider: EventBus
    ) -> None:
        seen: list[Any] = []
        unsubscribe = provider.on("event", seen.append)
        provider.off("event", print)
        provider.off("other", seen.append)
        await provider.emit("event", 1)
        provider.off("event", seen.append)
        provider.off("event", seen.append)
        unsubscribe()
        await provider.emit("event", 2)
        assert seen == [1]

    async def test_failing_handlers_stop_nobody(self, provider: EventBus) -> None:
        seen: list[Any] = []

        def failing(payload: Any) -> None:
            raise RuntimeError("a handler's own")

        async def failing_later(payload: Any) -> None:
            await anyio.lowlevel.checkpoint()
            raise RuntimeError("a handler's own")

        provider.on("event", failing)
        provider.on("event", failing_later)
        provider.on("event", seen.append)
        await provider.emit("event", 1)
        await provider.emit("event", 2)
        assert seen == [1, 2]

    async def test_who_was_unsubscribed_meanwhile_is_not_called(
        self, provider: EventBus
    ) -> None:
        seen: list[str] = []
        unsubscribe: list[Callable[[], None]] = []

        async def ending(payload: Any) -> None:
            seen.append("ending")
            await anyio.lowlevel.checkpoint()
            unsubscribe[0]()

        provider.on("event", ending)
        unsubscribe.append(provider.on("event", lambda payload: seen.append("ended")))
        provider.on("event", lambda payload: seen.append("last"))
        await provider.emit("event")
        assert seen == ["ending", "last"]

    async def test_who_subscribes_meanwhile_hears_the_next_one(
        self, provider: EventBus
    ) -> None:
        seen: list[Any] = []
        provider.on("event", lambda payload: provider.on("event", seen.append))
        await provider.emit("event", 1)
        assert seen == []
        await provider.emit("event", 2)
        assert seen == [2]

    async def test_handler_may_emit(self, provider: EventBus) -> None:
        """The inner event is through before the outer one goes on."""
        seen: list[Any] = []

        async def relay(payload: int) -> None:
            if payload:
                await provider.emit("event", payload - 1)

        provider.on("event", relay)
        provider.on("event", seen.append)
        with anyio.fail_after(self.patience_s):
            await provider.emit("event", 2)
        assert seen == [0, 1, 2]

    async def test_cancellation_goes_through(self, provider: EventBus) -> None:
        seen: list[Any] = []

        async def endless(payload: Any) -> None:
            scope.cancel()
            await anyio.sleep_forever()

        provider.on("event", endless)
        provider.on("event", seen.append)
        with anyio.fail_after(self.patience_s), anyio.CancelScope() as scope:
            await provider.emit("event", 1)
        assert scope.cancelled_caught
        assert seen == []
