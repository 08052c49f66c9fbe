"""InMemorySourceControl: the SourceControl facet over whole trees of files.

A commit keeps the whole tree, path to text; its SHA is a hash of all that is in it and
of its parent.  Work goes on at the default branch, in `files`.  Start at
`InMemorySourceControl.commit`.
"""

from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from hashlib import sha1

from latency_kv.errors import FacetError
from latency_kv.facets.paging import PaginatedQuery, PaginatedResult
from latency_kv.facets.source_control import (
    Branch,
    BranchSpec,
    ChangeStatus,
    Commit,
    CommitQuery,
    CommitSpec,
    DiffEntry,
)
from testing.in_memory.moments import Moments
from testing.in_memory.pages import page_of

DEFAULT = "main"


@dataclass(frozen=True)
class Node:
    """A commit with what it stands on."""

    commit: Commit
    parent: str | None
    tree: dict[str, str]


class InMemorySourceControl:
    """A repository with one empty commit; author is who commits."""

    def __init__(self, author: str = "ada") -> None:
        self.author = author
        self.files: dict[str, str] = {}
        self.nodes: dict[str, Node] = {}
        self.branches: dict[str, Branch] = {}
        self.moments = Moments()
        root = self.add("Begin", None, {})
        self.branches[DEFAULT] = Branch(DEFAULT, root.sha, True, root.date)

    async def create_branch(self, spec: BranchSpec, /) -> Branch:
        if not spec.name:
            raise FacetError("a branch needs a name", "VALIDATION")
        if spec.name in self.branches:
            raise FacetError(f"branch {spec.name!r} is there already", "CONFLICT")
        head = self.resolved(DEFAULT if spec.from_ref is None else spec.from_ref)
        branch = Branch(spec.name, head.commit.sha, False, self.moments.next())
        self.branches[spec.name] = branch
        return branch

    async def get_branch(self, name: str, /) -> Branch:
        if name not in self.branches:
            raise FacetError(f"there is no branch {name!r}", "NOT_FOUND")
        return self.branches[name]

    async def list_branches(
        self, query: PaginatedQuery | None = None, /
    ) -> PaginatedResult[Branch]:
        branches = sorted(self.branches.values(), key=lambda branch: branch.name)
        return page_of(branches, query or PaginatedQuery())

    async def commit(self, spec: CommitSpec, /) -> Commit:
        if not spec.message or not spec.files:
            raise FacetError("a commit needs a message and files", "VALIDATION")
        head = self.resolved(DEFAULT)
        tree = dict(head.tree)
        for path in spec.files:
            if path in self.files:
                tree[path] = self.files[path]
            elif path in tree:
                del tree[path]
            else:
                raise FacetError(f"there never was a file {path!r}", "NOT_FOUND")
        commit = self.add(spec.message, head.commit.sha, tree)
        branch = self.branches[DEFAULT]
        self.branches[DEFAULT] = replace(branch, head=commit.sha)
        return commit

    async def get_commit(self, ref: str, /) -> Commit:
        return self.resolved(ref).commit

    async def list_commits(self, query: CommitQuery, /) -> PaginatedResult[Commit]:
        branch = await self.get_branch(
            DEFAULT if query.branch is None else query.branch
        )
        commits = []
        sha: str | None = branch.head
        while sha is not None:
            node = self.nodes[sha]
            if _matches(node.commit, query):
                commits.append(node.commit)
            sha = node.parent
        return page_of(commits, query)

    async def get_diff(self, from_ref: str, to_ref: str, /) -> list[DiffEntry]:
        old, new = self.resolved(from_ref).tree, self.resolved(to_ref).tree
        entries = (
            _entry(path, old.get(path), new.get(path))
            for path in sorted(old.keys() | new.keys())
        )
        return [entry for entry in entries if entry is not None]

    def resolved(self, ref: str) -> Node:
        """Return what a branch's name or a SHA stands for."""
        sha = self.branches[ref].head if ref in self.branches else ref
        if sha not in self.nodes:
            raise FacetError(f"{ref!r} stands for no commit", "NOT_FOUND")
        return self.nodes[sha]

    def add(self, message: str, parent: str | None, tree: dict[str, str]) -> Commit:
        date = self.moments.next()
        content = repr((message, parent, date, sorted(tree.items())))
        sha = sha1(content.encode(), usedforsecurity=False).hexdigest()
        commit = Commit(sha, message, self.author, date)
        self.nodes[sha] = Node(commit, parent, tree)
        return commit


def _matches(commit: Commit, query: CommitQuery) -> bool:
    return (
        (query.author is None or commit.author == query.author)
        and (query.since is None or query.since <= commit.date)
        and (query.until is None or commit.date <= query.until)
    )


def _entry(path: str, old: str | None, new: str | None) -> DiffEntry | None:
    """Tell what became of a file, by its texts; None if nothing did."""
    if old == new:
        return None
    before, after = (old or "").splitlines(), (new or "").splitlines()
    blocks = SequenceMatcher(None, before, after).get_matching_blocks()
    same = sum(block.size for block in blocks)
    status: ChangeStatus = "modified"
    if old is None or new is None:
        status = "added" if old is None else "deleted"
    return DiffEntry(path, status, len(after) - same, len(before) - same)
