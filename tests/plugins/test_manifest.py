"""Manifest: what is wrong is told, all of it, when a manifest is made or read.

The versions are the examples that semver.org's FAQ links to, those that match and those
that must not, and what a regular expression is apt to let through.
"""

import copy
import dataclasses
import json
import pickle
from typing import Any

import pytest

from latency_kv.errors import PluginManifestError
from latency_kv.facets.logger import Logger
from latency_kv.facets.secret_store import SecretStore
from latency_kv.plugins.manifest import (
    FacetProvision,
    FacetRequirement,
    PluginManifest,
    facet_name,
)

VALID = """
0.0.4 1.2.3 10.20.30 1.1.2-prerelease+meta 1.1.2+meta 1.1.2+meta-valid 1.0.0-alpha
1.0.0-beta 1.0.0-alpha.beta 1.0.0-alpha.beta.1 1.0.0-alpha.1 1.0.0-alpha0.valid
1.0.0-alpha.0valid 1.0.0-alpha-a.b-c-somethinglong+build.1-aef.1-its-okay
1.0.0-rc.1+build.1 2.0.0-rc.1+build.123 1.2.3-beta 10.2.3-DEV-SNAPSHOT
1.2.3-SNAPSHOT-123 1.0.0 2.0.0 1.1.7 2.0.0+build.1848 2.0.1-alpha.1227
1.0.0-alpha+beta 1.2.3----RC-SNAPSHOT.12.9.1--.12+788 1.2.3----R-S.12.9.1--.12+meta
1.2.3----RC-SNAPSHOT.12.9.1--.12 1.0.0+0.build.1-rc.10000aaa-kk-0.1
99999999999999999999999.999999999999999999.99999999999999999 1.0.0-0A.is.legal
0.0.0 1.0.0-0 1.0.0--1 1.0.0+001
"""

INVALID = """
1 1.2 1.2.3-0123 1.2.3-0123.0123 1.1.2+.123 +invalid -invalid -invalid+invalid
-invalid.01 alpha alpha.beta alpha.beta.1 alpha.1 alpha+beta alpha_beta alpha. alpha..
beta 1.0.0-alpha_beta -alpha. 1.0.0-alpha.. 1.0.0-alpha..1 1.0.0-alpha...1
1.0.0-alpha....1 1.0.0-alpha.....1 1.0.0-alpha......1 1.0.0-alpha.......1 01.1.1 1.01.1
1.1.01 1.2.3.DEV 1.2-SNAPSHOT 1.2.31.2.3----RC-SNAPSHOT.12.09.1--..12+788
1.2-RC-SNAPSHOT -1.0.3-gamma+b7718 +justmeta 9.8.7+meta+meta 9.8.7-whatever+meta+meta
v1.0.0 1.0.0- 1.0.0+ 1.0.0-+b 1,0,0 1.-1.0 1.0.0-a\u00e9 \uff11.0.0 1.0.\u0661
"""

INVALID_TOO = [
    "9999999.999999999999999999.9999999999----RC-SNAPSHOT.12.09.1-----------------..12",
    "",
    " ",
    " 1.0.0",
    "1.0.0 ",
    "1.0.0\n",
    "1.0.0-a\n",
    "1.0.0\x00",
]


def problems_of(*given: Any, **fields: Any) -> tuple[str, ...]:
    with pytest.raises(PluginManifestError) as caught:
        PluginManifest(*given, **fields)
    assert str(caught.value).endswith("; ".join(caught.value.problems))
    return caught.value.problems


def problems_read(mapping: Any) -> tuple[str, ...]:
    with pytest.raises(PluginManifestError) as caught:
        PluginManifest.from_mapping(mapping)
    return caught.value.problems


def manifest(**fields: Any) -> PluginManifest:
    return PluginManifest("clock", "1.0.0", "Clock", **fields)


@pytest.mark.parametrize("version", VALID.split())
def test_semantic_version_is_a_version(version: str) -> None:
    assert PluginManifest("clock", version, "Clock").version == version


@pytest.mark.parametrize("version", [*INVALID.split(), *INVALID_TOO], ids=ascii)
def test_other_version_is_refused(version: str) -> None:
    (problem,) = problems_of("clock", version, "Clock")
    assert problem.startswith("version is no ")
    assert problem.endswith(repr(version))


@pytest.mark.parametrize("length", [10, 20_000])
def test_long_version_is_checked_without_a_pause(length: int) -> None:
    """Whatever the check tries first: all of these end in a character that is none."""
    for part in ("0", "1", "a", "-", ".a", "0a", "-0"):
        for start in ("", "1.0.0-", "1.0.0+"):
            (problem,) = problems_of("clock", start + part * length + "!", "Clock")
            assert problem.startswith("version is no semantic version")


