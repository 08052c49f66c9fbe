"""InMemoryPipeline: the Pipeline facet over runs that only tell how far they are.

Nothing is built: a run of a pipeline with stages goes one stage further each time that
somebody asks, and completes after the last; one without goes on until it is cancelled.
Start at `InMemoryPipeline.get_pipeline_status`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import count
from typing import Literal

from latency_kv.errors import FacetError
from latency_kv.facets.pipeline import PipelineDefinition, PipelineRun, TriggerOptions
from testing.in_memory.moments import Moments

ENDED = ("completed", "failed", "cancelled")


class InMemoryPipeline:
    """stages tells by a pipeline's id how often its runs are looked at; None: ever."""

    def __init__(
        self,
        pipelines: Iterable[PipelineDefinition],
        stages: Mapping[str, int | None],
    ) -> None:
        self.pipelines = {pipeline.id: pipeline for pipeline in pipelines}
        self.stages = stages
        self.left: dict[str, int | None] = {}
        self.runs: dict[str, PipelineRun] = {}
        self.moments = Moments()
        self.numbers = count(1)

    async def trigger_pipeline(
        self, id: str, /, options: TriggerOptions | None = None
    ) -> PipelineRun:
        if id not in self.pipelines:
            raise FacetError(f"there is no pipeline {id!r}", "NOT_FOUND")
        run = PipelineRun(str(next(self.numbers)), id, "pending", self.moments.next())
        self.runs[run.id] = run
        self.left[run.id] = self.stages[id]
        return run

    async def get_pipeline_status(self, run_id: str, /) -> PipelineRun:
        run = self.found(run_id)
        left = self.left[run_id]
        if run.status == "pending":
            run = replace(run, status="running", started_at=self.moments.next())
        elif run.status == "running" and left is not None:
            self.left[run_id] = left - 1
            if left <= 1:
                run = self.ended(run, "completed")
        self.runs[run_id] = run
        return run

    async def cancel_pipeline(self, run_id: str, /) -> None:
        run = self.found(run_id)
        if run.status in ENDED:
            raise FacetError(f"run {run_id!r} has ended", "CONFLICT")
        self.runs[run_id] = self.ended(run, "cancelled")

    async def list_pipelines(self) -> list[PipelineDefinition]:
        return sorted(self.pipelines.values(), key=lambda pipeline: pipeline.name)

    def found(self, run_id: str) -> PipelineRun:
        if run_id not in self.runs:
            raise FacetError(f"there is no run {run_id!r}", "NOT_FOUND")
        return self.runs[run_id]

    def ended(
        self, run: PipelineRun, status: Literal["completed", "cancelled"]
    ) -> PipelineRun:
        return replace(run, status=status, completed_at=self.moments.next())
