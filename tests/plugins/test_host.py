"""Host: what a plugin gets from the host that loads it, and what is its own.

The rows of documents 1 and 2 that are about plugins: two stores with two names, the one
sync, ephemeral and a plugin's own, the other async, persistent and whoever provides it;
ten facets that plugins provide to one another. Plugins and host are those of noted.py.
"""

import inspect
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from latency_kv import FileSystemStateStore, InMemoryStore, StateSnapshot
from latency_kv.errors import FacetNotFoundError, PluginHookError
from latency_kv.facets.catalog import CATALOG, CatalogEntry
from latency_kv.facets.decision_handler import (
    DecisionHandler,
    DecisionOption,
    DecisionSpec,
)
from latency_kv.facets.logger import Logger
from latency_kv.facets.stores import PluginStateStore, StateStore
from latency_kv.plugins.context import PluginContext
from latency_kv.plugins.manager import PluginManager
from latency_kv.plugins.manifest import FacetProvision
from latency_kv.plugins.object_state import ObjectPluginState
from latency_kv.plugins.state_manager import StateManager
from latency_kv.plugins.stored_state import StoredPluginState
from plugins.noted import Host, Noted, optional
from testing.in_memory.decision_handler import InMemoryDecisionHandler
from testing.in_memory.dev_agent import InMemoryDevAgent
from testing.in_memory.event_bus import InMemoryEventBus
from testing.in_memory.issue_tracker import InMemoryIssueTracker
from testing.in_memory.logger import InMemoryLogger
from testing.in_memory.pipeline import InMemoryPipeline
from testing.in_memory.secret_store import InMemorySecretStore
from testing.in_memory.source_control import InMemorySourceControl
from testing.in_memory.state_store import InMemoryStateStore
from testing.in_memory.workflow_engine import InMemoryWorkflowEngine

pytestmark = pytest.mark.anyio

QUESTION = DecisionSpec(
    "Release?",
    "All is green.",
    (DecisionOption("yes"), DecisionOption("no")),
    "high",
)

PROVIDERS: dict[str, type[Any]] = {
    "IssueTracker": InMemoryIssueTracker,
    "SourceControl": InMemorySourceControl,
    "DevAgent": InMemoryDevAgent,
    "Pipeline": InMemoryPipeline,
    "Logger": InMemoryLogger,
    "EventBus": InMemoryEventBus,
    "SecretStore": InMemorySecretStore,
    "StateStore": InMemoryStateStore,
    "DecisionHandler": InMemoryDecisionHandler,
    "WorkflowEngine": InMemoryWorkflowEngine,
}

MISSING = object()


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
def shared() -> InMemoryStore:
    return InMemoryStore()


def stored_in(store: InMemoryStore) -> Callable[[str], PluginStateStore]:
    return lambda plugin_name: StoredPluginState(store, plugin_name)


async def loaded(host: Host, *ids: str) -> list[PluginContext]:
    """The contexts of as many plain plugins."""
    for id in ids:
        if id not in host.noted:
            host.add(id)
        await host.plugins.load(id)
    return [host.plugins.contexts[id] for id in ids]


def provide(facet: type[Any], provider: object) -> Callable[[PluginContext], None]:
    return lambda context: context.provide(facet, provider)


# Who it is


async def test_context_tells_whose_it_is(host: Host) -> None:
    plugin = host.add("a", ["X"])
    (context,) = await loaded(host, "a")
    assert isinstance(context, PluginContext)
    assert context is plugin.context
    assert context.plugin_name == "a"
    assert context.manifest is plugin.manifest
    # Document 1: "readonly state".
    for name in ("plugin_name", "state", "state_manager"):
        with pytest.raises(AttributeError):
            setattr(context, name, None)
    with pytest.raises(AttributeError):
        context.anything = 1  # type: ignore[attr-defined]


async def test_other_plugins_are_got_by_name_while_they_are_loaded(host: Host) -> None:
    (context,) = await loaded(host, "a")
    other = host.add("b")
    assert context.get_plugin("b") is None
    assert context.get_plugin("") is None
    await host.plugins.load("b")
    assert context.get_plugin("b") is other
    assert context.get_plugin("a") is host.noted["a"]
    await host.plugins.unload("b")
    assert context.get_plugin("b") is None
    other.first = lambda context: 1 / 0
    with pytest.raises(PluginHookError):
        await host.plugins.load("b")
    assert context.get_plugin("b") is None


