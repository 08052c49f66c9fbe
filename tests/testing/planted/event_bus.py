"""Event buses with one defect each."""

from collections.abc import Callable
from copy import copy
from inspect import isawaitable
from typing import Any

import anyio

from latency_kv.facets.event_bus import EventHandler
from latency_kv.testing.event_bus import EventBusContract
from testing.in_memory.event_bus import InMemoryEventBus, Subscription
from testing.planting import seen_by


@seen_by(EventBusContract.test_provider_is_an_event_bus)
class WithoutOff(InMemoryEventBus):
    off = None  # type: ignore[assignment]


@seen_by(EventBusContract.test_handler_gets_the_payload_itself)
class CopiesPayloads(InMemoryEventBus):
    async def call(self, handler: EventHandler, payload: Any) -> None:
        await super().call(handler, copy(payload))


@seen_by(EventBusContract.test_payload_is_none_by_default)
class EmptyByDefault(InMemoryEventBus):
    async def emit(self, event: str, /, payload: Any = ()) -> None:
        await super().emit(event, payload)


@seen_by(EventBusContract.test_payload_is_none_by_default)
class PayloadHasNoName(InMemoryEventBus):
    async def emit(self, event: str, payload: Any = None, /) -> None:
        await super().emit(event, payload)


@seen_by(EventBusContract.test_nothing_is_kept_for_later)
class Replays(InMemoryEventBus):
    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Any] = []

    async def emit(self, event: str, /, payload: Any = None) -> None:
        self.kept.append(payload)
        await super().emit(event, payload)

    def on(self, event: str, handler: EventHandler, /) -> Callable[[], None]:
        for payload in self.kept:
            handler(payload)
        return super().on(event, handler)


@seen_by(EventBusContract.test_emit_returns_nothing_and_needs_no_listener)
class CountsListeners(InMemoryEventBus):
    async def emit(self, event: str, /, payload: Any = None) -> Any:
        await super().emit(event, payload)
        return len(self.open(event))


@seen_by(EventBusContract.test_emit_returns_nothing_and_needs_no_listener)
class NeedsListeners(InMemoryEventBus):
    async def emit(self, event: str, /, payload: Any = None) -> None:
        assert self.open(event)
        await super().emit(event, payload)


@seen_by(EventBusContract.test_emit_waits_for_async_handlers)
class DropsAwaitables(InMemoryEventBus):
    async def call(self, handler: EventHandler, payload: Any) -> None:
        result: Any = handler(payload)
        if isawaitable(result):
            result.close()  # type: ignore[attr-defined]


@seen_by(
    EventBusContract.test_handlers_are_called_in_the_order_of_subscription,
    EventBusContract.test_handler_may_emit,
)
class NewestFirst(InMemoryEventBus):
    async def emit(self, event: str, /, payload: Any = None) -> None:
        for subscription in reversed(self.open(event)):
            await self.call(subscription.handler, payload)


@seen_by(EventBusContract.test_handlers_are_called_in_the_order_of_subscription)
class AllAtOnce(InMemoryEventBus):
    async def emit(self, event: str, /, payload: Any = None) -> None:
        async with anyio.create_task_group() as tasks:
            for subscription in self.open(event):
                tasks.start_soon(self.call, subscription.handler, payload)


@seen_by(EventBusContract.test_events_are_apart)
class IgnoresCase(InMemoryEventBus):
    async def emit(self, event: str, /, payload: Any = None) -> None:
        await super().emit(event.lower(), payload)


@seen_by(EventBusContract.test_events_are_apart)
class Hierarchical(InMemoryEventBus):
    async def emit(self, event: str, /, payload: Any = None) -> None:
        for end in range(1, event.count(".") + 2):
            await super().emit(".".join(event.split(".")[:end]), payload)


@seen_by(EventBusContract.test_one_handler_listens_to_several_events)
class OneEventAHandler(InMemoryEventBus):
    def on(self, event: str, handler: EventHandler, /) -> Callable[[], None]:
        for other in self.subscriptions:
            self.off(other.event, handler)
        return super().on(event, handler)


@seen_by(EventBusContract.test_one_handler_listens_to_several_events)
class EndsEverywhere(InMemoryEventBus):
    def on(self, event: str, handler: EventHandler, /) -> Callable[[], None]:
        super().on(event, handler)

        def unsubscribe() -> None:
            for other in self.subscriptions:
                self.off(other.event, handler)

        return unsubscribe


@seen_by(EventBusContract.test_same_handler_is_called_once_for_an_event)
class CallsTwice(InMemoryEventBus):
    def on(self, event: str, handler: EventHandler, /) -> Callable[[], None]:
        return super().on(event, lambda payload: handler(payload))


@seen_by(EventBusContract.test_handler_that_is_there_keeps_its_place)
class GoesToTheEnd(InMemoryEventBus):
    def on(self, event: str, handler: EventHandler, /) -> Callable[[], None]:
        self.off(event, handler)
        return super().on(event, handler)


@seen_by(EventBusContract.test_either_handle_of_one_handler_ends_it)
class CountsHandles(InMemoryEventBus):
    def __init__(self) -> None:
        super().__init__()
        self.handles = 0

    def on(self, event: str, handler: EventHandler, /) -> Callable[[], None]:
        self.handles += 1
        inner = super().on(event, handler)

        def unsubscribe() -> None:
            self.handles -= 1
            if not self.handles:
                inner()

        return unsubscribe


@seen_by(EventBusContract.test_either_handle_of_one_handler_ends_it)
class FirstHandleCounts(InMemoryEventBus):
    def on(self, event: str, handler: EventHandler, /) -> Callable[[], None]:
        if self.found(event, handler):
            return lambda: None
        return super().on(event, handler)


