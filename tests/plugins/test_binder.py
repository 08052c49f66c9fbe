"""Binder: who serves whom, under each strategy, and what is told of what cannot be.

The messages are those of the interface that this one follows, word for word.
"""

from typing import Any

import pytest

from latency_kv.errors import (
    AmbiguousFacetError,
    CircularDependencyError,
    DuplicatePluginError,
    FacetNotFoundError,
    PluginError,
)
from latency_kv.facets.logger import Logger
from latency_kv.plugins.binder import BindConfig, Binder, BindProblem, BindResult
from latency_kv.plugins.context import Activation, HostServices
from latency_kv.plugins.manifest import FacetProvision, FacetRequirement
from latency_kv.plugins.registry import FacetRegistry
from latency_kv.providers.logging import StandardLogger
from plugins.hosts import bind, manifest, messages, plugin


@pytest.fixture
def registry() -> FacetRegistry:
    return FacetRegistry()


def served_by(result: BindResult, name: str, *asked: str | None) -> Any:
    """What the plugin gets, when all before it have provided their ids."""
    for before in result.order:
        context = result.contexts[before]
        if before == name:
            return context.require(*asked)  # type: ignore[arg-type]
        with Activation(context).opened():
            for each in context.manifest.provides:
                context.provide(each.facet, before, each.qualifier)
    raise KeyError(name)


def only(problems: tuple[BindProblem, ...]) -> BindProblem:
    (problem,) = problems
    return problem


def optional(facet: str, qualifier: str | None = None) -> FacetRequirement:
    return FacetRequirement(facet, qualifier, optional=True)


def test_missing_facet_is_an_error() -> None:
    problem = only(bind(plugin("a", requires=["X"])).errors)
    assert problem.message == 'No provider found for facet "X"'
    assert problem.plugin_name == "a"
    assert isinstance(problem.error, FacetNotFoundError)


def test_missing_qualifier_is_an_error(registry: FacetRegistry) -> None:
    registry.register("X", "plain")
    registry.register("X", "other", "Q")
    problem = only(bind(plugin("a", requires=["X:q"]), registry=registry).errors)
    assert problem.message == 'No provider found for facet "X" with qualifier "q"'
    assert isinstance(problem.error, FacetNotFoundError)
    assert (problem.error.facet, problem.error.qualifier) == ("X", "q")


def test_several_providers_and_no_choice_are_an_error() -> None:
    plugins = plugin("a", ["X"]), plugin("b", ["X"]), plugin("c", requires=["X"])
    result = bind(*plugins, strategy="explicit")
    problem = only(result.errors)
    assert problem.plugin_name == "c"
    assert problem.message == (
        'Multiple providers for facet "X": a, b. '
        "Specify a qualifier or configure explicit binding."
    )
    assert isinstance(problem.error, AmbiguousFacetError)
    assert problem.error.candidates == ("a", "b")
    assert result.order == ("a", "b")


def test_circle_is_one_error() -> None:
    result = bind(plugin("A", ["a"], ["b"]), plugin("B", ["b"], ["a"]))
    problem = only(result.errors)
    assert problem.message == "Circular dependency detected: A -> B -> A"
    assert isinstance(problem.error, CircularDependencyError)
    assert problem.error.path == ("A", "B", "A")
    assert (result.success, dict(result.contexts), result.order) == (False, {}, ())


def test_circle_goes_from_who_requires_to_who_provides() -> None:
    """And begins with the plugin that was given first, wherever it was found."""
    plugins = {
        "a": plugin("a", ["A"], ["B"]),
        "b": plugin("b", ["B"], ["C"]),
        "c": plugin("c", ["C"], ["A"]),
    }
    for order, path in (
        ("abc", "a -> b -> c -> a"),
        ("acb", "a -> b -> c -> a"),
        ("cba", "c -> a -> b -> c"),
    ):
        problem = only(bind(*(plugins[name] for name in order)).errors)
        assert problem.message == f"Circular dependency detected: {path}"
        assert problem.plugin_name == path[0]


