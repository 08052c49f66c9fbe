"""InMemoryWorkflowEngine: the WorkflowEngine facet over steps that only end.

Nothing is done: a workflow goes one stage further each time that somebody asks.  Start
at `InMemoryWorkflowEngine.get_workflow`.
"""

from collections.abc import Mapping
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from itertools import count
from typing import Any, Literal, TypeAlias

from latency_kv.errors import FacetError
from latency_kv.facets.workflow_engine import (
    StepResult,
    Workflow,
    WorkflowSpec,
    WorkflowStatus,
    WorkflowStep,
)
from testing.in_memory.moments import Moments

Outcome: TypeAlias = Literal["completed", "failed", "running"]
"""What a step comes to; one that stays running ends with its workflow."""

ENDED = ("completed", "failed", "cancelled")
OVER = ("completed", "failed", "skipped")


class InMemoryWorkflowEngine:
    """outcomes are those of the steps that the engine knows, by their ids."""

    def __init__(self, outcomes: Mapping[str, Outcome]) -> None:
        self.outcomes = outcomes
        self.workflows: dict[str, Workflow] = {}
        self.moments = Moments()
        self.numbers = count(1)

    async def create_workflow(self, spec: WorkflowSpec, /) -> Workflow:
        self.check(spec)
        workflow = Workflow(
            str(next(self.numbers)),
            spec.name,
            spec.steps,
            "pending",
            tuple(StepResult(step.id, "pending") for step in spec.steps),
            self.moments.next(),
            spec.description,
        )
        return self.kept(workflow)

    async def get_workflow(self, id: str, /) -> Workflow:
        return self.kept(self.advanced(self.found(id)))

    async def start_workflow(
        self, id: str, /, input: Mapping[str, Any] | None = None
    ) -> Workflow:
        workflow = self.found(id)
        if workflow.status != "pending":
            raise FacetError(f"workflow {id!r} is {workflow.status}", "CONFLICT")
        now = self.moments.next()
        return self.kept(
            replace(workflow, status="running", input=input, started_at=now)
        )

    async def cancel_workflow(self, id: str, /, reason: str | None = None) -> Workflow:
        workflow = self.found(id)
        if workflow.status in ENDED:
            raise FacetError(f"workflow {id!r} has ended", "CONFLICT")
        results = tuple(self.broken_off(result) for result in workflow.step_results)
        workflow = replace(workflow, step_results=results)
        return self.kept(self.ended(workflow, "cancelled"))

    async def get_workflow_status(self, id: str, /) -> WorkflowStatus:
        return (await self.get_workflow(id)).status

    def advanced(self, workflow: Workflow) -> Workflow:
        """Return a running workflow with each step one stage further."""
        if workflow.status != "running":
            return workflow
        before = {result.step_id: result for result in workflow.step_results}
        results = tuple(self.next_result(step, before) for step in workflow.steps)
        workflow = replace(workflow, step_results=results)
        if any(result.status not in OVER for result in results):
            return workflow
        failed = any(result.status == "failed" for result in results)
        return self.ended(workflow, "failed" if failed else "completed")

    def next_result(
        self, step: WorkflowStep, before: Mapping[str, StepResult]
    ) -> StepResult:
        result, now = before[step.id], self.moments.next()
        waits_for = [before[id].status for id in step.depends_on]
        if result.status == "running":
            outcome = self.outcomes[step.id]
            if outcome == "completed":
                return replace(result, status=outcome, completed_at=now)
            if outcome == "failed":
                return replace(
                    result, status=outcome, error="as planned", completed_at=now
                )
        elif result.status == "pending":
            if "failed" in waits_for or "skipped" in waits_for:
                return replace(result, status="skipped")
            if all(status == "completed" for status in waits_for):
                return replace(result, status="running", started_at=now)
        return result

    def broken_off(self, result: StepResult) -> StepResult:
        if result.status == "pending":
            return replace(result, status="skipped")
        if result.status == "running":
            now = self.moments.next()
            return replace(
                result, status="failed", error="broken off", completed_at=now
            )
        return result

    def ended(
        self, workflow: Workflow, status: Literal["completed", "failed", "cancelled"]
    ) -> Workflow:
        return replace(workflow, status=status, completed_at=self.moments.next())

    def found(self, id: str) -> Workflow:
        if id not in self.workflows:
            raise FacetError(f"there is no workflow {id!r}", "NOT_FOUND")
        return self.workflows[id]

    def kept(self, workflow: Workflow) -> Workflow:
        self.workflows[workflow.id] = workflow
        return workflow

    def check(self, spec: WorkflowSpec) -> None:
        graph = {step.id: step.depends_on for step in spec.steps}
        if not spec.name:
            raise FacetError("a workflow needs a name", "VALIDATION")
        if len(graph) != len(spec.steps):
            raise FacetError("two steps have one id", "VALIDATION")
        if missing := {id for ids in graph.values() for id in ids} - graph.keys():
            raise FacetError(f"there is no step {min(missing)!r}", "VALIDATION")
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            raise FacetError("steps wait for each other", "VALIDATION") from error
