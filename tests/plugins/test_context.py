"""Context: what a plugin has of its host, phase by phase, and what is left in the end.

The host's side is `Activation`, which opens, withdraws and closes.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, assert_type

import anyio
import pytest

from latency_kv.errors import (
    AmbiguousFacetError,
    FacetNotFoundError,
    PluginError,
)
from latency_kv.facets.decision_handler import (
    Decision,
    DecisionHandler,
    DecisionOption,
    DecisionResult,
    DecisionSpec,
)
from latency_kv.facets.event_bus import EventBus
from latency_kv.facets.logger import Logger
from latency_kv.facets.secret_store import SecretStore
from latency_kv.facets.stores import PluginStateStore
from latency_kv.plugins.context import Activation, Binding, HostServices, PluginContext
from latency_kv.plugins.manifest import FacetProvision, FacetRequirement
from latency_kv.plugins.object_state import ObjectPluginState
from latency_kv.plugins.registry import FacetRegistry
from latency_kv.plugins.state_manager import StateManager
from latency_kv.providers.events import PyeeEventBus
from latency_kv.providers.logging import StandardLogger
from plugins.hosts import bind, manifest, plugin

pytestmark = pytest.mark.anyio

SPEC = DecisionSpec("Deploy?", "to production", (DecisionOption("yes"),), "high")


class Notes:
    """A Logger that keeps what it is told, with its context."""

    def __init__(self, context: Mapping[str, Any], notes: list[Any]) -> None:
        self.context = context
        self.notes = notes

    def debug(self, message: str, /, context: Mapping[str, Any] | None = None) -> None:
        self.notes.append((message, {**self.context, **(context or {})}))

    info = warn = error = debug

    def child(self, context: Mapping[str, Any], /) -> "Notes":
        return Notes({**self.context, **context}, self.notes)


class Desk:
    """A DecisionHandler at which nobody sits."""

    async def request_decision(self, spec: DecisionSpec, /) -> Decision:
        return Decision(
            "1",
            spec.title,
            spec.description,
            spec.options,
            spec.urgency,
            "pending",
            datetime(2024, 1, 1, tzinfo=UTC),
        )

    async def get_decision(self, id: str, /) -> Decision:
        raise NotImplementedError

    async def resolve_decision(self, id: str, result: DecisionResult, /) -> Decision:
        raise NotImplementedError

    async def list_pending_decisions(self) -> list[Decision]:
        raise NotImplementedError


class Documents:
    """As much of a DocumentStateStore as is asked for here."""

    async def exists(self, plugin_name: str, /) -> bool:
        return plugin_name == "clock"


@pytest.fixture
def registry() -> FacetRegistry:
    return FacetRegistry()


def clock(registry: FacetRegistry | None = None, **services: Any) -> PluginContext:
    return PluginContext(manifest("clock"), registry, HostServices(**services))


def check_types(context: PluginContext) -> None:
    """For mypy and pyright: a facet's Protocol gives its type."""
    assert_type(context.require(Logger), Logger)
    assert_type(context.require(SecretStore, "vault"), SecretStore)
    assert_type(context.optional(Logger), Logger | None)
    assert_type(context.require("Logger"), Any)
    assert_type(context.optional("Logger"), Any)
    assert_type(context.state, PluginStateStore)
    assert_type(context.state_manager, StateManager)
    bus: EventBus = context.events
    del bus


def test_context_tells_who_the_plugin_is() -> None:
    context = clock()
    assert context.plugin_name == context.manifest.id == "clock"
    assert repr(context) == "<PluginContext of 'clock'>"


def test_logger_says_which_plugin_speaks() -> None:
    notes = Notes({"host": "h"}, [])
    clock(logger=notes).logger.info("tick", {"n": 1})
    assert notes.notes == [("tick", {"host": "h", "plugin": "clock", "n": 1})]


