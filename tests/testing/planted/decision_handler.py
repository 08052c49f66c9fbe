"""Decision handlers with one defect each."""

from dataclasses import replace

import anyio.lowlevel

from latency_kv.facets.decision_handler import (
    Decision,
    DecisionResult,
    DecisionSpec,
)
from latency_kv.testing.decision_handler import DecisionHandlerContract
from testing.in_memory.decision_handler import InMemoryDecisionHandler
from testing.planting import seen_by


@seen_by(DecisionHandlerContract.test_provider_is_a_decision_handler)
class WithoutList(InMemoryDecisionHandler):
    list_pending_decisions = None  # type: ignore[assignment]


@seen_by(DecisionHandlerContract.test_decision_is_pending_as_the_spec_says)
class LosesDeadlines(InMemoryDecisionHandler):
    async def request_decision(self, spec: DecisionSpec, /) -> Decision:
        return await super().request_decision(replace(spec, deadline=None))


@seen_by(DecisionHandlerContract.test_decision_is_pending_as_the_spec_says)
class LosesMetadata(InMemoryDecisionHandler):
    async def request_decision(self, spec: DecisionSpec, /) -> Decision:
        options = tuple(replace(option, metadata={}) for option in spec.options)
        return await super().request_decision(replace(spec, options=options))


@seen_by(DecisionHandlerContract.test_decision_is_pending_as_the_spec_says)
class SortsOptions(InMemoryDecisionHandler):
    async def request_decision(self, spec: DecisionSpec, /) -> Decision:
        options = tuple(sorted(spec.options, key=lambda option: option.label))
        return await super().request_decision(replace(spec, options=options))


@seen_by(DecisionHandlerContract.test_decision_is_pending_as_the_spec_says)
class FirstOptionByDefault(InMemoryDecisionHandler):
    async def request_decision(self, spec: DecisionSpec, /) -> Decision:
        decision = await super().request_decision(spec)
        result = DecisionResult(spec.options[0].label, "default")
        return replace(decision, result=result)


@seen_by(DecisionHandlerContract.test_decision_is_pending_as_the_spec_says)
class NaiveTimes(InMemoryDecisionHandler):
    async def request_decision(self, spec: DecisionSpec, /) -> Decision:
        decision = await super().request_decision(spec)
        return replace(decision, created_at=decision.created_at.replace(tzinfo=None))


@seen_by(DecisionHandlerContract.test_made_decision_is_found)
class FoundOtherwise(InMemoryDecisionHandler):
    async def get_decision(self, id: str, /) -> Decision:
        return replace(await super().get_decision(id), description="")


@seen_by(
    DecisionHandlerContract.test_made_decision_is_found,
    DecisionHandlerContract.test_decision_waits_beyond_its_deadline,
)
class ListsNothing(InMemoryDecisionHandler):
    async def list_pending_decisions(self) -> list[Decision]:
        return []


@seen_by(DecisionHandlerContract.test_each_decision_has_an_id_of_its_own)
class KnowsQuestions(InMemoryDecisionHandler):
    async def request_decision(self, spec: DecisionSpec, /) -> Decision:
        for decision in self.decisions.values():
            if decision.title == spec.title:
                return decision
        return await super().request_decision(spec)


@seen_by(DecisionHandlerContract.test_spec_that_asks_nothing_is_refused)
class TakesAnyQuestion(InMemoryDecisionHandler):
    def check(self, spec: DecisionSpec) -> None:
        """Any will do."""


@seen_by(DecisionHandlerContract.test_spec_that_asks_nothing_is_refused)
class TakesDoubleOptions(InMemoryDecisionHandler):
    def check(self, spec: DecisionSpec) -> None:
        super().check(replace(spec, options=spec.options[:1]))


@seen_by(DecisionHandlerContract.test_spec_that_asks_nothing_is_refused)
class TakesNoOptions(InMemoryDecisionHandler):
    def check(self, spec: DecisionSpec) -> None:
        if spec.options:
            super().check(spec)


