"""Development agents with one defect each."""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from typing import Any

import anyio

from latency_kv.errors import FacetError
from latency_kv.facets.dev_agent import (
    INVOCATION_ID,
    AgentCapabilities,
    AgentResult,
    InvokeOptions,
    StreamChunk,
)
from latency_kv.testing.dev_agent import DevAgentContract
from testing.in_memory.dev_agent import InMemoryDevAgent, Invocation, Words
from testing.planting import seen_by

FIXED_ID = "the same for all"


@seen_by(DevAgentContract.test_provider_is_a_dev_agent)
class WithoutCancel(InMemoryDevAgent):
    cancel = None  # type: ignore[assignment]


@seen_by(DevAgentContract.test_capabilities_stay_the_same)
class LearnsModels(InMemoryDevAgent):
    models = 0

    async def get_capabilities(self) -> AgentCapabilities:
        self.models += 1
        return AgentCapabilities(True, True, ("model",) * self.models)


@seen_by(DevAgentContract.test_capabilities_stay_the_same)
class ModelsAreAList(InMemoryDevAgent):
    async def get_capabilities(self) -> AgentCapabilities:
        return AgentCapabilities(True, True, ["model"])  # type: ignore[arg-type]


@seen_by(DevAgentContract.test_capabilities_stay_the_same)
class SyncCapabilities(InMemoryDevAgent):
    def get_capabilities(self) -> AgentCapabilities:  # type: ignore[override]
        return AgentCapabilities(True, True, ())


@seen_by(DevAgentContract.test_result_has_an_output)
class AnswersNothing(InMemoryDevAgent):
    async def invoke(
        self, prompt: str, /, options: InvokeOptions | None = None
    ) -> AgentResult:
        return replace(await super().invoke(prompt, options), output="")


@seen_by(DevAgentContract.test_result_has_an_output)
class AnswersText(InMemoryDevAgent):
    async def invoke(
        self, prompt: str, /, options: InvokeOptions | None = None
    ) -> AgentResult:
        result: Any = await super().invoke(prompt, options)
        return result.output  # type: ignore[no-any-return]


@seen_by(
    DevAgentContract.test_result_has_an_output,
    DevAgentContract.test_given_id_is_taken,
)
class TellsNoId(InMemoryDevAgent):
    async def invoke(
        self, prompt: str, /, options: InvokeOptions | None = None
    ) -> AgentResult:
        return replace(await super().invoke(prompt, options), invocation_id="")


@seen_by(
    DevAgentContract.test_each_invocation_has_an_id_of_its_own,
    DevAgentContract.test_stream_tells_its_id_first,
)
class OneId(InMemoryDevAgent):
    def begun(self, prompt: str, options: InvokeOptions) -> Invocation:
        metadata = {INVOCATION_ID: FIXED_ID, **options.metadata}
        return super().begun(prompt, replace(options, metadata=metadata))


@seen_by(DevAgentContract.test_given_id_is_taken)
class ChoosesItsOwnId(InMemoryDevAgent):
    def begun(self, prompt: str, options: InvokeOptions) -> Invocation:
        return super().begun(prompt, replace(options, metadata={}))


@seen_by(DevAgentContract.test_options_change_nothing_that_they_do_not_name)
class RefusesUnknownMetadata(InMemoryDevAgent):
    def begun(self, prompt: str, options: InvokeOptions) -> Invocation:
        if options.metadata.keys() - {INVOCATION_ID}:
            raise FacetError("what is that?", "VALIDATION")
        return super().begun(prompt, options)


@seen_by(DevAgentContract.test_options_change_nothing_that_they_do_not_name)
class AwaitsTheSignal(InMemoryDevAgent):
    async def invoke(
        self, prompt: str, /, options: InvokeOptions | None = None
    ) -> AgentResult:
        result = await super().invoke(prompt, options)
        if options is not None and options.signal is not None:
            await options.signal.wait()
        return result


@seen_by(DevAgentContract.test_options_change_nothing_that_they_do_not_name)
class NeedsOptions(InMemoryDevAgent):
    async def invoke(
        self, prompt: str, /, options: InvokeOptions | None = None
    ) -> AgentResult:
        assert options is not None
        return await super().invoke(prompt, options)


class Streaming(InMemoryDevAgent):
    """Asks the true stream, and hands on something else."""

    def chunks(
        self, prompt: str, options: InvokeOptions | None
    ) -> AsyncGenerator[StreamChunk, None]:
        return super().invoke_stream(prompt, options)


@seen_by(DevAgentContract.test_stream_is_an_async_iterator)
class StreamIsACoroutine(Streaming):
    async def invoke_stream(  # type: ignore[override]
        self, prompt: str, /, options: InvokeOptions | None = None
    ) -> AsyncIterator[StreamChunk]:
        return self.chunks(prompt, options)


@seen_by(DevAgentContract.test_stream_is_an_async_iterator)
class BeginsUnasked(Streaming):
    def invoke_stream(
        self, prompt: str, /, options: InvokeOptions | None = None
    ) -> AsyncGenerator[StreamChunk, None]:
        self.begun(prompt, options or InvokeOptions())
        return self.chunks(prompt, options)