def test_manifest_needs_no_more_than_three_words() -> None:
    small = manifest()
    assert (small.description, small.provides, small.requires, small.uses) == (
        "",
        (),
        (),
        (),
    )


def test_facet_may_be_its_protocol() -> None:
    by_class = manifest(
        provides=[FacetProvision(Logger, "a", 1)],
        requires=[FacetRequirement(SecretStore, optional=True)],
        uses=[Logger, "Pipeline"],
    )
    by_name = manifest(
        provides=(FacetProvision("Logger", "a", 1),),
        requires=(FacetRequirement("SecretStore", None, True),),
        uses=("Logger", "Pipeline"),
    )
    assert by_class == by_name
    assert hash(by_class) == hash(by_name)
    assert by_class.uses == ("Logger", "Pipeline")
    assert facet_name(Logger) == facet_name("Logger") == "Logger"
    with pytest.raises(TypeError, match="a facet is a Protocol or its name, not 7"):
        facet_name(7)  # type: ignore[arg-type]


def test_manifest_is_frozen_and_may_be_copied() -> None:
    whole = manifest(
        description="ticks",
        provides=[FacetProvision("Logger")],
        requires=[FacetRequirement("SecretStore")],
        uses=["Pipeline"],
    )
    for record, field in (
        (whole, "id"),
        (whole.provides[0], "facet"),
        (whole.requires[0], "optional"),
    ):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(record, field, "other")
    assert pickle.loads(pickle.dumps(whole)) == whole
    assert copy.deepcopy(whole) == whole
    assert dataclasses.replace(whole, id="other").provides == whole.provides
    with pytest.raises(PluginManifestError):
        dataclasses.replace(whole, version="1")


def test_all_problems_are_told_at_once() -> None:
    """One for each row of facts: id, facet, version, priority, a provision twice."""
    assert problems_of(
        "",
        "1.0",
        "",
        provides=[
            FacetProvision(""),
            FacetProvision("Logger", "a", -1),
            FacetProvision("Logger", "a"),
        ],
        requires=[FacetRequirement(" "), FacetRequirement("Logger", "")],
        uses=["", 7],
    ) == (
        "id is no text, or empty: ''",
        "version is no semantic version such as 1.0.0: '1.0'",
        "name is no text, or empty: ''",
        "provides[0]: facet is no text, or empty: ''",
        "provides[1]: priority is no integer from 0: -1",
        "provides[2]: facet 'Logger' with qualifier 'a' comes twice",
        "requires[0]: facet is no text, or empty: ' '",
        "requires[1]: qualifier is no text, or empty: ''",
        "uses[0] is no facet: ''",
        "uses[1] is no facet: 7",
    )


@pytest.mark.parametrize("id", ["", " ", None, 7, b"clock", ["clock"]])
def test_id_is_text_that_is_not_empty(id: Any) -> None:
    assert problems_of(id, "1.0.0", "Clock") == (f"id is no text, or empty: {id!r}",)


def test_error_names_the_plugin() -> None:
    with pytest.raises(PluginManifestError, match="plugin 'clock': name is") as caught:
        PluginManifest("clock", "1.0.0", "")
    assert caught.value.plugin_name == "clock"
    assert isinstance(caught.value, ValueError)
    with pytest.raises(PluginManifestError) as caught:
        PluginManifest(7, "1.0.0", "Clock")  # type: ignore[arg-type]
    assert caught.value.plugin_name == ""


@pytest.mark.parametrize("priority", [-1, True, False, 1.0, "1", None])
def test_priority_is_an_integer_from_0(priority: Any) -> None:
    provides = [FacetProvision("Logger", None, priority)]
    assert problems_of("clock", "1.0.0", "Clock", provides=provides) == (
        f"provides[0]: priority is no integer from 0: {priority!r}",
    )


def test_priority_has_no_upper_bound() -> None:
    assert manifest(provides=[FacetProvision("A", None, 10**30)]).provides[0].priority


@pytest.mark.parametrize("qualifier", ["", " ", 7, b"a"])
def test_qualifier_is_none_or_text(qualifier: Any) -> None:
    provides = [FacetProvision("Logger", qualifier)]
    requires = [FacetRequirement("Logger", qualifier)]
    text = f"qualifier is no text, or empty: {qualifier!r}"
    assert problems_of(
        "clock", "1.0.0", "Clock", provides=provides, requires=requires
    ) == (f"provides[0]: {text}", f"requires[0]: {text}")


@pytest.mark.parametrize(
    ("first", "second"), [(None, None), ("a", "a"), (None, "clock"), ("clock", None)]
)
def test_facet_is_not_provided_twice_with_one_qualifier(
    first: str | None, second: str | None
) -> None:
    """None is the plugin's id, which is what it would be registered under."""
    twice = [FacetProvision("Logger", first), FacetProvision(Logger, second, 5)]
    (problem,) = problems_of("clock", "1.0.0", "Clock", provides=twice)
    assert problem == (
        f"provides[1]: facet 'Logger' with qualifier '{first or 'clock'}' comes twice"
    )


