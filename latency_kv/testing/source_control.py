"""SourceControlContract: what a provider of the SourceControl facet has to show.

The repository may hold branches, commits and files of its own.  What the contract
writes is in a folder whose name no other file has.

Knows the facet and no provider.  Start at `SourceControlContract.provider`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from latency_kv.facets.paging import PaginatedQuery, PaginatedResult
from latency_kv.facets.source_control import (
    Branch,
    BranchSpec,
    Commit,
    CommitQuery,
    CommitSpec,
    DiffEntry,
    SourceControl,
)
from latency_kv.testing.rules import check_pages, check_record, refused

__all__ = ["SourceControlContract"]

_PAGED = 3


class SourceControlContract:
    """Run by a test class that inherits it and overrides `provider` and `write`."""

    pytestmark = pytest.mark.anyio

    missing_ref = "0123456789abcdef0123456789abcdef01234567"
    """A ref that the system understands, and that stands for nothing."""

    @pytest.fixture
    def provider(self) -> Any:
        """A repository with a commit or more, worked on at its default branch.

        May be async, and may clean up after a yield.
        """
        raise NotImplementedError(f"{type(self).__name__} has to override `provider`")

    async def write(self, provider: Any, path: str, text: str | None) -> None:
        """Write the file, None: remove it, where `commit` will find it.

        It is not committed by this.
        """
        raise NotImplementedError(f"{type(self).__name__} has to override `write`")

    async def test_provider_is_a_source_control(self, provider: SourceControl) -> None:
        assert isinstance(provider, SourceControl)

    async def test_one_branch_is_the_default(self, provider: SourceControl) -> None:
        branches = (await provider.list_branches()).items
        (default,) = [branch for branch in branches if branch.is_default]
        check_record(default, Branch)
        assert await provider.get_branch(default.name) == default
        assert (await provider.get_commit(default.head)).sha == default.head

    async def test_branch_is_made_at_the_default_head(
        self, provider: SourceControl
    ) -> None:
        default, name = await self._default(provider), _fresh("branch")
        branch = await provider.create_branch(BranchSpec(name))
        check_record(branch, Branch)
        assert (branch.name, branch.head) == (name, default.head)
        assert not branch.is_default
        assert await provider.get_branch(name) == branch
        assert branch in (await provider.list_branches()).items
        assert await provider.get_branch(default.name) == default

    async def test_branch_is_made_at_a_ref(self, provider: SourceControl) -> None:
        """A commit's, or a branch's; and it stays there when the others move."""
        older = await self._committed(provider)
        name = _fresh("older")
        await provider.create_branch(BranchSpec(name, older.sha))
        await self._committed(provider)
        for ref in (older.sha, name):
            made = await provider.create_branch(BranchSpec(_fresh("at"), from_ref=ref))
            assert made.head == older.sha
        assert (await provider.get_branch(name)).head == older.sha

    async def test_branch_that_is_there_is_not_made_again(
        self, provider: SourceControl
    ) -> None:
        branch = await provider.create_branch(BranchSpec(_fresh("branch")))
        commit = await self._committed(provider)
        for from_ref in (None, commit.sha, branch.head):
            with refused("CONFLICT"):
                await provider.create_branch(BranchSpec(branch.name, from_ref))
        assert await provider.get_branch(branch.name) == branch

    async def test_branch_without_a_name_is_refused(
        self, provider: SourceControl
    ) -> None:
        with refused("VALIDATION"):
            await provider.create_branch(BranchSpec(""))

    async def test_branch_at_a_missing_ref_is_not_made(
        self, provider: SourceControl
    ) -> None:
        name = _fresh("branch")
        with refused("NOT_FOUND"):
            await provider.create_branch(BranchSpec(name, self.missing_ref))
        with refused("NOT_FOUND"):
            await provider.get_branch(name)

    async def test_missing_branch_is_not_found(self, provider: SourceControl) -> None:
        """A commit's SHA is a ref, but no branch."""
        default, name = await self._default(provider), _fresh("branch")
        for missing in (name, default.head):
            with refused("NOT_FOUND"):
                await provider.get_branch(missing)
        with refused("NOT_FOUND"):
            await provider.list_commits(CommitQuery(branch=name))

    async def test_branches_are_listed_by_name_in_pages(
        self, provider: SourceControl
    ) -> None:
        before = (await provider.list_branches()).total
        for number in reversed(range(_PAGED)):
            await provider.create_branch(BranchSpec(_fresh(f"branch{number}")))

        async def turn(limit: int | None, offset: int) -> PaginatedResult[Branch]:
            return await provider.list_branches(PaginatedQuery(limit, offset))

        await check_pages(turn, before + _PAGED)
        whole = await provider.list_branches()
        assert whole == await turn(None, 0)
        names = [branch.name for branch in whole.items]
        assert names == sorted(names)

    async def test_commit_is_made_as_the_spec_says(
        self, provider: SourceControl
    ) -> None:
        path, message = _fresh("folder") + "/file", "Add \u00e9\n\nAnd say why."
        await self.write(provider, path, "one\n")
        commit = await provider.commit(CommitSpec(message, (path,)))
        check_record(commit, Commit)
        assert commit.message == message
        assert commit.author
        assert await provider.get_commit(commit.sha) == commit

    async def test_commit_moves_the_head(self, provider: SourceControl) -> None:
        before = await self._default(provider)
        first, second = [await self._committed(provider) for _ in range(2)]
        assert len({before.head, first.sha, second.sha}) == 3
        after = await provider.get_branch(before.name)
        assert (after.head, after.is_default) == (second.sha, True)
        assert before.head not in (first.sha, second.sha)

    async def test_commit_takes_the_named_files_alone(
        self, provider: SourceControl
    ) -> None:
        """As they are now; the others stay uncommitted, and can be committed later."""
        folder, before = _fresh("folder"), await self._default(provider)
        one, two = f"{folder}/one", f"{folder}/two"
        await self.write(provider, one, "old\n")
        await self.write(provider, two, "two\n")
        await self.write(provider, one, "one\nmore\n")
        first = await provider.commit(CommitSpec("One", (one,)))
        second = await provider.commit(CommitSpec("Two", (two,)))
        assert await provider.get_diff(before.head, first.sha) == [
            DiffEntry(one, "added", 2, 0)
        ]
        assert await provider.get_diff(first.sha, second.sha) == [
            DiffEntry(two, "added", 1, 0)
        ]

    async def test_commit_of_nothing_is_refused(self, provider: SourceControl) -> None:
        """And of files without a word."""
        path, before = _fresh("folder") + "/file", await self._default(provider)
        await self.write(provider, path, "one\n")
        for wrong in (CommitSpec("", (path,)), CommitSpec("Nothing", ())):
            with refused("VALIDATION"):
                await provider.commit(wrong)
        assert await self._default(provider) == before

    async def test_file_that_never_was_is_not_found(
        self, provider: SourceControl
    ) -> None:
        folder, before = _fresh("folder"), await self._default(provider)
        await self.write(provider, f"{folder}/one", "one\n")
        with refused("NOT_FOUND"):
            await provider.commit(
                CommitSpec("One and two", (f"{folder}/one", f"{folder}/two"))
            )
        assert await self._default(provider) == before

    async def test_branch_stands_for_its_head(self, provider: SourceControl) -> None:
        name = _fresh("branch")
        commit = await self._committed(provider)
        await provider.create_branch(BranchSpec(name))
        assert await provider.get_commit(name) == commit

    async def test_missing_ref_is_not_found(self, provider: SourceControl) -> None:
        head = (await self._default(provider)).head
        for missing in (self.missing_ref, _fresh("branch")):
            with refused("NOT_FOUND"):
                await provider.get_commit(missing)
            with refused("NOT_FOUND"):
                await provider.get_diff(missing, head)
            with refused("NOT_FOUND"):
                await provider.get_diff(head, missing)

    async def test_commits_are_listed_newest_first(
        self, provider: SourceControl
    ) -> None:
        """Those of the default branch, unless the query names another."""
        before = (await provider.list_commits(CommitQuery())).items
        first = await self._committed(provider)
        name = _fresh("older")
        await provider.create_branch(BranchSpec(name))
        second = await self._committed(provider)
        default = await self._default(provider)
        for branch in (None, default.name):
            listed = await provider.list_commits(CommitQuery(branch=branch))
            assert listed.items == (second, first, *before)
        listed = await provider.list_commits(CommitQuery(branch=name))
        assert listed.items == (first, *before)

    async def test_commits_come_in_pages(self, provider: SourceControl) -> None:
        before = (await provider.list_commits(CommitQuery())).total
        for _ in range(_PAGED):
            await self._committed(provider)

        async def turn(limit: int | None, offset: int) -> PaginatedResult[Commit]:
            return await provider.list_commits(CommitQuery(limit=limit, offset=offset))

        await check_pages(turn, before + _PAGED)

    async def test_query_asks_for_an_author(self, provider: SourceControl) -> None:
        author = (await self._committed(provider)).author
        whole = (await provider.list_commits(CommitQuery())).items
        for asked in (author, _fresh("nobody")):
            found = await provider.list_commits(CommitQuery(author=asked))
            matching = tuple(commit for commit in whole if commit.author == asked)
            assert (found.items, found.total) == (matching, len(matching))

    async def test_query_asks_for_a_time(self, provider: SourceControl) -> None:
        """Both ends are inclusive; the wrong way round they hold nothing."""
        dates = [(await self._committed(provider)).date for _ in range(3)]
        whole = (await provider.list_commits(CommitQuery())).items
        tick = timedelta(microseconds=1)
        ends = [None, dates[0] - tick, *dates, dates[2] + tick]
        for since in ends:
            for until in ends:
                query = CommitQuery(since=since, until=until)
                found = await provider.list_commits(query)
                assert found.items == tuple(
                    commit
                    for commit in whole
                    if (since is None or since <= commit.date)
                    and (until is None or commit.date <= until)
                )
                assert found.total == len(found.items)

    async def test_diff_tells_what_became_of_each_file(
        self, provider: SourceControl
    ) -> None:
        """By path; backwards it tells the opposite."""
        folder, before = _fresh("folder"), await self._default(provider)
        one, two, three, four = (f"{folder}/{name}" for name in "dbac")
        await self.write(provider, one, "1\n2\n3\n")
        await self.write(provider, two, "1\n2\n")
        await self.write(provider, four, "the same\n")
        first = await provider.commit(CommitSpec("First", (one, two, four)))
        await self.write(provider, one, "1\n2 changed\n3\n4\n")
        await self.write(provider, two, None)
        await self.write(provider, three, "added\n")
        second = await provider.commit(CommitSpec("Second", (one, two, three)))
        forth = await provider.get_diff(first.sha, second.sha)
        back = await provider.get_diff(second.sha, first.sha)
        assert isinstance(forth, list)
        assert forth == [
            DiffEntry(three, "added", 1, 0),
            DiffEntry(two, "deleted", 0, 2),
            DiffEntry(one, "modified", 2, 1),
        ]
        assert back == [
            DiffEntry(three, "deleted", 0, 1),
            DiffEntry(two, "added", 2, 0),
            DiffEntry(one, "modified", 1, 2),
        ]
        whole = await provider.get_diff(before.head, second.sha)
        assert whole == [
            DiffEntry(three, "added", 1, 0),
            DiffEntry(four, "added", 1, 0),
            DiffEntry(one, "added", 4, 0),
        ]

    async def test_file_that_moved_is_at_its_new_path(
        self, provider: SourceControl
    ) -> None:
        """Renamed, or else deleted there and added here."""
        folder = _fresh("folder")
        old, new, text = f"{folder}/old", f"{folder}/new", "one\ntwo\nthree\n"
        await self.write(provider, old, text)
        first = await provider.commit(CommitSpec("First", (old,)))
        await self.write(provider, old, None)
        await self.write(provider, new, text)
        second = await provider.commit(CommitSpec("Second", (old, new)))
        assert await provider.get_diff(first.sha, second.sha) in (
            [DiffEntry(new, "renamed", 0, 0)],
            [DiffEntry(new, "added", 3, 0), DiffEntry(old, "deleted", 0, 3)],
        )

    async def test_refs_that_agree_differ_in_nothing(
        self, provider: SourceControl
    ) -> None:
        name = _fresh("branch")
        await self._committed(provider)
        head = (await provider.create_branch(BranchSpec(name))).head
        for refs in ((head, head), (name, head), (name, name)):
            assert await provider.get_diff(*refs) == []

    async def test_branches_are_refs_of_a_diff(self, provider: SourceControl) -> None:
        name = _fresh("older")
        await provider.create_branch(BranchSpec(name))
        before = await self._default(provider)
        await self._committed(provider)
        after = await self._default(provider)
        assert len(await provider.get_diff(name, after.name)) == 1
        assert await provider.get_diff(name, after.name) == await provider.get_diff(
            before.head, after.head
        )

    async def _default(self, provider: SourceControl) -> Branch:
        """Return the default branch as it is now."""
        branches = (await provider.list_branches()).items
        return next(branch for branch in branches if branch.is_default)

    async def _committed(self, provider: SourceControl) -> Commit:
        """Commit a new file."""
        path = _fresh("folder") + "/file"
        await self.write(provider, path, "one\n")
        return await provider.commit(CommitSpec(f"Add {path}", (path,)))


def _fresh(name: str) -> str:
    """Return a name that is nobody's."""
    return f"contract-{name}-{uuid4().hex[:12]}"
