"""Development agent: a prompt in, text out, whole or as it comes.

An invocation can be given up in four ways: by its time, by a signal that the consumer
holds, by its id, and by cancelling the task that awaits it.  The first three raise
FacetError, the last is the task's own cancellation and goes through.

Start at `DevAgent`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, runtime_checkable

__all__ = [
    "INVOCATION_ID",
    "AbortSignal",
    "AgentCapabilities",
    "AgentResult",
    "AgentUsage",
    "DevAgent",
    "InvokeOptions",
    "StreamChunk",
]

INVOCATION_ID: Final = "invocation_id"
"""The key of `metadata` under which an invocation's id is told.

A consumer that wants to cancel an invocation by its id gives it one in the options; of a
stream, the first chunk tells the id, given or chosen by the agent.
"""


@runtime_checkable
class AbortSignal(Protocol):
    """What a consumer sets to call an invocation off.

    The `Event` of anyio, asyncio and trio is one.  Set stays set.
    """

    def is_set(self) -> bool:
        """Tell whether the invocation is called off."""
        ...

    async def wait(self) -> object:
        """Return once it is."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class InvokeOptions:
    """How an invocation is to run; each may be left out.

    timeout_ms is for the whole of it, a stream's last chunk included; None leaves it to
    the agent.  metadata goes to the provider, which ignores keys that it does not know.
    """

    timeout_ms: int | None = None
    signal: AbortSignal | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class AgentUsage:
    """What an invocation used up, in tokens; None where the agent does not tell."""

    input_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class AgentResult:
    """The whole output of an invocation; usage None where the agent tells none."""

    output: str
    invocation_id: str
    usage: AgentUsage | None = None


@dataclass(frozen=True, slots=True)
class StreamChunk:
    """A piece of an output; an empty text carries metadata alone."""

    text: str
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class AgentCapabilities:
    """What an agent can do; no models means that it lets nobody choose one."""

    streaming: bool
    cancellation: bool
    models: tuple[str, ...]


@runtime_checkable
class DevAgent(Protocol):
    """An agent that is invoked with a prompt; async, a stream by `async for`.

    Invocations may overlap, and none sees another's prompt or output.  What an
    invocation did outside before it was given up stays done.

        VALIDATION   an empty prompt, a time of less than a millisecond, an id in use
        TIMEOUT      timeout_ms ran out
        CANCELLED    the signal was set, before or meanwhile, or `cancel` was called
        NOT_FOUND    no invocation of this id is known
        CONFLICT     the invocation has ended already
        AUTH         the agent's service refuses this provider
    """

    async def invoke(
        self, prompt: str, /, options: InvokeOptions | None = None
    ) -> AgentResult:
        """Return the whole output, once the agent has ended.

        It is what the texts of a stream would make together, and no part of it comes
        where the invocation was given up.
        """
        ...

    def invoke_stream(
        self, prompt: str, /, options: InvokeOptions | None = None
    ) -> AsyncIterator[StreamChunk]:
        """Return the output piece by piece, in order; not a coroutine.

        Nothing happens before the first piece is asked for, and that is where an empty
        prompt raises.  The first chunk has the id under INVOCATION_ID.  Whoever stops
        early closes the iterator, and the invocation with it (an async generator has
        `aclose`).  Without `streaming` among the capabilities, the whole output comes
        in one piece.
        """
        ...

    async def cancel(self, invocation_id: str, /) -> None:
        """Call an invocation off: whoever awaits it gets CANCELLED.

        NOT_FOUND for an id that was never given; CONFLICT for an invocation that has
        ended, or NOT_FOUND once the agent has forgotten it.
        """
        ...

    async def get_capabilities(self) -> AgentCapabilities:
        """Return what the agent can do, the same for as long as it lives."""
        ...