def test_services_have_defaults() -> None:
    services = HostServices()
    assert isinstance(services.logger, StandardLogger)
    assert isinstance(services.events, PyeeEventBus)
    assert isinstance(services.state("clock"), ObjectPluginState)
    assert services.documents is None
    assert (services.config, services.plugins) == ({}, {})
    with pytest.raises(AttributeError):
        services.documents = None  # type: ignore[misc]


def test_services_that_are_empty_are_not_taken_for_none() -> None:
    """A registry, a mapping or a bus with a length is given, whatever it holds."""

    class Quiet(PyeeEventBus):
        def __len__(self) -> int:
            return 0

    bus, plugins = Quiet(), dict[str, Any]()
    services = HostServices(events=bus, plugins=plugins)
    assert services.events is bus
    assert services.plugins is plugins
    registry = FacetRegistry()
    context = clock(registry)
    registry.register("X", 1)
    assert context.require("X") == 1


def test_config_is_the_plugins_own_and_read_only() -> None:
    config = {"clock": {"zone": "UTC"}, "other": {"zone": "CET"}}
    context = clock(config=config)
    assert context.config == {"zone": "UTC"}
    config["clock"]["zone"] = "EST"
    assert context.config["zone"] == "UTC"
    with pytest.raises(TypeError):
        context.config["zone"] = "EST"  # type: ignore[index]
    assert clock().config == {}


def test_state_is_made_once_when_it_is_asked_for() -> None:
    made: list[str] = []

    def state(name: str) -> PluginStateStore:
        made.append(name)
        return ObjectPluginState()

    context = clock(state=state)
    assert made == []
    context.state.set("a", None)
    assert context.state.has("a")
    assert made == ["clock"]


def test_state_is_nobody_elses() -> None:
    services = HostServices()
    first = PluginContext(manifest("a"), services=services)
    second = PluginContext(manifest("b"), services=services)
    first.state.set("key", 1)
    assert not second.state.has("key")


async def test_state_manager_is_the_plugins_document() -> None:
    context = clock(documents=Documents())
    assert context.state_manager.plugin_name == "clock"
    assert await context.state_manager.exists()


def test_state_manager_without_documents_says_what_to_do() -> None:
    with pytest.raises(RuntimeError) as caught:
        _ = clock().state_manager
    assert str(caught.value) == (
        "plugin 'clock': its host keeps no documents; to PluginManager or "
        "HostServices, pass documents=FileSystemStateStore()"
    )


def test_get_plugin_finds_what_is_loaded_now() -> None:
    plugins: dict[str, Any] = {}
    context = clock(plugins=plugins)
    assert context.get_plugin("other") is None
    plugins["other"] = other = object()
    assert context.get_plugin("other") is other


def test_facet_that_nobody_declared_is_looked_up(registry: FacetRegistry) -> None:
    context = clock(registry)
    with pytest.raises(FacetNotFoundError, match='^No provider found for facet "X"$'):
        context.require("X")
    assert context.optional("X") is None
    registry.register("X", "plain")
    registry.register("X", "best", "q", priority=1)
    assert context.require("X") == context.optional("X") == "best"
    with pytest.raises(
        FacetNotFoundError,
        match='^No provider found for facet "X" with qualifier "other"$',
    ):
        context.require("X", "other")
    assert context.optional("X", "other") is None


def test_requirement_stays_with_whom_it_was_bound_to(registry: FacetRegistry) -> None:
    registry.register(Logger, StandardLogger("host"))
    context = bind(plugin("a", requires=["Logger"]), registry=registry).contexts["a"]
    registry.register(Logger, StandardLogger("better"), "better", priority=9)
    assert repr(context.require(Logger)) == "StandardLogger('host', keys=[])"
    assert repr(context.require(Logger, "better")).startswith("StandardLogger('better'")
    registry.unregister(Logger)
    with pytest.raises(FacetNotFoundError):
        context.require(Logger)
    assert context.optional(Logger) is None


def test_requirement_is_not_there_before_its_plugin_is(registry: FacetRegistry) -> None:
    result = bind(plugin("a", ["X"]), plugin("user", requires=["X"]), registry=registry)
    registry.register("X", "somebody's", "other")
    with pytest.raises(FacetNotFoundError) as caught:
        result.contexts["user"].require("X")
    assert caught.value.qualifier == "a"


