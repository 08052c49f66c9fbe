"""Facets: a provider that is asked for by its Protocol is one, by name it is Any."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol, reveal_type

from latency_kv.facets import (
    Decision,
    DecisionHandler,
    DecisionSpec,
    EventBus,
    Issue,
    IssueQuery,
    IssueTracker,
    IssueUpdate,
    Logger,
    PaginatedQuery,
    PaginatedResult,
    SecretStore,
    StateStore,
)
from latency_kv.plugins.context import PluginContext
from latency_kv.plugins.registry import FacetRegistry, Registration
from latency_kv.providers import (
    EnvironmentSecretStore,
    PyeeEventBus,
    StandardLogger,
)


class Weather(Protocol):
    """A facet of the user's own."""

    def degrees(self) -> float: ...


class Mail(ABC):
    """A facet that is an abstract class."""

    @abstractmethod
    def send(self, to: str) -> None: ...


def registered(registry: FacetRegistry, name: str) -> None:
    """A registry of the host."""
    reveal_type(registry.resolve(Logger))  # Logger
    reveal_type(registry.resolve(Logger, "audit"))  # Logger
    reveal_type(registry.resolve(StateStore, qualifier="fast"))  # StateStore
    reveal_type(registry.resolve(Weather))  # Weather
    reveal_type(registry.resolve(Mail))  # Mail
    reveal_type(registry.resolve("Logger"))  # Any
    reveal_type(registry.resolve(name, "audit"))  # Any
    reveal_type(registry.has(Logger))  # bool
    reveal_type(registry.list(Logger))  # tuple[Registration, ...]
    reveal_type(registry.unregister("Logger", "audit"))  # bool
    registry.register(Logger, StandardLogger(), "audit", priority=2)
    registry.register("Weather", object())
    registry.resolve(Logger).inform("no")  # error: a Logger has no such method
    registry.resolve(42)  # error: no facet
    registry.resolve(Logger, 42)  # error: a qualifier is a str
    registry.register(Logger, StandardLogger(), priority="high")  # error: no int


async def required(ctx: PluginContext, name: str, spec: DecisionSpec) -> None:
    """What a plugin asks its context for."""
    reveal_type(ctx.require(EventBus))  # EventBus
    reveal_type(ctx.require(SecretStore, "vault"))  # SecretStore
    reveal_type(ctx.require(Weather))  # Weather
    reveal_type(ctx.require("EventBus"))  # Any
    reveal_type(ctx.require(name))  # Any
    reveal_type(ctx.optional(SecretStore))  # SecretStore | None
    reveal_type(ctx.optional(Mail, "home"))  # Mail | None
    reveal_type(ctx.optional("SecretStore"))  # Any
    reveal_type(await ctx.require(SecretStore).get_secret("key"))  # str | None
    reveal_type(await ctx.require(StateStore).keys("prefix"))  # list[str]
    reveal_type(ctx.logger)  # Logger
    reveal_type(ctx.config["port"])  # Any
    reveal_type(ctx.get_plugin("other"))  # Any
    reveal_type(await ctx.request_decision(spec))  # Decision
    ctx.provide(Weather, object())
    ctx.optional(SecretStore).get_secret("key")  # error: there may be none
    ctx.require(42)  # error: no facet
    ctx.provide(42, object())  # error: no facet


async def issues(tracker: IssueTracker) -> None:
    """The records of a facet."""
    page = await tracker.list_issues(IssueQuery(state="open", limit=10))
    reveal_type(page)  # PaginatedResult[Issue]
    reveal_type(page.items)  # tuple[Issue, ...]
    reveal_type(page.has_more)  # bool
    issue = await tracker.update_issue("1", IssueUpdate(state="closed"))
    reveal_type(issue)  # Issue
    reveal_type(issue.labels)  # tuple[str, ...]
    reveal_type(issue.created_at)  # datetime
    IssueQuery(state="done")  # error: no such state
    IssueUpdate(labels="bug")  # error: labels are a tuple
    issue.title = "new"  # error: records are frozen
    await tracker.get_issue(1)  # error: an id is a str


async def decided(handler: DecisionHandler, spec: DecisionSpec) -> Decision:
    """A decision is requested, and comes back pending."""
    decision = await handler.request_decision(spec)
    reveal_type(decision)  # Decision
    return decision


async def emitted(bus: EventBus) -> None:
    """Handlers are sync or async, of one argument."""

    async def later(payload: object) -> None: ...

    unsubscribe = bus.on("event", later)
    reveal_type(unsubscribe())  # None
    bus.on("event", print)
    bus.on("event", lambda payload: None)
    bus.on("event", lambda: None)  # error: it takes no payload
    bus.on("event", None)  # error: no handler


def paged(result: PaginatedResult[Weather], query: PaginatedQuery) -> None:
    """A page of anything."""
    reveal_type([each.degrees() for each in result.items])  # list[float]
    reveal_type(query.limit)  # int | None


# The providers that are here are ones.
LOGGER: Logger = StandardLogger()
BUS: EventBus = PyeeEventBus()
SECRETS: SecretStore = EnvironmentSecretStore()
NO_BUS: EventBus = StandardLogger()  # error: a logger emits nothing
NO_STORE: StateStore = EnvironmentSecretStore()  # error: it has no values
MISTAKEN: Registration = LOGGER  # error: a provider is no registration
ISSUE_QUERY: PaginatedQuery = IssueQuery()
ISSUES: PaginatedResult[Issue] = PaginatedResult((), 0, False)
