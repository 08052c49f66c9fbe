"""Source controls with one defect each."""

from dataclasses import replace
from datetime import timedelta

from latency_kv.errors import FacetError
from latency_kv.facets.paging import PaginatedQuery, PaginatedResult
from latency_kv.facets.source_control import (
    Branch,
    BranchSpec,
    Commit,
    CommitQuery,
    CommitSpec,
    DiffEntry,
)
from latency_kv.testing.source_control import SourceControlContract
from testing.in_memory.source_control import (
    DEFAULT,
    InMemorySourceControl,
    Node,
)
from testing.planting import seen_by


@seen_by(SourceControlContract.test_provider_is_a_source_control)
class WithoutDiff(InMemorySourceControl):
    get_diff = None  # type: ignore[assignment]


@seen_by(
    SourceControlContract.test_one_branch_is_the_default,
    SourceControlContract.test_branch_is_made_at_the_default_head,
)
class EveryBranchIsTheDefault(InMemorySourceControl):
    def __init__(self) -> None:
        super().__init__()
        self.branches["other"] = replace(self.branches[DEFAULT], name="other")

    async def create_branch(self, spec: BranchSpec, /) -> Branch:
        branch = replace(await super().create_branch(spec), is_default=True)
        self.branches[spec.name] = branch
        return branch


@seen_by(SourceControlContract.test_one_branch_is_the_default)
class NoBranchIsTheDefault(InMemorySourceControl):
    def __init__(self) -> None:
        super().__init__()
        self.branches[DEFAULT] = replace(self.branches[DEFAULT], is_default=False)


@seen_by(
    SourceControlContract.test_one_branch_is_the_default,
    SourceControlContract.test_commit_is_made_as_the_spec_says,
)
class NaiveTimes(InMemorySourceControl):
    def add(self, message: str, parent: str | None, tree: dict[str, str]) -> Commit:
        commit = super().add(message, parent, tree)
        commit = replace(commit, date=commit.date.replace(tzinfo=None))
        self.nodes[commit.sha] = replace(self.nodes[commit.sha], commit=commit)
        return commit


@seen_by(SourceControlContract.test_one_branch_is_the_default)
class ShortHeads(InMemorySourceControl):
    async def list_branches(
        self, query: PaginatedQuery | None = None, /
    ) -> PaginatedResult[Branch]:
        page = await super().list_branches(query)
        items = tuple(replace(each, head=each.head[:7]) for each in page.items)
        return replace(page, items=items)


@seen_by(
    SourceControlContract.test_branch_is_made_at_the_default_head,
    SourceControlContract.test_branch_stands_for_its_head,
)
class BranchesBegin(InMemorySourceControl):
    async def create_branch(self, spec: BranchSpec, /) -> Branch:
        branch = await super().create_branch(spec)
        if spec.from_ref is None:
            root = next(iter(self.nodes))
            branch = replace(branch, head=root[::-1])
            self.branches[spec.name] = branch
        return branch


@seen_by(SourceControlContract.test_branch_is_made_at_the_default_head)
class BranchesAreHidden(InMemorySourceControl):
    async def list_branches(
        self, query: PaginatedQuery | None = None, /
    ) -> PaginatedResult[Branch]:
        page = await super().list_branches(query)
        return replace(page, items=tuple(b for b in page.items if b.is_default))


@seen_by(SourceControlContract.test_branch_is_made_at_a_ref)
class IgnoresTheRef(InMemorySourceControl):
    async def create_branch(self, spec: BranchSpec, /) -> Branch:
        if spec.from_ref is not None:
            self.resolved(spec.from_ref)
        return await super().create_branch(replace(spec, from_ref=None))


@seen_by(SourceControlContract.test_branch_is_made_at_a_ref)
class ShaIsNoRef(InMemorySourceControl):
    async def create_branch(self, spec: BranchSpec, /) -> Branch:
        if spec.from_ref is not None:
            await self.get_branch(spec.from_ref)
        return await super().create_branch(spec)


@seen_by(
    SourceControlContract.test_branch_is_made_at_a_ref,
    SourceControlContract.test_commits_are_listed_newest_first,
)
class BranchesMoveTogether(InMemorySourceControl):
    async def commit(self, spec: CommitSpec, /) -> Commit:
        commit = await super().commit(spec)
        for name, branch in self.branches.items():
            self.branches[name] = replace(branch, head=commit.sha)
        return commit


