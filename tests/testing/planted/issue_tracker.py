"""Issue trackers with one defect each."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from latency_kv.errors import FacetError
from latency_kv.facets.issue_tracker import (
    Comment,
    Issue,
    IssueQuery,
    IssueSpec,
    IssueUpdate,
)
from latency_kv.facets.paging import PaginatedResult
from latency_kv.testing.issue_tracker import IssueTrackerContract
from testing.in_memory.issue_tracker import InMemoryIssueTracker
from testing.planting import seen_by


class Listing(InMemoryIssueTracker):
    """Asks the true list, and answers something else."""

    async def every(self, query: IssueQuery) -> PaginatedResult[Issue]:
        return await super().list_issues(query)


@seen_by(IssueTrackerContract.test_provider_is_an_issue_tracker)
class WithoutComments(InMemoryIssueTracker):
    add_comment = None  # type: ignore[assignment]


@seen_by(IssueTrackerContract.test_issue_is_made_as_the_spec_says)
class LosesBodies(InMemoryIssueTracker):
    async def create_issue(self, spec: IssueSpec, /) -> Issue:
        return await super().create_issue(replace(spec, body=""))


@seen_by(IssueTrackerContract.test_issue_is_made_as_the_spec_says)
class LosesLines(InMemoryIssueTracker):
    async def create_issue(self, spec: IssueSpec, /) -> Issue:
        return await super().create_issue(replace(spec, body=" ".join(spec.body)))


@seen_by(IssueTrackerContract.test_issue_is_made_as_the_spec_says)
class OneAssignee(InMemoryIssueTracker):
    async def create_issue(self, spec: IssueSpec, /) -> Issue:
        return await super().create_issue(replace(spec, assignees=spec.assignees[:1]))


@seen_by(IssueTrackerContract.test_issue_is_made_as_the_spec_says)
class NumbersForIds(InMemoryIssueTracker):
    async def create_issue(self, spec: IssueSpec, /) -> Issue:
        issue = await super().create_issue(spec)
        return replace(issue, id=int(issue.id))  # type: ignore[arg-type]


@seen_by(
    IssueTrackerContract.test_issue_is_made_as_the_spec_says,
    IssueTrackerContract.test_title_is_enough_for_an_issue,
)
class NaiveTimes(InMemoryIssueTracker):
    async def create_issue(self, spec: IssueSpec, /) -> Issue:
        issue = await super().create_issue(spec)
        naive = issue.created_at.replace(tzinfo=None)
        return replace(issue, created_at=naive, updated_at=naive)


@seen_by(
    IssueTrackerContract.test_issue_is_made_as_the_spec_says,
    IssueTrackerContract.test_title_is_enough_for_an_issue,
)
class ListsForTuples(InMemoryIssueTracker):
    async def create_issue(self, spec: IssueSpec, /) -> Issue:
        issue = await super().create_issue(spec)
        return replace(issue, labels=list(issue.labels))  # type: ignore[arg-type]


@seen_by(IssueTrackerContract.test_title_is_enough_for_an_issue)
class AssignsTheAuthor(InMemoryIssueTracker):
    async def create_issue(self, spec: IssueSpec, /) -> Issue:
        assignees = spec.assignees or (self.author,)
        return await super().create_issue(replace(spec, assignees=assignees))


@seen_by(IssueTrackerContract.test_each_issue_has_an_id_of_its_own)
class KnowsTitles(InMemoryIssueTracker):
    async def create_issue(self, spec: IssueSpec, /) -> Issue:
        for issue in self.issues.values():
            if issue.title == spec.title:
                return issue
        return await super().create_issue(spec)


@seen_by(IssueTrackerContract.test_made_issue_is_found)
class FoundLater(Listing):
    async def list_issues(self, query: IssueQuery, /) -> PaginatedResult[Issue]:
        page = await self.every(query)
        newest = list(self.issues.values())[-1]
        items = tuple(issue for issue in page.items if issue.id != newest.id)
        return replace(page, items=items)


@seen_by(IssueTrackerContract.test_made_issue_is_found)
class FoundOtherwise(InMemoryIssueTracker):
    async def get_issue(self, id: str, /) -> Issue:
        issue = await super().get_issue(id)
        later = issue.created_at + timedelta(seconds=1)
        return replace(issue, created_at=later, updated_at=later)


@seen_by(IssueTrackerContract.test_labels_and_assignees_hold_nobody_twice)
class LabelsTwice(InMemoryIssueTracker):
    async def create_issue(self, spec: IssueSpec, /) -> Issue:
        issue = await super().create_issue(spec)
        self.issues[issue.id] = replace(issue, labels=spec.labels)
        return self.issues[issue.id]


@seen_by(IssueTrackerContract.test_labels_and_assignees_hold_nobody_twice)
class AssigneesTwiceByUpdate(InMemoryIssueTracker):
    async def update_issue(self, id: str, update: IssueUpdate, /) -> Issue:
        issue = await super().update_issue(id, update)
        return replace(issue, assignees=update.assignees or issue.assignees)


@seen_by(
    IssueTrackerContract.test_empty_title_is_refused,
    IssueTrackerContract.test_refused_update_changes_nothing,
    IssueTrackerContract.test_empty_comment_is_refused,
)
class TakesAnyText(InMemoryIssueTracker):
    def demand_text(self, text: str, reason: str) -> None:
        """Any will do."""


@seen_by(
    IssueTrackerContract.test_empty_title_is_refused,
    IssueTrackerContract.test_refused_update_changes_nothing,
    IssueTrackerContract.test_empty_comment_is_refused,
)
class RefusesWithItsOwn(InMemoryIssueTracker):
    def demand_text(self, text: str, reason: str) -> None:
        if not text:
            raise ValueError(reason)


@seen_by(IssueTrackerContract.test_empty_title_is_refused)
class MakesBeforeItRefuses(InMemoryIssueTracker):
    async def create_issue(self, spec: IssueSpec, /) -> Issue:
        made = await super().create_issue(replace(spec, title=spec.title or "none"))
        self.demand_text(spec.title, "an issue needs a title")
        return made


@seen_by(IssueTrackerContract.test_refused_update_changes_nothing)
class HalfAnUpdate(InMemoryIssueTracker):
    async def update_issue(self, id: str, update: IssueUpdate, /) -> Issue:
        await super().update_issue(id, replace(update, title=None))
        return await super().update_issue(id, update)


@seen_by(IssueTrackerContract.test_missing_issue_is_not_found)
class KeyErrors(InMemoryIssueTracker):
    async def get_issue(self, id: str, /) -> Issue:
        return self.issues[id]


@seen_by(IssueTrackerContract.test_missing_issue_is_not_found)
class NoCommentsOnNothing(InMemoryIssueTracker):
    async def list_comments(self, id: str, /) -> list[Comment]:
        return self.comments.get(id, []).copy()


@seen_by(IssueTrackerContract.test_missing_issue_is_not_found)
class WrongCode(InMemoryIssueTracker):
    async def get_issue(self, id: str, /) -> Issue:
        try:
            return await super().get_issue(id)
        except FacetError as error:
            raise FacetError("no", "UNKNOWN") from error


@seen_by(IssueTrackerContract.test_update_changes_what_it_names_alone)
class LeftOutIsEmpty(InMemoryIssueTracker):
    async def update_issue(self, id: str, update: IssueUpdate, /) -> Issue:
        return await super().update_issue(id, replace(update, body=update.body or ""))


@seen_by(IssueTrackerContract.test_update_changes_what_it_names_alone)
class EmptyIsLeftOut(InMemoryIssueTracker):
    async def update_issue(self, id: str, update: IssueUpdate, /) -> Issue:
        return await super().update_issue(id, replace(update, body=update.body or None))


@seen_by(IssueTrackerContract.test_update_changes_what_it_names_alone)
class EmptyListIsLeftOut(InMemoryIssueTracker):
    async def update_issue(self, id: str, update: IssueUpdate, /) -> Issue:
        labels = update.labels or None
        return await super().update_issue(id, replace(update, labels=labels))


@seen_by(IssueTrackerContract.test_update_changes_what_it_names_alone)
class AnswersTheOld(InMemoryIssueTracker):
    async def update_issue(self, id: str, update: IssueUpdate, /) -> Issue:
        old = await self.get_issue(id)
        await super().update_issue(id, update)
        return old


@seen_by(
    IssueTrackerContract.test_update_changes_what_it_names_alone,
    IssueTrackerContract.test_empty_update_changes_nothing,
    IssueTrackerContract.test_closed_issue_can_be_closed_and_opened_again,
)
class OpensWhatItUpdates(InMemoryIssueTracker):
    async def update_issue(self, id: str, update: IssueUpdate, /) -> Issue:
        await super().update_issue(id, update)
        self.issues[id] = replace(self.issues[id], state="open", body="updated")
        return self.issues[id]


@seen_by(IssueTrackerContract.test_update_changes_what_it_names_alone)
class MadeAgain(InMemoryIssueTracker):
    async def update_issue(self, id: str, update: IssueUpdate, /) -> Issue:
        issue = await super().update_issue(id, update)
        now = self.moments.next()
        self.issues[id] = replace(issue, created_at=now, updated_at=now)
        return self.issues[id]


@seen_by(IssueTrackerContract.test_lists_of_an_update_replace_the_whole)
class AddsToLists(InMemoryIssueTracker):
    async def update_issue(self, id: str, update: IssueUpdate, /) -> Issue:
        if update.labels:
            old = await self.get_issue(id)
            update = replace(update, labels=old.labels + update.labels)
        return await super().update_issue(id, update)


@seen_by(IssueTrackerContract.test_empty_update_changes_nothing)
class NeedsAChange(InMemoryIssueTracker):
    async def update_issue(self, id: str, update: IssueUpdate, /) -> Issue:
        if update == IssueUpdate():
            raise FacetError("there is nothing to change", "VALIDATION")
        return await super().update_issue(id, update)


@seen_by(IssueTrackerContract.test_closed_issue_can_be_closed_and_opened_again)
class ClosesOnce(InMemoryIssueTracker):
    async def update_issue(self, id: str, update: IssueUpdate, /) -> Issue:
        if (await self.get_issue(id)).state == update.state:
            raise FacetError(f"the issue is {update.state} already", "CONFLICT")
        return await super().update_issue(id, update)


@seen_by(IssueTrackerContract.test_update_touches_one_issue)
class UpdatesAll(InMemoryIssueTracker):
    async def update_issue(self, id: str, update: IssueUpdate, /) -> Issue:
        for other in self.issues:
            await super().update_issue(other, update)
        return await self.get_issue(id)


@seen_by(IssueTrackerContract.test_held_issue_stays_as_it_was)
class ChangesInPlace(InMemoryIssueTracker):
    async def update_issue(self, id: str, update: IssueUpdate, /) -> Issue:
        held = await self.get_issue(id)
        new = await super().update_issue(id, update)
        object.__setattr__(held, "title", new.title)
        return new


@seen_by(
    IssueTrackerContract.test_query_asks_for_a_state,
    IssueTrackerContract.test_conditions_of_a_query_hold_together,
)
class AnyState(Listing):
    async def list_issues(self, query: IssueQuery, /) -> PaginatedResult[Issue]:
        return await self.every(replace(query, state="all"))


@seen_by(IssueTrackerContract.test_query_asks_for_a_state)
class AllIsOpen(Listing):
    async def list_issues(self, query: IssueQuery, /) -> PaginatedResult[Issue]:
        state = "open" if query.state == "all" else query.state
        return await self.every(replace(query, state=state))


@seen_by(
    IssueTrackerContract.test_query_asks_for_all_of_its_labels,
    IssueTrackerContract.test_issues_come_in_pages,
)
class AnyOfTheLabels(Listing):
    async def list_issues(self, query: IssueQuery, /) -> PaginatedResult[Issue]:
        return await self.every(replace(query, labels=query.labels[1:]))


@seen_by(
    IssueTrackerContract.test_query_asks_for_all_of_its_labels,
    IssueTrackerContract.test_lists_of_an_update_replace_the_whole,
)
class ForgetsNoLabel(Listing):
    async def list_issues(self, query: IssueQuery, /) -> PaginatedResult[Issue]:
        page = await self.every(replace(query, labels=()))
        return replace(page, total=len(page.items))


@seen_by(
    IssueTrackerContract.test_query_asks_for_an_assignee,
    IssueTrackerContract.test_conditions_of_a_query_hold_together,
)
class AnyAssignee(Listing):
    async def list_issues(self, query: IssueQuery, /) -> PaginatedResult[Issue]:
        return await self.every(replace(query, assignee=None))


@seen_by(IssueTrackerContract.test_query_asks_for_an_assignee)
class FirstAssigneeCounts(Listing):
    async def list_issues(self, query: IssueQuery, /) -> PaginatedResult[Issue]:
        page = await self.every(query)
        asked = query.assignee
        return replace(
            page,
            items=tuple(
                issue for issue in page.items if asked in (None, *issue.assignees[:1])
            ),
        )


@seen_by(IssueTrackerContract.test_issues_are_listed_newest_first)
class OldestFirst(Listing):
    async def list_issues(self, query: IssueQuery, /) -> PaginatedResult[Issue]:
        page = await self.every(query)
        return replace(page, items=page.items[::-1])


@seen_by(IssueTrackerContract.test_issues_are_listed_newest_first)
class LastChangedFirst(Listing):
    async def list_issues(self, query: IssueQuery, /) -> PaginatedResult[Issue]:
        page = await self.every(query)
        items = sorted(page.items, key=lambda issue: issue.updated_at, reverse=True)
        return replace(page, items=tuple(items))


@seen_by(IssueTrackerContract.test_issues_come_in_pages)
class TotalOfThePage(Listing):
    async def list_issues(self, query: IssueQuery, /) -> PaginatedResult[Issue]:
        page = await self.every(query)
        return replace(page, total=len(page.items))


@seen_by(IssueTrackerContract.test_issues_come_in_pages)
class TotalOfAll(Listing):
    async def list_issues(self, query: IssueQuery, /) -> PaginatedResult[Issue]:
        return replace(await self.every(query), total=len(self.issues))


@seen_by(IssueTrackerContract.test_issues_come_in_pages)
class MoreBehindAFullPage(Listing):
    async def list_issues(self, query: IssueQuery, /) -> PaginatedResult[Issue]:
        page = await self.every(query)
        return replace(page, has_more=len(page.items) == query.limit)


@seen_by(IssueTrackerContract.test_issues_come_in_pages)
class ZeroIsAll(Listing):
    async def list_issues(self, query: IssueQuery, /) -> PaginatedResult[Issue]:
        return await self.every(replace(query, limit=query.limit or None))


@seen_by(IssueTrackerContract.test_issues_come_in_pages)
class ZeroHasNothingBehind(Listing):
    async def list_issues(self, query: IssueQuery, /) -> PaginatedResult[Issue]:
        page = await self.every(query)
        return replace(page, has_more=page.has_more and query.limit != 0)


@seen_by(IssueTrackerContract.test_issues_come_in_pages)
class PagesByNumber(Listing):
    async def list_issues(self, query: IssueQuery, /) -> PaginatedResult[Issue]:
        offset = query.offset * (query.limit or 1)
        return await self.every(replace(query, offset=offset))


@seen_by(IssueTrackerContract.test_issues_come_in_pages)
class NegativeIsNone(Listing):
    async def list_issues(self, query: IssueQuery, /) -> PaginatedResult[Issue]:
        limit = query.limit if query.limit is None or query.limit >= 0 else None
        return await self.every(replace(query, limit=limit))


@seen_by(IssueTrackerContract.test_issues_come_in_pages)
class NegativeOffsetIsZero(Listing):
    async def list_issues(self, query: IssueQuery, /) -> PaginatedResult[Issue]:
        return await self.every(replace(query, offset=max(query.offset, 0)))


@seen_by(IssueTrackerContract.test_issues_come_in_pages)
class HundredAtMost(Listing):
    """Of which the tests can show only that there is a default at all."""

    async def list_issues(self, query: IssueQuery, /) -> PaginatedResult[Issue]:
        limit = 3 if query.limit is None else query.limit
        return await self.every(replace(query, limit=limit))


@seen_by(IssueTrackerContract.test_issues_come_in_pages)
class PagesAreLists(Listing):
    async def list_issues(self, query: IssueQuery, /) -> PaginatedResult[Issue]:
        page = await self.every(query)
        items: Any = list(page.items)
        return replace(page, items=items)


@seen_by(IssueTrackerContract.test_comment_is_made_of_the_text)
class StripsComments(InMemoryIssueTracker):
    async def add_comment(self, id: str, text: str, /) -> Comment:
        return await super().add_comment(id, " ".join(text.split()))


@seen_by(IssueTrackerContract.test_comment_is_made_of_the_text)
class Anonymous(InMemoryIssueTracker):
    async def add_comment(self, id: str, text: str, /) -> Comment:
        return replace(await super().add_comment(id, text), author="")


@seen_by(
    IssueTrackerContract.test_comments_are_listed_oldest_first,
)
class NewestCommentFirst(InMemoryIssueTracker):
    async def list_comments(self, id: str, /) -> list[Comment]:
        return (await super().list_comments(id))[::-1]


@seen_by(IssueTrackerContract.test_comments_are_listed_oldest_first)
class LocksTheClosed(InMemoryIssueTracker):
    async def add_comment(self, id: str, text: str, /) -> Comment:
        if (await self.get_issue(id)).state == "closed":
            raise FacetError("the issue is closed", "CONFLICT")
        return await super().add_comment(id, text)


@seen_by(IssueTrackerContract.test_comments_are_listed_oldest_first)
class OneCommentATextAt(InMemoryIssueTracker):
    async def add_comment(self, id: str, text: str, /) -> Comment:
        for comment in self.comments[id]:
            if comment.body == text:
                return comment
        return await super().add_comment(id, text)


@seen_by(IssueTrackerContract.test_comments_belong_to_one_issue)
class CommentsOnAll(InMemoryIssueTracker):
    async def list_comments(self, id: str, /) -> list[Comment]:
        await self.get_issue(id)
        return [c for comments in self.comments.values() for c in comments]


@seen_by(IssueTrackerContract.test_list_of_comments_is_not_shared)
class SharesComments(InMemoryIssueTracker):
    async def list_comments(self, id: str, /) -> list[Comment]:
        return self.comments[(await self.get_issue(id)).id]
