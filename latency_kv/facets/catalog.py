"""Catalog: the ten facets as data: where each is, how mature, and who provides it here.

README's table and `latency-kv facets` are made from it.  Names only: nothing is
imported.  Start at `CATALOG`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

__all__ = ["CATALOG", "STATUSES", "CatalogEntry", "FacetStatus"]

FacetStatus: TypeAlias = Literal["Active", "Awaiting Adoption"]
"""How far a facet has come; `STATUSES` says what each means."""

STATUSES: Final[Mapping[FacetStatus, str]] = MappingProxyType(
    {
        "Active": "stable, and provided in production by plugins outside of this "
        "package, such as those in brackets",
        "Awaiting Adoption": "stable, and no plugin outside of this package builds on "
        "it yet",
    }
)
"""What a status says, and of whom: not of this package, whose providers are listed."""


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """A facet: the class `name` in `module`, and the classes here that provide it.

    Both are dotted names.  notes say what the facet is about.
    """

    name: str
    module: str
    status: FacetStatus
    notes: str
    providers: tuple[str, ...] = ()


CATALOG: Final[tuple[CatalogEntry, ...]] = (
    CatalogEntry(
        "IssueTracker",
        "latency_kv.facets.issue_tracker",
        "Active",
        "issues, comments (GitHub Issues, Jira)",
    ),
    CatalogEntry(
        "SourceControl",
        "latency_kv.facets.source_control",
        "Active",
        "branches, commits, diffs (Git)",
    ),
    CatalogEntry(
        "DevAgent",
        "latency_kv.facets.dev_agent",
        "Active",
        "prompts to an agent (Claude Code)",
    ),
    CatalogEntry(
        "Pipeline",
        "latency_kv.facets.pipeline",
        "Active",
        "builds, deployments (GitHub Actions)",
    ),
    CatalogEntry(
        "Logger",
        "latency_kv.facets.logger",
        "Active",
        "messages with context; all of it sync",
        ("latency_kv.providers.logging.StandardLogger",),
    ),
    CatalogEntry(
        "EventBus",
        "latency_kv.facets.event_bus",
        "Awaiting Adoption",
        "publish and subscribe between plugins",
        ("latency_kv.providers.events.PyeeEventBus",),
    ),
    CatalogEntry(
        "SecretStore",
        "latency_kv.facets.secret_store",
        "Awaiting Adoption",
        "credentials",
        ("latency_kv.providers.secrets.EnvironmentSecretStore",),
    ),
    CatalogEntry(
        "StateStore",
        "latency_kv.facets.stores",
        "Awaiting Adoption",
        "persistent values by key",
        (
            "latency_kv.providers.memory.MemoryStateStore",
            "latency_kv.providers.file.FileStateStore",
            "latency_kv.providers.lmdb.LmdbStateStore",
            "latency_kv.providers.postgresql.PostgresqlStateStore",
            "latency_kv.providers.redis.RedisStateStore",
            "latency_kv.providers.redis_cluster.RedisClusterStateStore",
        ),
    ),
    CatalogEntry(
        "DecisionHandler",
        "latency_kv.facets.decision_handler",
        "Awaiting Adoption",
        "decisions that a human takes",
    ),
    CatalogEntry(
        "WorkflowEngine",
        "latency_kv.facets.workflow_engine",
        "Awaiting Adoption",
        "steps that depend on one another",
    ),
)
"""The ten facets, those in use first."""