def test_qualifier_may_be_left_out_where_one_is_required(
    registry: FacetRegistry,
) -> None:
    registry.register("X", "best", priority=9)
    for qualifier in ("p", "q"):
        registry.register("X", qualifier, qualifier)
    one = bind(plugin("a", requires=["X:q"]), registry=registry).contexts["a"]
    assert one.require("X") == one.require("X", "q") == "q"
    assert one.require("X", "p") == "p"
    two = bind(plugin("a", requires=["X:q", "X:p"]), registry=registry).contexts["a"]
    for ask in (two.require, two.optional):
        with pytest.raises(AmbiguousFacetError) as caught:
            ask("X")
        assert str(caught.value) == (
            'Multiple providers for facet "X": q, p. '
            "Specify a qualifier or configure explicit binding."
        )
    plain = bind(plugin("a", requires=["X:q", "X"]), registry=registry).contexts["a"]
    assert (plain.require("X"), plain.require("X", "q")) == ("best", "q")


def test_optional_requirement_may_be_served_later(registry: FacetRegistry) -> None:
    needs = [FacetRequirement("X", optional=True), FacetRequirement("Y", "q", True)]
    context = bind(plugin("a", requires=needs), registry=registry).contexts["a"]
    assert context.optional("X") is None
    with pytest.raises(FacetNotFoundError, match='"Y" with qualifier "q"'):
        context.require("Y")
    for facet in "XY":
        registry.register(facet, "other", "p", priority=1)
        registry.register(facet, "later", "q")
    assert (context.optional("X"), context.optional("Y")) == ("other", "later")


def test_optional_requirement_is_never_served_by_itself(
    registry: FacetRegistry,
) -> None:
    own = plugin("a", ["X"], [FacetRequirement("X", optional=True)])
    context = bind(own, registry=registry).contexts["a"]
    with Activation(context).opened():
        context.provide("X", "its own")
        assert context.optional("X") is None
        registry.register("X", "somebody's", priority=-1)
        assert context.optional("X") == "somebody's"


def test_facet_is_provided_with_the_priority_of_the_manifest(
    registry: FacetRegistry,
) -> None:
    context = PluginContext(
        manifest("clock", [FacetProvision(Logger, priority=7)]), registry
    )
    logger = StandardLogger()
    activation = Activation(context)
    with activation.opened() as opened:
        assert opened is context
        context.provide(Logger, logger)
    (registration,) = registry
    assert activation.provided == (registration,)
    assert registration.provider is logger
    assert (registration.qualifier, registration.priority) == ("clock", 7)
    assert registration.metadata == {"plugin": "clock"}


def test_facet_is_provided_during_activation_only(registry: FacetRegistry) -> None:
    context = PluginContext(manifest("clock", ["X"]), registry)
    where = "plugin 'clock': a facet is provided in `activate`, neither before nor"
    with pytest.raises(RuntimeError, match=where):
        context.provide("X", 1)
    activation = Activation(context)
    with pytest.raises(RuntimeError, match=where):
        context.provide("X", 1)
    with activation.opened():
        pass
    with pytest.raises(RuntimeError, match=where):
        context.provide("X", 1)
    assert len(registry) == 0


async def test_phase_ends_however_the_activation_ends(registry: FacetRegistry) -> None:
    for number in range(2):
        context = PluginContext(manifest("clock", ["X"]), registry)
        with anyio.CancelScope() as scope:
            try:
                with Activation(context).opened():
                    if number:
                        raise KeyError
                    scope.cancel()
                    await anyio.sleep_forever()
            except KeyError:
                pass
        with pytest.raises(RuntimeError, match="neither before nor after"):
            context.provide("X", 1)


