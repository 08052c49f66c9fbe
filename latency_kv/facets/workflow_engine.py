"""Workflow engine: steps that wait for one another, run as one thing.

The steps of a workflow are a graph without circles; what a step does is known to the
engine by the step's id.  Times have a time zone.  Start at `WorkflowEngine`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

__all__ = [
    "StepResult",
    "StepStatus",
    "Workflow",
    "WorkflowEngine",
    "WorkflowSpec",
    "WorkflowStatus",
    "WorkflowStep",
]

StepStatus: TypeAlias = Literal["pending", "running", "completed", "failed", "skipped"]
"""How far a step has come.

skipped: it never ran, since one that it depends on did not complete, or since the
workflow was cancelled.
"""

WorkflowStatus: TypeAlias = Literal[
    "pending", "running", "completed", "failed", "cancelled"
]
"""How far a workflow has come; one that completed, failed or was cancelled has ended.

pending: made, not started.  completed: every step did.  failed: a step did.
"""


@dataclass(frozen=True, slots=True)
class WorkflowStep:
    """A step, and the ids of the steps that have to be completed before it runs.

    Its id is its own within the workflow.
    """

    id: str
    name: str
    description: str | None = None
    depends_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WorkflowSpec:
    """A workflow that is to be made; its name is not empty, and its steps fit."""

    name: str
    steps: tuple[WorkflowStep, ...]
    description: str | None = None


@dataclass(frozen=True, slots=True)
class StepResult:
    """What has become of a step: output where it completed, error where it failed."""

    step_id: str
    status: StepStatus
    output: Any = field(default=None, hash=False)
    error: str | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow as it was when it was asked for.

    step_results has one for each step, in the order of the steps, from the beginning.
    input is what it was started with.  started_at is None until it is started,
    completed_at until it has ended, in whatever way.
    """

    id: str
    name: str
    steps: tuple[WorkflowStep, ...]
    status: WorkflowStatus
    step_results: tuple[StepResult, ...]
    created_at: datetime
    description: str | None = None
    input: Mapping[str, Any] | None = field(default=None, hash=False)
    started_at: datetime | None = None
    completed_at: datetime | None = None


@runtime_checkable
class WorkflowEngine(Protocol):
    """Workflows, started once each; async.

    A step runs when all that it depends on has completed, so steps that do not wait for
    one another may run at once.  A step that fails does not stop those that do not
    depend on it.

        NOT_FOUND    there is no workflow of this id
        VALIDATION   an empty name; two steps of one id; a step that depends on one that
                     is not there, on itself, or in a circle
        CONFLICT     starting what was started or cancelled, cancelling what has ended
        AUTH         the engine does not let this provider do it
    """

    async def create_workflow(self, spec: WorkflowSpec, /) -> Workflow:
        """Make a workflow, pending, with every step pending; calling again one more."""
        ...

    async def get_workflow(self, id: str, /) -> Workflow:
        """Return the workflow as it is now; also long after it has ended."""
        ...

    async def start_workflow(
        self, id: str, /, input: Mapping[str, Any] | None = None
    ) -> Workflow:
        """Start a pending workflow, and return it without waiting for its end.

        It is running then, or has ended already where there was little to do.
        """
        ...

    async def cancel_workflow(self, id: str, /, reason: str | None = None) -> Workflow:
        """Call off a workflow that is pending or running, and return it, cancelled.

        Steps that did not run are skipped; one that runs may be broken off or run to
        its end.  What has completed stays done.  The reason is for the engine's log.
        """
        ...

    async def get_workflow_status(self, id: str, /) -> WorkflowStatus:
        """Return the status alone, as `get_workflow` would tell it."""
        ...
