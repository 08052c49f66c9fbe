"""Protocols: each facet has the methods, the records and the words of `facts`."""

import asyncio
import inspect
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import MISSING, fields
from datetime import datetime
from types import ModuleType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import anyio
import pytest
import trio

from facets.facts import CODES, METHODS, RECORDS, STATUSES, SYNC
from latency_kv import errors, facets
from latency_kv.facets.dev_agent import AbortSignal, DevAgent, StreamChunk
from latency_kv.facets.stores import (
    AtomicStateStore,
    BatchStateStore,
    ByteStateStore,
    DocumentStateStore,
    ExpiringStateStore,
    OpenedStateStore,
    PagedStateStore,
    PluginStateStore,
    StateStore,
)

# The records that belong to the stores and to the catalog, which are no facet's.
ELSEWHERE = {"StateData", "StateMetadata", "CatalogEntry"}


def methods_of(protocol: type) -> dict[str, Callable[..., Any]]:
    """The public methods of a Protocol, those that it inherits too."""
    return {
        name: member
        for name, member in inspect.getmembers(protocol, inspect.isfunction)
        if not name.startswith("_")
    }


def parameters_of(method: Callable[..., Any]) -> str:
    """The parameters without self, in order; those with a default end in `?`."""
    _, *parameters = inspect.signature(method).parameters.values()
    return " ".join(
        each.name + ("" if each.default is each.empty else "?") for each in parameters
    )


def words_of(hint: Any) -> set[str]:
    """The words of a Literal, alone or in a union."""
    if get_origin(hint) is Literal:
        return set(get_args(hint))
    return set().union(*map(words_of, get_args(hint)))


@pytest.mark.parametrize("name", METHODS)
def test_facet_has_its_methods_and_no_others(name: str) -> None:
    methods = methods_of(getattr(facets, name))
    assert {each: parameters_of(methods[each]) for each in methods} == METHODS[name]


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_async_but_for_the_named_ones(name: str) -> None:
    methods = methods_of(getattr(facets, name))
    sync = {each for each in methods if not inspect.iscoroutinefunction(methods[each])}
    assert sync == SYNC.get(name, set())


def test_stream_is_an_async_iterator_and_no_coroutine() -> None:
    returns = get_type_hints(DevAgent.invoke_stream)["return"]
    assert returns == AsyncIterator[StreamChunk]


@pytest.mark.parametrize(
    ("store", "is_async"),
    [
        (ByteStateStore, False),
        (DocumentStateStore, True),
        (PluginStateStore, False),
        (StateStore, True),
        (AtomicStateStore, True),
        (BatchStateStore, True),
        (ExpiringStateStore, True),
    ],
)
def test_stores_are_sync_or_async_throughout(store: type, is_async: bool) -> None:
    methods = methods_of(store)
    assert methods
    assert {inspect.iscoroutinefunction(each) for each in methods.values()} == {
        is_async
    }


@pytest.mark.parametrize("store", [PagedStateStore, OpenedStateStore])
def test_pages_come_from_an_async_iterator_and_no_coroutine(store: type) -> None:
    methods = methods_of(store)
    sync = {each for each in methods if not inspect.iscoroutinefunction(methods[each])}
    assert sync == {"iter_keys"}
    assert get_type_hints(methods["iter_keys"])["return"] == AsyncIterator[str]


def test_what_a_call_is_about_is_positional_and_the_rest_has_a_name() -> None:
    """Only a default value that `get` returns is positional all the same."""
    for name in METHODS:
        for each, method in methods_of(getattr(facets, name)).items():
            _, *parameters = inspect.signature(method).parameters.values()
            for parameter in parameters:
                optional = parameter.default is not parameter.empty
                by_name = optional and (each, parameter.name) not in {
                    ("get", "default"),
                    ("list_branches", "query"),
                }
                assert by_name == (parameter.kind is parameter.POSITIONAL_OR_KEYWORD), (
                    f"{name}.{each}: {parameter}"
                )


@pytest.mark.parametrize("name", METHODS)
def test_every_facet_and_method_is_documented_and_typed(name: str) -> None:
    facet = getattr(facets, name)
    assert facet.__doc__
    for each, method in methods_of(facet).items():
        assert method.__doc__, f"{name}.{each}"
        hints = get_type_hints(method)
        assert hints.keys() == {*inspect.signature(method).parameters, "return"} - {
            "self"
        }


@pytest.mark.parametrize("name", METHODS)
def test_isinstance_asks_for_every_method(name: str) -> None:
    """A provider inherits nothing; without one method it is none."""
    facet = getattr(facets, name)
    members = dict.fromkeys(METHODS[name], lambda self: None)
    assert isinstance(type("Provider", (), members)(), facet)
    for missing in members:
        rest = {each: members[each] for each in members if each != missing}
        assert not isinstance(type("Provider", (), rest)(), facet), missing


@pytest.mark.parametrize("name", RECORDS)
def test_record_has_its_fields_and_no_others(name: str) -> None:
    record = getattr(facets, name)
    assert sorted(
        each.name + ("" if each.default is each.default_factory is MISSING else "?")
        for each in fields(record)
    ) == sorted(RECORDS[name].split())


def test_every_record_of_the_room_is_known() -> None:
    records = {
        name
        for name in facets.__all__
        if hasattr(getattr(facets, name), "__dataclass_fields__")
    }
    assert records == RECORDS.keys() | ELSEWHERE


@pytest.mark.parametrize(("name", "field"), STATUSES)
def test_status_has_its_words_and_no_others(name: str, field: str) -> None:
    hints = get_type_hints(getattr(facets, name))
    assert words_of(hints[field]) == set(STATUSES[name, field].split())


def test_error_codes_are_the_seven() -> None:
    assert words_of(errors.FacetErrorCode) == set(CODES.split())


@pytest.mark.parametrize("name", RECORDS)
def test_record_holds_tuples_and_datetimes(name: str) -> None:
    hints = get_type_hints(getattr(facets, name))
    for field in RECORDS[name].replace("?", "").split():
        shown = str(hints[field])
        assert "list" not in shown and "set[" not in shown
        is_time = field.endswith("_at") or field in {
            "date",
            "since",
            "until",
            "deadline",
        }
        assert is_time == (datetime in (hints[field], *get_args(hints[field])))


def test_codes_in_the_docstrings_exist() -> None:
    """Every word in capitals and underscores that a docstring calls a code is one."""
    for name in METHODS:
        text = inspect.getdoc(getattr(facets, name)) or ""
        table = re.findall(r"^    ([A-Z_]+)  ", text, re.MULTILINE)
        assert set(table) <= set(CODES.split())
        assert len(table) == len(set(table))


@pytest.mark.parametrize("library", [anyio, asyncio, trio])
def test_event_of_every_library_is_an_abort_signal(library: ModuleType) -> None:
    async def check() -> None:
        assert isinstance(library.Event(), AbortSignal)
        event: Any = library.Event()
        signal: AbortSignal = event
        assert not signal.is_set()
        event.set()
        await signal.wait()
        assert signal.is_set()

    if library is trio:
        trio.run(check)
    else:
        asyncio.run(check())


def check_signals(
    of_anyio: anyio.Event, of_asyncio: asyncio.Event, of_trio: trio.Event
) -> None:
    """For mypy: the signatures fit too."""
    signals: list[AbortSignal] = [of_anyio, of_asyncio, of_trio]
    del signals
