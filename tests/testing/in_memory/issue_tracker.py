"""InMemoryIssueTracker: the IssueTracker facet over two dicts of records.

Start at `InMemoryIssueTracker.update_issue`.
"""

from collections.abc import Iterable
from dataclasses import replace
from itertools import count

from latency_kv.errors import FacetError
from latency_kv.facets.issue_tracker import (
    Comment,
    Issue,
    IssueQuery,
    IssueSpec,
    IssueUpdate,
)
from latency_kv.facets.paging import PaginatedResult
from testing.in_memory.moments import Moments
from testing.in_memory.pages import page_of


class InMemoryIssueTracker:
    """Issues and comments are numbered in one row; author is who comments."""

    def __init__(self, author: str = "ada") -> None:
        self.author = author
        self.issues: dict[str, Issue] = {}
        self.comments: dict[str, list[Comment]] = {}
        self.moments = Moments()
        self.numbers = count(1)

    async def create_issue(self, spec: IssueSpec, /) -> Issue:
        self.demand_text(spec.title, "an issue needs a title")
        now = self.moments.next()
        issue = Issue(
            str(next(self.numbers)),
            spec.title,
            spec.body,
            "open",
            _once(spec.labels),
            _once(spec.assignees),
            now,
            now,
        )
        self.issues[issue.id] = issue
        self.comments[issue.id] = []
        return issue

    async def get_issue(self, id: str, /) -> Issue:
        if id not in self.issues:
            raise FacetError(f"there is no issue {id!r}", "NOT_FOUND")
        return self.issues[id]

    async def update_issue(self, id: str, update: IssueUpdate, /) -> Issue:
        old = await self.get_issue(id)
        new = replace(
            old,
            title=old.title if update.title is None else update.title,
            body=old.body if update.body is None else update.body,
            state=update.state or old.state,
            labels=old.labels if update.labels is None else _once(update.labels),
            assignees=(
                old.assignees if update.assignees is None else _once(update.assignees)
            ),
        )
        self.demand_text(new.title, "an issue needs a title")
        if new != old:
            self.issues[id] = replace(new, updated_at=self.moments.next())
        return self.issues[id]

    async def list_issues(self, query: IssueQuery, /) -> PaginatedResult[Issue]:
        matches = [issue for issue in self.issues.values() if _matches(issue, query)]
        matches.sort(key=lambda issue: issue.created_at, reverse=True)
        return page_of(matches, query)

    async def add_comment(self, id: str, text: str, /) -> Comment:
        comments = self.comments[(await self.get_issue(id)).id]
        self.demand_text(text, "a comment needs a text")
        number = str(next(self.numbers))
        comment = Comment(number, text, self.author, self.moments.next())
        comments.append(comment)
        return comment

    async def list_comments(self, id: str, /) -> list[Comment]:
        return self.comments[(await self.get_issue(id)).id].copy()

    def demand_text(self, text: str, reason: str) -> None:
        if not text:
            raise FacetError(reason, "VALIDATION")


def _once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _matches(issue: Issue, query: IssueQuery) -> bool:
    return (
        query.state in ("all", issue.state)
        and set(query.labels) <= set(issue.labels)
        and (query.assignee is None or query.assignee in issue.assignees)
    )
