"""Duty: the catalog's DecisionHandler, provided by the host, in the host's store.

    "decision:"  0000000000000002  ->  the Decision, as the codec encodes it
     prefix       its number

In the same store as the plugins' states, so that a question and what a plugin knows of
it are in one snapshot.  Start at `DutyOffice`.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import get_args

from latency_kv import TypedStore
from latency_kv.errors import FacetError
from latency_kv.facets import Decision, DecisionResult, DecisionSpec
from latency_kv.facets.decision_handler import Urgency
from latency_kv.facets.stores import ByteStateStore
from latency_kv.typed import KeyLayout

_KEYS = KeyLayout(b"decision:", "uint64")

# The least urgent first.
_URGENCIES = get_args(Urgency)


def decisions_in(store: ByteStateStore) -> Iterator[Decision]:
    """Return every decision that the store has, the first one first."""
    scan = TypedStore(store).prefix_scan_typed(_KEYS.prefix(), Decision)
    return (decision for _, decision in scan)


class DutyOffice:
    """Keeps questions for the duty manager; `clock` tells the time of the airport."""

    def __init__(self, store: ByteStateStore, clock: Callable[[], datetime]) -> None:
        self._store = TypedStore(store)
        self._clock = clock

    async def request_decision(self, spec: DecisionSpec) -> Decision:
        """Put a question; ids count from 1."""
        labels = [option.label for option in spec.options]
        if not spec.title or not labels or len({*labels}) < len(labels):
            raise FacetError(
                "a question has a title, and options of different labels", "VALIDATION"
            )
        number = len([*decisions_in(self._store.store)]) + 1
        decision = Decision(
            str(number),
            spec.title,
            spec.description,
            spec.options,
            spec.urgency,
            "pending",
            self._clock(),
            spec.deadline,
        )
        self._store.put_typed(_KEYS.pack(number), decision)
        return decision

    async def get_decision(self, id: str) -> Decision:
        """Return the decision as it stands."""
        for decision in decisions_in(self._store.store):
            if decision.id == id:
                return decision
        raise FacetError(f"there is no decision {id!r}", "NOT_FOUND")

    async def resolve_decision(self, id: str, result: DecisionResult) -> Decision:
        """Record the answer."""
        decision = await self.get_decision(id)
        if decision.status == "resolved":
            raise FacetError(f"decision {id} is resolved already", "CONFLICT")
        labels = [option.label for option in decision.options]
        if result.selected_option not in labels:
            raise FacetError(
                f"decision {id} has no option {result.selected_option!r}", "VALIDATION"
            )
        resolved = replace(
            decision, status="resolved", result=result, resolved_at=self._clock()
        )
        self._store.put_typed(_KEYS.pack(int(id)), resolved)
        return resolved

    async def list_pending_decisions(self) -> list[Decision]:
        """List what is pending, the most urgent first, of these the oldest first."""
        pending = [
            each for each in decisions_in(self._store.store) if each.status == "pending"
        ]
        # Numbers grow with time, and the sort is stable.
        return sorted(pending, key=lambda each: -_URGENCIES.index(each.urgency))
