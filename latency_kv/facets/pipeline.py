"""Pipeline: what builds, tests and deploys, started and watched from outside.

The facet is `Pipeline`, one pipeline's definition the record `PipelineDefinition`, and
each start of it a `PipelineRun`.  Times have a time zone.  Start at `Pipeline`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol, TypeAlias, runtime_checkable

__all__ = [
    "Pipeline",
    "PipelineDefinition",
    "PipelineRun",
    "RunStatus",
    "TriggerOptions",
]

RunStatus: TypeAlias = Literal["pending", "running", "completed", "failed", "cancelled"]
"""How far a run has come; one that completed, failed or was cancelled has ended.

pending, running, then one of the three; a run may end without having been running, and
what has ended stays as it is.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerOptions:
    """What a run is started with; each may be left out.

    branch None is the pipeline's own.  parameters are the pipeline's inputs, environment
    the variables that it runs with.
    """

    branch: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict, hash=False)
    environment: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class PipelineDefinition:
    """A pipeline that can be triggered."""

    id: str
    name: str
    description: str | None = None
    default_branch: str | None = None


@dataclass(frozen=True, slots=True)
class PipelineRun:
    """A run as it was when it was asked for.

    started_at is None until it runs, completed_at until it has ended, in whatever way.
    """

    id: str
    pipeline_id: str
    status: RunStatus
    created_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    logs_url: str | None = None


@runtime_checkable
class Pipeline(Protocol):
    """Pipelines that are defined elsewhere, and their runs; async.

    NOT_FOUND    there is no pipeline, no run of this id
    VALIDATION   parameters, a branch, an environment that the pipeline refuses
    CONFLICT     the run has ended
    AUTH         the system does not let this provider do it
    """

    async def trigger_pipeline(
        self, id: str, /, options: TriggerOptions | None = None
    ) -> PipelineRun:
        """Start a run, and return it without waiting for its end.

        Each call starts one more, so a call that raised UNKNOWN is not simply repeated.
        """
        ...

    async def get_pipeline_status(self, run_id: str, /) -> PipelineRun:
        """Return the run as it is now; also long after it has ended."""
        ...

    async def cancel_pipeline(self, run_id: str, /) -> None:
        """Call a run off; CONFLICT if it has ended, cancelled ones included.

        Its status is "cancelled" when this returns, or soon after where the system
        takes its time, unless the run came to its own end first.
        """
        ...

    async def list_pipelines(self) -> list[PipelineDefinition]:
        """Return every pipeline that can be triggered, by name."""
        ...
