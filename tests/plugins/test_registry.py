"""Registry: who serves a facet: the highest priority, of equals the first one."""

from random import Random
from typing import Any, Protocol, TypeVar, assert_type, runtime_checkable

import pytest

from latency_kv.errors import FacetNotFoundError
from latency_kv.facets.event_bus import EventBus
from latency_kv.facets.logger import Logger
from latency_kv.facets.secret_store import SecretStore
from latency_kv.facets.stores import PluginStateStore, StateStore
from latency_kv.plugins.object_state import ObjectPluginState
from latency_kv.plugins.registry import FacetRegistry, Registration
from latency_kv.providers.events import PyeeEventBus
from latency_kv.providers.logging import StandardLogger

T_co = TypeVar("T_co", covariant=True)


class Sized(Protocol):
    """A Protocol that nobody may ask isinstance about."""

    limit: int

    def __len__(self) -> int: ...

    def name(self) -> str: ...


class Wider(Sized, Protocol):
    @property
    def colour(self) -> str: ...

    async def wait(self) -> None: ...


@runtime_checkable
class Source(Protocol[T_co]):
    def next(self) -> T_co: ...


class Box:
    def __init__(self) -> None:
        self.limit = 1
        self.colour = "red"

    def __len__(self) -> int:
        return 0

    def name(self) -> str:
        return "box"

    async def wait(self) -> None: ...


@pytest.fixture
def registry() -> FacetRegistry:
    return FacetRegistry()


def check_types(registry: FacetRegistry) -> None:
    """For mypy and pyright: `resolve` has the facet's type, a Protocol's too."""
    assert_type(registry.resolve(Logger), Logger)
    assert_type(registry.resolve(Logger, "audit"), Logger)
    assert_type(registry.resolve(Source[int]), Source[int])
    assert_type(registry.resolve("Logger"), Any)
    assert_type(registry.list(Logger), tuple[Registration, ...])


def test_facet_is_resolved_by_class_and_by_name(registry: FacetRegistry) -> None:
    logger = StandardLogger()
    registry.register(Logger, logger)
    assert registry.resolve(Logger) is logger
    assert registry.resolve("Logger") is logger
    bus = PyeeEventBus()
    registry.register("EventBus", bus)
    assert registry.resolve(EventBus) is bus


def test_missing_facet_is_not_found(registry: FacetRegistry) -> None:
    registry.register("Logger", "a", "a")
    with pytest.raises(FacetNotFoundError) as caught:
        registry.resolve("X")
    assert str(caught.value) == 'No provider found for facet "X"'
    assert caught.value.code == "NOT_FOUND"
    with pytest.raises(FacetNotFoundError) as caught:
        registry.resolve(Logger, "q")
    assert str(caught.value) == (
        'No provider found for facet "Logger" with qualifier "q"'
    )


def test_highest_priority_wins_and_first_registered_on_a_tie(
    registry: FacetRegistry,
) -> None:
    registry.register("F", "zero")
    registry.register("F", "low", "c", priority=-1)
    registry.register("F", "tied", "b", priority=5)
    registry.register("F", "first", "a", priority=5)
    assert registry.resolve("F") == "tied"
    assert [each.provider for each in registry.list("F")] == [
        "tied",
        "first",
        "zero",
        "low",
    ]
    registry.register("F", "best", "z", priority=6)
    assert registry.resolve("F") == "best"


def test_qualifier_finds_exactly_that_one(registry: FacetRegistry) -> None:
    registry.register("F", "best", priority=9)
    registry.register("F", "a", "a")
    assert registry.resolve("F", "a") == "a"
    with pytest.raises(FacetNotFoundError):
        registry.resolve("F", "A")


def test_same_facet_and_qualifier_replaces_and_goes_to_the_end(
    registry: FacetRegistry,
) -> None:
    registry.register("F", "first", "a", 5)
    registry.register("F", "second", "b", 5)
    registry.register("F", "third", "a", 5)
    assert [each.provider for each in registry.list("F")] == ["second", "third"]
    assert [each.provider for each in registry] == ["second", "third"]
    assert len(registry) == 2
    assert registry.resolve("F") == "second"
    assert registry.resolve("F", "a") == "third"


def test_has_is_about_what_resolve_finds(registry: FacetRegistry) -> None:
    assert not registry.has("F")
    registry.register("F", 1, "a")
    assert registry.has("F")
    assert registry.has("F", "a")
    assert not registry.has("F", "b")
    assert not registry.has("G")


def test_unregister_is_of_exactly_one(registry: FacetRegistry) -> None:
    registry.register("F", "plain")
    registry.register("F", "a", "a")
    assert registry.unregister("F") is True
    assert registry.unregister("F") is False
    assert registry.resolve("F") == "a"
    assert not registry.unregister("F", "b")
    assert not registry.unregister("G", "a")
    assert registry.unregister("F", "a")
    assert (len(registry), registry.has("F"), registry.list("F")) == (0, False, ())


