"""DecisionHandlerContract: what a provider of the DecisionHandler facet has to show.

Decisions of others may be pending: each test looks at its own.

Knows the facet and no provider.  Start at `DecisionHandlerContract.provider`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import anyio
import pytest

from latency_kv.errors import FacetError
from latency_kv.facets.decision_handler import (
    Decision,
    DecisionHandler,
    DecisionOption,
    DecisionResult,
    DecisionSpec,
    Urgency,
)
from latency_kv.testing.rules import check_record, refused

__all__ = ["DecisionHandlerContract"]

_SPEC = DecisionSpec(
    "Deploy?",
    "The tests pass \u00e9",
    (
        DecisionOption("yes", "today", {"risk": 2, "why": ["late"]}),
        DecisionOption("No"),
        DecisionOption("no"),
    ),
    "medium",
    datetime(2031, 2, 3, 4, 5, 6, tzinfo=timezone(timedelta(hours=2))),
)
_YES = DecisionResult("yes", "ada", "it is time")

_TOGETHER = 5


class DecisionHandlerContract:
    """Run by a test class that inherits it and overrides `provider`."""

    pytestmark = pytest.mark.anyio

    missing_id = "999999999"
    """An id that the handler understands, and that no decision has."""

    @pytest.fixture
    def provider(self) -> Any:
        """A handler that nobody else answers for; may be async, and may clean up."""
        raise NotImplementedError(f"{type(self).__name__} has to override `provider`")

    async def test_provider_is_a_decision_handler(
        self, provider: DecisionHandler
    ) -> None:
        assert isinstance(provider, DecisionHandler)

    async def test_decision_is_pending_as_the_spec_says(
        self, provider: DecisionHandler
    ) -> None:
        for spec in (_SPEC, replace(_SPEC, deadline=None, urgency="critical")):
            decision = await provider.request_decision(spec)
            check_record(decision, Decision)
            assert isinstance(decision.id, str)
            assert _spec_of(decision) == spec
            assert decision.status == "pending"
            assert (decision.result, decision.resolved_at) == (None, None)

    async def test_made_decision_is_found(self, provider: DecisionHandler) -> None:
        decision = await provider.request_decision(_SPEC)
        assert await provider.get_decision(decision.id) == decision
        assert await self._pending(provider, [decision.id]) == [decision]

    async def test_each_decision_has_an_id_of_its_own(
        self, provider: DecisionHandler
    ) -> None:
        """The same spec again puts the question once more."""
        ids = await self._asked(provider, "low", "low")
        assert len(set(ids)) == 2
        assert len(await self._pending(provider, ids)) == 2

    async def test_spec_that_asks_nothing_is_refused(
        self, provider: DecisionHandler
    ) -> None:
        before = len(await provider.list_pending_decisions())
        twice = DecisionOption("yes"), DecisionOption("yes", "again")
        for wrong in (
            replace(_SPEC, title=""),
            replace(_SPEC, options=()),
            replace(_SPEC, options=twice),
        ):
            with refused("VALIDATION"):
                await provider.request_decision(wrong)
        assert len(await provider.list_pending_decisions()) == before

    async def test_missing_decision_is_not_found(
        self, provider: DecisionHandler
    ) -> None:
        with refused("NOT_FOUND"):
            await provider.get_decision(self.missing_id)
        with refused("NOT_FOUND"):
            await provider.resolve_decision(self.missing_id, _YES)

    async def test_result_resolves_the_decision(
        self, provider: DecisionHandler
    ) -> None:
        for result in (_YES, DecisionResult("no", "grace")):
            asked = await provider.request_decision(_SPEC)
            decision = await provider.resolve_decision(asked.id, result)
            check_record(decision, Decision)
            assert (decision.id, decision.created_at) == (asked.id, asked.created_at)
            assert _spec_of(decision) == _SPEC
            assert (decision.status, decision.result) == ("resolved", result)
            assert decision.resolved_at is not None
            assert decision.resolved_at >= decision.created_at
            assert await provider.get_decision(asked.id) == decision

    async def test_resolved_decision_is_pending_no_more(
        self, provider: DecisionHandler
    ) -> None:
        one, two = await self._asked(provider, "low", "low")
        await provider.resolve_decision(one, _YES)
        assert [d.id for d in await self._pending(provider, [one, two])] == [two]
        assert (await provider.get_decision(two)).status == "pending"

    async def test_held_decision_stays_as_it_was(
        self, provider: DecisionHandler
    ) -> None:
        held = await provider.request_decision(_SPEC)
        await provider.resolve_decision(held.id, _YES)
        assert (held.status, held.result) == ("pending", None)

    async def test_option_that_was_not_offered_is_refused(
        self, provider: DecisionHandler
    ) -> None:
        """Labels are compared as they are; the decision goes on waiting."""
        decision = await provider.request_decision(_SPEC)
        for label in ("maybe", "Yes", "", "today"):
            with refused("VALIDATION"):
                await provider.resolve_decision(
                    decision.id, DecisionResult(label, "ada")
                )
        assert await provider.get_decision(decision.id) == decision
        assert await self._pending(provider, [decision.id]) == [decision]

    async def test_decision_is_resolved_once(self, provider: DecisionHandler) -> None:
        asked = await provider.request_decision(_SPEC)
        decision = await provider.resolve_decision(asked.id, _YES)
        for result in (_YES, DecisionResult("no", "grace")):
            with refused("CONFLICT"):
                await provider.resolve_decision(asked.id, result)
        assert await provider.get_decision(asked.id) == decision

    async def test_first_of_many_results_counts(
        self, provider: DecisionHandler
    ) -> None:
        asked = await provider.request_decision(_SPEC)
        resolved: list[Decision] = []
        codes: list[str] = []

        async def resolve(number: int) -> None:
            result = DecisionResult("yes", f"person {number}")
            try:
                resolved.append(await provider.resolve_decision(asked.id, result))
            except FacetError as error:
                codes.append(error.code)

        async with anyio.create_task_group() as tasks:
            for number in range(_TOGETHER):
                tasks.start_soon(resolve, number)
        assert codes == ["CONFLICT"] * (_TOGETHER - 1)
        assert [await provider.get_decision(asked.id)] == resolved

    async def test_most_urgent_is_listed_first(self, provider: DecisionHandler) -> None:
        """And of one urgency the oldest."""
        low, critical, medium, high, critical_2, low_2 = await self._asked(
            provider, "low", "critical", "medium", "high", "critical", "low"
        )
        expected = [critical, critical_2, high, medium, low, low_2]
        pending = await self._pending(provider, expected)
        assert [decision.id for decision in pending] == expected

    async def test_list_of_the_pending_is_not_shared(
        self, provider: DecisionHandler
    ) -> None:
        ids = await self._asked(provider, "low")
        listed = await provider.list_pending_decisions()
        assert isinstance(listed, list)
        listed.clear()
        assert len(await self._pending(provider, ids)) == 1

    async def test_decision_waits_beyond_its_deadline(
        self, provider: DecisionHandler
    ) -> None:
        past = datetime(2001, 2, 3, tzinfo=UTC)
        decision = await provider.request_decision(replace(_SPEC, deadline=past))
        assert decision.deadline == past
        assert await self._pending(provider, [decision.id]) == [decision]
        resolved = await provider.resolve_decision(decision.id, _YES)
        assert resolved.status == "resolved"

    async def _asked(self, provider: DecisionHandler, *urgencies: Urgency) -> list[str]:
        """Put a question of each urgency, in turn; return their ids."""
        specs = [replace(_SPEC, urgency=urgency) for urgency in urgencies]
        return [(await provider.request_decision(spec)).id for spec in specs]

    async def _pending(
        self, provider: DecisionHandler, ids: list[str]
    ) -> list[Decision]:
        """Return those of these decisions that are listed as pending, in that order."""
        listed = await provider.list_pending_decisions()
        return [decision for decision in listed if decision.id in ids]


def _spec_of(decision: Decision) -> DecisionSpec:
    """Return the spec that the decision came from."""
    return DecisionSpec(
        decision.title,
        decision.description,
        decision.options,
        decision.urgency,
        decision.deadline,
    )