# State: PluginStateStore, sync and a plugin's own


@pytest.mark.parametrize("is_stored", [False, True], ids=["object", "stored"])
async def test_state_is_a_plugin_state_store(
    shared: InMemoryStore, is_stored: bool
) -> None:
    """Document 1: get, set, delete and has, as the interface says them."""
    host = Host(state=stored_in(shared)) if is_stored else Host()
    (context,) = await loaded(host, "a")
    state = context.state
    assert isinstance(state, PluginStateStore)
    assert context.state is state
    assert isinstance(state, StoredPluginState if is_stored else ObjectPluginState)
    assert not state.has("key")
    assert state.get("key") is None
    assert state.get("key", MISSING) is MISSING
    assert state.delete("key") is False
    state.set("key", {"nested": [1, None]})
    assert state.has("key")
    assert state.get("key") == {"nested": [1, None]}
    state.set("key", None)
    assert state.has("key")
    assert state.get("key", MISSING) is None
    assert state.delete("key") is True
    assert not state.has("key")


async def test_state_holds_objects_by_reference(host: Host) -> None:
    (context,) = await loaded(host, "a")
    value = object()
    context.state.set("key", value)
    assert context.state.get("key") is value


@pytest.mark.parametrize("is_stored", [False, True], ids=["object", "stored"])
async def test_state_is_each_plugin_s_own(
    shared: InMemoryStore, is_stored: bool
) -> None:
    host = Host(state=stored_in(shared)) if is_stored else Host()
    ids = "a", "b", "a/b", "ab"
    contexts = await loaded(host, *ids)
    for context in contexts:
        context.state.set("key", context.plugin_name)
    assert contexts[1].state.delete("key")
    assert [context.state.get("key") for context in contexts] == [
        "a",
        None,
        "a/b",
        "ab",
    ]


async def test_object_state_is_gone_after_unload(host: Host) -> None:
    (context,) = await loaded(host, "a")
    context.state.set("key", 1)
    await host.plugins.unload("a")
    (again,) = await loaded(host, "a")
    assert not again.state.has("key")
    assert again.state is not context.state


async def test_object_state_of_a_failed_activation_is_gone(host: Host) -> None:
    def first(context: PluginContext) -> None:
        assert not context.state.has("key")
        context.state.set("key", 1)
        raise KeyError

    host.add("a", first=first)
    for _ in range(2):
        with pytest.raises(PluginHookError) as caught:
            await host.plugins.load("a")
        assert isinstance(caught.value.__cause__, KeyError)


async def test_stored_state_is_there_again_after_unload(shared: InMemoryStore) -> None:
    host = Host(state=stored_in(shared))
    (context,) = await loaded(host, "a")
    context.state.set("key", [1])
    await host.plugins.unload("a")
    (again,) = await loaded(host, "a")
    assert again.state.get("key") == [1]


async def test_one_snapshot_holds_the_state_of_all_plugins(
    shared: InMemoryStore,
) -> None:
    host = Host(state=stored_in(shared))
    first, second = await loaded(host, "a", "b")
    first.state.set("key", "a's")
    second.state.set("key", "b's")
    image = shared.snapshot().to_bytes()
    first.state.set("key", "later")
    second.state.delete("key")
    await host.plugins.unload_all()

    restarted = InMemoryStore()
    restarted.restore(StateSnapshot.from_bytes(image))
    first, second = await loaded(Host(state=stored_in(restarted)), "a", "b")
    assert (first.state.get("key"), second.state.get("key")) == ("a's", "b's")


async def test_state_is_made_by_the_plugin_s_name_when_it_is_asked_for() -> None:
    made: list[str] = []

    def make(plugin_name: str) -> PluginStateStore:
        made.append(plugin_name)
        return ObjectPluginState()

    contexts = await loaded(Host(state=make), "a", "b")
    assert made == []
    for context in contexts:
        context.state.set("key", 1)
        assert context.state.get("key") == 1
    assert made == ["a", "b"]


# StateStore: async, persistent, and whoever provides it


