"""Catalog: the tables of the documents row by row, README's copy, and true providers."""

import inspect
import pkgutil
from collections.abc import Iterator
from dataclasses import FrozenInstanceError
from importlib import import_module
from typing import Any, get_args

import pytest

import latency_kv.providers
from facets.facts import METHODS, SYNC
from fresh import TESTS
from latency_kv import facets
from latency_kv.cli.facets import markdown_lines
from latency_kv.facets.catalog import CATALOG, STATUSES, CatalogEntry, FacetStatus
from latency_kv.facets.event_bus import EventBus
from latency_kv.facets.logger import Logger
from latency_kv.facets.secret_store import SecretStore
from latency_kv.providers.events import PyeeEventBus
from latency_kv.providers.logging import StandardLogger
from latency_kv.providers.secrets import EnvironmentSecretStore

README = TESTS.parent / "README.md"
BEGIN = "<!-- latency-kv facets --markdown -->\n"
END = "<!-- /latency-kv facets --markdown -->\n"

# The maturity matrix: facet, module, status, whose plugins are named.
MATRIX = [
    ("IssueTracker", "issue_tracker", "Active", ["GitHub Issues", "Jira"]),
    ("SourceControl", "source_control", "Active", ["Git"]),
    ("DevAgent", "dev_agent", "Active", ["Claude Code"]),
    ("Pipeline", "pipeline", "Active", ["GitHub Actions"]),
    ("Logger", "logger", "Active", []),
    ("EventBus", "event_bus", "Awaiting Adoption", []),
    ("SecretStore", "secret_store", "Awaiting Adoption", []),
    ("StateStore", "stores", "Awaiting Adoption", []),
    ("DecisionHandler", "decision_handler", "Awaiting Adoption", []),
    ("WorkflowEngine", "workflow_engine", "Awaiting Adoption", []),
]

# The maturity categories, as the other document counts them up.
CATEGORIES = {
    "Active": {"IssueTracker", "SourceControl", "DevAgent", "Logger", "Pipeline"},
    "Awaiting Adoption": {
        "EventBus",
        "SecretStore",
        "StateStore",
        "DecisionHandler",
        "WorkflowEngine",
    },
}


def satisfies(provider: type, facet: str) -> bool:
    """Whether a class has the facet's methods, each as async as it has to be.

    A method that returns an awaitable without being a coroutine function is seen as
    sync: a provider of the package is written so that a reader sees it too.
    """
    if not issubclass(provider, getattr(facets, facet)):
        return False
    return all(
        inspect.iscoroutinefunction(inspect.getattr_static(provider, name))
        == (name not in SYNC.get(facet, set()))
        for name in METHODS[facet]
    )


def check_signatures(
    logging: StandardLogger, bus: PyeeEventBus, secrets: EnvironmentSecretStore
) -> None:
    """For mypy: the named providers fit in their signatures too."""
    logger: Logger = logging
    event_bus: EventBus = bus
    secret_store: SecretStore = secrets
    del logger, event_bus, secret_store


def public_classes() -> Iterator[type]:
    """Every class that a module of the room of providers is the home of."""
    room = latency_kv.providers
    for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
        for name, value in vars(import_module(module.name)).items():
            if name.startswith("_") or not inspect.isclass(value):
                continue
            if value.__module__ == module.name:
                yield value


def looked_up(dotted: str) -> Any:
    module, _, name = dotted.rpartition(".")
    return getattr(import_module(module), name)


@pytest.mark.parametrize(("place", "row"), [*enumerate(MATRIX)])
def test_row_of_the_maturity_matrix(
    place: int, row: tuple[str, str, str, list[str]]
) -> None:
    name, module, status, plugins = row
    entry = CATALOG[place]
    assert entry.name == name
    assert entry.module == f"latency_kv.facets.{module}"
    assert entry.status == status
    assert entry.notes and all(plugin in entry.notes for plugin in plugins)


def test_catalog_has_no_other_rows() -> None:
    assert len(CATALOG) == len(MATRIX) == len(METHODS)


@pytest.mark.parametrize("status", CATEGORIES)
def test_maturity_category_has_its_facets(status: str) -> None:
    assert {each.name for each in CATALOG if each.status == status} == (
        CATEGORIES[status]
    )


def test_statuses_are_defined_and_used() -> None:
    assert [*STATUSES] == [*CATEGORIES] == [*get_args(FacetStatus)]
    assert {each.status for each in CATALOG} == STATUSES.keys()
    assert all(STATUSES.values())


@pytest.mark.parametrize("entry", CATALOG, ids=lambda entry: entry.name)
def test_module_has_the_facet(entry: CatalogEntry) -> None:
    facet = looked_up(f"{entry.module}.{entry.name}")
    assert facet.__module__ == entry.module
    assert facet is getattr(facets, entry.name)


@pytest.mark.parametrize("entry", CATALOG, ids=lambda entry: entry.name)
def test_named_providers_exist_and_satisfy_the_facet(entry: CatalogEntry) -> None:
    for dotted in entry.providers:
        provider = looked_up(dotted)
        assert inspect.isclass(provider)
        assert f"{provider.__module__}.{provider.__qualname__}" == dotted
        assert satisfies(provider, entry.name)


@pytest.mark.parametrize("entry", CATALOG, ids=lambda entry: entry.name)
def test_every_provider_of_the_package_is_named(entry: CatalogEntry) -> None:
    every = {each for each in public_classes() if satisfies(each, entry.name)}
    # What several of them have in common is none itself.
    bases = {base for each in every for base in each.__mro__[1:]}
    found = {f"{each.__module__}.{each.__qualname__}" for each in every - bases}
    assert found == set(entry.providers)


def test_every_public_provider_has_a_facet() -> None:
    named = {provider for entry in CATALOG for provider in entry.providers}
    room = latency_kv.providers
    lent = {name for name in room.__all__ if inspect.isclass(getattr(room, name))}
    assert {looked_up(each).__name__ for each in named} == lent


def test_sync_store_is_no_provider_of_the_async_facet() -> None:
    """`isinstance` would say that it is: it asks for names only."""
    sync = dict.fromkeys(METHODS["StateStore"], lambda self: None)

    async def method(self: Any) -> None: ...

    assert not satisfies(type("Sync", (), sync), "StateStore")
    assert not satisfies(type("Mixed", (), {**sync, "get": method}), "StateStore")
    assert satisfies(type("Async", (), dict.fromkeys(sync, method)), "StateStore")


def test_readme_has_the_catalog() -> None:
    """Written anew by `latency-kv facets --markdown`, between the two comments."""
    text = README.read_text()
    assert (text.count(BEGIN), text.count(END)) == (1, 1)
    between = text.partition(BEGIN)[2].partition(END)[0]
    assert between.splitlines() == [*markdown_lines()]


def test_catalog_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        CATALOG[0].name = "else"  # type: ignore[misc]
    with pytest.raises(TypeError):
        STATUSES["Active"] = "else"  # type: ignore[index]