@seen_by(SourceControlContract.test_branch_that_is_there_is_not_made_again)
class MovesBranches(InMemorySourceControl):
    async def create_branch(self, spec: BranchSpec, /) -> Branch:
        self.branches.pop(spec.name, None)
        return await super().create_branch(spec)


@seen_by(SourceControlContract.test_branch_that_is_there_is_not_made_again)
class TakesTheSameAgain(InMemorySourceControl):
    async def create_branch(self, spec: BranchSpec, /) -> Branch:
        branch = self.branches.get(spec.name)
        if branch is not None and branch.head == spec.from_ref:
            return branch
        return await super().create_branch(spec)


@seen_by(SourceControlContract.test_branch_that_is_there_is_not_made_again)
class ConflictIsInvalid(InMemorySourceControl):
    async def create_branch(self, spec: BranchSpec, /) -> Branch:
        if spec.name in self.branches:
            raise FacetError("taken", "VALIDATION")
        return await super().create_branch(spec)


@seen_by(SourceControlContract.test_branch_without_a_name_is_refused)
class NamesTheNameless(InMemorySourceControl):
    async def create_branch(self, spec: BranchSpec, /) -> Branch:
        return await super().create_branch(replace(spec, name=spec.name or "branch"))


@seen_by(SourceControlContract.test_branch_at_a_missing_ref_is_not_made)
class DefaultForMissing(InMemorySourceControl):
    async def create_branch(self, spec: BranchSpec, /) -> Branch:
        known = spec.from_ref in self.nodes or spec.from_ref in self.branches
        return await super().create_branch(
            replace(spec, from_ref=spec.from_ref if known else None)
        )


@seen_by(SourceControlContract.test_branch_at_a_missing_ref_is_not_made)
class MakesBeforeItRefuses(InMemorySourceControl):
    async def create_branch(self, spec: BranchSpec, /) -> Branch:
        made = await super().create_branch(replace(spec, from_ref=None))
        head = self.resolved(spec.from_ref or DEFAULT).commit.sha
        self.branches[spec.name] = replace(made, head=head)
        return self.branches[spec.name]


@seen_by(SourceControlContract.test_missing_branch_is_not_found)
class KeyErrors(InMemorySourceControl):
    async def get_branch(self, name: str, /) -> Branch:
        return self.branches[name]


@seen_by(SourceControlContract.test_missing_branch_is_not_found)
class EveryRefIsABranch(InMemorySourceControl):
    async def get_branch(self, name: str, /) -> Branch:
        if name in self.nodes:
            commit = self.nodes[name].commit
            return Branch(name, name, False, commit.date)
        return await super().get_branch(name)


@seen_by(SourceControlContract.test_missing_branch_is_not_found)
class NoCommitsOnNothing(InMemorySourceControl):
    async def list_commits(self, query: CommitQuery, /) -> PaginatedResult[Commit]:
        if query.branch is not None and query.branch not in self.branches:
            return PaginatedResult((), 0, False)
        return await super().list_commits(query)


@seen_by(SourceControlContract.test_branches_are_listed_by_name_in_pages)
class AsMade(InMemorySourceControl):
    async def list_branches(
        self, query: PaginatedQuery | None = None, /
    ) -> PaginatedResult[Branch]:
        page = await super().list_branches(query)
        if query is None or query == PaginatedQuery():
            page = replace(page, items=tuple(self.branches.values()))
        return page


@seen_by(SourceControlContract.test_branches_are_listed_by_name_in_pages)
class OnePage(InMemorySourceControl):
    async def list_branches(
        self, query: PaginatedQuery | None = None, /
    ) -> PaginatedResult[Branch]:
        return await super().list_branches()


@seen_by(SourceControlContract.test_branches_are_listed_by_name_in_pages)
class TwoByDefault(InMemorySourceControl):
    async def list_branches(
        self, query: PaginatedQuery | None = None, /
    ) -> PaginatedResult[Branch]:
        return await super().list_branches(query or PaginatedQuery(2))


@seen_by(SourceControlContract.test_commit_is_made_as_the_spec_says)
class SubjectOnly(InMemorySourceControl):
    async def commit(self, spec: CommitSpec, /) -> Commit:
        subject = spec.message.split("\n")[0]
        return await super().commit(replace(spec, message=subject))


@seen_by(SourceControlContract.test_commit_is_made_as_the_spec_says)
class Anonymous(InMemorySourceControl):
    def __init__(self) -> None:
        super().__init__(author="")


