"""Workflow engines with one defect each."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from latency_kv.facets.workflow_engine import (
    StepResult,
    Workflow,
    WorkflowSpec,
    WorkflowStatus,
    WorkflowStep,
)
from latency_kv.testing.workflow_engine import WorkflowEngineContract
from testing.in_memory.workflow_engine import InMemoryWorkflowEngine
from testing.planting import seen_by


@seen_by(WorkflowEngineContract.test_provider_is_a_workflow_engine)
class WithoutCancel(InMemoryWorkflowEngine):
    cancel_workflow = None  # type: ignore[assignment]


@seen_by(WorkflowEngineContract.test_workflow_is_pending_as_the_spec_says)
class LosesDescriptions(InMemoryWorkflowEngine):
    async def create_workflow(self, spec: WorkflowSpec, /) -> Workflow:
        return await super().create_workflow(replace(spec, description=None))


@seen_by(
    WorkflowEngineContract.test_workflow_is_pending_as_the_spec_says,
    WorkflowEngineContract.test_step_waits_for_what_it_depends_on,
)
class LosesDependencies(InMemoryWorkflowEngine):
    async def create_workflow(self, spec: WorkflowSpec, /) -> Workflow:
        self.check(spec)
        steps = tuple(replace(step, depends_on=()) for step in spec.steps)
        return await super().create_workflow(replace(spec, steps=steps))


@seen_by(
    WorkflowEngineContract.test_workflow_is_pending_as_the_spec_says,
    WorkflowEngineContract.test_steps_may_stand_in_any_order,
)
class SortsResults(InMemoryWorkflowEngine):
    def kept(self, workflow: Workflow) -> Workflow:
        results = sorted(workflow.step_results, key=lambda result: result.step_id)
        return super().kept(replace(workflow, step_results=tuple(results)))


@seen_by(
    WorkflowEngineContract.test_workflow_is_pending_as_the_spec_says,
    WorkflowEngineContract.test_made_workflow_is_found,
)
class StartsAtOnce(InMemoryWorkflowEngine):
    async def create_workflow(self, spec: WorkflowSpec, /) -> Workflow:
        workflow = await super().create_workflow(spec)
        return await self.start_workflow(workflow.id)


@seen_by(WorkflowEngineContract.test_workflow_is_pending_as_the_spec_says)
class ResultsWhenThereAreAny(InMemoryWorkflowEngine):
    async def create_workflow(self, spec: WorkflowSpec, /) -> Workflow:
        return replace(await super().create_workflow(spec), step_results=())


@seen_by(WorkflowEngineContract.test_made_workflow_is_found)
class StartsWhenAsked(InMemoryWorkflowEngine):
    async def get_workflow(self, id: str, /) -> Workflow:
        if self.found(id).status == "pending":
            return await self.start_workflow(id)
        return await super().get_workflow(id)


@seen_by(WorkflowEngineContract.test_each_workflow_has_an_id_of_its_own)
class KnowsSpecs(InMemoryWorkflowEngine):
    async def create_workflow(self, spec: WorkflowSpec, /) -> Workflow:
        for workflow in self.workflows.values():
            if workflow.name == spec.name:
                return workflow
        return await super().create_workflow(spec)


@seen_by(WorkflowEngineContract.test_spec_that_does_not_fit_is_refused)
class TakesAnySpec(InMemoryWorkflowEngine):
    def check(self, spec: WorkflowSpec) -> None:
        """Any will do."""


@seen_by(WorkflowEngineContract.test_spec_that_does_not_fit_is_refused)
class TakesCircles(InMemoryWorkflowEngine):
    def check(self, spec: WorkflowSpec) -> None:
        ids = {step.id for step in spec.steps}
        for step in spec.steps:
            if not ids.issuperset(step.depends_on) or step.id in step.depends_on:
                super().check(spec)
        flat = tuple(replace(step, depends_on=()) for step in spec.steps)
        super().check(replace(spec, steps=flat))


@seen_by(WorkflowEngineContract.test_spec_that_does_not_fit_is_refused)
class TakesSelfishSteps(InMemoryWorkflowEngine):
    def check(self, spec: WorkflowSpec) -> None:
        if all(step.id not in step.depends_on for step in spec.steps):
            super().check(spec)


@seen_by(WorkflowEngineContract.test_spec_that_does_not_fit_is_refused)
class TakesMissingSteps(InMemoryWorkflowEngine):
    def check(self, spec: WorkflowSpec) -> None:
        ids = {step.id for step in spec.steps}
        if all(ids.issuperset(step.depends_on) for step in spec.steps):
            super().check(spec)


@seen_by(WorkflowEngineContract.test_spec_that_does_not_fit_is_refused)
class TakesDoubleSteps(InMemoryWorkflowEngine):
    def check(self, spec: WorkflowSpec) -> None:
        steps = {step.id: step for step in spec.steps}
        super().check(replace(spec, steps=tuple(steps.values())))


@seen_by(WorkflowEngineContract.test_steps_may_stand_in_any_order)
class InTheOrderOfTheSpec(InMemoryWorkflowEngine):
    def check(self, spec: WorkflowSpec) -> None:
        before: list[WorkflowStep] = []
        for step in spec.steps:
            before.append(step)
            super().check(replace(spec, steps=tuple(before)))


@seen_by(WorkflowEngineContract.test_missing_workflow_is_not_found)
class KeyErrors(InMemoryWorkflowEngine):
    def found(self, id: str) -> Workflow:
        return self.workflows[id]


@seen_by(WorkflowEngineContract.test_missing_workflow_is_not_found)
class StatusOfNothing(InMemoryWorkflowEngine):
    async def get_workflow_status(self, id: str, /) -> WorkflowStatus:
        if id not in self.workflows:
            return "pending"
        return await super().get_workflow_status(id)


@seen_by(WorkflowEngineContract.test_start_does_not_wait_for_the_end)
class WaitsForTheEnd(InMemoryWorkflowEngine):
    async def start_workflow(
        self, id: str, /, input: Mapping[str, Any] | None = None
    ) -> Workflow:
        workflow = await super().start_workflow(id, input)
        for _ in range(9):
            workflow = self.advanced(workflow)
        return self.kept(self.ended(workflow, "completed"))


@seen_by(WorkflowEngineContract.test_start_does_not_wait_for_the_end)
class AnswersTheOld(InMemoryWorkflowEngine):
    async def start_workflow(
        self, id: str, /, input: Mapping[str, Any] | None = None
    ) -> Workflow:
        old = self.found(id)
        await super().start_workflow(id, input)
        return old


@seen_by(
    WorkflowEngineContract.test_start_does_not_wait_for_the_end,
    WorkflowEngineContract.test_every_step_completes,
)
class NaiveTimes(InMemoryWorkflowEngine):
    async def create_workflow(self, spec: WorkflowSpec, /) -> Workflow:
        workflow = await super().create_workflow(spec)
        naive = workflow.created_at.replace(tzinfo=None)
        self.workflows[workflow.id] = replace(workflow, created_at=naive)
        return workflow


@seen_by(WorkflowEngineContract.test_input_is_told)
class LosesInput(InMemoryWorkflowEngine):
    async def start_workflow(
        self, id: str, /, input: Mapping[str, Any] | None = None
    ) -> Workflow:
        return await super().start_workflow(id)


@seen_by(WorkflowEngineContract.test_input_is_told)
class NoInputIsEmpty(InMemoryWorkflowEngine):
    async def start_workflow(
        self, id: str, /, input: Mapping[str, Any] | None = None
    ) -> Workflow:
        return await super().start_workflow(id, input or {})


@seen_by(
    WorkflowEngineContract.test_every_step_completes,
    WorkflowEngineContract.test_status_is_the_workflows,
)
class NeverCompletes(InMemoryWorkflowEngine):
    def ended(
        self, workflow: Workflow, status: Literal["completed", "failed", "cancelled"]
    ) -> Workflow:
        if status == "completed":
            return workflow
        return super().ended(workflow, status)


@seen_by(WorkflowEngineContract.test_every_step_completes)
class CompletesWithoutSteps(InMemoryWorkflowEngine):
    def advanced(self, workflow: Workflow) -> Workflow:
        if workflow.status != "running":
            return workflow
        return self.ended(workflow, "completed")


@seen_by(WorkflowEngineContract.test_every_step_completes)
class StepsHaveErrors(InMemoryWorkflowEngine):
    def next_result(
        self, step: WorkflowStep, before: Mapping[str, StepResult]
    ) -> StepResult:
        return replace(super().next_result(step, before), error="")


@seen_by(
    WorkflowEngineContract.test_every_step_completes,
    WorkflowEngineContract.test_failing_step_fails_the_workflow,
    WorkflowEngineContract.test_pending_workflow_can_be_cancelled,
)
class EndsAtNoTime(InMemoryWorkflowEngine):
    def ended(
        self, workflow: Workflow, status: Literal["completed", "failed", "cancelled"]
    ) -> Workflow:
        return replace(super().ended(workflow, status), completed_at=None)


@seen_by(WorkflowEngineContract.test_step_waits_for_what_it_depends_on)
class OneDependencyIsEnough(InMemoryWorkflowEngine):
    def next_result(
        self, step: WorkflowStep, before: Mapping[str, StepResult]
    ) -> StepResult:
        return super().next_result(
            replace(step, depends_on=step.depends_on[:1]), before
        )


@seen_by(WorkflowEngineContract.test_step_waits_for_what_it_depends_on)
class OneAfterTheOther(InMemoryWorkflowEngine):
    def next_result(
        self, step: WorkflowStep, before: Mapping[str, StepResult]
    ) -> StepResult:
        running = [id for id, result in before.items() if result.status == "running"]
        if running and step.id not in running:
            return before[step.id]
        first = next(id for id, result in before.items() if result.status == "pending")
        return (
            super().next_result(step, before) if step.id == first else before[step.id]
        )


@seen_by(WorkflowEngineContract.test_failing_step_fails_the_workflow)
class FailureIsCompletion(InMemoryWorkflowEngine):
    def ended(
        self, workflow: Workflow, status: Literal["completed", "failed", "cancelled"]
    ) -> Workflow:
        return super().ended(workflow, "completed" if status == "failed" else status)


@seen_by(WorkflowEngineContract.test_failing_step_fails_the_workflow)
class FailureStopsAll(InMemoryWorkflowEngine):
    def advanced(self, workflow: Workflow) -> Workflow:
        failed = any(r.status == "failed" for r in workflow.step_results)
        if failed and workflow.status == "running":
            results = tuple(map(self.broken_off, workflow.step_results))
            return self.ended(replace(workflow, step_results=results), "failed")
        return super().advanced(workflow)

    def next_result(
        self, step: WorkflowStep, before: Mapping[str, StepResult]
    ) -> StepResult:
        if step.id == "three" and before["failing"].status != "failed":
            return before[step.id]
        return super().next_result(step, before)


@seen_by(WorkflowEngineContract.test_failing_step_fails_the_workflow)
class GoesOnAfterFailure(InMemoryWorkflowEngine):
    def next_result(
        self, step: WorkflowStep, before: Mapping[str, StepResult]
    ) -> StepResult:
        done = tuple(
            id for id in step.depends_on if before[id].status not in ("failed",)
        )
        return super().next_result(replace(step, depends_on=done), before)


@seen_by(WorkflowEngineContract.test_failing_step_fails_the_workflow)
class FailsWithoutAWord(InMemoryWorkflowEngine):
    def next_result(
        self, step: WorkflowStep, before: Mapping[str, StepResult]
    ) -> StepResult:
        return replace(super().next_result(step, before), error=None)


@seen_by(WorkflowEngineContract.test_workflow_is_started_once)
class StartsAgain(InMemoryWorkflowEngine):
    async def start_workflow(
        self, id: str, /, input: Mapping[str, Any] | None = None
    ) -> Workflow:
        self.kept(replace(self.found(id), status="pending"))
        return await super().start_workflow(id, input)


@seen_by(WorkflowEngineContract.test_workflow_is_started_once)
class StartsTheEndedAgain(InMemoryWorkflowEngine):
    async def start_workflow(
        self, id: str, /, input: Mapping[str, Any] | None = None
    ) -> Workflow:
        if self.found(id).status in ("completed", "failed"):
            self.kept(replace(self.found(id), status="pending"))
        return await super().start_workflow(id, input)


@seen_by(WorkflowEngineContract.test_pending_workflow_can_be_cancelled)
class StartsTheCancelled(InMemoryWorkflowEngine):
    async def start_workflow(
        self, id: str, /, input: Mapping[str, Any] | None = None
    ) -> Workflow:
        if self.found(id).status == "cancelled":
            self.kept(replace(self.found(id), status="pending"))
        return await super().start_workflow(id, input)


@seen_by(
    WorkflowEngineContract.test_pending_workflow_can_be_cancelled,
    WorkflowEngineContract.test_each_workflow_has_an_id_of_its_own,
)
class CancelsTheRunningAlone(InMemoryWorkflowEngine):
    async def cancel_workflow(self, id: str, /, reason: str | None = None) -> Workflow:
        assert self.found(id).status == "running"
        return await super().cancel_workflow(id, reason)


@seen_by(WorkflowEngineContract.test_pending_workflow_can_be_cancelled)
class NeedsNoReason(InMemoryWorkflowEngine):
    async def cancel_workflow(self, id: str, /) -> Workflow:  # type: ignore[override]
        return await super().cancel_workflow(id)


@seen_by(
    WorkflowEngineContract.test_pending_workflow_can_be_cancelled,
    WorkflowEngineContract.test_running_workflow_can_be_cancelled,
)
class LeavesStepsPending(InMemoryWorkflowEngine):
    def broken_off(self, result: StepResult) -> StepResult:
        return result


@seen_by(WorkflowEngineContract.test_running_workflow_can_be_cancelled)
class SkipsWhatIsDone(InMemoryWorkflowEngine):
    def broken_off(self, result: StepResult) -> StepResult:
        return replace(result, status="skipped")


@seen_by(WorkflowEngineContract.test_running_workflow_can_be_cancelled)
class CancelledGoesOn(InMemoryWorkflowEngine):
    def ended(
        self, workflow: Workflow, status: Literal["completed", "failed", "cancelled"]
    ) -> Workflow:
        return super().ended(
            workflow,
            "running" if status == "cancelled" else status,  # type: ignore[arg-type]
        )


@seen_by(WorkflowEngineContract.test_what_has_ended_cannot_be_cancelled)
class CancelsTheEnded(InMemoryWorkflowEngine):
    async def cancel_workflow(self, id: str, /, reason: str | None = None) -> Workflow:
        if self.found(id).status == "failed":
            return self.kept(self.ended(self.found(id), "cancelled"))
        return await super().cancel_workflow(id, reason)


@seen_by(WorkflowEngineContract.test_cancelling_touches_one_workflow)
class CancelsAll(InMemoryWorkflowEngine):
    async def cancel_workflow(self, id: str, /, reason: str | None = None) -> Workflow:
        for other in self.workflows.values():
            self.kept(self.ended(other, "cancelled"))
        return self.found(id)


@seen_by(WorkflowEngineContract.test_held_workflow_stays_as_it_was)
class ChangesInPlace(InMemoryWorkflowEngine):
    def kept(self, workflow: Workflow) -> Workflow:
        held = self.workflows.get(workflow.id, workflow)
        object.__setattr__(held, "status", workflow.status)
        object.__setattr__(held, "step_results", workflow.step_results)
        return super().kept(held)


@seen_by(WorkflowEngineContract.test_status_is_the_workflows)
class StatusIsOld(InMemoryWorkflowEngine):
    async def get_workflow_status(self, id: str, /) -> WorkflowStatus:
        return "running"
