"""Manifest: what a plugin says of itself before any of its code runs.

Who it is, which facets it provides, which it requires.  A manifest is checked when it
is made, and tells all that is wrong with it at once, so that whoever holds one may bind
by it without another look.

Knows no registry and no plugin.  Start at `PluginManifest`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

from latency_kv.errors import PluginManifestError

__all__ = [
    "Facet",
    "FacetProvision",
    "FacetRequirement",
    "PluginManifest",
    "facet_name",
]

Facet: TypeAlias = str | type[Any]
"""A facet as callers name it: its Protocol, or that Protocol's name."""

# Semantic Versioning 2.0.0, by the grammar at semver.org.
_NUMBER = "(?:0|[1-9][0-9]*)"
_BUILD_PART = "[0-9A-Za-z-]+"
_PRERELEASE_PART = f"(?:{_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_VERSION = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}"
    rf"(?:-{_PRERELEASE_PART}(?:\.{_PRERELEASE_PART})*)?"
    rf"(?:\+{_BUILD_PART}(?:\.{_BUILD_PART})*)?"
)

# What a field that is missing is taken for, so that it is one problem and not two.
_STAND_INS = {"id": "(missing)", "version": "0.0.0", "name": "(missing)"}


def facet_name(facet: Facet) -> str:
    """Return the name that a facet goes by; TypeError for what is no facet.

    >>> from latency_kv.facets.logger import Logger
    >>> facet_name(Logger), facet_name("Logger")
    ('Logger', 'Logger')
    """
    if isinstance(facet, str):
        return facet
    if isinstance(facet, type):
        return facet.__name__
    raise TypeError(f"a facet is a Protocol or its name, not {facet!r}")


@dataclass(frozen=True, slots=True, init=False)
class FacetProvision:
    """A facet that a plugin provides, under its qualifier.

    Without one the plugin's id is the qualifier, so plugins that provide one facet do
    not get in each other's way.  Who asks for the facet without a qualifier gets the
    provider with the highest priority, unless the host says otherwise.
    """

    facet: str
    qualifier: str | None
    priority: int

    def __init__(
        self, facet: Facet, qualifier: str | None = None, priority: int = 0
    ) -> None:
        _fill(self, _named(facet), qualifier, priority)


@dataclass(frozen=True, slots=True, init=False)
class FacetRequirement:
    """A facet that a plugin needs; from anybody, or from the one with this qualifier.

    An optional one is bound where it can be, and is no reason not to load the plugin.
    """

    facet: str
    qualifier: str | None
    optional: bool

    def __init__(
        self, facet: Facet, qualifier: str | None = None, optional: bool = False
    ) -> None:
        _fill(self, _named(facet), qualifier, optional)


@dataclass(frozen=True, slots=True, init=False)
class PluginManifest:
    """What a host knows of a plugin: identity, what it provides, what it requires.

        id           the name that the host and other plugins call it by
        version      after Semantic Versioning 2.0.0
        name         for people
        description  for people
        provides     what the plugin provides while it is activated, and must
        requires     what is bound before it is activated
        uses         facets that it may ask for at run time: never bound, never missing

    PluginManifestError with all that is wrong: no id, version or name, a facet without
    a name, an empty qualifier, a priority that is no integer from 0, a facet provided
    twice with one qualifier.

    >>> PluginManifest("clock", "1.0", "")
    Traceback (most recent call last):
    ...
    latency_kv.errors.PluginManifestError: plugin 'clock': version is no semantic \
version such as 1.0.0: '1.0'; name is no text, or empty: ''
    """

    id: str
    version: str
    name: str
    description: str
    provides: tuple[FacetProvision, ...]
    requires: tuple[FacetRequirement, ...]
    uses: tuple[str, ...]

    def __init__(
        self,
        id: str,
        version: str,
        name: str,
        description: str = "",
        provides: Iterable[FacetProvision] = (),
        requires: Iterable[FacetRequirement] = (),
        uses: Iterable[Facet] = (),
    ) -> None:
        problems: list[str] = []
        _fill(
            self,
            id,
            version,
            name,
            description,
            tuple(_several(provides, "provides", problems)),
            tuple(_several(requires, "requires", problems)),
            tuple(_named(facet) for facet in _several(uses, "uses", problems)),
        )
        problems += _problems_of(self)
        if problems:
            raise PluginManifestError(id if isinstance(id, str) else "", problems)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> PluginManifest:
        """Make a manifest of what a JSON or TOML file holds, by the fields' names.

        `provides` and `requires` are lists of objects, `uses` is a list of names.  A
        field that no manifest has is a problem like any other.

        >>> data = {"id": "clock", "version": "1.0.0", "name": "Clock"}
        >>> data["provides"] = [{"facet": "Logger", "priority": 10}]
        >>> PluginManifest.from_mapping(data).provides
        (FacetProvision(facet='Logger', qualifier=None, priority=10),)
        """
        problems: list[str] = []
        given = _fields_of(mapping, cls, _STAND_INS, "", problems)
        named = given["id"] if given["id"] != _STAND_INS["id"] else ""
        for field, kind in (
            ("provides", FacetProvision),
            ("requires", FacetRequirement),
        ):
            if field in given:
                entries = _several(given[field], field, problems)
                given[field] = [
                    _entry_of(entry, kind, f"{field}[{n}]", problems)
                    for n, entry in enumerate(entries)
                ]
        try:
            manifest = cls(**given)
        except PluginManifestError as error:
            problems += error.problems
        else:
            if not problems:
                return manifest
        raise PluginManifestError(named if isinstance(named, str) else "", problems)

    def qualifier_of(self, provision: FacetProvision) -> str:
        """Return what a provision is registered under: its qualifier, or this id."""
        return self.id if provision.qualifier is None else provision.qualifier