async def test_state_store_is_a_facet_and_not_the_plugin_s_state(host: Host) -> None:
    """Document 2, "StateStore vs PluginStateStore": two names, no confusion."""
    kept = InMemoryStateStore()
    host.add("redis", ["StateStore"], first=None, is_owing=True)
    host.noted["redis"].first = provide(StateStore, kept)
    host.add("user", requires=["StateStore"])
    await host.plugins.load_all()
    context = host.noted["user"].context
    persistent, ephemeral = context.require(StateStore), context.state
    assert persistent is kept
    assert isinstance(persistent, StateStore)
    assert not isinstance(ephemeral, StateStore)
    for name in ("get", "set", "delete", "has"):
        assert inspect.iscoroutinefunction(getattr(persistent, name))
        assert not inspect.iscoroutinefunction(getattr(ephemeral, name))
    await persistent.set("key", 1)
    assert not ephemeral.has("key")
    ephemeral.set("other", 1)
    assert await persistent.keys() == ["key"]


async def test_state_store_outlives_the_plugin_that_used_it(host: Host) -> None:
    host.add("redis", ["StateStore"], is_owing=True)
    host.noted["redis"].first = provide(StateStore, InMemoryStateStore())
    host.add("user", requires=["StateStore"])
    await host.plugins.load_all()
    await host.noted["user"].context.require(StateStore).set("key", 1)
    host.noted["user"].context.state.set("key", 1)
    await host.plugins.unload("user")
    await host.plugins.load("user")
    context = host.noted["user"].context
    assert await context.require(StateStore).get("key") == 1
    assert not context.state.has("key")


async def test_state_store_is_shared_by_those_who_require_it(host: Host) -> None:
    host.add("redis", ["StateStore"], is_owing=True)
    host.noted["redis"].first = provide(StateStore, InMemoryStateStore())
    host.add("a", requires=["StateStore"])
    host.add("b", requires=["StateStore"])
    await host.plugins.load_all()
    a, b = host.noted["a"].context, host.noted["b"].context
    await a.require(StateStore).set("key", "a's")
    assert await b.require(StateStore).get("key") == "a's"
    a.state.set("key", "a's")
    assert b.state.get("key") is None


@pytest.mark.parametrize("entry", CATALOG, ids=lambda entry: entry.name)
async def test_every_facet_is_provided_by_one_plugin_to_another(
    host: Host, entry: CatalogEntry
) -> None:
    """The rows of the maturity table: each facet can be met through contexts."""
    facet = getattr(import_module(entry.module), entry.name)
    kind = PROVIDERS[entry.name]
    provider: object = object.__new__(kind)
    host.add("user", requires=[entry.name])
    host.add("provider", [FacetProvision(facet)], is_owing=True)
    host.noted["provider"].first = provide(facet, provider)
    await host.plugins.load_all()
    assert host.loaded == ("provider", "user")
    context = host.noted["user"].context
    assert context.require(facet) is provider
    assert context.require(entry.name) is provider
    assert context.optional(facet) is provider
    registration = host.registry.registration(facet, "provider")
    assert registration is not None
    assert registration.metadata["plugin"] == "provider"
    await host.plugins.unload_all()
    assert not host.registry.has(facet)


@pytest.mark.parametrize("entry", CATALOG, ids=lambda entry: entry.name)
async def test_provider_that_lacks_members_fails_its_plugin(
    host: Host, entry: CatalogEntry
) -> None:
    facet = getattr(import_module(entry.module), entry.name)
    host.add("provider", [FacetProvision(facet)], is_owing=True)
    host.noted["provider"].first = provide(facet, object())
    with pytest.raises(PluginHookError) as caught:
        await host.plugins.load("provider")
    assert isinstance(caught.value.__cause__, TypeError)
    assert not host.registry.has(facet)


# Documents


@pytest.fixture
async def documents(host: Host, tmp_path: Path) -> AsyncIterator[FileSystemStateStore]:
    """A store that tells the host's bus what it does."""
    async with FileSystemStateStore(host.events, state_dir=tmp_path) as store:
        yield store


def with_documents(host: Host, documents: FileSystemStateStore) -> PluginManager:
    plugins = PluginManager(events=host.events, documents=documents)
    host.plugins = plugins
    return plugins