@seen_by(DecisionHandlerContract.test_spec_that_asks_nothing_is_refused)
class AsksBeforeItRefuses(InMemoryDecisionHandler):
    async def request_decision(self, spec: DecisionSpec, /) -> Decision:
        decision = await super().request_decision(replace(spec, title="untitled"))
        self.check(spec)
        return decision


@seen_by(DecisionHandlerContract.test_missing_decision_is_not_found)
class KeyErrors(InMemoryDecisionHandler):
    async def get_decision(self, id: str, /) -> Decision:
        return self.decisions[id]


@seen_by(
    DecisionHandlerContract.test_result_resolves_the_decision,
    DecisionHandlerContract.test_resolved_decision_is_pending_no_more,
)
class ResolvesNothing(InMemoryDecisionHandler):
    async def resolve_decision(self, id: str, result: DecisionResult, /) -> Decision:
        before = await self.get_decision(id)
        after = await super().resolve_decision(id, result)
        self.decisions[id] = before
        return after


@seen_by(DecisionHandlerContract.test_result_resolves_the_decision)
class LosesRationales(InMemoryDecisionHandler):
    async def resolve_decision(self, id: str, result: DecisionResult, /) -> Decision:
        return await super().resolve_decision(id, replace(result, rationale=None))


@seen_by(DecisionHandlerContract.test_result_resolves_the_decision)
class ResolvedAtNoTime(InMemoryDecisionHandler):
    async def resolve_decision(self, id: str, result: DecisionResult, /) -> Decision:
        decision = await super().resolve_decision(id, result)
        self.decisions[id] = replace(decision, resolved_at=None)
        return self.decisions[id]


@seen_by(DecisionHandlerContract.test_result_resolves_the_decision)
class ResolvedBefore(InMemoryDecisionHandler):
    async def resolve_decision(self, id: str, result: DecisionResult, /) -> Decision:
        decision = await super().resolve_decision(id, result)
        moment = decision.created_at.replace(year=2001)
        self.decisions[id] = replace(decision, resolved_at=moment)
        return self.decisions[id]


@seen_by(DecisionHandlerContract.test_resolved_decision_is_pending_no_more)
class ResolvesAll(InMemoryDecisionHandler):
    async def resolve_decision(self, id: str, result: DecisionResult, /) -> Decision:
        for other in self.decisions:
            await super().resolve_decision(other, result)
        return self.decisions[id]


@seen_by(DecisionHandlerContract.test_resolved_decision_is_pending_no_more)
class ListsTheResolved(InMemoryDecisionHandler):
    async def list_pending_decisions(self) -> list[Decision]:
        return list(self.decisions.values())


@seen_by(DecisionHandlerContract.test_held_decision_stays_as_it_was)
class ChangesInPlace(InMemoryDecisionHandler):
    async def resolve_decision(self, id: str, result: DecisionResult, /) -> Decision:
        held = await self.get_decision(id)
        new = await super().resolve_decision(id, result)
        object.__setattr__(held, "result", new.result)
        return new


@seen_by(DecisionHandlerContract.test_option_that_was_not_offered_is_refused)
class TakesAnyOption(InMemoryDecisionHandler):
    async def resolve_decision(self, id: str, result: DecisionResult, /) -> Decision:
        await super().resolve_decision(id, replace(result, selected_option="yes"))
        self.decisions[id] = replace(self.decisions[id], result=result)
        return self.decisions[id]


@seen_by(DecisionHandlerContract.test_option_that_was_not_offered_is_refused)
class IgnoresCase(InMemoryDecisionHandler):
    async def resolve_decision(self, id: str, result: DecisionResult, /) -> Decision:
        option = result.selected_option.lower()
        return await super().resolve_decision(
            id, replace(result, selected_option=option)
        )