def test_facet_that_the_manifest_does_not_provide_is_refused(
    registry: FacetRegistry,
) -> None:
    context = PluginContext(manifest("clock", ["X:q", "X:p", "Y:q"]), registry)
    with Activation(context).opened():
        for facet, qualifier, reason in (
            ("Z", None, "its manifest does not provide 'Z'"),
            (Logger, None, "its manifest does not provide 'Logger'"),
            ("Y", "p", "its manifest does not provide 'Y' with qualifier 'p', but "),
            ("X", None, "its manifest does not provide 'X', but with 'q', 'p'"),
        ):
            with pytest.raises(PluginError) as caught:
                context.provide(facet, 1, qualifier)
            assert caught.value.plugin_name == "clock"
            assert caught.value.reason.startswith(reason)
        assert len(registry) == 0
        context.provide("X", "x", "p")
        context.provide("Y", "y")
    assert [(each.provider, each.qualifier) for each in registry] == [
        ("x", "p"),
        ("y", "q"),
    ]


def test_own_id_is_the_qualifier_of_a_provision_without_one(
    registry: FacetRegistry,
) -> None:
    context = PluginContext(manifest("clock", ["X", "X:q"]), registry)
    with Activation(context).opened():
        context.provide("X", 1)
        assert registry.resolve("X", "clock") == 1
        context.provide("X", 2, "clock")
        assert registry.resolve("X", "clock") == 2
    assert not registry.has("X", "q")


def test_implementation_is_checked_against_the_protocol(
    registry: FacetRegistry,
) -> None:
    context = PluginContext(manifest("clock", ["Logger"]), registry)
    activation = Activation(context)
    with activation.opened():
        with pytest.raises(TypeError, match="object is no Logger: it lacks child, "):
            context.provide(Logger, object())
        assert activation.provided == ()
        assert len(registry) == 0


def test_what_is_promised_and_not_provided_is_known() -> None:
    promised = manifest("clock", ["X", "X:q", "Y"])
    context = PluginContext(promised)
    activation = Activation(context)
    assert activation.unprovided == promised.provides
    with activation.opened():
        context.provide("X", 1, "q")
        context.provide("Y", 1)
    assert activation.unprovided == promised.provides[:1]


def test_withdrawn_providers_are_gone_and_nobody_elses(registry: FacetRegistry) -> None:
    registry.register("X", "host's")
    registry.register("X", "another's", "other")
    context = PluginContext(manifest("clock", ["X", "Y:q"]), registry)
    activation = Activation(context)
    with activation.opened():
        context.provide("X", 1)
        context.provide("Y", 1)
    activation.close()
    activation.close()
    assert [each.provider for each in registry] == ["host's", "another's"]
    assert activation.provided == ()


def test_plugin_may_provide_again_but_not_over_somebody_else(
    registry: FacetRegistry,
) -> None:
    registry.register("X", "host's", "q")
    before = list(registry)
    context = PluginContext(manifest("clock", ["X:q", "Y"]), registry)
    activation = Activation(context)
    with activation.opened():
        with pytest.raises(PluginError, match="somebody else provides 'X' with"):
            context.provide("X", 1)
        context.provide("Y", 1)
        context.provide("Y", 2)
    assert registry.resolve("Y") == 2
    activation.close()
    assert list(registry) == before


def test_what_somebody_registered_over_it_stays(registry: FacetRegistry) -> None:
    context = PluginContext(manifest("clock", ["X:q", "Y"]), registry)
    activation = Activation(context)
    with activation.opened():
        context.provide("X", 1)
        context.provide("Y", 1)
    registry.register("X", "after", "q")
    registry.unregister("Y", "clock")
    activation.close()
    assert [each.provider for each in registry] == ["after"]