async def test_state_manager_keeps_the_plugin_s_document(
    host: Host, documents: FileSystemStateStore, tmp_path: Path
) -> None:
    with_documents(host, documents)
    a, b = await loaded(host, "a", "b")
    assert isinstance(a.state_manager, StateManager)
    assert a.state_manager.plugin_name == "a"
    await a.state_manager.save({"seen": 1}, 2)
    assert await b.state_manager.load() is None
    await host.plugins.unload_all()
    (again,) = await loaded(host, "a")
    state = await again.state_manager.load()
    assert state is not None
    assert (state.data, state.version) == ({"seen": 1}, 2)
    assert [path.name for path in tmp_path.glob("*.json")] == ["a.json"]
    assert json.loads((tmp_path / "a.json").read_bytes())["data"] == {"seen": 1}


async def test_plugin_saves_in_activation_and_in_deactivation(
    host: Host, documents: FileSystemStateStore
) -> None:
    with_documents(host, documents)

    async def first(context: PluginContext) -> None:
        if not await context.state_manager.exists():
            await context.state_manager.save([])

    async def last() -> None:
        await plugin.context.state_manager.update(lambda data: [*data, "ended"])

    plugin = host.add("a", first=first, last=last)
    for _ in range(2):
        async with host.plugins:
            await host.plugins.load_all()
    state = await documents.load("a")
    assert state is not None and state.data == ["ended", "ended"]


async def test_plugin_hears_of_its_documents_through_its_events(
    host: Host, documents: FileSystemStateStore
) -> None:
    with_documents(host, documents)
    heard: list[tuple[str, int]] = []
    a, b = await loaded(host, "a", "b")
    for context in (a, b):
        context.events.on(
            "state.saved",
            lambda event: heard.append((event.plugin_name, event.version)),
        )
    await a.state_manager.save(1, 7)
    assert heard == [("a", 7), ("a", 7)]
    await host.plugins.unload("b")
    await a.state_manager.save(2, 8)
    assert heard == [("a", 7), ("a", 7), ("a", 8)]


async def test_state_manager_without_documents_says_what_is_missing(host: Host) -> None:
    (context,) = await loaded(host, "a")
    with pytest.raises(RuntimeError, match="documents=") as caught:
        _ = context.state_manager
    assert "'a'" in str(caught.value)


# Configuration


async def test_config_is_the_plugin_s_own_and_read_only() -> None:
    given = {"a": {"depth": 3}, "unknown": {"x": 1}}
    a, b = await loaded(Host(config=given), "a", "b")
    assert isinstance(a.config, Mapping)
    assert dict(a.config) == {"depth": 3}
    assert dict(b.config) == {}
    with pytest.raises(TypeError):
        a.config["depth"] = 4  # type: ignore[index]
    with pytest.raises((TypeError, AttributeError)):
        a.config.clear()  # type: ignore[attr-defined]
    assert given == {"a": {"depth": 3}, "unknown": {"x": 1}}


async def test_config_is_there_while_the_plugin_is_activated() -> None:
    seen: list[Any] = []
    host = Host(config={"a": {"depth": 3}})
    host.add("a", first=lambda context: seen.append(context.config["depth"]))
    await host.plugins.load("a")
    assert seen == [3]


# Logger


async def test_logger_is_the_host_s_with_the_plugin_s_id() -> None:
    logger = InMemoryLogger(host="h")
    a, b = await loaded(Host(logger=logger), "a", "b")
    assert isinstance(a.logger, Logger)
    a.logger.info("hello", context={"seat": "12A"})
    b.logger.child({"part": "x"}).error("no")
    told = [(each.level, each.message, dict(each.context)) for each in logger.messages]
    assert ("info", "hello", {"host": "h", "plugin": "a", "seat": "12A"}) in told
    assert ("error", "no", {"host": "h", "plugin": "b", "part": "x"}) in told
    assert logger.context == {"host": "h"}


