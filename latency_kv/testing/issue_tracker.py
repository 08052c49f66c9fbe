"""IssueTrackerContract: what a provider of the IssueTracker facet has to show.

Issues of others may be in the tracker: each test asks for its own, by a label that no
other issue carries.

Knows the facet and no provider.  Start at `IssueTrackerContract.provider`.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from latency_kv.facets.issue_tracker import (
    Comment,
    Issue,
    IssueFilter,
    IssueQuery,
    IssueSpec,
    IssueTracker,
    IssueUpdate,
)
from latency_kv.facets.paging import PaginatedResult
from latency_kv.testing.rules import check_pages, check_record, refused

__all__ = ["IssueTrackerContract"]

_PAGED = 4


class IssueTrackerContract:
    """Run by a test class that inherits it and overrides `provider`."""

    pytestmark = pytest.mark.anyio

    assignees: tuple[str, str] = "ada", "grace"
    """Two people whom the tracker lets issues be assigned to."""

    missing_id = "999999999"
    """An id that the tracker understands, and that no issue has."""

    @pytest.fixture
    def provider(self) -> Any:
        """A tracker that may make issues; may be async, and may clean up."""
        raise NotImplementedError(f"{type(self).__name__} has to override `provider`")

    def fresh_label(self) -> str:
        """Return a label that no issue carries yet."""
        return f"contract-{uuid4().hex[:12]}"

    async def test_provider_is_an_issue_tracker(self, provider: IssueTracker) -> None:
        assert isinstance(provider, IssueTracker)

    async def test_issue_is_made_as_the_spec_says(self, provider: IssueTracker) -> None:
        spec = IssueSpec(
            "It \u00e9 'fails'",
            "Two\nlines",
            (self.fresh_label(), self.fresh_label()),
            self.assignees,
        )
        issue = await provider.create_issue(spec)
        check_record(issue, Issue)
        assert isinstance(issue.id, str)
        assert (issue.title, issue.body, issue.state) == (spec.title, spec.body, "open")
        assert sorted(issue.labels) == sorted(spec.labels)
        assert sorted(issue.assignees) == sorted(spec.assignees)
        assert issue.created_at <= issue.updated_at

    async def test_title_is_enough_for_an_issue(self, provider: IssueTracker) -> None:
        issue = await provider.create_issue(IssueSpec("It fails"))
        check_record(issue, Issue)
        assert (issue.body, issue.labels, issue.assignees) == ("", (), ())

    async def test_each_issue_has_an_id_of_its_own(
        self, provider: IssueTracker
    ) -> None:
        """The same spec again makes another issue."""
        issues = [await provider.create_issue(IssueSpec("It fails")) for _ in range(3)]
        assert len({issue.id for issue in issues}) == 3
        for issue in issues:
            assert (await provider.get_issue(issue.id)).id == issue.id

    async def test_made_issue_is_found(self, provider: IssueTracker) -> None:
        label = self.fresh_label()
        issue = await provider.create_issue(IssueSpec("It fails", labels=(label,)))
        assert await provider.get_issue(issue.id) == issue
        assert await self._listed(provider, IssueQuery(labels=(label,))) == [issue]

    async def test_labels_and_assignees_hold_nobody_twice(
        self, provider: IssueTracker
    ) -> None:
        label, (assignee, _) = self.fresh_label(), self.assignees
        spec = IssueSpec("It fails", "", (label, label), (assignee, assignee))
        issue = await provider.create_issue(spec)
        assert (issue.labels, issue.assignees) == ((label,), (assignee,))
        update = IssueUpdate(labels=(label, label), assignees=(assignee, assignee))
        issue = await provider.update_issue(issue.id, update)
        assert (issue.labels, issue.assignees) == ((label,), (assignee,))

    async def test_empty_title_is_refused(self, provider: IssueTracker) -> None:
        label = self.fresh_label()
        with refused("VALIDATION"):
            await provider.create_issue(IssueSpec("", labels=(label,)))
        assert await self._listed(provider, IssueQuery(labels=(label,))) == []

    async def test_refused_update_changes_nothing(self, provider: IssueTracker) -> None:
        issue = await provider.create_issue(IssueSpec("It fails", "Always."))
        with refused("VALIDATION"):
            await provider.update_issue(
                issue.id, IssueUpdate(title="", body="Never.", state="closed")
            )
        assert await provider.get_issue(issue.id) == issue

    async def test_missing_issue_is_not_found(self, provider: IssueTracker) -> None:
        with refused("NOT_FOUND"):
            await provider.get_issue(self.missing_id)
        with refused("NOT_FOUND"):
            await provider.update_issue(self.missing_id, IssueUpdate(title="It works"))
        with refused("NOT_FOUND"):
            await provider.add_comment(self.missing_id, "Still so.")
        with refused("NOT_FOUND"):
            await provider.list_comments(self.missing_id)

    async def test_update_changes_what_it_names_alone(
        self, provider: IssueTracker
    ) -> None:
        """And all at once, where it names several."""
        old, new = self.fresh_label(), self.fresh_label()
        ada, grace = self.assignees
        first = await provider.create_issue(
            IssueSpec("It fails", "Always.", (old,), (ada,))
        )
        changes: list[dict[str, Any]] = [
            {"title": "It works"},
            {"body": "Since today."},
            {"state": "closed"},
            {"labels": (new,)},
            {"assignees": (grace,)},
            {"body": "", "labels": (), "assignees": ()},
            {"title": "It fails", "state": "open", "labels": (old,)},
        ]
        expected = _content(first)
        for change in changes:
            expected |= change
            issue = await provider.update_issue(first.id, IssueUpdate(**change))
            check_record(issue, Issue)
            assert _content(issue) == expected
            assert (issue.id, issue.created_at) == (first.id, first.created_at)
            assert issue.updated_at >= first.updated_at
            assert await provider.get_issue(first.id) == issue

    async def test_lists_of_an_update_replace_the_whole(
        self, provider: IssueTracker
    ) -> None:
        one, two, three = (self.fresh_label() for _ in range(3))
        _, grace = self.assignees
        made = await provider.create_issue(
            IssueSpec("It fails", "", (one, two), self.assignees)
        )
        issue = await provider.update_issue(
            made.id, IssueUpdate(labels=(two, three), assignees=(grace,))
        )
        assert sorted(issue.labels) == sorted([two, three])
        assert issue.assignees == (grace,)
        assert await self._listed(provider, IssueQuery(labels=(one,))) == []

    async def test_empty_update_changes_nothing(self, provider: IssueTracker) -> None:
        issue = await provider.create_issue(
            IssueSpec("It fails", "Always.", (self.fresh_label(),), self.assignees)
        )
        updated = await provider.update_issue(issue.id, IssueUpdate())
        assert _content(updated) == _content(issue)

    async def test_closed_issue_can_be_closed_and_opened_again(
        self, provider: IssueTracker
    ) -> None:
        issue = await provider.create_issue(IssueSpec("It fails"))
        for state in ("closed", "closed", "open", "open", "closed"):
            issue = await provider.update_issue(issue.id, IssueUpdate(state=state))
            assert issue.state == state

    async def test_update_touches_one_issue(self, provider: IssueTracker) -> None:
        other = await provider.create_issue(IssueSpec("It fails"))
        issue = await provider.create_issue(IssueSpec("It fails"))
        await provider.update_issue(issue.id, IssueUpdate(title="It works"))
        assert await provider.get_issue(other.id) == other

    async def test_held_issue_stays_as_it_was(self, provider: IssueTracker) -> None:
        made = await provider.create_issue(IssueSpec("It fails"))
        held = await provider.get_issue(made.id)
        await provider.update_issue(made.id, IssueUpdate(title="It works"))
        assert (made.title, held.title) == ("It fails", "It fails")

    async def test_query_asks_for_a_state(self, provider: IssueTracker) -> None:
        label = self.fresh_label()
        ids = await self._made(provider, 3, labels=(label,))
        await provider.update_issue(ids[1], IssueUpdate(state="closed"))
        expected: list[tuple[IssueFilter, set[str]]] = [
            ("open", {ids[0], ids[2]}),
            ("closed", {ids[1]}),
            ("all", set(ids)),
        ]
        for state, matching in expected:
            query = IssueQuery(labels=(label,), state=state)
            issues = await self._listed(provider, query)
            assert {issue.id for issue in issues} == matching
        assert len(await self._listed(provider, IssueQuery(labels=(label,)))) == 3

    async def test_query_asks_for_all_of_its_labels(
        self, provider: IssueTracker
    ) -> None:
        one, two = self.fresh_label(), self.fresh_label()
        (first,) = await self._made(provider, 1, labels=(one,))
        (both,) = await self._made(provider, 1, labels=(two, one))
        for labels, matching in [
            ((one,), {first, both}),
            ((one, two), {both}),
            ((two, one), {both}),
        ]:
            issues = await self._listed(provider, IssueQuery(labels=labels))
            assert {issue.id for issue in issues} == matching

    async def test_query_asks_for_an_assignee(self, provider: IssueTracker) -> None:
        label, (ada, grace) = self.fresh_label(), self.assignees
        await self._made(provider, 1, labels=(label,))
        (first,) = await self._made(provider, 1, labels=(label,), assignees=(ada,))
        (both,) = await self._made(provider, 1, labels=(label,), assignees=(ada, grace))
        for assignee, matching in [(ada, {first, both}), (grace, {both})]:
            query = IssueQuery(labels=(label,), assignee=assignee)
            assert {i.id for i in await self._listed(provider, query)} == matching

    async def test_conditions_of_a_query_hold_together(
        self, provider: IssueTracker
    ) -> None:
        label, (ada, grace) = self.fresh_label(), self.assignees
        ids = await self._made(provider, 2, labels=(label,), assignees=(ada,))
        await self._made(provider, 1, labels=(label,), assignees=(grace,))
        await self._made(provider, 1, assignees=(ada,))
        await provider.update_issue(ids[0], IssueUpdate(state="closed"))
        query = IssueQuery(state="open", labels=(label,), assignee=ada)
        assert [issue.id for issue in await self._listed(provider, query)] == [ids[1]]

    async def test_issues_are_listed_newest_first(self, provider: IssueTracker) -> None:
        label = self.fresh_label()
        ids = await self._made(provider, _PAGED, labels=(label,))
        await provider.update_issue(ids[0], IssueUpdate(title="It works"))
        issues = await self._listed(provider, IssueQuery(labels=(label,)))
        moments = [issue.created_at for issue in issues]
        assert moments == sorted(moments, reverse=True)

    async def test_issues_come_in_pages(self, provider: IssueTracker) -> None:
        """Pages of what matches, not of all there is."""
        label, other = self.fresh_label(), self.fresh_label()
        for _ in range(_PAGED):
            await self._made(provider, 1, labels=(label,))
            await self._made(provider, 1, labels=(other,))

        async def turn(limit: int | None, offset: int) -> PaginatedResult[Issue]:
            query = IssueQuery(limit=limit, offset=offset, labels=(label,))
            return await provider.list_issues(query)

        await check_pages(turn, _PAGED)

    async def test_comment_is_made_of_the_text(self, provider: IssueTracker) -> None:
        issue = await provider.create_issue(IssueSpec("It fails"))
        comment = await provider.add_comment(issue.id, "Still \u00e9\nso.")
        check_record(comment, Comment)
        assert comment.body == "Still \u00e9\nso."
        assert isinstance(comment.id, str)
        assert comment.author
        assert await provider.list_comments(issue.id) == [comment]

    async def test_comments_are_listed_oldest_first(
        self, provider: IssueTracker
    ) -> None:
        """Also on a closed issue; two of one text are two."""
        issue = await provider.create_issue(IssueSpec("It fails"))
        assert await provider.list_comments(issue.id) == []
        texts = ["Still so.", "Ever.", "Still so."]
        first = [await provider.add_comment(issue.id, text) for text in texts]
        await provider.update_issue(issue.id, IssueUpdate(state="closed"))
        last = await provider.add_comment(issue.id, "Thanks.")
        comments = await provider.list_comments(issue.id)
        assert isinstance(comments, list)
        assert comments == [*first, last]
        assert len({comment.id for comment in comments}) == 4

    async def test_comments_belong_to_one_issue(self, provider: IssueTracker) -> None:
        one, two = await self._made(provider, 2)
        comment = await provider.add_comment(one, "Still so.")
        assert await provider.list_comments(two) == []
        assert await provider.list_comments(one) == [comment]

    async def test_list_of_comments_is_not_shared(self, provider: IssueTracker) -> None:
        (issue,) = await self._made(provider, 1)
        comment = await provider.add_comment(issue, "Still so.")
        (await provider.list_comments(issue)).clear()
        assert await provider.list_comments(issue) == [comment]

    async def test_empty_comment_is_refused(self, provider: IssueTracker) -> None:
        (issue,) = await self._made(provider, 1)
        with refused("VALIDATION"):
            await provider.add_comment(issue, "")
        assert await provider.list_comments(issue) == []

    async def _listed(self, provider: IssueTracker, query: IssueQuery) -> list[Issue]:
        """Return every issue that a query without a limit matches."""
        return list((await provider.list_issues(query)).items)

    async def _made(
        self, provider: IssueTracker, count: int, **fields: Any
    ) -> list[str]:
        """Make issues of these fields; return their ids."""
        spec = IssueSpec("It fails", **fields)
        return [(await provider.create_issue(spec)).id for _ in range(count)]


def _content(issue: Issue) -> dict[str, Any]:
    """Return what an update can change, its lists in an order of their own."""
    return {
        "title": issue.title,
        "body": issue.body,
        "state": issue.state,
        "labels": tuple(sorted(issue.labels)),
        "assignees": tuple(sorted(issue.assignees)),
    }
