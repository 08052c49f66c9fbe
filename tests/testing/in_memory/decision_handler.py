"""InMemoryDecisionHandler: the DecisionHandler facet over a dict of records.

Start at `InMemoryDecisionHandler.resolve_decision`.
"""

from dataclasses import replace
from itertools import count
from typing import get_args

from latency_kv.errors import FacetError
from latency_kv.facets.decision_handler import (
    Decision,
    DecisionResult,
    DecisionSpec,
    Urgency,
)
from testing.in_memory.moments import Moments

URGENCIES: tuple[Urgency, ...] = get_args(Urgency)


class InMemoryDecisionHandler:
    """Whoever holds the handler may decide."""

    def __init__(self) -> None:
        self.decisions: dict[str, Decision] = {}
        self.moments = Moments()
        self.numbers = count(1)

    async def request_decision(self, spec: DecisionSpec, /) -> Decision:
        self.check(spec)
        decision = Decision(
            str(next(self.numbers)),
            spec.title,
            spec.description,
            spec.options,
            spec.urgency,
            "pending",
            self.moments.next(),
            spec.deadline,
        )
        self.decisions[decision.id] = decision
        return decision

    async def get_decision(self, id: str, /) -> Decision:
        if id not in self.decisions:
            raise FacetError(f"there is no decision {id!r}", "NOT_FOUND")
        return self.decisions[id]

    async def resolve_decision(self, id: str, result: DecisionResult, /) -> Decision:
        decision = await self.get_decision(id)
        if decision.status == "resolved":
            raise FacetError(f"decision {id!r} is resolved already", "CONFLICT")
        if result.selected_option not in {o.label for o in decision.options}:
            raise FacetError(f"{result.selected_option!r} is no option", "VALIDATION")
        self.decisions[id] = replace(
            decision,
            status="resolved",
            result=result,
            resolved_at=self.moments.next(),
        )
        return self.decisions[id]

    async def list_pending_decisions(self) -> list[Decision]:
        pending = [d for d in self.decisions.values() if d.status == "pending"]
        return sorted(
            pending, key=lambda d: (-URGENCIES.index(d.urgency), d.created_at)
        )

    def check(self, spec: DecisionSpec) -> None:
        labels = [option.label for option in spec.options]
        if not spec.title:
            raise FacetError("a decision needs a title", "VALIDATION")
        if not labels or len(labels) != len(set(labels)):
            raise FacetError("a decision needs options, each once", "VALIDATION")