def test_circle_begins_with_its_first_plugin_whoever_leads_into_it() -> None:
    circle = plugin("a", ["A"], ["B"]), plugin("b", ["B"], ["A"])
    first = bind(plugin("user", requires=["B"]), *circle).errors[0]
    assert first.message == "Circular dependency detected: a -> b -> a"
    assert first.plugin_name == "a"


def test_every_circle_has_its_error() -> None:
    result = bind(
        plugin("a", ["A"], ["B"]),
        plugin("c", ["C"], ["D"]),
        plugin("b", ["B"], ["A"]),
        plugin("d", ["D"], ["C"]),
        plugin("free", ["F"]),
    )
    assert sorted(messages(result.errors)) == [
        "a: Circular dependency detected: a -> b -> a",
        "c: Circular dependency detected: c -> d -> c",
    ]
    assert result.order == ("free",)


def test_circle_of_one_is_what_nobody_else_provides() -> None:
    problem = only(bind(plugin("a", ["X"], ["X"])).errors)
    assert problem.message == "Circular dependency detected: a -> a"
    by_name = bind(plugin("a", ["X"], ["X:a"]), plugin("b", ["X"]))
    assert messages(by_name.errors) == ["a: Circular dependency detected: a -> a"]


def test_nobody_serves_itself(registry: FacetRegistry) -> None:
    """So a plugin may wrap the host's provider, and stand before it for the others."""
    registry.register("X", "the host's")
    wrapper = plugin("wrapper", [FacetProvision("X", priority=9)], ["X"])
    result = bind(plugin("user", requires=["X"]), wrapper, registry=registry)
    assert result.success
    assert result.order == ("wrapper", "user")
    assert result.contexts["wrapper"].require("X") == "the host's"
    assert served_by(result, "user", "X") == "wrapper"


def test_strategy_first(registry: FacetRegistry) -> None:
    plugins = (
        plugin("low", ["X"]),
        plugin("high", [FacetProvision("X", priority=9)]),
        plugin("user", requires=["X"]),
    )
    assert served_by(bind(*plugins, strategy="first"), "user", "X") == "low"
    registry.register("X", "host", "h", priority=-1)
    registry.register("X", "later", "l", priority=99)
    result = bind(*plugins, registry=registry, strategy="first")
    assert served_by(result, "user", "X") == "host"


def test_strategy_highest_priority_is_the_default(registry: FacetRegistry) -> None:
    plugins = (
        plugin("low", [FacetProvision("X", priority=1)]),
        plugin("high", [FacetProvision("X", priority=5)]),
        plugin("tied", [FacetProvision("X", priority=5)]),
        plugin("user", requires=["X"]),
    )
    assert BindConfig().strategy == "highest-priority"
    assert served_by(bind(*plugins), "user", "X") == "high"
    registry.register("X", "host", priority=5)
    assert served_by(bind(*plugins, registry=registry), "user", "X") == "host"


def test_strategy_explicit_needs_no_choice_of_one(registry: FacetRegistry) -> None:
    registry.register("Y", "the only one")
    result = bind(
        plugin("a", ["X"]),
        plugin("user", requires=["X", "Y"]),
        registry=registry,
        strategy="explicit",
    )
    assert result.success
    assert result.contexts["user"].require("Y") == "the only one"
    assert served_by(result, "user", "X") == "a"


def test_strategy_explicit_names_who_has_no_qualifier(registry: FacetRegistry) -> None:
    registry.register("X", "plain")
    result = bind(
        plugin("a", ["X"]),
        plugin("user", requires=["X"]),
        registry=registry,
        strategy="explicit",
    )
    assert only(result.errors).message == (
        'Multiple providers for facet "X": (no qualifier), a. '
        "Specify a qualifier or configure explicit binding."
    )
    chosen: dict[str, None] = {"X": None}
    result = bind(
        plugin("a", ["X"]),
        plugin("user", requires=["X"]),
        registry=registry,
        strategy="explicit",
        explicit=chosen,
    )
    assert served_by(result, "user", "X") == "plain"


