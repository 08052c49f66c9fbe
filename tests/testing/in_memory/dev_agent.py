"""InMemoryDevAgent: the DevAgent facet over a function that makes words of a prompt.

An invocation runs in the task that awaits it, word by word; the clock, a signal and
`cancel` end it through the scope of the word it is at.  Start at
`InMemoryDevAgent.invoke_stream`.
"""

import math
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from uuid import uuid4

import anyio

from latency_kv.errors import FacetError, FacetErrorCode
from latency_kv.facets.dev_agent import (
    INVOCATION_ID,
    AgentCapabilities,
    AgentResult,
    AgentUsage,
    InvokeOptions,
    StreamChunk,
)

Words = Callable[[str], AsyncGenerator[str, None]]
"""prompt -> the words of the answer, each when it is there."""


class Invocation:
    """A prompt at work, from its first word to its end; code says who gave it up."""

    def __init__(self, id: str, options: InvokeOptions) -> None:
        self.id = id
        self.signal = options.signal
        self.deadline = math.inf
        if options.timeout_ms is not None:
            self.deadline = anyio.current_time() + options.timeout_ms / 1_000
        self.code: FacetErrorCode | None = None
        self.scope = anyio.CancelScope()

    def call_off(self) -> None:
        self.code = "CANCELLED"
        self.scope.cancel()

    async def next(self, words: AsyncGenerator[str, None]) -> str | None:
        """Return the next word, None behind the last one; raise if it was given up."""
        word = None
        if self.code is None:
            code: FacetErrorCode | None = "TIMEOUT"
            async with anyio.create_task_group() as tasks:
                self.scope = tasks.cancel_scope
                self.scope.deadline = self.deadline
                tasks.start_soon(self.watch)
                word = await anext(words, None)
                code = None
                self.scope.cancel()
            self.code = self.code or code
        if self.code is not None:
            raise FacetError("the invocation was given up", self.code)
        return word

    async def watch(self) -> None:
        if self.signal is not None:
            await self.signal.wait()
            self.call_off()


class InMemoryDevAgent:
    """running are the invocations by their ids, ended the ids of those that were."""

    def __init__(self, words: Words) -> None:
        self.words = words
        self.running: dict[str, Invocation] = {}
        self.ended: set[str] = set()

    async def invoke(
        self, prompt: str, /, options: InvokeOptions | None = None
    ) -> AgentResult:
        chunks = [chunk async for chunk in self.invoke_stream(prompt, options)]
        return AgentResult(
            "".join(chunk.text for chunk in chunks),
            chunks[0].metadata[INVOCATION_ID],
            AgentUsage(len(prompt.split()), len(chunks) - 1),
        )

    async def invoke_stream(
        self, prompt: str, /, options: InvokeOptions | None = None
    ) -> AsyncGenerator[StreamChunk, None]:
        invocation = self.begun(prompt, options or InvokeOptions())
        try:
            yield StreamChunk("", {INVOCATION_ID: invocation.id})
            async with aclosing(self.words(prompt)) as words:
                while (word := await invocation.next(words)) is not None:
                    yield StreamChunk(word)
        finally:
            del self.running[invocation.id]
            self.ended.add(invocation.id)

    async def cancel(self, invocation_id: str, /) -> None:
        if invocation_id in self.running:
            self.running[invocation_id].call_off()
        elif invocation_id in self.ended:
            raise FacetError("the invocation has ended", "CONFLICT")
        else:
            raise FacetError("there was no such invocation", "NOT_FOUND")

    async def get_capabilities(self) -> AgentCapabilities:
        return AgentCapabilities(streaming=True, cancellation=True, models=())

    def begun(self, prompt: str, options: InvokeOptions) -> Invocation:
        """Return a new invocation, among the running ones; raise if it cannot begin."""
        id = options.metadata.get(INVOCATION_ID) or str(uuid4())
        if not prompt:
            raise FacetError("an invocation needs a prompt", "VALIDATION")
        if options.timeout_ms is not None and options.timeout_ms < 1:
            raise FacetError("an invocation needs some time", "VALIDATION")
        if id in self.running:
            raise FacetError(f"invocation {id!r} is running", "VALIDATION")
        if options.signal is not None and options.signal.is_set():
            raise FacetError("the signal was set before", "CANCELLED")
        self.running[id] = Invocation(id, options)
        self.ended.discard(id)
        return self.running[id]
