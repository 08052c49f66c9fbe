"""Plugin events: a host's event bus as one plugin sees it.

What the plugin subscribes goes through here, so that the host can end all of it when it
unloads the plugin, and nobody else's.

Knows the bus by its facet alone.  Start at `PluginEvents`.
"""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import ExitStack
from functools import partial
from types import BuiltinMethodType, MethodType
from typing import Any, NamedTuple

from latency_kv.facets.event_bus import EventBus, EventHandler, Unsubscribe

__all__ = ["PluginEvents"]

# What is another object each time that it is looked up, and equal to the one before.
_BOUND = (MethodType, BuiltinMethodType)


class _Subscription(NamedTuple):
    # Held, so that no other handler gets the identity that it is found by.
    handler: EventHandler
    unsubscribe: Unsubscribe


class PluginEvents:
    """An EventBus over the host's, for one plugin; all plugins hear one another on it.

    A handler that two plugins subscribe is called for each, and one's `off` leaves the
    other's.  After the plugin is unloaded `on` and `emit` raise RuntimeError.
    """

    __slots__ = ("_bus", "_is_ended", "_plugin_name", "_subscriptions")

    def __init__(self, bus: EventBus, plugin_name: str) -> None:
        self._bus = bus
        self._plugin_name = plugin_name
        self._is_ended = False
        # By the event and the handler's identity.
        self._subscriptions: dict[tuple[str, Hashable], _Subscription] = {}

    def __repr__(self) -> str:
        return f"PluginEvents({self._bus!r}, {self._plugin_name!r})"

    async def emit(self, event: str, /, payload: Any = None) -> None:
        """Call whoever is subscribed to the event, in this plugin or elsewhere."""
        self._demand_loaded()
        await self._bus.emit(event, payload)

    def on(self, event: str, handler: EventHandler, /) -> Unsubscribe:
        """Subscribe, until the handle is called or the plugin is unloaded."""
        self._demand_loaded()
        key = event, _identity(handler)
        subscription = self._subscriptions.get(key)
        if subscription is None:
            # An object of its own: another plugin may have subscribed this handler.
            unsubscribe = self._bus.on(event, partial(handler))
            subscription = _Subscription(handler, unsubscribe)
            self._subscriptions[key] = subscription
        return partial(self._unsubscribe, key, subscription)

    def off(self, event: str, handler: EventHandler, /) -> None:
        """End this plugin's subscription of the handler, if there is one."""
        key = event, _identity(handler)
        subscription = self._subscriptions.get(key)
        if subscription is not None:
            self._unsubscribe(key, subscription)

    def end(self) -> None:
        """End every subscription, the last one first, and take no more; the host's."""
        self._is_ended = True
        # A stack calls them all, also where one raises.
        with ExitStack() as stack:
            for subscription in self._subscriptions.values():
                stack.callback(subscription.unsubscribe)
            self._subscriptions = {}

    def _unsubscribe(
        self, key: tuple[str, Hashable], subscription: _Subscription
    ) -> None:
        # A handle that is spent does not end a later subscription.
        if self._subscriptions.get(key) is subscription:
            del self._subscriptions[key]
            subscription.unsubscribe()

    def _demand_loaded(self) -> None:
        if self._is_ended:
            raise RuntimeError(
                f"plugin {self._plugin_name!r} is not loaded any more: its events are "
                "over"
            )


def _identity(handler: EventHandler) -> Hashable:
    return handler if isinstance(handler, _BOUND) else id(handler)