@seen_by(EventBusContract.test_either_handle_of_one_handler_ends_it)
class LastHandleCounts(InMemoryEventBus):
    def __init__(self) -> None:
        super().__init__()
        self.handles: dict[EventHandler, int] = {}

    def on(self, event: str, handler: EventHandler, /) -> Callable[[], None]:
        super().on(event, handler)
        number = self.handles[handler] = self.handles.get(handler, 0) + 1

        def unsubscribe() -> None:
            if self.handles[handler] == number:
                self.off(event, handler)

        return unsubscribe


@seen_by(EventBusContract.test_equal_handlers_are_two)
class EqualIsTheSame(InMemoryEventBus):
    def found(self, event: str, handler: EventHandler) -> Subscription | None:
        same = (s for s in self.open(event) if s.handler == handler)
        return next(same, None)


@seen_by(EventBusContract.test_equal_handlers_are_two)
class HashesHandlers(InMemoryEventBus):
    def on(self, event: str, handler: EventHandler, /) -> Callable[[], None]:
        hash(handler)
        return super().on(event, handler)


@seen_by(
    EventBusContract.test_unsubscribe_ends_the_subscription,
    EventBusContract.test_unsubscribe_may_be_called_again,
    EventBusContract.test_who_was_unsubscribed_meanwhile_is_not_called,
)
class ForEver(InMemoryEventBus):
    def on(self, event: str, handler: EventHandler, /) -> Callable[[], None]:
        super().on(event, handler)
        return lambda: None


@seen_by(EventBusContract.test_unsubscribe_ends_the_subscription)
class EndsAll(InMemoryEventBus):
    def on(self, event: str, handler: EventHandler, /) -> Callable[[], None]:
        super().on(event, handler)

        def unsubscribe() -> None:
            for subscription in self.open(event):
                subscription.end()

        return unsubscribe


@seen_by(EventBusContract.test_unsubscribe_may_be_called_again)
class EndsOnce(InMemoryEventBus):
    def on(self, event: str, handler: EventHandler, /) -> Callable[[], None]:
        super().on(event, handler)

        def unsubscribe() -> None:
            assert self.found(event, handler)
            self.off(event, handler)

        return unsubscribe


@seen_by(EventBusContract.test_old_handle_does_nothing_to_a_new_subscription)
class HandlesAreForgetful(InMemoryEventBus):
    def on(self, event: str, handler: EventHandler, /) -> Callable[[], None]:
        super().on(event, handler)
        return lambda: self.off(event, handler)


@seen_by(EventBusContract.test_off_ends_the_subscription)
class OffDoesNothing(InMemoryEventBus):
    def off(self, event: str, handler: EventHandler, /) -> None:
        """Nobody is there."""


@seen_by(EventBusContract.test_off_ends_the_subscription)
class ComparesIdentity(InMemoryEventBus):
    def off(self, event: str, handler: EventHandler, /) -> None:
        for subscription in self.open(event):
            if subscription.handler is handler:
                subscription.end()


@seen_by(EventBusContract.test_off_of_what_is_not_subscribed_does_nothing)
class OffMustFind(InMemoryEventBus):
    def off(self, event: str, handler: EventHandler, /) -> None:
        assert self.found(event, handler)
        super().off(event, handler)


@seen_by(EventBusContract.test_off_of_what_is_not_subscribed_does_nothing)
class OffEndsEverywhere(InMemoryEventBus):
    def off(self, event: str, handler: EventHandler, /) -> None:
        for subscription in self.subscriptions:
            super().off(subscription.event, handler)


@seen_by(EventBusContract.test_failing_handlers_stop_nobody)
class RaisesWhatHandlersRaise(InMemoryEventBus):
    async def call(self, handler: EventHandler, payload: Any) -> None:
        await super().call(handler, payload)
        if self.failures:
            raise self.failures.pop()


@seen_by(EventBusContract.test_failing_handlers_stop_nobody)
class StopsAtAFailure(InMemoryEventBus):
    async def call(self, handler: EventHandler, payload: Any) -> None:
        if not self.failures:
            await super().call(handler, payload)


@seen_by(EventBusContract.test_who_was_unsubscribed_meanwhile_is_not_called)
class CallsTheEnded(InMemoryEventBus):
    async def emit(self, event: str, /, payload: Any = None) -> None:
        for subscription in self.open(event):
            await self.call(subscription.handler, payload)


@seen_by(EventBusContract.test_who_subscribes_meanwhile_hears_the_next_one)
class CallsTheNew(InMemoryEventBus):
    async def emit(self, event: str, /, payload: Any = None) -> None:
        for subscription in self.subscriptions:
            if subscription.is_open and subscription.event == event:
                await self.call(subscription.handler, payload)


@seen_by(EventBusContract.test_handler_may_emit)
class Locked(InMemoryEventBus):
    def __init__(self) -> None:
        super().__init__()
        self.lock = anyio.Semaphore(1)

    async def emit(self, event: str, /, payload: Any = None) -> None:
        async with self.lock:
            await super().emit(event, payload)


@seen_by(EventBusContract.test_cancellation_goes_through)
class Uncancellable(InMemoryEventBus):
    async def call(self, handler: EventHandler, payload: Any) -> None:
        try:
            await super().call(handler, payload)
        except anyio.get_cancelled_exc_class():
            return


@seen_by(EventBusContract.test_cancellation_goes_through)
class Shielded(InMemoryEventBus):
    async def call(self, handler: EventHandler, payload: Any) -> None:
        with anyio.move_on_after(0.5, shield=True):
            await super().call(handler, payload)