@pytest.mark.parametrize("strategy", ["first", "highest-priority", "explicit"])
def test_choice_wins_under_every_strategy(strategy: str) -> None:
    plugins = (
        plugin("first", ["X"]),
        plugin("chosen", ["X:q"]),
        plugin("best", [FacetProvision("X", priority=9)]),
        plugin("user", requires=["X"]),
        plugin("other", requires=["X"]),
    )
    result = bind(*plugins, strategy=strategy, explicit={"X": "q"})
    assert served_by(result, "user", "X") == "chosen"
    result = bind(
        *plugins,
        strategy=strategy,
        explicit={"X": "q"},
        explicit_for={"user": {"X": "first"}},
    )
    assert served_by(result, "user", "X") == "first"
    result = bind(
        *plugins,
        strategy=strategy,
        explicit={"X": "q"},
        explicit_for={"user": {"X": "first"}},
    )
    assert served_by(result, "other", "X") == "chosen"


def test_choice_that_nobody_provides_is_an_error() -> None:
    plugins = plugin("a", ["X"]), plugin("user", requires=["X"])
    for config in (
        {"explicit": {"X": "gone"}},
        {"explicit": {"X": "a"}, "explicit_for": {"user": {"X": "gone"}}},
    ):
        problem = only(bind(*plugins, **config).errors)
        assert (
            problem.message == 'No provider found for facet "X" with qualifier "gone"'
        )
        assert isinstance(problem.error, FacetNotFoundError)
        assert problem.error.qualifier == "gone"


def test_qualifier_of_a_requirement_goes_before_a_choice() -> None:
    result = bind(
        plugin("a", ["X"]),
        plugin("b", ["X"]),
        plugin("user", requires=["X:a"]),
        explicit={"X": "b"},
        explicit_for={"user": {"X": "b"}},
    )
    assert served_by(result, "user", "X", "a") == "a"


def test_choice_may_name_the_protocol() -> None:
    config = BindConfig(explicit={Logger: "a"}, explicit_for={"p": {Logger: "b"}})
    assert config.explicit == {"Logger": "a"}
    assert config.explicit_for == {"p": {"Logger": "b"}}


def test_config_that_makes_no_sense_is_refused() -> None:
    make: Any = BindConfig
    with pytest.raises(ValueError, match="'best' is none of first, highest-priority, "):
        make("best")
    with pytest.raises(TypeError, match="the choice for 'X' is no qualifier: 7"):
        make(explicit={"X": 7})
    with pytest.raises(TypeError, match="a facet is a Protocol or its name, not 7"):
        make(explicit_for={"p": {7: "q"}})


def test_config_is_frozen_and_keeps_its_own_copy() -> None:
    choices: dict[str, str | None] = {"X": "a"}
    config = BindConfig(explicit=choices)
    choices["X"] = "b"
    assert config.explicit == {"X": "a"}
    with pytest.raises(AttributeError):
        config.strategy = "first"  # type: ignore[misc]


def test_provision_without_qualifier_has_the_plugins_id() -> None:
    result = bind(
        plugin("a", ["X"]), plugin("b", ["X"]), plugin("user", requires=["X:b"])
    )
    assert result.success
    assert served_by(result, "user", "X", "b") == "b"


def test_who_has_an_error_takes_along_who_needs_it() -> None:
    result = bind(
        plugin("user", requires=["C"]),
        plugin("c", ["C"], ["B"]),
        plugin("b", ["B"], ["A"]),
        plugin("free"),
    )
    assert result.order == ("free",)
    assert not result.success
    assert [problem.plugin_name for problem in result.errors] == ["b", "c", "user"]
    first, second, third = (problem.error for problem in result.errors)
    assert first is not None and first.__cause__ is None
    assert second is not None and second.__cause__ is first
    assert third is not None and third.__cause__ is second
    assert result.errors[1].message == (
        'No provider found for facet "B" (who would provide it cannot be bound: '
        'No provider found for facet "A")'
    )


def test_who_needs_a_plugin_in_a_circle_has_an_error_of_its_own() -> None:
    result = bind(
        plugin("a", ["A"], ["B"]),
        plugin("b", ["B"], ["A"]),
        plugin("user", requires=["A"]),
    )
    circle, missing = result.errors
    assert isinstance(circle.error, CircularDependencyError)
    assert missing.plugin_name == "user"
    assert isinstance(missing.error, FacetNotFoundError)
    assert missing.error.__cause__ is circle.error


