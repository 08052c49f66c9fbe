"""DevAgentContract: what a provider of the DevAgent facet has to show.

An agent costs time and often money, so the contract asks for two prompts only, and
invokes nothing that it does not look at.

Knows the facet and no provider.  Start at `DevAgentContract.provider`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import replace
from inspect import isawaitable
from typing import Any, Literal
from uuid import uuid4

import anyio
import anyio.lowlevel
import pytest

from latency_kv.errors import FacetError
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
from latency_kv.testing.rules import check_record, refused

__all__ = ["DevAgentContract"]

# Enough for an invocation to begin; what lasts does not end in it.
_SHORT_MS = 50

# How often a test tries, within its patience, to cancel what is about to begin.
_TRIES = 1_000

_WAYS: tuple[Literal["invoke", "stream"], ...] = "invoke", "stream"


class _WatchedSignal:
    """An AbortSignal that knows when an agent has looked at it."""

    def __init__(self) -> None:
        self.looked = anyio.Event()
        self._set = anyio.Event()

    def set(self) -> None:
        self._set.set()

    def is_set(self) -> bool:
        self.looked.set()
        return self._set.is_set()

    async def wait(self) -> None:
        self.looked.set()
        await self._set.wait()


class _LastingInvocation:
    """An invocation for a task of its own, and the code of the error that ended it."""

    def __init__(self, invoke: Callable[[AbortSignal], Awaitable[None]]) -> None:
        self.invoke = invoke
        self.signal = _WatchedSignal()
        self.over = anyio.Event()
        self.code: str | None = None

    async def run(self) -> None:
        try:
            await self.invoke(self.signal)
        except FacetError as error:
            self.code = error.code
        finally:
            self.over.set()


class DevAgentContract:
    """Run by a test class that inherits it and overrides `provider`.

    The two prompts are usually to be overridden too.
    """

    pytestmark = pytest.mark.anyio

    prompt = "Say hello."
    """A prompt that the agent answers soon, with some text."""

    lasting_prompt = "Count for ever."
    """A prompt that keeps the agent busy until it is called off."""

    repeats = True
    """Whether the same prompt gets the same output each time."""

    patience_s = 10.0
    """How long to wait for what has to happen, before it counts as missing."""

    @pytest.fixture
    def provider(self) -> Any:
        """An agent; may be async, and may clean up after a yield."""
        raise NotImplementedError(f"{type(self).__name__} has to override `provider`")

    async def test_provider_is_a_dev_agent(self, provider: DevAgent) -> None:
        assert isinstance(provider, DevAgent)
        assert isinstance(_WatchedSignal(), AbortSignal)

    async def test_capabilities_stay_the_same(self, provider: DevAgent) -> None:
        capabilities = await provider.get_capabilities()
        check_record(capabilities, AgentCapabilities)
        assert all(isinstance(model, str) for model in capabilities.models)
        assert await provider.get_capabilities() == capabilities

    async def test_result_has_an_output(self, provider: DevAgent) -> None:
        result = await self._soon(provider.invoke(self.prompt))
        check_record(result, AgentResult)
        assert isinstance(result.output, str)
        assert result.output
        assert isinstance(result.invocation_id, str)
        assert result.invocation_id
        if result.usage is not None:
            check_record(result.usage, AgentUsage)
            tokens = result.usage.input_tokens, result.usage.output_tokens
            assert all(count is None or count >= 0 for count in tokens)

    async def test_each_invocation_has_an_id_of_its_own(
        self, provider: DevAgent
    ) -> None:
        one, two = [await self._soon(provider.invoke(self.prompt)) for _ in range(2)]
        assert one.invocation_id != two.invocation_id

    async def test_given_id_is_taken(self, provider: DevAgent) -> None:
        for way in _WAYS:
            options = self._options(way)
            given = options.metadata[INVOCATION_ID]
            if way == "invoke":
                result = await self._soon(provider.invoke(self.prompt, options=options))
                assert result.invocation_id == given
            else:
                chunks = provider.invoke_stream(self.prompt, options=options)
                first = (await self._soon(_whole(chunks)))[0]
                assert first.metadata[INVOCATION_ID] == given

    async def test_options_change_nothing_that_they_do_not_name(
        self, provider: DevAgent
    ) -> None:
        """A time that does not run out, a signal that nobody sets, unknown metadata."""
        options = InvokeOptions(
            timeout_ms=round(self.patience_s * 1_000),
            signal=_WatchedSignal(),
            metadata={"x-contract": object()},
        )
        for given in (options, InvokeOptions(), None):
            result = await self._soon(provider.invoke(self.prompt, options=given))
            assert result.output

    async def test_stream_is_an_async_iterator(self, provider: DevAgent) -> None:
        """Not a coroutine; nothing begins before its first piece is asked for."""
        options = self._options("unasked")
        chunks = provider.invoke_stream(self.prompt, options=options)
        assert isinstance(chunks, AsyncIterator)
        assert not isawaitable(chunks)
        await anyio.lowlevel.checkpoint()
        with refused("NOT_FOUND"):
            await provider.cancel(options.metadata[INVOCATION_ID])
        await self._soon(_close(chunks))

    async def test_stream_tells_its_id_first(self, provider: DevAgent) -> None:
        ids = []
        for _ in range(2):
            chunks = await self._soon(_whole(provider.invoke_stream(self.prompt)))
            for chunk in chunks:
                check_record(chunk, StreamChunk)
                assert isinstance(chunk.text, str)
            ids.append(chunks[0].metadata[INVOCATION_ID])
        assert all(ids)
        assert ids[0] != ids[1]

    async def test_stream_makes_the_whole_output(self, provider: DevAgent) -> None:
        chunks = await self._soon(_whole(provider.invoke_stream(self.prompt)))
        output = "".join(chunk.text for chunk in chunks)
        assert output
        if self.repeats:
            result = await self._soon(provider.invoke(self.prompt))
            assert result.output == output

    async def test_stream_begins_before_its_end(self, provider: DevAgent) -> None:
        await self._demand(provider, "streaming")
        chunks = provider.invoke_stream(self.lasting_prompt)
        first = await self._soon(anext(chunks))
        assert first.metadata[INVOCATION_ID]
        await self._soon(_close(chunks))

    async def test_whoever_closes_a_stream_ends_its_invocation(
        self, provider: DevAgent
    ) -> None:
        await self._demand(provider, "streaming")
        options = self._options("closed")
        chunks = provider.invoke_stream(self.lasting_prompt, options)
        await self._soon(anext(chunks))
        await self._soon(_close(chunks))
        await self._demand_ended(provider, options)

    async def test_empty_prompt_is_refused(self, provider: DevAgent) -> None:
        """By a stream where its first piece is asked for."""
        with refused("VALIDATION"):
            await provider.invoke("")
        chunks = provider.invoke_stream("")
        with refused("VALIDATION"):
            await anext(chunks)

    async def test_time_of_less_than_a_millisecond_is_refused(
        self, provider: DevAgent
    ) -> None:
        for timeout_ms in (0, -1):
            options = InvokeOptions(timeout_ms=timeout_ms)
            for way in _WAYS:
                with refused("VALIDATION"):
                    await self._soon(self._called(provider, way, self.prompt, options))

    async def test_time_runs_out(self, provider: DevAgent) -> None:
        for way in _WAYS:
            options = self._options(way, timeout_ms=_SHORT_MS)
            with refused("TIMEOUT"):
                await self._soon(
                    self._called(provider, way, self.lasting_prompt, options)
                )
            await self._demand_ended(provider, options)

    async def test_signal_that_is_set_before_calls_it_off(
        self, provider: DevAgent
    ) -> None:
        signal = _WatchedSignal()
        signal.set()
        options = InvokeOptions(signal=signal)
        for way in _WAYS:
            for prompt in (self.prompt, self.lasting_prompt):
                with refused("CANCELLED"):
                    await self._soon(self._called(provider, way, prompt, options))

    async def test_signal_that_is_set_meanwhile_calls_it_off(
        self, provider: DevAgent
    ) -> None:
        for way in _WAYS:
            options = self._options(way)
            lasting = self._lasting(provider, way, options)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(lasting.run)
                await self._soon(lasting.signal.looked.wait())
                await anyio.sleep(_SHORT_MS / 1_000)
                lasting.signal.set()
                await self._soon(lasting.over.wait())
            assert lasting.code == "CANCELLED"
            await self._demand_ended(provider, options)

    async def test_cancel_calls_it_off(self, provider: DevAgent) -> None:
        await self._demand(provider, "cancellation")
        for way in _WAYS:
            options = self._options(way)
            lasting = self._lasting(provider, way, options)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(lasting.run)
                await self._cancelled(provider, options)
                await self._soon(lasting.over.wait())
            assert lasting.code == "CANCELLED"
            await self._demand_ended(provider, options)

    async def test_cancel_touches_one_invocation(self, provider: DevAgent) -> None:
        await self._demand(provider, "cancellation")
        one, two = self._options("one"), self._options("two")
        first = self._lasting(provider, "invoke", one)
        second = self._lasting(provider, "invoke", two)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first.run)
            tasks.start_soon(second.run)
            await self._soon(second.signal.looked.wait())
            await self._cancelled(provider, one)
            await self._soon(first.over.wait())
            await anyio.sleep(_SHORT_MS / 1_000)
            assert not second.over.is_set()
            await self._cancelled(provider, two)
            await self._soon(second.over.wait())

    async def test_cancel_of_what_never_was_is_not_found(
        self, provider: DevAgent
    ) -> None:
        await self._demand(provider, "cancellation")
        with refused("NOT_FOUND"):
            await provider.cancel(str(uuid4()))

    async def test_what_has_ended_cannot_be_cancelled(self, provider: DevAgent) -> None:
        for way in _WAYS:
            options = self._options(way)
            await self._soon(self._called(provider, way, self.prompt, options))
            await self._demand_ended(provider, options)

    async def test_id_in_use_is_refused(self, provider: DevAgent) -> None:
        await self._demand(provider, "streaming")
        options = self._options("twice")
        chunks = provider.invoke_stream(self.lasting_prompt, options)
        await self._soon(anext(chunks))
        for way in _WAYS:
            with refused("VALIDATION"):
                await self._soon(self._called(provider, way, self.prompt, options))
        await self._soon(_close(chunks))

    async def test_invocations_overlap(self, provider: DevAgent) -> None:
        """One that lasts holds up no other."""
        lasting = self._lasting(provider, "invoke", self._options("lasting"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lasting.run)
            await self._soon(lasting.signal.looked.wait())
            result = await self._soon(provider.invoke(self.prompt))
            assert result.output
            assert not lasting.over.is_set()
            lasting.signal.set()
            await self._soon(lasting.over.wait())

    async def test_cancellation_of_the_task_goes_through(
        self, provider: DevAgent
    ) -> None:
        for way in _WAYS:
            signal = _WatchedSignal()
            options = self._options(way, signal=signal)
            returned = False
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(_cancel_after, signal.looked.wait, scope)
                    await self._soon(
                        self._called(provider, way, self.lasting_prompt, options)
                    )
                    returned = True
            assert scope.cancelled_caught
            assert not returned
            await self._demand_ended(provider, options)

    def _options(self, name: str, **fields: Any) -> InvokeOptions:
        """Return options with an id that no invocation has had."""
        return InvokeOptions(metadata={INVOCATION_ID: f"{name}-{uuid4()}"}, **fields)

    async def _called(
        self,
        provider: DevAgent,
        way: Literal["invoke", "stream"],
        prompt: str,
        options: InvokeOptions,
    ) -> None:
        """Invoke, or take a stream to its end."""
        if way == "invoke":
            await provider.invoke(prompt, options)
        else:
            await _whole(provider.invoke_stream(prompt, options))

    async def _soon(self, awaitable: Awaitable[Any]) -> Any:
        """Await what is not to last."""
        with anyio.fail_after(self.patience_s):
            return await awaitable

    async def _demand(
        self, provider: DevAgent, capability: Literal["streaming", "cancellation"]
    ) -> None:
        """Skip what an agent without this capability cannot show."""
        if not getattr(await provider.get_capabilities(), capability):
            pytest.skip(f"the agent has no {capability}")

    def _lasting(
        self,
        provider: DevAgent,
        way: Literal["invoke", "stream"],
        options: InvokeOptions,
    ) -> _LastingInvocation:
        """Return an invocation that lasts, with a signal of its own; not begun yet."""

        async def invoke(signal: AbortSignal) -> None:
            watched = replace(options, signal=signal)
            await self._called(provider, way, self.lasting_prompt, watched)

        return _LastingInvocation(invoke)

    async def _cancelled(self, provider: DevAgent, options: InvokeOptions) -> None:
        """Cancel an invocation by its id, as soon as it is known."""
        with anyio.fail_after(self.patience_s):
            while True:
                try:
                    await provider.cancel(options.metadata[INVOCATION_ID])
                except FacetError as error:
                    if error.code != "NOT_FOUND":
                        raise
                else:
                    return
                await anyio.sleep(self.patience_s / _TRIES)

    async def _demand_ended(self, provider: DevAgent, options: InvokeOptions) -> None:
        """Demand that an invocation has ended: it cannot be cancelled any more."""
        if (await provider.get_capabilities()).cancellation:
            with pytest.raises(FacetError) as caught:
                await provider.cancel(options.metadata[INVOCATION_ID])
            assert caught.value.code in ("CONFLICT", "NOT_FOUND")


async def _whole(chunks: AsyncIterator[StreamChunk]) -> list[StreamChunk]:
    return [chunk async for chunk in chunks]


async def _close(chunks: AsyncIterator[StreamChunk]) -> None:
    """Stop before the end, where the iterator can be closed."""
    if isinstance(chunks, AsyncGenerator):
        await chunks.aclose()


async def _cancel_after(
    wait: Callable[[], Awaitable[object]], scope: anyio.CancelScope
) -> None:
    await wait()
    await anyio.sleep(_SHORT_MS / 1_000)
    scope.cancel()