@seen_by(DevAgentContract.test_stream_tells_its_id_first)
class StreamTellsNoId(Streaming):
    async def invoke_stream(
        self, prompt: str, /, options: InvokeOptions | None = None
    ) -> AsyncGenerator[StreamChunk, None]:
        async for chunk in self.chunks(prompt, options):
            if chunk.text:
                yield chunk


@seen_by(DevAgentContract.test_stream_tells_its_id_first)
class StreamsTexts(Streaming):
    async def invoke_stream(
        self, prompt: str, /, options: InvokeOptions | None = None
    ) -> AsyncGenerator[Any, None]:
        async for chunk in self.chunks(prompt, options):
            yield chunk.text


@seen_by(DevAgentContract.test_stream_makes_the_whole_output)
class StreamsTheWholeAgain(Streaming):
    async def invoke_stream(
        self, prompt: str, /, options: InvokeOptions | None = None
    ) -> AsyncGenerator[StreamChunk, None]:
        text = ""
        async for chunk in self.chunks(prompt, options):
            text += chunk.text
            yield replace(chunk, text=text)

    async def invoke(
        self, prompt: str, /, options: InvokeOptions | None = None
    ) -> AgentResult:
        chunks = [chunk async for chunk in self.chunks(prompt, options)]
        output = "".join(chunk.text for chunk in chunks)
        return AgentResult(output, chunks[0].metadata[INVOCATION_ID])


@seen_by(
    DevAgentContract.test_stream_begins_before_its_end,
    DevAgentContract.test_whoever_closes_a_stream_ends_its_invocation,
    DevAgentContract.test_id_in_use_is_refused,
)
class StreamsAtTheEnd(Streaming):
    async def invoke_stream(
        self, prompt: str, /, options: InvokeOptions | None = None
    ) -> AsyncGenerator[StreamChunk, None]:
        for chunk in [chunk async for chunk in self.chunks(prompt, options)]:
            yield chunk


@seen_by(DevAgentContract.test_whoever_closes_a_stream_ends_its_invocation)
class GoesOnUnheard(Streaming):
    async def invoke_stream(
        self, prompt: str, /, options: InvokeOptions | None = None
    ) -> AsyncGenerator[StreamChunk, None]:
        invocation = self.begun(prompt, options or InvokeOptions())
        yield StreamChunk("", {INVOCATION_ID: invocation.id})


@seen_by(DevAgentContract.test_empty_prompt_is_refused)
class AnswersAnything(InMemoryDevAgent):
    def begun(self, prompt: str, options: InvokeOptions) -> Invocation:
        return super().begun(prompt or "Say something.", options)


@seen_by(DevAgentContract.test_empty_prompt_is_refused)
class RefusesUnasked(Streaming):
    def invoke_stream(
        self, prompt: str, /, options: InvokeOptions | None = None
    ) -> AsyncGenerator[StreamChunk, None]:
        if not prompt:
            raise FacetError("an invocation needs a prompt", "VALIDATION")
        return self.chunks(prompt, options)


@seen_by(DevAgentContract.test_time_of_less_than_a_millisecond_is_refused)
class NoTimeIsEnough(InMemoryDevAgent):
    def begun(self, prompt: str, options: InvokeOptions) -> Invocation:
        if options.timeout_ms is not None and options.timeout_ms < 1:
            options = replace(options, timeout_ms=None)
        return super().begun(prompt, options)


@seen_by(DevAgentContract.test_time_runs_out)
class HasTime(InMemoryDevAgent):
    def begun(self, prompt: str, options: InvokeOptions) -> Invocation:
        return super().begun(prompt, replace(options, timeout_ms=None))


@seen_by(DevAgentContract.test_time_runs_out)
class TimeForEachWord(InMemoryDevAgent):
    """And what it has so far is the answer then."""

    async def invoke(
        self, prompt: str, /, options: InvokeOptions | None = None
    ) -> AgentResult:
        try:
            return await super().invoke(prompt, options)
        except FacetError as error:
            if error.code != "TIMEOUT":
                raise
            return AgentResult("so far", "7")


@seen_by(DevAgentContract.test_time_runs_out)
class RaisesTimeoutErrors(InMemoryDevAgent):
    async def invoke(
        self, prompt: str, /, options: InvokeOptions | None = None
    ) -> AgentResult:
        try:
            return await super().invoke(prompt, options)
        except FacetError as error:
            raise TimeoutError from error


@seen_by(DevAgentContract.test_time_runs_out)
class StreamsHaveTime(Streaming):
    def invoke_stream(
        self, prompt: str, /, options: InvokeOptions | None = None
    ) -> AsyncGenerator[StreamChunk, None]:
        return self.chunks(prompt, replace(options or InvokeOptions(), timeout_ms=None))

    async def invoke(
        self, prompt: str, /, options: InvokeOptions | None = None
    ) -> AgentResult:
        chunks = [chunk async for chunk in self.chunks(prompt, options)]
        return AgentResult("", chunks[0].metadata[INVOCATION_ID])


