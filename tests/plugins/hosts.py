"""Hosts: plugins that are manifests and no more, and what binding them gives.

For the tests of binder and context.  Start at `plugin`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from latency_kv.plugins.binder import BindConfig, Binder, BindProblem, BindResult
from latency_kv.plugins.manifest import FacetProvision, FacetRequirement, PluginManifest
from latency_kv.plugins.registry import FacetRegistry

__all__ = ["Plugin", "bind", "manifest", "messages", "plugin"]


@dataclass
class Plugin:
    """Something with a manifest, which is all that a binder knows of a plugin."""

    manifest: PluginManifest


def manifest(
    id: str,
    provides: Iterable[str | FacetProvision] = (),
    requires: Iterable[str | FacetRequirement] = (),
) -> PluginManifest:
    """A manifest with that id; `F` and `F:q` are the facet F, and F with qualifier q."""
    return PluginManifest(
        id,
        "1.0.0",
        id,
        provides=[
            FacetProvision(*_split(each)) if isinstance(each, str) else each
            for each in provides
        ],
        requires=[
            FacetRequirement(*_split(each)) if isinstance(each, str) else each
            for each in requires
        ],
    )


def plugin(
    id: str,
    provides: Iterable[str | FacetProvision] = (),
    requires: Iterable[str | FacetRequirement] = (),
) -> Plugin:
    return Plugin(manifest(id, provides, requires))


def bind(
    *plugins: Plugin, registry: FacetRegistry | None = None, **config: Any
) -> BindResult:
    registry = FacetRegistry() if registry is None else registry
    return Binder().bind(plugins, registry, BindConfig(**config))


def messages(problems: Iterable[BindProblem]) -> list[str]:
    return [f"{problem.plugin_name}: {problem.message}" for problem in problems]


def _split(text: str) -> tuple[str, str | None]:
    facet, _, qualifier = text.partition(":")
    return facet, qualifier or None
