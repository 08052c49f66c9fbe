"""Source control: branches, commits and what differs between two of them.

A ref is a commit's SHA, a branch's name, or what else the system resolves to a commit.
Paths are relative to the root of the repository, with `/`.  Times have a time zone.

Start at `SourceControl`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from latency_kv.facets.paging import PaginatedQuery, PaginatedResult

__all__ = [
    "Branch",
    "BranchSpec",
    "ChangeStatus",
    "Commit",
    "CommitQuery",
    "CommitSpec",
    "DiffEntry",
    "SourceControl",
]

ChangeStatus: TypeAlias = Literal["added", "modified", "deleted", "renamed"]
"""What became of a file between two refs."""


@dataclass(frozen=True, slots=True)
class Branch:
    """A branch as it was when it was asked for; head is the SHA that it is at.

    A system that does not know when a branch was made gives its first sign of it, such
    as the date of a commit.
    """

    name: str
    head: str
    is_default: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class BranchSpec:
    """A branch that is to be made at from_ref, None for the default branch's head."""

    name: str
    from_ref: str | None = None


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit: its whole SHA, and who wrote it when."""

    sha: str
    message: str
    author: str
    date: datetime


@dataclass(frozen=True, slots=True)
class CommitSpec:
    """A commit that is to be made of the files at these paths, as they are now.

    Neither the message nor the files are empty.  A path whose file is gone commits its
    deletion; what other files have become stays uncommitted.
    """

    message: str
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitQuery(PaginatedQuery):
    """Which commits: those that meet every condition, and of them one page.

    Branch None is the default one, author None everybody.  since and until are both
    inclusive, None for an open end; since behind until matches nothing.
    """

    branch: str | None = None
    author: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class DiffEntry:
    """A file that differs, and in how many lines; a binary file counts none.

    path is where it is at the later ref, where it was if it is deleted.
    """

    path: str
    status: ChangeStatus
    additions: int
    deletions: int


@runtime_checkable
class SourceControl(Protocol):
    """One repository: its branches, its commits, its differences; async.

    A consumer reads its own writes.  When a call raises FacetError, nothing has changed,
    unless its code is TIMEOUT or UNKNOWN.

        NOT_FOUND    there is no such branch, ref or file
        VALIDATION   an empty name or message, no files, a negative limit or offset
        CONFLICT     a branch of this name is there already
        AUTH         the repository does not let this provider do it
    """

    async def create_branch(self, spec: BranchSpec, /) -> Branch:
        """Make a branch and return it; never move one that is there: CONFLICT."""
        ...

    async def get_branch(self, name: str, /) -> Branch:
        """Return the branch; NOT_FOUND if there is none of this name."""
        ...

    async def list_branches(
        self, query: PaginatedQuery | None = None, /
    ) -> PaginatedResult[Branch]:
        """Return a page of the branches by name; without a query all of them."""
        ...

    async def commit(self, spec: CommitSpec, /) -> Commit:
        """Commit to the branch that the provider works on, and return the commit.

        Its branch's head is the new commit then.
        """
        ...

    async def get_commit(self, ref: str, /) -> Commit:
        """Return the commit that the ref stands for; NOT_FOUND if it stands for none."""
        ...

    async def list_commits(self, query: CommitQuery, /) -> PaginatedResult[Commit]:
        """Return a page of the branch's commits that match, the newest first.

        NOT_FOUND if the query names a branch that is not there.
        """
        ...

    async def get_diff(self, from_ref: str, to_ref: str, /) -> list[DiffEntry]:
        """Return what differs at to_ref from from_ref, by path; nothing if they agree."""
        ...