async def test_closed_context_is_of_no_use(registry: FacetRegistry) -> None:
    registry.register("X", "host's")
    registry.register(DecisionHandler, Desk())
    context = PluginContext(manifest("clock", ["Y"]), registry)
    activation = Activation(context)
    with activation.opened():
        activation.close()
        with pytest.raises(RuntimeError, match="its context is closed"):
            context.provide("Y", 1)
    activation.close()
    for call in (
        lambda: context.require("X"),
        lambda: context.optional("X"),
        lambda: context.provide("Y", 1),
        lambda: context.get_plugin("a"),
        lambda: activation.opened().__enter__(),
    ):
        with pytest.raises(
            RuntimeError,
            match="plugin 'clock' is not loaded any more: its context is closed",
        ):
            call()
    with pytest.raises(RuntimeError, match="its context is closed"):
        await context.request_decision(SPEC)
    with pytest.raises(RuntimeError, match="its events are over"):
        await context.events.emit("tick")
    assert [each.facet for each in registry] == ["X", "DecisionHandler"]
    context.logger.debug("an unloaded plugin may still speak")


async def test_close_ends_what_the_plugin_subscribed() -> None:
    bus = PyeeEventBus()
    context, other = clock(events=bus), clock(events=bus)
    seen: list[Any] = []
    context.events.on("tick", seen.append)
    other.events.on("tick", seen.append)
    Activation(context).close()
    await other.events.emit("tick", 1)
    assert seen == [1]


def test_close_takes_everything_back_whatever_the_bus_does(
    registry: FacetRegistry,
) -> None:
    class Broken(PyeeEventBus):
        def on(self, event: str, handler: Any, /) -> Any:
            def unsubscribe() -> None:
                raise RuntimeError("the bus's own")

            return unsubscribe

    context = PluginContext(
        manifest("clock", ["X"]), registry, HostServices(events=Broken())
    )
    activation = Activation(context)
    with activation.opened():
        context.provide("X", 1)
        context.events.on("tick", print)
    with pytest.raises(RuntimeError, match="the bus's own"):
        activation.close()
    assert len(registry) == 0
    with pytest.raises(RuntimeError, match="its context is closed"):
        context.require("X")
    activation.close()


def test_context_has_one_activation() -> None:
    context = clock()
    activation = Activation(context)
    assert repr(activation) == "<Activation of 'clock'>"
    with pytest.raises(RuntimeError, match="has an Activation already"):
        Activation(context)


def test_dependencies_are_the_plugins_that_serve(registry: FacetRegistry) -> None:
    registry.register("H", "host's")
    result = bind(
        plugin("a", ["X", "Y"]),
        plugin("b", ["Z"]),
        plugin(
            "user", requires=["Z", "X", "Y", "H", FacetRequirement("O", None, True)]
        ),
        registry=registry,
    )
    user = result.contexts["user"]
    assert Activation(user).dependencies == user.dependencies == ("b", "a")
    assert Activation(result.contexts["a"]).dependencies == ()


async def test_decision_goes_to_whoever_is_bound(registry: FacetRegistry) -> None:
    context = clock(registry)
    with pytest.raises(FacetNotFoundError, match='for facet "DecisionHandler"$'):
        await context.request_decision(SPEC)
    registry.register(DecisionHandler, Desk())
    decision = await context.request_decision(SPEC)
    assert (decision.title, decision.status) == ("Deploy?", "pending")


async def test_decision_goes_where_the_manifest_is_bound(
    registry: FacetRegistry,
) -> None:
    class Other(Desk):
        async def request_decision(self, spec: DecisionSpec, /) -> Decision:
            raise KeyError("the other desk")

    registry.register(DecisionHandler, Desk(), "desk")
    registry.register(DecisionHandler, Other(), "other", priority=9)
    asks = plugin("a", requires=["DecisionHandler:desk"])
    context = bind(asks, registry=registry).contexts["a"]
    assert (await context.request_decision(SPEC)).id == "1"


def test_context_of_a_test_needs_no_host() -> None:
    needs = manifest("clock", ["X"], ["Y"])
    registry = FacetRegistry()
    registry.register("Y", "a stand-in", "s")
    binding = Binding(needs.requires[0], "s")
    context = PluginContext(needs, registry, bindings=[binding])
    assert context.require("Y") == "a stand-in"
    assert PluginContext(needs).optional("Y") is None
