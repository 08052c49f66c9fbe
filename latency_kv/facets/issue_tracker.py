"""Issue tracker: issues and the comments on them, wherever they are kept.

Ids are text that the provider chose, also where it shows numbers.  Times have a time
zone.  Start at `IssueTracker`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from latency_kv.facets.paging import PaginatedQuery, PaginatedResult

__all__ = [
    "Comment",
    "Issue",
    "IssueFilter",
    "IssueQuery",
    "IssueSpec",
    "IssueState",
    "IssueTracker",
    "IssueUpdate",
]

IssueState: TypeAlias = Literal["open", "closed"]
"""Where an issue stands.  A new one is open, and a closed one can be opened again."""

IssueFilter: TypeAlias = Literal["open", "closed", "all"]
"""Which issues a query is about."""


@dataclass(frozen=True, slots=True)
class Issue:
    """An issue as it was when it was asked for.

    Labels and assignees hold nobody twice; their order means nothing.  updated_at is
    when the issue last changed, created_at if it never did; a comment may count.
    """

    id: str
    title: str
    body: str
    state: IssueState
    labels: tuple[str, ...]
    assignees: tuple[str, ...]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class IssueSpec:
    """An issue that is to be made; its title is not empty."""

    title: str
    body: str = ""
    labels: tuple[str, ...] = ()
    assignees: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueUpdate:
    """What is to change of an issue: None leaves it as it is, a tuple replaces them all.

    So `labels=()` takes every label away, and `IssueUpdate()` changes nothing.
    """

    title: str | None = None
    body: str | None = None
    state: IssueState | None = None
    labels: tuple[str, ...] | None = None
    assignees: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueQuery(PaginatedQuery):
    """Which issues: those that meet every condition, and of them one page.

    An issue must carry all of the labels, and may carry more.  No assignee means
    anybody's and nobody's.
    """

    state: IssueFilter = "all"
    labels: tuple[str, ...] = ()
    assignee: str | None = None


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment on an issue; author is the name that the tracker knows them by."""

    id: str
    body: str
    author: str
    created_at: datetime


@runtime_checkable
class IssueTracker(Protocol):
    """Issues, and comments on them; async.

    A consumer reads its own writes: what a call returned, the next one finds.  When a
    call raises FacetError, nothing has changed, unless its code is TIMEOUT or UNKNOWN.

        NOT_FOUND    there is no issue of this id
        VALIDATION   an empty title, an empty comment, a negative limit or offset
        AUTH         the tracker does not let this provider do it
    """

    async def create_issue(self, spec: IssueSpec, /) -> Issue:
        """Make an open issue, and return it with the id that it got.

        Calling again makes another one: nothing tells the two apart but their ids.
        """
        ...

    async def get_issue(self, id: str, /) -> Issue:
        """Return the issue; NOT_FOUND if there is none of this id."""
        ...

    async def update_issue(self, id: str, update: IssueUpdate, /) -> Issue:
        """Change what the update names, all of it or nothing, and return the issue.

        The same update again changes nothing more, closing a closed issue included.
        """
        ...

    async def list_issues(self, query: IssueQuery, /) -> PaginatedResult[Issue]:
        """Return a page of the issues that match, the newest first by `created_at`."""
        ...

    async def add_comment(self, id: str, text: str, /) -> Comment:
        """Put a comment behind the others of the issue, an open or a closed one."""
        ...

    async def list_comments(self, id: str, /) -> list[Comment]:
        """Return every comment on the issue, the oldest first."""
        ...