async def test_logger_is_the_standard_library_s_by_default(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    (context,) = await loaded(host, "a")
    with caplog.at_level(logging.INFO, "latency_kv.plugins"):
        context.logger.info("hello")
    (record,) = [each for each in caplog.records if "hello" in each.message]
    assert record.name == "latency_kv.plugins"
    assert vars(record)["context"] == {"plugin": "a"}


async def test_logger_is_not_the_facet_that_plugins_provide(host: Host) -> None:
    """The host's is `logger`; a plugin's is asked for like any facet."""
    provided = InMemoryLogger()
    host.add("audit", ["Logger"], is_owing=True, first=provide(Logger, provided))
    host.add("user", requires=["Logger"])
    await host.plugins.load_all()
    context = host.noted["user"].context
    assert context.require(Logger) is provided
    assert context.logger is not provided
    assert provided.messages == []


async def test_failure_that_load_went_around_is_logged() -> None:
    """Nobody is told by an exception: what was asked for is loaded."""
    logger = InMemoryLogger()
    host = Host(logger=logger)
    host.add("user", requires=["X"])
    host.add("broken", [FacetProvision("X", priority=9)], first=lambda context: 1 / 0)
    host.add("spare", ["X"])
    await host.plugins.load("user")
    assert host.loaded == ("spare", "user")
    told = [each for each in logger.messages if each.level in ("warn", "error")]
    assert any("broken" in f"{each.message} {each.context}" for each in told)


# Events


async def test_plugins_hear_one_another_and_the_host(host: Host) -> None:
    heard: list[Any] = []

    async def hear(payload: Any) -> None:
        heard.append(payload)

    a, b = await loaded(host, "a", "b")
    a.events.on("sold", hear)
    host.events.on("sold", lambda payload: heard.append(("host", payload)))
    await b.events.emit("sold", 1)
    await host.events.emit("sold", 2)
    assert heard == [1, ("host", 1), 2, ("host", 2)]


async def test_events_end_at_unload_and_nobody_else_s(host: Host) -> None:
    heard: list[str] = []

    def hear(payload: str) -> None:
        heard.append(payload)

    a, b = await loaded(host, "a", "b")
    unsubscribe = a.events.on("sold", hear)
    a.events.on("sold", lambda payload: heard.append("twice"))
    a.events.on("other", hear)
    b.events.on("sold", hear)
    host.events.on("sold", lambda payload: heard.append("host"))
    await host.events.emit("sold", "both")
    assert heard == ["both", "twice", "both", "host"]
    heard.clear()
    await host.plugins.unload("a")
    unsubscribe()
    await host.events.emit("other", "none")
    await host.events.emit("sold", "one")
    assert sorted(heard) == ["host", "one"]
    await host.plugins.unload("b")
    heard.clear()
    await host.events.emit("sold", "none")
    assert heard == ["host"]


async def test_events_that_were_ended_before_stay_so(host: Host) -> None:
    heard: list[str] = []
    (context,) = await loaded(host, "a")
    unsubscribe = context.events.on("sold", heard.append)
    unsubscribe()
    unsubscribe()
    context.events.on("left", heard.append)
    context.events.off("left", heard.append)
    await host.events.emit("sold", "x")
    await host.events.emit("left", "x")
    assert heard == []
    await host.plugins.unload("a")


# Decisions


async def test_decision_goes_to_the_bound_handler_and_is_pending(host: Host) -> None:
    desk, other = InMemoryDecisionHandler(), InMemoryDecisionHandler()
    host.registry.register(DecisionHandler, other, "other", priority=99)
    host.add("asks", requires=["DecisionHandler:desk"])
    host.add("desk", ["DecisionHandler"], is_owing=True)
    host.noted["desk"].first = provide(DecisionHandler, desk)
    await host.plugins.load("asks")
    decision = await host.noted["asks"].context.request_decision(QUESTION)
    assert decision.status == "pending"
    assert (decision.title, decision.options) == (QUESTION.title, QUESTION.options)
    assert decision.result is None
    assert await desk.list_pending_decisions() == [decision]
    assert await other.list_pending_decisions() == []


async def test_decision_of_who_declares_no_handler_goes_to_the_best(host: Host) -> None:
    best, other = InMemoryDecisionHandler(), InMemoryDecisionHandler()
    (context,) = await loaded(host, "a")
    with pytest.raises(FacetNotFoundError) as caught:
        await context.request_decision(QUESTION)
    assert str(caught.value) == 'No provider found for facet "DecisionHandler"'
    host.registry.register(DecisionHandler, other)
    host.registry.register(DecisionHandler, best, "best", priority=1)
    decision = await context.request_decision(QUESTION)
    assert await best.list_pending_decisions() == [decision]


async def test_decision_may_be_asked_for_in_activation(host: Host) -> None:
    desk = InMemoryDecisionHandler()
    host.registry.register(DecisionHandler, desk)
    host.add("a", first=lambda context: context.request_decision(QUESTION))
    await host.plugins.load("a")
    assert len(await desk.list_pending_decisions()) == 1


# Facets


async def test_require_raises_and_optional_does_not(host: Host) -> None:
    (context,) = await loaded(host, "a")
    with pytest.raises(FacetNotFoundError) as caught:
        context.require("X", "q")
    assert str(caught.value) == 'No provider found for facet "X" with qualifier "q"'
    assert context.optional("X", "q") is None
    assert context.optional(Logger) is None
    host.registry.register("X", "late", "q")
    assert context.require("X") == context.require("X", "q") == "late"
    assert context.optional("X") == "late"


async def test_provide_is_for_the_activation_alone(host: Host) -> None:
    host.add("a", ["X"])
    (context,) = await loaded(host, "a")
    with pytest.raises(RuntimeError):
        context.provide("X", "another")
    assert host.provided == {("X", "a"): "a's X"}


async def test_optional_provider_is_not_bound_later(host: Host) -> None:
    """Asked for again it is looked up: what comes later is found, and not in the way."""
    user = host.add("user", requires=[optional("X")])
    await host.plugins.load("user")
    assert user.context.optional("X") is None
    host.add("a", ["X"])
    await host.plugins.load("a")
    await host.plugins.unload("a")
    assert user.context.optional("X") is None


# When it is over


@pytest.mark.parametrize("is_failed", [False, True], ids=["unloaded", "failed"])
async def test_context_that_is_over_raises(host: Host, is_failed: bool) -> None:
    host.registry.register("X", "the host's")
    host.registry.register(DecisionHandler, InMemoryDecisionHandler())
    plugin = host.add("a", ["Y"], ["X"])
    if is_failed:
        plugin.first = lambda context: 1 / 0
        with pytest.raises(PluginHookError):
            await host.plugins.load("a")
    else:
        await host.plugins.load("a")
        await host.plugins.unload("a")
    context = plugin.context
    calls: list[Callable[[], object]] = [
        lambda: context.require("X"),
        lambda: context.require("Z"),
        lambda: context.optional("X"),
        lambda: context.optional("Z"),
        lambda: context.provide("Y", 1),
        lambda: context.get_plugin("b"),
        lambda: context.events.on("sold", print),
    ]
    for call in calls:
        with pytest.raises(RuntimeError, match="'a'"):
            call()
    with pytest.raises(RuntimeError, match="'a'"):
        await context.request_decision(QUESTION)
    with pytest.raises(RuntimeError, match="'a'"):
        await context.events.emit("sold")
    context.events.off("sold", print)
    context.logger.info("a plugin may still say that it ended")
    assert (context.plugin_name, context.manifest) == ("a", plugin.manifest)
    assert host.provided.keys() == {("X", None), ("DecisionHandler", None)}


async def test_context_of_the_next_loading_is_another(host: Host) -> None:
    host.registry.register("X", "the host's")
    plugin = host.add("a", requires=["X"])
    (old,) = await loaded(host, "a")
    await host.plugins.unload("a")
    (new,) = await loaded(host, "a")
    assert plugin.contexts == [old, new] and old is not new
    assert new.require("X") == "the host's"
    with pytest.raises(RuntimeError):
        old.require("X")


async def test_three_plugins_that_meet_only_through_facets() -> None:
    """A whole host: one keeps, one counts, one asks; restarted from one snapshot."""
    image = b""
    for run in (1, 2):
        store = InMemoryStore()
        if image:
            store.restore(StateSnapshot.from_bytes(image))
        journal: list[str] = []

        def count(context: PluginContext) -> None:
            state = context.state
            state.set("runs", state.get("runs", 0) + 1)
            context.provide("Counter", state)

        async with PluginManager(state=stored_in(store)) as plugins:
            plugins.register(
                Noted(
                    journal,
                    "asks",
                    requires=["Counter", "StateStore"],
                    first=lambda context: context.require(StateStore).set(
                        "runs", context.require("Counter").get("runs")
                    ),
                )
            )
            plugins.register(
                Noted(journal, "counts", ["Counter"], is_owing=True, first=count)
            )
            kept = InMemoryStateStore()
            plugins.register(
                Noted(
                    journal,
                    "keeps",
                    ["StateStore"],
                    is_owing=True,
                    first=provide(StateStore, kept),
                )
            )
            await plugins.load_all()
            assert await kept.get("runs") == run
            image = store.snapshot().to_bytes()
        assert sorted(journal[:3]) == ["+asks", "+counts", "+keeps"]
        assert journal[2:4] == ["+asks", "-asks"]