@seen_by(
    DevAgentContract.test_signal_that_is_set_before_calls_it_off,
    DevAgentContract.test_signal_that_is_set_meanwhile_calls_it_off,
    DevAgentContract.test_invocations_overlap,
)
class Deaf(InMemoryDevAgent):
    def begun(self, prompt: str, options: InvokeOptions) -> Invocation:
        return super().begun(prompt, replace(options, signal=None))


class FalseSignal:
    """One that is never set before."""

    def __init__(self, signal: Any) -> None:
        self.signal = signal

    def is_set(self) -> bool:
        return False

    async def wait(self) -> None:
        if self.signal.is_set():
            await anyio.sleep_forever()
        await self.signal.wait()


@seen_by(DevAgentContract.test_signal_that_is_set_before_calls_it_off)
class LooksAwayAtFirst(InMemoryDevAgent):
    def begun(self, prompt: str, options: InvokeOptions) -> Invocation:
        if options.signal is not None:
            options = replace(options, signal=FalseSignal(options.signal))
        return super().begun(prompt, options)


@seen_by(DevAgentContract.test_signal_that_is_set_meanwhile_calls_it_off)
class LooksOnce(InMemoryDevAgent):
    def begun(self, prompt: str, options: InvokeOptions) -> Invocation:
        invocation = super().begun(prompt, options)
        invocation.signal = None
        return invocation


@seen_by(DevAgentContract.test_signal_that_is_set_meanwhile_calls_it_off)
class SignalIsATimeout(InMemoryDevAgent):
    async def invoke(
        self, prompt: str, /, options: InvokeOptions | None = None
    ) -> AgentResult:
        try:
            return await super().invoke(prompt, options)
        except FacetError as error:
            raise FacetError("called off", "TIMEOUT") from error


@seen_by(
    DevAgentContract.test_cancel_calls_it_off,
    DevAgentContract.test_cancel_touches_one_invocation,
)
class CancelsNothing(InMemoryDevAgent):
    async def cancel(self, invocation_id: str, /) -> None:
        if invocation_id not in self.running:
            await super().cancel(invocation_id)


@seen_by(DevAgentContract.test_cancel_touches_one_invocation)
class CancelsAll(InMemoryDevAgent):
    async def cancel(self, invocation_id: str, /) -> None:
        await super().cancel(invocation_id)
        for invocation in list(self.running.values()):
            invocation.call_off()


@seen_by(
    DevAgentContract.test_cancel_of_what_never_was_is_not_found,
    DevAgentContract.test_stream_is_an_async_iterator,
)
class CancelsAnything(InMemoryDevAgent):
    async def cancel(self, invocation_id: str, /) -> None:
        if invocation_id in self.running or invocation_id in self.ended:
            await super().cancel(invocation_id)


@seen_by(DevAgentContract.test_cancel_of_what_never_was_is_not_found)
class KeyErrors(InMemoryDevAgent):
    async def cancel(self, invocation_id: str, /) -> None:
        self.running[invocation_id].call_off()


@seen_by(
    DevAgentContract.test_what_has_ended_cannot_be_cancelled,
    DevAgentContract.test_time_runs_out,
    DevAgentContract.test_signal_that_is_set_meanwhile_calls_it_off,
    DevAgentContract.test_cancel_calls_it_off,
    DevAgentContract.test_cancellation_of_the_task_goes_through,
)
class CancelsTheEnded(InMemoryDevAgent):
    async def cancel(self, invocation_id: str, /) -> None:
        if invocation_id not in self.ended:
            await super().cancel(invocation_id)


@seen_by(DevAgentContract.test_id_in_use_is_refused)
class SharesIds(InMemoryDevAgent):
    def begun(self, prompt: str, options: InvokeOptions) -> Invocation:
        id = options.metadata.get(INVOCATION_ID)
        if id in self.running:
            metadata = {INVOCATION_ID: f"{id} again"}
            return super().begun(prompt, replace(options, metadata=metadata))
        return super().begun(prompt, options)


@seen_by(DevAgentContract.test_invocations_overlap)
class OneAtATime(InMemoryDevAgent):
    def __init__(self, words: Words) -> None:
        super().__init__(words)
        self.turn = anyio.Semaphore(1)

    async def invoke(
        self, prompt: str, /, options: InvokeOptions | None = None
    ) -> AgentResult:
        async with self.turn:
            return await super().invoke(prompt, options)


@seen_by(DevAgentContract.test_cancellation_of_the_task_goes_through)
class MakesAnErrorOfCancellation(InMemoryDevAgent):
    async def invoke(
        self, prompt: str, /, options: InvokeOptions | None = None
    ) -> AgentResult:
        try:
            return await super().invoke(prompt, options)
        except anyio.get_cancelled_exc_class() as error:
            raise FacetError("cancelled", "CANCELLED") from error


@seen_by(DevAgentContract.test_cancellation_of_the_task_goes_through)
class MakesAResultOfCancellation(InMemoryDevAgent):
    async def invoke(
        self, prompt: str, /, options: InvokeOptions | None = None
    ) -> AgentResult:
        try:
            return await super().invoke(prompt, options)
        except anyio.get_cancelled_exc_class():
            return AgentResult("so far", "7")