def test_facet_is_provided_with_several_qualifiers() -> None:
    several = [FacetProvision("Logger", q) for q in (None, "a", "b")]
    several.append(FacetProvision("SecretStore", "a"))
    made = manifest(provides=several)
    assert [made.qualifier_of(each) for each in made.provides] == [
        "clock",
        "a",
        "b",
        "a",
    ]


@pytest.mark.parametrize("optional", [1, None, "yes"])
def test_optional_is_a_bool(optional: Any) -> None:
    requires = [FacetRequirement("Logger", None, optional)]
    assert problems_of("clock", "1.0.0", "Clock", requires=requires) == (
        f"requires[0]: optional is no bool: {optional!r}",
    )


def test_what_is_no_list_of_entries_is_told() -> None:
    assert problems_of(
        "clock", "1.0.0", "Clock", 7, provides=None, requires="Logger", uses="Logger"
    ) == (
        "provides is no list: None",
        "requires is no list: 'Logger'",
        "uses is no list: 'Logger'",
        "description is no text: 7",
    )
    assert problems_of(
        "clock", "1.0.0", "Clock", provides=["Logger"], requires=[Logger, 7]
    ) == (
        "provides[0] is no FacetProvision: 'Logger'",
        f"requires[0] is no FacetRequirement: {Logger!r}",
        "requires[1] is no FacetRequirement: 7",
    )


def test_from_mapping_reads_all_fields() -> None:
    text = """{
        "id": "clock", "version": "1.2.3-rc.1", "name": "Clock", "description": "ticks",
        "provides": [
            {"facet": "Logger"},
            {"facet": "Logger", "qualifier": "a", "priority": 10}
        ],
        "requires": [
            {"facet": "SecretStore", "qualifier": null},
            {"facet": "EventBus", "qualifier": "q", "optional": true}
        ],
        "uses": ["Pipeline"]
    }"""
    assert PluginManifest.from_mapping(json.loads(text)) == PluginManifest(
        id="clock",
        version="1.2.3-rc.1",
        name="Clock",
        description="ticks",
        provides=[FacetProvision("Logger"), FacetProvision("Logger", "a", 10)],
        requires=[
            FacetRequirement("SecretStore"),
            FacetRequirement("EventBus", "q", optional=True),
        ],
        uses=["Pipeline"],
    )


def test_from_mapping_is_what_asdict_gives() -> None:
    made = manifest(provides=[FacetProvision("A", "q", 3)], uses=("B",))
    assert PluginManifest.from_mapping(dataclasses.asdict(made)) == made


def test_from_mapping_leaves_what_it_reads_alone() -> None:
    data = {"id": "a", "version": "1.0.0", "name": "A", "provides": [{"facet": "F"}]}
    before = copy.deepcopy(data)
    PluginManifest.from_mapping(data)
    assert data == before


def test_from_mapping_tells_all_problems_at_once() -> None:
    assert problems_read(
        {
            "version": "1",
            "author": "me",
            "provides": [{"face": "Logger"}, 7, {"facet": "A", "priority": -1}],
            "requires": [{"facet": "B", "optional": "yes", "Qualifier": "q"}],
            "uses": 7,
        }
    ) == (
        "'author' is none of id, version, name, description, provides, requires, uses",
        "id is missing",
        "name is missing",
        "provides[0]: 'face' is none of facet, qualifier, priority",
        "provides[0]: facet is missing",
        "provides[1] is no mapping: 7",
        "requires[0]: 'Qualifier' is none of facet, qualifier, optional",
        "uses is no list: 7",
        "version is no semantic version such as 1.0.0: '1'",
        "provides[2]: priority is no integer from 0: -1",
        "requires[0]: optional is no bool: 'yes'",
    )


@pytest.mark.parametrize("data", [None, 7, "clock", ["id"]])
def test_from_mapping_of_no_mapping_is_the_same_error(data: Any) -> None:
    assert problems_read(data) == (f"the manifest is no mapping: {data!r}",)


@pytest.mark.parametrize("field", ["provides", "requires"])
@pytest.mark.parametrize("entries", [None, 7, "Logger", {"facet": "Logger"}])
def test_from_mapping_wants_lists(field: str, entries: Any) -> None:
    data = {"id": "clock", "version": "1.0.0", "name": "Clock", field: entries}
    assert problems_read(data) == (f"{field} is no list: {entries!r}",)


def test_from_mapping_error_names_the_plugin_if_it_has_a_name() -> None:
    for data, name in (({"id": "clock"}, "clock"), ({}, ""), ({"id": 7}, "")):
        with pytest.raises(PluginManifestError) as caught:
            PluginManifest.from_mapping(data)
        assert caught.value.plugin_name == name