def _fill(record: Any, *values: object) -> None:
    for field, value in zip(fields(record), values, strict=True):
        object.__setattr__(record, field.name, value)


def _named(facet: Any) -> Any:
    """Return the facet's name; what is no facet as it is, for the manifest to find."""
    return facet_name(facet) if isinstance(facet, type) else facet


def _several(values: Any, field: str, problems: list[str]) -> Iterable[Any]:
    if isinstance(values, Iterable) and not isinstance(values, (str, bytes, Mapping)):
        return values
    problems.append(f"{field} is no list: {values!r}")
    return ()


def _entry_of(
    entry: Any,
    kind: type[FacetProvision | FacetRequirement],
    where: str,
    problems: list[str],
) -> FacetProvision | FacetRequirement:
    # Every facet that is missing has a stand-in of its own: no two are one twice.
    return kind(**_fields_of(entry, kind, {"facet": where}, where, problems))


def _fields_of(
    mapping: Any,
    kind: type[Any],
    stand_ins: Mapping[str, str],
    where: str,
    problems: list[str],
) -> dict[str, Any]:
    """Return the fields that kind has; note which are unknown and which are missing."""
    before = f"{where}: " if where else ""
    if not isinstance(mapping, Mapping):
        problems.append(f"{where or 'the manifest'} is no mapping: {mapping!r}")
        return dict(stand_ins)
    known = [field.name for field in fields(kind)]
    for field in mapping:
        if field not in known:
            problems.append(f"{before}{field!r} is none of {', '.join(known)}")
    given = {field: mapping[field] for field in known if field in mapping}
    for field, stand_in in stand_ins.items():
        if field not in given:
            problems.append(f"{before}{field} is missing")
            given[field] = stand_in
    return given


def _problems_of(manifest: PluginManifest) -> Iterator[str]:
    for field in ("id", "version", "name"):
        value = getattr(manifest, field)
        if not _is_text(value):
            yield f"{field} is no text, or empty: {value!r}"
        elif field == "version" and not _VERSION.fullmatch(value):
            yield f"version is no semantic version such as 1.0.0: {value!r}"
    if not isinstance(manifest.description, str):
        yield f"description is no text: {manifest.description!r}"
    yield from _problems_of_provisions(manifest)
    for n, requirement in enumerate(manifest.requires):
        where = f"requires[{n}]"
        if not isinstance(requirement, FacetRequirement):
            yield f"{where} is no FacetRequirement: {requirement!r}"
            continue
        yield from _problems_of_facet(requirement, where)
        if not isinstance(requirement.optional, bool):
            yield f"{where}: optional is no bool: {requirement.optional!r}"
    for n, facet in enumerate(manifest.uses):
        if not _is_text(facet):
            yield f"uses[{n}] is no facet: {facet!r}"


def _problems_of_provisions(manifest: PluginManifest) -> Iterator[str]:
    provided: list[tuple[str, str]] = []
    for n, provision in enumerate(manifest.provides):
        where = f"provides[{n}]"
        if not isinstance(provision, FacetProvision):
            yield f"{where} is no FacetProvision: {provision!r}"
            continue
        yield from _problems_of_facet(provision, where)
        priority = provision.priority
        if isinstance(priority, bool) or not isinstance(priority, int) or priority < 0:
            yield f"{where}: priority is no integer from 0: {priority!r}"
        # Under the qualifier that it gets: one without, and one with the id, are one.
        key = provision.facet, manifest.qualifier_of(provision)
        if key in provided:
            yield f"{where}: facet {key[0]!r} with qualifier {key[1]!r} comes twice"
        provided.append(key)


def _problems_of_facet(
    entry: FacetProvision | FacetRequirement, where: str
) -> Iterator[str]:
    if not _is_text(entry.facet):
        yield f"{where}: facet is no text, or empty: {entry.facet!r}"
    if entry.qualifier is not None and not _is_text(entry.qualifier):
        yield f"{where}: qualifier is no text, or empty: {entry.qualifier!r}"


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value.strip() != ""