@seen_by(DecisionHandlerContract.test_option_that_was_not_offered_is_refused)
class ResolvesBeforeItRefuses(InMemoryDecisionHandler):
    async def resolve_decision(self, id: str, result: DecisionResult, /) -> Decision:
        try:
            return await super().resolve_decision(id, result)
        finally:
            old = self.decisions[id]
            self.decisions[id] = replace(old, status="resolved", result=result)


@seen_by(
    DecisionHandlerContract.test_decision_is_resolved_once,
    DecisionHandlerContract.test_first_of_many_results_counts,
)
class LastCounts(InMemoryDecisionHandler):
    async def resolve_decision(self, id: str, result: DecisionResult, /) -> Decision:
        old = await self.get_decision(id)
        self.decisions[id] = replace(old, status="pending")
        return await super().resolve_decision(id, result)


@seen_by(DecisionHandlerContract.test_decision_is_resolved_once)
class TakesTheSameAgain(InMemoryDecisionHandler):
    async def resolve_decision(self, id: str, result: DecisionResult, /) -> Decision:
        if (await self.get_decision(id)).result == result:
            return await self.get_decision(id)
        return await super().resolve_decision(id, result)


@seen_by(DecisionHandlerContract.test_first_of_many_results_counts)
class ChecksAndWaits(InMemoryDecisionHandler):
    async def get_decision(self, id: str, /) -> Decision:
        decision = await super().get_decision(id)
        await anyio.lowlevel.checkpoint()
        return decision


@seen_by(DecisionHandlerContract.test_most_urgent_is_listed_first)
class OldestFirst(InMemoryDecisionHandler):
    async def list_pending_decisions(self) -> list[Decision]:
        pending = await super().list_pending_decisions()
        return sorted(pending, key=lambda decision: decision.created_at)


@seen_by(DecisionHandlerContract.test_most_urgent_is_listed_first)
class UrgencyByAlphabet(InMemoryDecisionHandler):
    async def list_pending_decisions(self) -> list[Decision]:
        pending = await super().list_pending_decisions()
        return sorted(pending, key=lambda decision: decision.urgency)


@seen_by(DecisionHandlerContract.test_most_urgent_is_listed_first)
class NewestOfAnUrgencyFirst(InMemoryDecisionHandler):
    async def list_pending_decisions(self) -> list[Decision]:
        oldest = await super().list_pending_decisions()
        pending = sorted(oldest, key=lambda d: d.created_at, reverse=True)
        order = [decision.urgency for decision in oldest]
        return sorted(pending, key=lambda d: order.index(d.urgency))


@seen_by(DecisionHandlerContract.test_list_of_the_pending_is_not_shared)
class SharesTheList(InMemoryDecisionHandler):
    def __init__(self) -> None:
        super().__init__()
        self.listed: list[Decision] = []

    async def list_pending_decisions(self) -> list[Decision]:
        self.listed = self.listed or await super().list_pending_decisions()
        if len(self.decisions) == len(self.listed):
            self.list_pending_decisions = self.same  # type: ignore[method-assign]
        return self.listed

    async def same(self) -> list[Decision]:
        return self.listed


@seen_by(DecisionHandlerContract.test_decision_waits_beyond_its_deadline)
class ForgetsWhatIsOver(InMemoryDecisionHandler):
    async def list_pending_decisions(self) -> list[Decision]:
        now = self.moments.next()
        pending = await super().list_pending_decisions()
        return [d for d in pending if d.deadline is None or d.deadline > now]


@seen_by(DecisionHandlerContract.test_decision_waits_beyond_its_deadline)
class ResolvesWhatIsOver(InMemoryDecisionHandler):
    async def request_decision(self, spec: DecisionSpec, /) -> Decision:
        decision = await super().request_decision(spec)
        if spec.deadline and spec.deadline < self.moments.next():
            result = DecisionResult(spec.options[0].label, "nobody")
            decision = await self.resolve_decision(decision.id, result)
        return decision