@seen_by(
    SourceControlContract.test_commit_moves_the_head,
    SourceControlContract.test_commits_are_listed_newest_first,
    SourceControlContract.test_commits_come_in_pages,
)
class HeadStays(InMemorySourceControl):
    async def commit(self, spec: CommitSpec, /) -> Commit:
        before = self.branches[DEFAULT]
        commit = await super().commit(spec)
        self.branches[DEFAULT] = before
        return commit


@seen_by(SourceControlContract.test_commit_takes_the_named_files_alone)
class TakesAllFiles(InMemorySourceControl):
    async def commit(self, spec: CommitSpec, /) -> Commit:
        return await super().commit(replace(spec, files=tuple(self.files)))


@seen_by(SourceControlContract.test_commit_takes_the_named_files_alone)
class DropsTheOthers(InMemorySourceControl):
    async def commit(self, spec: CommitSpec, /) -> Commit:
        commit = await super().commit(spec)
        self.files = dict(self.nodes[commit.sha].tree)
        return commit


@seen_by(SourceControlContract.test_commit_of_nothing_is_refused)
class TakesEmptyMessages(InMemorySourceControl):
    async def commit(self, spec: CommitSpec, /) -> Commit:
        return await super().commit(replace(spec, message=spec.message or "none"))


@seen_by(SourceControlContract.test_commit_of_nothing_is_refused)
class NoFilesAreAll(InMemorySourceControl):
    async def commit(self, spec: CommitSpec, /) -> Commit:
        files = spec.files or tuple(self.files)
        return await super().commit(replace(spec, files=files))


@seen_by(SourceControlContract.test_file_that_never_was_is_not_found)
class SkipsMissingFiles(InMemorySourceControl):
    async def commit(self, spec: CommitSpec, /) -> Commit:
        known = self.files.keys() | self.resolved(DEFAULT).tree.keys()
        files = tuple(path for path in spec.files if path in known)
        return await super().commit(replace(spec, files=files))


@seen_by(SourceControlContract.test_file_that_never_was_is_not_found)
class CommitsBeforeItRefuses(InMemorySourceControl):
    async def commit(self, spec: CommitSpec, /) -> Commit:
        for path in spec.files:
            commit = await super().commit(replace(spec, files=(path,)))
        return commit


@seen_by(SourceControlContract.test_branch_stands_for_its_head)
class BranchIsNoRef(InMemorySourceControl):
    async def get_commit(self, ref: str, /) -> Commit:
        if ref not in self.nodes:
            raise FacetError("that is no SHA", "NOT_FOUND")
        return await super().get_commit(ref)


@seen_by(SourceControlContract.test_missing_ref_is_not_found)
class HeadForMissing(InMemorySourceControl):
    def resolved(self, ref: str) -> Node:
        try:
            return super().resolved(ref)
        except FacetError:
            return super().resolved(DEFAULT)


@seen_by(SourceControlContract.test_missing_ref_is_not_found)
class NothingDiffersFromNothing(InMemorySourceControl):
    async def get_diff(self, from_ref: str, to_ref: str, /) -> list[DiffEntry]:
        try:
            return await super().get_diff(from_ref, to_ref)
        except FacetError:
            return []


@seen_by(SourceControlContract.test_commits_are_listed_newest_first)
class OldestFirst(InMemorySourceControl):
    async def list_commits(self, query: CommitQuery, /) -> PaginatedResult[Commit]:
        page = await super().list_commits(query)
        return replace(page, items=page.items[::-1])


@seen_by(SourceControlContract.test_commits_are_listed_newest_first)
class AnyBranch(InMemorySourceControl):
    async def list_commits(self, query: CommitQuery, /) -> PaginatedResult[Commit]:
        return await super().list_commits(replace(query, branch=None))


@seen_by(SourceControlContract.test_commits_come_in_pages)
class MoreBehindAFullPage(InMemorySourceControl):
    async def list_commits(self, query: CommitQuery, /) -> PaginatedResult[Commit]:
        page = await super().list_commits(query)
        return replace(page, has_more=len(page.items) == query.limit)


@seen_by(SourceControlContract.test_query_asks_for_an_author)
class AnyAuthor(InMemorySourceControl):
    async def list_commits(self, query: CommitQuery, /) -> PaginatedResult[Commit]:
        return await super().list_commits(replace(query, author=None))