def test_who_can_be_served_by_another_is() -> None:
    failing = plugin("failing", [FacetProvision("X", priority=9)], ["nothing"])
    result = bind(failing, plugin("spare", ["X"]), plugin("user", requires=["X"]))
    assert result.order == ("spare", "user")
    assert served_by(result, "user", "X") == "spare"


def test_all_that_a_plugin_lacks_is_told() -> None:
    result = bind(plugin("a", requires=["X", "Y:q", optional("Z")]))
    assert messages(result.errors) == [
        'a: No provider found for facet "X"',
        'a: No provider found for facet "Y" with qualifier "q"',
    ]


def test_optional_requirement_without_provider_is_a_warning() -> None:
    result = bind(plugin("a", requires=[optional("X"), optional("Y", "q")]))
    assert result.success
    assert result.order == ("a",)
    assert messages(result.warnings) == [
        'a: No provider found for facet "X"',
        'a: No provider found for facet "Y" with qualifier "q"',
    ]
    assert isinstance(result.warnings[0].error, FacetNotFoundError)
    assert result.contexts["a"].optional("X") is None


def test_optional_requirement_is_bound_where_it_can_be() -> None:
    result = bind(plugin("a", requires=[optional("X")]), plugin("b", ["X"]))
    assert (result.order, result.warnings) == (("b", "a"), ())
    assert served_by(result, "a", "X") == "b"


def test_optional_requirement_of_who_cannot_be_bound_is_a_warning() -> None:
    result = bind(
        plugin("a", requires=[optional("X")]), plugin("b", ["X"], ["nothing"])
    )
    assert result.order == ("a",)
    assert [problem.plugin_name for problem in result.warnings] == ["a"]
    alone = bind(plugin("a", ["X"], [optional("X")]))
    assert alone.success
    assert messages(alone.warnings) == ['a: No provider found for facet "X"']


def test_optional_requirement_with_several_providers_is_for_the_host() -> None:
    result = bind(
        plugin("a", ["X"]),
        plugin("b", ["X"]),
        plugin("user", requires=[optional("X")]),
        strategy="explicit",
    )
    assert isinstance(only(result.errors).error, AmbiguousFacetError)


def test_id_that_is_given_twice_is_an_error() -> None:
    """The first stands, and is who serves."""
    result = bind(
        plugin("a", ["X"]),
        plugin("a", ["Y"]),
        plugin("user", requires=["X"]),
        plugin("other", requires=["Y"]),
    )
    assert [type(problem.error) for problem in result.errors] == [
        DuplicatePluginError,
        FacetNotFoundError,
    ]
    assert result.order == ("a", "user")
    assert result.contexts["a"].manifest.provides[0].facet == "X"


def test_id_is_given_twice_also_where_the_first_has_an_error() -> None:
    result = bind(plugin("b", ["X:q"]), plugin("a", ["X:q"]), plugin("a"))
    assert [type(problem.error) for problem in result.errors] == [
        PluginError,
        DuplicatePluginError,
    ]
    assert result.order == ("b",)


@pytest.mark.parametrize("second", ["X:q", "X"])
def test_facet_and_qualifier_that_two_provide_are_an_error(second: str) -> None:
    """Also where one has it as its id."""
    result = bind(plugin("a", ["X:q"]), plugin("q", [second]))
    assert only(result.errors).message == (
        "plugin 'q': it provides 'X' with qualifier 'q', which plugin 'a' provides "
        "already"
    )
    assert type(only(result.errors).error) is PluginError
    assert result.order == ("a",)


def test_what_a_loaded_plugin_provides_is_not_provided_again(
    registry: FacetRegistry,
) -> None:
    loaded = bind(plugin("a", ["X:q"]), registry=registry).contexts["a"]
    with Activation(loaded).opened():
        loaded.provide("X", "a")
    result = bind(
        plugin("b", ["X:q"]), plugin("user", requires=["X"]), registry=registry
    )
    assert only(result.errors).message == (
        "plugin 'b': it provides 'X' with qualifier 'q', which plugin 'a' provides "
        "already"
    )
    assert result.contexts["user"].require("X") == "a"
    assert Activation(result.contexts["user"]).dependencies == ("a",)


