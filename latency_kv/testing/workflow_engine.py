"""WorkflowEngineContract: what a provider of the WorkflowEngine facet has to show.

What a step does is the engine's to know, by the step's id: the contract asks for a few.

Knows the facet and no provider.  Start at `WorkflowEngineContract.provider`.
"""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from latency_kv.facets.workflow_engine import (
    StepResult,
    StepStatus,
    Workflow,
    WorkflowEngine,
    WorkflowSpec,
    WorkflowStep,
)
from latency_kv.testing.rules import check_record, refused

__all__ = ["WorkflowEngineContract"]

# How often a test looks, within its patience, whether a workflow has come so far.
_LOOKS = 1_000

_ENDED = {"completed", "failed", "cancelled"}


class WorkflowEngineContract:
    """Run by a test class that inherits it and overrides `provider`.

    The engine has to know the steps of `completing`, `lasting` and `failing`, by these
    ids or those that the class gives.
    """

    pytestmark = pytest.mark.anyio

    completing: tuple[str, str, str] = "one", "two", "three"
    """The ids of three steps that complete soon."""

    lasting = "lasting"
    """The id of a step that runs until its workflow is cancelled."""

    failing = "failing"
    """The id of a step that fails soon."""

    missing_id = "999999999"
    """An id that the engine understands, and that no workflow has."""

    patience_s = 10.0
    """How long to wait for what has to happen, before it counts as missing."""

    @pytest.fixture
    def provider(self) -> Any:
        """An engine that knows these steps; may be async, and may clean up."""
        raise NotImplementedError(f"{type(self).__name__} has to override `provider`")

    async def test_provider_is_a_workflow_engine(
        self, provider: WorkflowEngine
    ) -> None:
        assert isinstance(provider, WorkflowEngine)

    async def test_workflow_is_pending_as_the_spec_says(
        self, provider: WorkflowEngine
    ) -> None:
        one, two, _ = self.completing
        steps = (
            WorkflowStep(two, "Second", "after the first \u00e9", (one,)),
            WorkflowStep(one, "First"),
        )
        for spec in (WorkflowSpec("Build", steps, "all"), WorkflowSpec("Build", steps)):
            workflow = await provider.create_workflow(spec)
            check_record(workflow, Workflow)
            assert isinstance(workflow.id, str)
            made = WorkflowSpec(workflow.name, workflow.steps, workflow.description)
            assert made == spec
            assert workflow.status == "pending"
            assert workflow.step_results == tuple(
                StepResult(step.id, "pending") for step in steps
            )
            assert workflow.input is None
            assert (workflow.started_at, workflow.completed_at) == (None, None)

    async def test_made_workflow_is_found(self, provider: WorkflowEngine) -> None:
        """And waits to be started."""
        workflow = await provider.create_workflow(self._spec(*self.completing))
        await anyio.sleep(self.patience_s / _LOOKS)
        assert await provider.get_workflow(workflow.id) == workflow
        assert await provider.get_workflow_status(workflow.id) == "pending"

    async def test_each_workflow_has_an_id_of_its_own(
        self, provider: WorkflowEngine
    ) -> None:
        spec = self._spec(*self.completing)
        one, two = [await provider.create_workflow(spec) for _ in range(2)]
        assert one.id != two.id
        await provider.cancel_workflow(one.id)
        assert await provider.get_workflow(two.id) == two

    async def test_spec_that_does_not_fit_is_refused(
        self, provider: WorkflowEngine
    ) -> None:
        one, two, three = self.completing
        for wrong in (
            WorkflowSpec("", (WorkflowStep(one, "First"),)),
            self._spec(one, two, one),
            self._spec(one, (two, "missing")),
            self._spec((one, one)),
            self._spec((one, two), (two, one)),
            self._spec(one, (two, one, three), (three, two)),
        ):
            with refused("VALIDATION"):
                await provider.create_workflow(wrong)

    async def test_steps_may_stand_in_any_order(self, provider: WorkflowEngine) -> None:
        """Two ways that meet again are no circle."""
        one, two, three = self.completing
        spec = self._spec((three, one, two), (two, one), one)
        workflow = await provider.create_workflow(spec)
        await provider.start_workflow(workflow.id)
        ended = await self._ended(provider, workflow.id)
        assert ended.status == "completed"
        assert [result.step_id for result in ended.step_results] == [three, two, one]

    async def test_missing_workflow_is_not_found(
        self, provider: WorkflowEngine
    ) -> None:
        with refused("NOT_FOUND"):
            await provider.get_workflow(self.missing_id)
        with refused("NOT_FOUND"):
            await provider.get_workflow_status(self.missing_id)
        with refused("NOT_FOUND"):
            await provider.start_workflow(self.missing_id)
        with refused("NOT_FOUND"):
            await provider.cancel_workflow(self.missing_id)

    async def test_start_does_not_wait_for_the_end(
        self, provider: WorkflowEngine
    ) -> None:
        made = await provider.create_workflow(self._spec(self.lasting))
        with anyio.fail_after(self.patience_s):
            workflow = await provider.start_workflow(made.id)
        check_record(workflow, Workflow)
        assert (workflow.id, workflow.status) == (made.id, "running")
        assert workflow.created_at == made.created_at
        assert workflow.started_at is not None
        assert workflow.started_at >= workflow.created_at
        assert workflow.completed_at is None
        assert await provider.get_workflow_status(made.id) == "running"
        await provider.cancel_workflow(made.id)

    async def test_input_is_told(self, provider: WorkflowEngine) -> None:
        for given in (None, {"ref": "main", "n": 1}):
            made = await provider.create_workflow(self._spec(self.completing[0]))
            workflow = await provider.start_workflow(made.id, input=given)
            assert workflow.input == given
            assert (await self._ended(provider, made.id)).input == given

    async def test_every_step_completes(self, provider: WorkflowEngine) -> None:
        workflow = await self._started(provider, *self.completing)
        ended = await self._ended(provider, workflow.id)
        check_record(ended, Workflow)
        assert ended.status == "completed"
        assert _steps(ended) == dict.fromkeys(self.completing, "completed")
        assert ended.completed_at is not None
        assert ended.started_at == workflow.started_at
        assert ended.completed_at >= (ended.started_at or ended.created_at)
        for result in ended.step_results:
            check_record(result, StepResult)
            assert result.error is None

    async def test_step_waits_for_what_it_depends_on(
        self, provider: WorkflowEngine
    ) -> None:
        """And not for what it does not depend on."""
        one, two, three = self.completing
        workflow = await self._started(
            provider, (two, one, self.lasting), (three, one), self.lasting, one
        )
        await self._reached(provider, workflow.id, three, "completed")
        await self._reached(provider, workflow.id, self.lasting, "running")
        found = await provider.get_workflow(workflow.id)
        assert _steps(found) == {
            two: "pending",
            three: "completed",
            self.lasting: "running",
            one: "completed",
        }
        await provider.cancel_workflow(workflow.id)

    async def test_failing_step_fails_the_workflow(
        self, provider: WorkflowEngine
    ) -> None:
        """What depends on it is skipped, what does not goes on."""
        one, two, three = self.completing
        workflow = await self._started(
            provider, self.failing, (one, self.failing), (two, one), three
        )
        ended = await self._ended(provider, workflow.id)
        assert ended.status == "failed"
        assert _steps(ended) == {
            self.failing: "failed",
            one: "skipped",
            two: "skipped",
            three: "completed",
        }
        assert ended.step_results[0].error
        assert ended.completed_at is not None

    async def test_workflow_is_started_once(self, provider: WorkflowEngine) -> None:
        running = await self._started(provider, self.lasting)
        with refused("CONFLICT"):
            await provider.start_workflow(running.id)
        await provider.cancel_workflow(running.id)
        completed = await self._started(provider, self.completing[0])
        failed = await self._started(provider, self.failing)
        for workflow in (running, completed, failed):
            ended = await self._ended(provider, workflow.id)
            with refused("CONFLICT"):
                await provider.start_workflow(workflow.id)
            found = await provider.get_workflow(workflow.id)
            assert _end(found) == _end(ended)

    async def test_pending_workflow_can_be_cancelled(
        self, provider: WorkflowEngine
    ) -> None:
        made = await provider.create_workflow(self._spec(*self.completing))
        workflow = await provider.cancel_workflow(made.id, reason="not today")
        check_record(workflow, Workflow)
        assert (workflow.id, workflow.status) == (made.id, "cancelled")
        assert _steps(workflow) == dict.fromkeys(self.completing, "skipped")
        assert workflow.completed_at is not None
        assert workflow.started_at is None
        assert await provider.get_workflow(made.id) == workflow
        with refused("CONFLICT"):
            await provider.start_workflow(made.id)

    async def test_running_workflow_can_be_cancelled(
        self, provider: WorkflowEngine
    ) -> None:
        """What has completed stays done, what has not run is skipped."""
        one, two, _ = self.completing
        made = await self._started(provider, one, self.lasting, (two, self.lasting))
        await self._reached(provider, made.id, one, "completed")
        await self._reached(provider, made.id, self.lasting, "running")
        workflow = await provider.cancel_workflow(made.id)
        assert (workflow.id, workflow.status) == (made.id, "cancelled")
        steps = _steps(await provider.get_workflow(made.id))
        assert (steps[one], steps[two]) == ("completed", "skipped")
        assert await provider.get_workflow_status(made.id) == "cancelled"

    async def test_what_has_ended_cannot_be_cancelled(
        self, provider: WorkflowEngine
    ) -> None:
        cancelled = await self._started(provider, self.lasting)
        await provider.cancel_workflow(cancelled.id)
        completed = await self._started(provider, self.completing[0])
        failed = await self._started(provider, self.failing)
        for workflow in (cancelled, completed, failed):
            ended = await self._ended(provider, workflow.id)
            with refused("CONFLICT"):
                await provider.cancel_workflow(workflow.id)
            found = await provider.get_workflow(workflow.id)
            assert _end(found) == _end(ended)

    async def test_cancelling_touches_one_workflow(
        self, provider: WorkflowEngine
    ) -> None:
        one = await self._started(provider, self.lasting)
        two = await self._started(provider, self.lasting)
        await provider.cancel_workflow(one.id)
        assert await provider.get_workflow_status(two.id) == "running"
        await provider.cancel_workflow(two.id)

    async def test_held_workflow_stays_as_it_was(
        self, provider: WorkflowEngine
    ) -> None:
        held = await provider.create_workflow(self._spec(self.completing[0]))
        await provider.start_workflow(held.id)
        await self._ended(provider, held.id)
        assert (held.status, _steps(held)) == (
            "pending",
            {self.completing[0]: "pending"},
        )

    async def test_status_is_the_workflows(self, provider: WorkflowEngine) -> None:
        for step, status in [
            (self.completing[0], "completed"),
            (self.failing, "failed"),
        ]:
            workflow = await self._started(provider, step)
            assert (await self._ended(provider, workflow.id)).status == status
            assert await provider.get_workflow_status(workflow.id) == status

    def _spec(self, *steps: str | tuple[str, ...]) -> WorkflowSpec:
        """Return a workflow of steps: an id, or an id and those that it depends on."""
        made = []
        for step in steps:
            id, *depends_on = (step,) if isinstance(step, str) else step
            made.append(WorkflowStep(id, id.title(), depends_on=tuple(depends_on)))
        return WorkflowSpec("Build", tuple(made))

    async def _started(
        self, provider: WorkflowEngine, *steps: str | tuple[str, ...]
    ) -> Workflow:
        """Make a workflow of these steps and start it."""
        made = await provider.create_workflow(self._spec(*steps))
        return await provider.start_workflow(made.id)

    async def _ended(self, provider: WorkflowEngine, id: str) -> Workflow:
        """Return the workflow once it has ended."""
        with anyio.fail_after(self.patience_s):
            while True:
                workflow = await provider.get_workflow(id)
                if workflow.status in _ENDED:
                    return workflow
                await anyio.sleep(self.patience_s / _LOOKS)

    async def _reached(
        self, provider: WorkflowEngine, id: str, step: str, status: StepStatus
    ) -> None:
        """Wait until a step of a workflow has this status."""
        with anyio.fail_after(self.patience_s):
            while _steps(await provider.get_workflow(id))[step] != status:
                await anyio.sleep(self.patience_s / _LOOKS)


def _steps(workflow: Workflow) -> dict[str, StepStatus]:
    return {result.step_id: result.status for result in workflow.step_results}


def _end(workflow: Workflow) -> tuple[object, ...]:
    """Return what of an ended workflow no longer changes; a step may still run out."""
    return workflow.status, workflow.started_at, workflow.completed_at
