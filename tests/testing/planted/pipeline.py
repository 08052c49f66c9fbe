"""Pipelines with one defect each."""

from dataclasses import replace
from typing import Literal

from latency_kv.errors import FacetError
from latency_kv.facets.pipeline import PipelineDefinition, PipelineRun, TriggerOptions
from latency_kv.testing.pipeline import PipelineContract
from testing.in_memory.pipeline import InMemoryPipeline
from testing.planting import seen_by


@seen_by(PipelineContract.test_provider_is_a_pipeline)
class WithoutList(InMemoryPipeline):
    list_pipelines = None  # type: ignore[assignment]


@seen_by(PipelineContract.test_pipelines_are_listed_by_name)
class AsDefined(InMemoryPipeline):
    async def list_pipelines(self) -> list[PipelineDefinition]:
        return list(self.pipelines.values())


@seen_by(PipelineContract.test_pipelines_are_listed_by_name)
class ListsTwice(InMemoryPipeline):
    async def list_pipelines(self) -> list[PipelineDefinition]:
        return sorted(await super().list_pipelines() * 2, key=lambda each: each.name)


@seen_by(PipelineContract.test_pipelines_are_listed_by_name)
class ListsWhatRan(InMemoryPipeline):
    async def list_pipelines(self) -> list[PipelineDefinition]:
        ran = {run.pipeline_id for run in self.runs.values()}
        return [each for each in await super().list_pipelines() if each.id in ran]


@seen_by(PipelineContract.test_pipelines_are_listed_by_name)
class ListsNames(InMemoryPipeline):
    async def list_pipelines(self) -> list[PipelineDefinition]:
        listed = await super().list_pipelines()
        return [pipeline.name for pipeline in listed]  # type: ignore[misc]


@seen_by(
    PipelineContract.test_trigger_returns_a_run_that_goes_on,
    PipelineContract.test_cancelling_touches_one_run,
)
class EndsAtOnce(InMemoryPipeline):
    async def trigger_pipeline(
        self, id: str, /, options: TriggerOptions | None = None
    ) -> PipelineRun:
        run = await super().trigger_pipeline(id, options)
        self.runs[run.id] = self.ended(run, "completed")
        return self.runs[run.id]


@seen_by(PipelineContract.test_trigger_returns_a_run_that_goes_on)
class NaiveTimes(InMemoryPipeline):
    async def trigger_pipeline(
        self, id: str, /, options: TriggerOptions | None = None
    ) -> PipelineRun:
        run = await super().trigger_pipeline(id, options)
        return replace(run, created_at=run.created_at.replace(tzinfo=None))


@seen_by(PipelineContract.test_trigger_returns_a_run_that_goes_on)
class CompletedBefore(InMemoryPipeline):
    async def trigger_pipeline(
        self, id: str, /, options: TriggerOptions | None = None
    ) -> PipelineRun:
        run = await super().trigger_pipeline(id, options)
        return replace(run, completed_at=run.created_at)


@seen_by(
    PipelineContract.test_trigger_returns_a_run_that_goes_on,
    PipelineContract.test_options_may_be_left_out,
)
class RunsAnother(InMemoryPipeline):
    async def trigger_pipeline(
        self, id: str, /, options: TriggerOptions | None = None
    ) -> PipelineRun:
        return replace(await super().trigger_pipeline(id, options), pipeline_id="9")


@seen_by(PipelineContract.test_options_may_be_left_out)
class NeedsOptions(InMemoryPipeline):
    async def trigger_pipeline(
        self, id: str, /, options: TriggerOptions | None = None
    ) -> PipelineRun:
        assert options is not None
        return await super().trigger_pipeline(id, options)


@seen_by(PipelineContract.test_options_may_be_left_out)
class NeedsABranch(InMemoryPipeline):
    async def trigger_pipeline(
        self, id: str, /, options: TriggerOptions | None = None
    ) -> PipelineRun:
        if options is not None and options.branch is None:
            raise FacetError("which branch?", "VALIDATION")
        return await super().trigger_pipeline(id, options)


@seen_by(PipelineContract.test_each_trigger_starts_a_run)
class OneRunAPipeline(InMemoryPipeline):
    async def trigger_pipeline(
        self, id: str, /, options: TriggerOptions | None = None
    ) -> PipelineRun:
        for run in self.runs.values():
            if run.pipeline_id == id:
                return run
        return await super().trigger_pipeline(id, options)


@seen_by(PipelineContract.test_each_trigger_starts_a_run)
class FoundOtherwise(InMemoryPipeline):
    async def get_pipeline_status(self, run_id: str, /) -> PipelineRun:
        run = await super().get_pipeline_status(run_id)
        return replace(run, created_at=self.moments.next())