@seen_by(SourceControlContract.test_query_asks_for_an_author)
class TotalOfAll(InMemorySourceControl):
    async def list_commits(self, query: CommitQuery, /) -> PaginatedResult[Commit]:
        page = await super().list_commits(query)
        return replace(page, total=len(self.nodes))


@seen_by(SourceControlContract.test_query_asks_for_a_time)
class SinceIsExclusive(InMemorySourceControl):
    async def list_commits(self, query: CommitQuery, /) -> PaginatedResult[Commit]:
        if query.since is not None:
            later = query.since + timedelta(microseconds=1)
            query = replace(query, since=later)
        return await super().list_commits(query)


@seen_by(SourceControlContract.test_query_asks_for_a_time)
class UntilIsExclusive(InMemorySourceControl):
    async def list_commits(self, query: CommitQuery, /) -> PaginatedResult[Commit]:
        if query.until is not None:
            before = query.until - timedelta(microseconds=1)
            query = replace(query, until=before)
        return await super().list_commits(query)


@seen_by(SourceControlContract.test_query_asks_for_a_time)
class SwapsTheEnds(InMemorySourceControl):
    async def list_commits(self, query: CommitQuery, /) -> PaginatedResult[Commit]:
        if query.since and query.until and query.since > query.until:
            query = replace(query, since=query.until, until=query.since)
        return await super().list_commits(query)


@seen_by(
    SourceControlContract.test_diff_tells_what_became_of_each_file,
    SourceControlContract.test_commit_takes_the_named_files_alone,
)
class Backwards(InMemorySourceControl):
    async def get_diff(self, from_ref: str, to_ref: str, /) -> list[DiffEntry]:
        return await super().get_diff(to_ref, from_ref)


@seen_by(SourceControlContract.test_diff_tells_what_became_of_each_file)
class ByStatus(InMemorySourceControl):
    async def get_diff(self, from_ref: str, to_ref: str, /) -> list[DiffEntry]:
        entries = await super().get_diff(from_ref, to_ref)
        return sorted(entries, key=lambda entry: entry.status, reverse=True)


@seen_by(SourceControlContract.test_diff_tells_what_became_of_each_file)
class CountsWholeFiles(InMemorySourceControl):
    async def get_diff(self, from_ref: str, to_ref: str, /) -> list[DiffEntry]:
        entries = await super().get_diff(from_ref, to_ref)
        tree = self.resolved(to_ref).tree
        return [
            replace(entry, additions=tree.get(entry.path, "").count("\n"))
            for entry in entries
        ]


@seen_by(SourceControlContract.test_diff_tells_what_became_of_each_file)
class KeepsDeletedFiles(InMemorySourceControl):
    async def commit(self, spec: CommitSpec, /) -> Commit:
        head = self.resolved(DEFAULT).tree
        self.files.update({p: head[p] for p in head.keys() - self.files.keys()})
        return await super().commit(spec)


@seen_by(SourceControlContract.test_file_that_moved_is_at_its_new_path)
class RenamedAtTheOldPath(InMemorySourceControl):
    async def get_diff(self, from_ref: str, to_ref: str, /) -> list[DiffEntry]:
        entries = await super().get_diff(from_ref, to_ref)
        if [entry.status for entry in entries] == ["added", "deleted"]:
            return [DiffEntry(entries[1].path, "renamed", 0, 0)]
        return entries


@seen_by(SourceControlContract.test_refs_that_agree_differ_in_nothing)
class ListsTheUnchanged(InMemorySourceControl):
    async def get_diff(self, from_ref: str, to_ref: str, /) -> list[DiffEntry]:
        entries = await super().get_diff(from_ref, to_ref)
        tree = self.resolved(to_ref).tree
        return entries or [DiffEntry(path, "modified", 0, 0) for path in tree]


@seen_by(SourceControlContract.test_branches_are_refs_of_a_diff)
class DiffNeedsShas(InMemorySourceControl):
    async def get_diff(self, from_ref: str, to_ref: str, /) -> list[DiffEntry]:
        if from_ref not in self.nodes:
            raise FacetError("that is no SHA", "NOT_FOUND")
        return await super().get_diff(from_ref, to_ref)


@seen_by(SourceControlContract.test_branches_are_refs_of_a_diff)
class DiffsTheParent(InMemorySourceControl):
    async def get_diff(self, from_ref: str, to_ref: str, /) -> list[DiffEntry]:
        if from_ref in self.branches:
            from_ref = to_ref
        return await super().get_diff(from_ref, to_ref)
