"""Decision handler: questions to a human, asked now and answered when they are.

A request returns at once, pending; its answer is found by asking again.  Times have a
time zone.  Start at `DecisionHandler`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

__all__ = [
    "Decision",
    "DecisionHandler",
    "DecisionOption",
    "DecisionResult",
    "DecisionSpec",
    "DecisionStatus",
    "Urgency",
]

Urgency: TypeAlias = Literal["low", "medium", "high", "critical"]
"""How soon an answer is needed, the least urgent first."""

DecisionStatus: TypeAlias = Literal["pending", "resolved"]
"""Whether a decision has its result; once resolved it stays so."""


@dataclass(frozen=True, slots=True)
class DecisionOption:
    """One of the answers; its label is what names it, so no two share one."""

    label: str
    description: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class DecisionSpec:
    """A question: its title is not empty, and it has at least one option.

    The deadline is for whoever answers: nothing resolves itself when it is over.
    """

    title: str
    description: str
    options: tuple[DecisionOption, ...]
    urgency: Urgency
    deadline: datetime | None = None


@dataclass(frozen=True, slots=True)
class DecisionResult:
    """An answer: the label of an option, who chose it, and why if they said."""

    selected_option: str
    decided_by: str
    rationale: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """A question and how it stands; result and resolved_at are None while pending."""

    id: str
    title: str
    description: str
    options: tuple[DecisionOption, ...]
    urgency: Urgency
    status: DecisionStatus
    created_at: datetime
    deadline: datetime | None = None
    result: DecisionResult | None = None
    resolved_at: datetime | None = None


@runtime_checkable
class DecisionHandler(Protocol):
    """Decisions that somebody takes elsewhere; async.

    Every decision is resolved at most once, by whoever comes first.

        NOT_FOUND    there is no decision of this id
        VALIDATION   an empty title, no option, two of one label; a result whose option
                     is none of the decision's
        CONFLICT     the decision is resolved already, be it with the same result
        AUTH         the provider, or who decided, may not do it
    """

    async def request_decision(self, spec: DecisionSpec, /) -> Decision:
        """Put a question, and return it pending, without waiting for the answer.

        Calling again puts it once more.
        """
        ...

    async def get_decision(self, id: str, /) -> Decision:
        """Return the decision as it stands now, pending or resolved."""
        ...

    async def resolve_decision(self, id: str, result: DecisionResult, /) -> Decision:
        """Record the answer, and return the decision, resolved.

        When it raises, the decision stands as it did.
        """
        ...

    async def list_pending_decisions(self) -> list[Decision]:
        """Return what is pending, the most urgent first, of these the oldest first."""
        ...
