"""Facets: the contracts between those who keep state and those who use it.

    stores              the four stores, StateStore among them: start there
    logger, event_bus, secret_store, decision_handler, workflow_engine,
    issue_tracker, source_control, dev_agent, pipeline
                        the other nine facets, each with its records
    paging              long lists, a page at a time
    catalog             all ten as data: how mature, and who provides them here

Protocols and frozen records, no behaviour.  A method is async unless its docstring says
otherwise, and raises `latency_kv.errors.FacetError` with one of its codes.  What a call is
about is positional, so an implementer is free in naming it; what may be left out has its
name.  Knows no other room of the package.  A module is imported when it is first asked
for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latency_kv.facets.catalog import CATALOG, STATUSES, CatalogEntry, FacetStatus
    from latency_kv.facets.decision_handler import (
        Decision,
        DecisionHandler,
        DecisionOption,
        DecisionResult,
        DecisionSpec,
        DecisionStatus,
        Urgency,
    )
    from latency_kv.facets.dev_agent import (
        INVOCATION_ID,
        AbortSignal,
        AgentCapabilities,
        AgentResult,
        AgentUsage,
        DevAgent,
        InvokeOptions,
        StreamChunk,
    )
    from latency_kv.facets.event_bus import EventBus, EventHandler, Unsubscribe
    from latency_kv.facets.issue_tracker import (
        Comment,
        Issue,
        IssueFilter,
        IssueQuery,
        IssueSpec,
        IssueState,
        IssueTracker,
        IssueUpdate,
    )
    from latency_kv.facets.logger import Logger
    from latency_kv.facets.paging import PaginatedQuery, PaginatedResult
    from latency_kv.facets.pipeline import (
        Pipeline,
        PipelineDefinition,
        PipelineRun,
        RunStatus,
        TriggerOptions,
    )
    from latency_kv.facets.secret_store import SecretStore
    from latency_kv.facets.source_control import (
        Branch,
        BranchSpec,
        ChangeStatus,
        Commit,
        CommitQuery,
        CommitSpec,
        DiffEntry,
        SourceControl,
    )
    from latency_kv.facets.stores import (
        AtomicStateStore,
        BatchStateStore,
        ByteStateSnapshot,
        ByteStateStore,
        DocumentStateStore,
        ExpiringStateStore,
        Migration,
        OpenedStateStore,
        PagedStateStore,
        PluginStateStore,
        ReadableByteState,
        StateData,
        StateMetadata,
        StateStore,
        UpdatableDocumentStateStore,
        Validator,
    )
    from latency_kv.facets.workflow_engine import (
        StepResult,
        StepStatus,
        Workflow,
        WorkflowEngine,
        WorkflowSpec,
        WorkflowStatus,
        WorkflowStep,
    )

__all__ = [
    "CATALOG",
    "INVOCATION_ID",
    "STATUSES",
    "AbortSignal",
    "AgentCapabilities",
    "AgentResult",
    "AgentUsage",
    "AtomicStateStore",
    "BatchStateStore",
    "Branch",
    "BranchSpec",
    "ByteStateSnapshot",
    "ByteStateStore",
    "CatalogEntry",
    "ChangeStatus",
    "Comment",
    "Commit",
    "CommitQuery",
    "CommitSpec",
    "Decision",
    "DecisionHandler",
    "DecisionOption",
    "DecisionResult",
    "DecisionSpec",
    "DecisionStatus",
    "DevAgent",
    "DiffEntry",
    "DocumentStateStore",
    "EventBus",
    "EventHandler",
    "ExpiringStateStore",
    "FacetStatus",
    "InvokeOptions",
    "Issue",
    "IssueFilter",
    "IssueQuery",
    "IssueSpec",
    "IssueState",
    "IssueTracker",
    "IssueUpdate",
    "Logger",
    "Migration",
    "OpenedStateStore",
    "PagedStateStore",
    "PaginatedQuery",
    "PaginatedResult",
    "Pipeline",
    "PipelineDefinition",
    "PipelineRun",
    "PluginStateStore",
    "ReadableByteState",
    "RunStatus",
    "SecretStore",
    "SourceControl",
    "StateData",
    "StateMetadata",
    "StateStore",
    "StepResult",
    "StepStatus",
    "StreamChunk",
    "TriggerOptions",
    "Unsubscribe",
    "UpdatableDocumentStateStore",
    "Urgency",
    "Validator",
    "Workflow",
    "WorkflowEngine",
    "WorkflowSpec",
    "WorkflowStatus",
    "WorkflowStep",
]

_LATER = {
    "CATALOG": "catalog",
    "INVOCATION_ID": "dev_agent",
    "STATUSES": "catalog",
    "AbortSignal": "dev_agent",
    "AgentCapabilities": "dev_agent",
    "AgentResult": "dev_agent",
    "AgentUsage": "dev_agent",
    "AtomicStateStore": "stores",
    "BatchStateStore": "stores",
    "Branch": "source_control",
    "BranchSpec": "source_control",
    "ByteStateSnapshot": "stores",
    "ByteStateStore": "stores",
    "CatalogEntry": "catalog",
    "ChangeStatus": "source_control",
    "Comment": "issue_tracker",
    "Commit": "source_control",
    "CommitQuery": "source_control",
    "CommitSpec": "source_control",
    "Decision": "decision_handler",
    "DecisionHandler": "decision_handler",
    "DecisionOption": "decision_handler",
    "DecisionResult": "decision_handler",
    "DecisionSpec": "decision_handler",
    "DecisionStatus": "decision_handler",
    "DevAgent": "dev_agent",
    "DiffEntry": "source_control",
    "DocumentStateStore": "stores",
    "EventBus": "event_bus",
    "EventHandler": "event_bus",
    "ExpiringStateStore": "stores",
    "FacetStatus": "catalog",
    "InvokeOptions": "dev_agent",
    "Issue": "issue_tracker",
    "IssueFilter": "issue_tracker",
    "IssueQuery": "issue_tracker",
    "IssueSpec": "issue_tracker",
    "IssueState": "issue_tracker",
    "IssueTracker": "issue_tracker",
    "IssueUpdate": "issue_tracker",
    "Logger": "logger",
    "Migration": "stores",
    "OpenedStateStore": "stores",
    "PagedStateStore": "stores",
    "PaginatedQuery": "paging",
    "PaginatedResult": "paging",
    "Pipeline": "pipeline",
    "PipelineDefinition": "pipeline",
    "PipelineRun": "pipeline",
    "PluginStateStore": "stores",
    "ReadableByteState": "stores",
    "RunStatus": "pipeline",
    "SecretStore": "secret_store",
    "SourceControl": "source_control",
    "StateData": "stores",
    "StateMetadata": "stores",
    "StateStore": "stores",
    "StepResult": "workflow_engine",
    "StepStatus": "workflow_engine",
    "StreamChunk": "dev_agent",
    "TriggerOptions": "pipeline",
    "Unsubscribe": "event_bus",
    "UpdatableDocumentStateStore": "stores",
    "Urgency": "decision_handler",
    "Validator": "stores",
    "Workflow": "workflow_engine",
    "WorkflowEngine": "workflow_engine",
    "WorkflowSpec": "workflow_engine",
    "WorkflowStatus": "workflow_engine",
    "WorkflowStep": "workflow_engine",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module = import_module(f"{__name__}.{_LATER[name]}")
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