def test_plugin_that_is_loaded_may_be_bound_again(registry: FacetRegistry) -> None:
    plugins = plugin("a", ["X"]), plugin("user", requires=["X"])
    loaded = bind(*plugins, registry=registry).contexts["a"]
    with Activation(loaded).opened():
        loaded.provide("X", "a")
    for config in ({"strategy": "explicit"}, {}):
        result = bind(*plugins, registry=registry, **config)
        assert (result.errors, result.warnings) == ((), ())
        assert result.order == ("a", "user")


def test_plugin_that_is_loaded_does_not_serve_itself_either(
    registry: FacetRegistry,
) -> None:
    registry.register("X", "the host's")
    wrapper = plugin("wrapper", [FacetProvision("X", priority=9)], ["X"])
    loaded = bind(wrapper, registry=registry).contexts["wrapper"]
    with Activation(loaded).opened():
        loaded.provide("X", "wrapped")
    again = bind(wrapper, registry=registry).contexts["wrapper"]
    assert again.require("X") == loaded.require("X") == "the host's"


def test_provision_that_the_host_has_registered_is_an_error(
    registry: FacetRegistry,
) -> None:
    registry.register("X", "the host's", "q")
    result = bind(
        plugin("user", requires=["X:q"]), plugin("a", ["X:q"]), registry=registry
    )
    assert messages(result.errors) == [
        (
            "a: plugin 'a': it provides 'X' with qualifier 'q', which the host provides "
            "already"
        )
    ]
    assert result.contexts["user"].require("X", "q") == "the host's"
    plain = bind(plugin("q", ["Y"]), plugin("a", ["X"]), registry=registry)
    assert plain.success


def test_order_is_dependencies_first_else_as_given() -> None:
    result = bind(
        plugin("late", requires=["Z", "M"]),
        plugin("m", ["M"], ["Z"]),
        plugin("b"),
        plugin("z", ["Z"]),
        plugin("a"),
    )
    assert result.order == ("b", "z", "m", "late", "a")
    assert tuple(result.contexts) == result.order
    names = [f"p{number}" for number in range(20)]
    assert bind(*map(plugin, names)).order == tuple(names)


def test_long_chains_are_bound() -> None:
    count = 1_200
    chain = [
        plugin(f"p{n}", [f"F{n}"], [f"F{n + 1}"] if n + 1 < count else [])
        for n in range(count)
    ]
    assert bind(*chain).order == tuple(f"p{n}" for n in reversed(range(count)))
    chain[-1] = plugin("last", [f"F{count - 1}"], ["F0"])
    error = only(bind(*chain).errors).error
    assert isinstance(error, CircularDependencyError)
    assert len(error.path) == count + 1


def test_bind_changes_nothing(registry: FacetRegistry) -> None:
    registry.register("X", "host", "q")
    before = list(registry)
    made: list[str] = []

    def state(name: str) -> Any:
        made.append(name)

    services = HostServices(state=state)
    result = Binder(services).bind(
        [plugin("a", ["X:r"]), plugin("b", requires=["X"])], registry
    )
    after = list(registry)
    assert len(before) == len(after) == 1
    assert before[0] is after[0]
    assert made == []
    with pytest.raises(TypeError):
        result.contexts["c"] = result.contexts["a"]  # type: ignore[index]


def test_no_plugins_are_bound_with_success() -> None:
    result = bind()
    assert result == BindResult(True, {}, (), (), ())


def test_what_has_no_manifest_is_no_plugin() -> None:
    for thing in (object(), manifest("a")):
        with pytest.raises(TypeError, match="has no manifest"):
            Binder().bind([thing], FacetRegistry())  # type: ignore[list-item]


def test_contexts_share_the_hosts_services() -> None:
    logger = StandardLogger("app")
    services = HostServices(logger=logger)
    assert services.logger is logger
    binder = Binder(services)
    assert binder.services is services
    assert Binder().services.events is not Binder().services.events