def test_registration_tells_how_it_was_registered(registry: FacetRegistry) -> None:
    metadata = {"by": "host"}
    made = registry.register(Logger, StandardLogger(), "a", 3, metadata)
    metadata["by"] = "other"
    assert made is registry.registration("Logger", "a")
    assert (made.facet, made.qualifier, made.priority) == ("Logger", "a", 3)
    assert made.metadata == {"by": "host"}
    with pytest.raises(TypeError):
        made.metadata["by"] = "me"  # type: ignore[index]
    with pytest.raises(AttributeError):
        made.priority = 4  # type: ignore[misc]
    assert registry.registration("Logger") is None
    assert registry.registration("Other", "a") is None
    assert registry.register("F", 1).metadata == {}


def test_provider_is_checked_against_the_protocol(registry: FacetRegistry) -> None:
    """Its members are named, inherited ones and special methods too."""
    registry.register(Wider, Box())
    with pytest.raises(TypeError) as caught:
        registry.register(Wider, object())
    assert str(caught.value) == (
        "object is no Wider: it lacks __len__, colour, limit, name, wait"
    )
    with pytest.raises(TypeError, match="it lacks keys$"):
        registry.register(StateStore, ObjectPluginState())
    assert registry.list(StateStore) == ()
    assert len(registry) == 1


def test_method_that_cannot_be_called_is_missing(registry: FacetRegistry) -> None:
    class Broken(Box):
        name = None  # type: ignore[assignment]

    with pytest.raises(TypeError, match="Broken is no Sized: it lacks name$"):
        registry.register(Sized, Broken())


@pytest.mark.parametrize(
    ("facet", "provider"),
    [
        (Logger, StandardLogger()),
        (EventBus, PyeeEventBus()),
        (PluginStateStore, ObjectPluginState()),
        (Sized, Box()),
        (Source, type("Endless", (), {"next": lambda self: 1})()),
    ],
    ids=["Logger", "EventBus", "PluginStateStore", "Sized", "Source"],
)
def test_provider_that_has_all_members_is_taken(
    registry: FacetRegistry, facet: Any, provider: object
) -> None:
    registry.register(facet, provider)
    assert registry.resolve(facet) is provider


def test_class_that_is_no_protocol_is_asked_for_its_instances(
    registry: FacetRegistry,
) -> None:
    box = Box()
    registry.register(Box, box)
    assert registry.resolve(Box) is box
    with pytest.raises(TypeError, match="object is no Box$"):
        registry.register(Box, object())


def test_name_is_not_checked(registry: FacetRegistry) -> None:
    registry.register("Logger", object())
    assert registry.has(Logger)


def test_what_makes_no_sense_is_refused(registry: FacetRegistry) -> None:
    register: Any = registry.register
    for facet in (None, 7, Logger | SecretStore):
        with pytest.raises(TypeError, match="a facet is a Protocol or its name"):
            register(facet, 1)
    with pytest.raises(ValueError, match="a facet has a name"):
        register("", 1)
    with pytest.raises(ValueError, match="a qualifier is not empty"):
        register("F", 1, "")
    with pytest.raises(TypeError, match="a qualifier is a str or None, not 7"):
        register("F", 1, 7)
    for priority in (True, 1.0, "1", None):
        with pytest.raises(TypeError, match="a priority is an int"):
            register("F", 1, "q", priority)
    with pytest.raises(TypeError, match="None provides nothing"):
        register("F", None)
    assert len(registry) == 0


def test_repr_tells_how_many_and_shows_no_provider(registry: FacetRegistry) -> None:
    assert repr(registry) == "<FacetRegistry without providers>"
    for qualifier in ("a", "b"):
        registry.register("SecretStore", "hunter2", qualifier)
    assert repr(registry) == "<FacetRegistry SecretStore: 2>"


def test_registry_does_what_a_list_would(seed: int, full: bool) -> None:
    """Against a plain list of what was registered, in its order."""
    random = Random(seed)
    registry = FacetRegistry()
    model: list[tuple[str, str | None, int, object]] = []
    for step in range(20_000 if full else 1_000):
        facet = random.choice("FGH")
        qualifier = random.choice([None, "a", "b", "c"])
        kept = [each for each in model if each[:2] != (facet, qualifier)]
        was_there = len(kept) < len(model)
        if random.random() < 0.6:
            priority = random.randrange(3)
            registry.register(facet, step, qualifier, priority)
            model = [*kept, (facet, qualifier, priority, step)]
        else:
            assert registry.unregister(facet, qualifier) == was_there
            model = kept
        of_facet = [each for each in model if each[0] == facet]
        best = sorted(of_facet, key=lambda each: -each[2])
        assert [each.provider for each in registry.list(facet)] == [x[3] for x in best]
        assert {each.provider for each in registry} == {x[3] for x in model}
        assert registry.has(facet) == bool(best)
        if best:
            assert registry.resolve(facet) == best[0][3]
