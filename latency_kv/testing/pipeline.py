"""PipelineContract: what a provider of the Pipeline facet has to show.

Knows the facet and no provider.  Start at `PipelineContract.provider`.
"""

from __future__ import annotations

from typing import Any, get_args

import anyio
import pytest

from latency_kv.facets.pipeline import (
    Pipeline,
    PipelineDefinition,
    PipelineRun,
    RunStatus,
    TriggerOptions,
)
from latency_kv.testing.rules import check_record, refused

__all__ = ["PipelineContract"]

# How often a test looks, within its patience, whether a run has ended.
_LOOKS = 1_000

_ENDED = {"completed", "failed", "cancelled"}


class PipelineContract:
    """Run by a test class that inherits it, overrides `provider` and names a pipeline.

    That is `lasting_pipeline`; with `ending_pipeline` as well it shows more.
    """

    pytestmark = pytest.mark.anyio

    lasting_pipeline: str
    """The id of a pipeline whose runs go on until they are called off."""

    ending_pipeline: str | None = None
    """The id of one whose runs complete soon; None skips what needs it."""

    missing_id = "999999999"
    """An id that the system understands, and that no pipeline and no run has."""

    patience_s = 10.0
    """How long to wait for what has to happen, before it counts as missing."""

    @pytest.fixture
    def provider(self) -> Any:
        """What may trigger these pipelines; may be async, and may clean up."""
        raise NotImplementedError(f"{type(self).__name__} has to override `provider`")

    async def test_provider_is_a_pipeline(self, provider: Pipeline) -> None:
        assert isinstance(provider, Pipeline)

    async def test_pipelines_are_listed_by_name(self, provider: Pipeline) -> None:
        pipelines = await provider.list_pipelines()
        assert isinstance(pipelines, list)
        for pipeline in pipelines:
            check_record(pipeline, PipelineDefinition)
        ids = [pipeline.id for pipeline in pipelines]
        assert len(ids) == len(set(ids))
        assert {self.lasting_pipeline, self.ending_pipeline or ids[0]} <= set(ids)
        names = [pipeline.name for pipeline in pipelines]
        assert names == sorted(names)

    async def test_trigger_returns_a_run_that_goes_on(self, provider: Pipeline) -> None:
        with anyio.fail_after(self.patience_s):
            run = await provider.trigger_pipeline(self.lasting_pipeline)
        check_record(run, PipelineRun)
        assert isinstance(run.id, str)
        assert run.pipeline_id == self.lasting_pipeline
        assert run.status in ("pending", "running")
        assert run.completed_at is None
        await self._call_off(provider, run)

    async def test_options_may_be_left_out(self, provider: Pipeline) -> None:
        for options in (None, TriggerOptions()):
            run = await provider.trigger_pipeline(
                self.lasting_pipeline, options=options
            )
            assert run.pipeline_id == self.lasting_pipeline
            await self._call_off(provider, run)

    async def test_each_trigger_starts_a_run(self, provider: Pipeline) -> None:
        runs = [
            await provider.trigger_pipeline(self.lasting_pipeline) for _ in range(2)
        ]
        assert runs[0].id != runs[1].id
        for run in runs:
            found = await provider.get_pipeline_status(run.id)
            check_record(found, PipelineRun)
            assert (found.id, found.pipeline_id) == (run.id, run.pipeline_id)
            assert found.created_at == run.created_at
            await self._call_off(provider, run)

    async def test_missing_pipeline_is_not_found(self, provider: Pipeline) -> None:
        with refused("NOT_FOUND"):
            await provider.trigger_pipeline(self.missing_id)

    async def test_missing_run_is_not_found(self, provider: Pipeline) -> None:
        with refused("NOT_FOUND"):
            await provider.get_pipeline_status(self.missing_id)
        with refused("NOT_FOUND"):
            await provider.cancel_pipeline(self.missing_id)

    async def test_cancelled_run_ends_as_cancelled(self, provider: Pipeline) -> None:
        run = await provider.trigger_pipeline(self.lasting_pipeline)
        cancel: Any = provider.cancel_pipeline
        assert await cancel(run.id) is None
        ended = await self._ended(provider, run)
        assert ended.status == "cancelled"
        assert ended.completed_at is not None
        assert ended.completed_at >= ended.created_at
        assert ended.created_at == run.created_at

    async def test_cancelled_run_is_not_cancelled_again(
        self, provider: Pipeline
    ) -> None:
        run = await provider.trigger_pipeline(self.lasting_pipeline)
        await provider.cancel_pipeline(run.id)
        ended = await self._ended(provider, run)
        with refused("CONFLICT"):
            await provider.cancel_pipeline(run.id)
        assert await provider.get_pipeline_status(run.id) == ended

    async def test_cancelling_touches_one_run(self, provider: Pipeline) -> None:
        one, two = [
            await provider.trigger_pipeline(self.lasting_pipeline) for _ in range(2)
        ]
        await provider.cancel_pipeline(one.id)
        await self._ended(provider, one)
        found = await provider.get_pipeline_status(two.id)
        assert found.status in ("pending", "running")
        await self._call_off(provider, two)

    async def test_held_run_stays_as_it_was(self, provider: Pipeline) -> None:
        run = await provider.trigger_pipeline(self.lasting_pipeline)
        held = run.status, run.completed_at
        await self._call_off(provider, run)
        assert (run.status, run.completed_at) == held

    async def test_run_goes_forward_to_its_end(self, provider: Pipeline) -> None:
        run = await self._to_its_end(provider)
        ended = await self._ended(provider, run)
        assert ended.status == "completed"
        assert ended.completed_at is not None
        assert ended.completed_at >= (ended.started_at or ended.created_at)
        assert (ended.started_at or ended.created_at) >= ended.created_at

    async def test_what_has_ended_stays_as_it_is(self, provider: Pipeline) -> None:
        ended = await self._ended(provider, await self._to_its_end(provider))
        with refused("CONFLICT"):
            await provider.cancel_pipeline(ended.id)
        assert await provider.get_pipeline_status(ended.id) == ended

    async def _to_its_end(self, provider: Pipeline) -> PipelineRun:
        """Trigger a run that ends by itself; skip where no pipeline has such ones."""
        if self.ending_pipeline is None:
            pytest.skip("there is no `ending_pipeline`")
        return await provider.trigger_pipeline(self.ending_pipeline)

    async def _ended(self, provider: Pipeline, run: PipelineRun) -> PipelineRun:
        """Return the run as it has ended, having seen it go forward only."""
        # The last three are one another's equals: none follows another.
        order: dict[RunStatus, int] = {"pending": 0, "running": 1}
        with anyio.fail_after(self.patience_s):
            while run.status not in _ENDED:
                assert run.completed_at is None
                await anyio.sleep(self.patience_s / _LOOKS)
                later = await provider.get_pipeline_status(run.id)
                assert later.status in get_args(RunStatus)
                assert order.get(later.status, 2) >= order.get(run.status, 2)
                run = later
        return run

    async def _call_off(self, provider: Pipeline, run: PipelineRun) -> None:
        """Cancel a run, and wait for its end."""
        await provider.cancel_pipeline(run.id)
        await self._ended(provider, await provider.get_pipeline_status(run.id))