@seen_by(PipelineContract.test_missing_pipeline_is_not_found)
class RunsAnything(InMemoryPipeline):
    async def trigger_pipeline(
        self, id: str, /, options: TriggerOptions | None = None
    ) -> PipelineRun:
        known = id if id in self.pipelines else next(iter(self.pipelines))
        return await super().trigger_pipeline(known, options)


@seen_by(PipelineContract.test_missing_run_is_not_found)
class KeyErrors(InMemoryPipeline):
    def found(self, run_id: str) -> PipelineRun:
        return self.runs[run_id]


@seen_by(PipelineContract.test_missing_run_is_not_found)
class CancelsNothing(InMemoryPipeline):
    async def cancel_pipeline(self, run_id: str, /) -> None:
        if run_id in self.runs:
            await super().cancel_pipeline(run_id)


@seen_by(
    PipelineContract.test_cancelled_run_ends_as_cancelled,
    PipelineContract.test_cancelled_run_is_not_cancelled_again,
)
class NeverCancels(InMemoryPipeline):
    async def cancel_pipeline(self, run_id: str, /) -> None:
        self.found(run_id)


@seen_by(PipelineContract.test_cancelled_run_ends_as_cancelled)
class CancelledIsFailed(InMemoryPipeline):
    def ended(
        self, run: PipelineRun, status: Literal["completed", "cancelled"]
    ) -> PipelineRun:
        return replace(super().ended(run, status), status="failed")


@seen_by(
    PipelineContract.test_cancelled_run_ends_as_cancelled,
    PipelineContract.test_run_goes_forward_to_its_end,
)
class EndsAtNoTime(InMemoryPipeline):
    def ended(
        self, run: PipelineRun, status: Literal["completed", "cancelled"]
    ) -> PipelineRun:
        return replace(super().ended(run, status), completed_at=None)


@seen_by(
    PipelineContract.test_cancelled_run_ends_as_cancelled,
    PipelineContract.test_run_goes_forward_to_its_end,
)
class EndsBeforeItBegan(InMemoryPipeline):
    def ended(
        self, run: PipelineRun, status: Literal["completed", "cancelled"]
    ) -> PipelineRun:
        moment = run.created_at.replace(year=2001)
        return replace(super().ended(run, status), completed_at=moment)


@seen_by(
    PipelineContract.test_cancelled_run_is_not_cancelled_again,
    PipelineContract.test_what_has_ended_stays_as_it_is,
)
class CancelsAgain(InMemoryPipeline):
    async def cancel_pipeline(self, run_id: str, /) -> None:
        self.runs[run_id] = self.ended(self.found(run_id), "cancelled")


@seen_by(PipelineContract.test_cancelling_touches_one_run)
class CancelsAll(InMemoryPipeline):
    async def cancel_pipeline(self, run_id: str, /) -> None:
        await super().cancel_pipeline(run_id)
        for other, run in self.runs.items():
            self.runs[other] = self.ended(run, "cancelled")


@seen_by(PipelineContract.test_held_run_stays_as_it_was)
class ChangesInPlace(InMemoryPipeline):
    async def cancel_pipeline(self, run_id: str, /) -> None:
        run = self.found(run_id)
        await super().cancel_pipeline(run_id)
        object.__setattr__(run, "status", "cancelled")

    async def get_pipeline_status(self, run_id: str, /) -> PipelineRun:
        return self.found(run_id)


@seen_by(PipelineContract.test_run_goes_forward_to_its_end)
class NeverEnds(InMemoryPipeline):
    def ended(
        self, run: PipelineRun, status: Literal["completed", "cancelled"]
    ) -> PipelineRun:
        return super().ended(run, status) if status == "cancelled" else run


@seen_by(PipelineContract.test_run_goes_forward_to_its_end)
class GoesBack(InMemoryPipeline):
    async def get_pipeline_status(self, run_id: str, /) -> PipelineRun:
        run = await super().get_pipeline_status(run_id)
        if self.left[run_id] == 1:
            run = replace(run, status="pending")
        return run


@seen_by(PipelineContract.test_run_goes_forward_to_its_end)
class UnknownStatus(InMemoryPipeline):
    async def get_pipeline_status(self, run_id: str, /) -> PipelineRun:
        run = await super().get_pipeline_status(run_id)
        if run.status == "running":
            run = replace(run, status="in_progress")  # type: ignore[arg-type]
        return run


@seen_by(PipelineContract.test_what_has_ended_stays_as_it_is)
class CancelsTheEnded(InMemoryPipeline):
    async def cancel_pipeline(self, run_id: str, /) -> None:
        run = self.found(run_id)
        self.runs[run_id] = replace(run, status="cancelled")
        if run.completed_at:
            raise FacetError("it has ended", "CONFLICT")
