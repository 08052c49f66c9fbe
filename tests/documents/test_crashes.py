"""Crashes: whatever of a change of a document survives, one whole version is there.

Each kind of change is recorded once, every state that a crash of it may leave is laid
out, opened and read, and the next save made. Protocols that are wrong in known ways go
through the same checks and have to be noticed: see `PLANTED`. Start at `violations`.
"""

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from documents.changes import (
    CHANGES,
    DOCUMENT,
    NAME,
    Change,
    Flaw,
    backup,
    check_done,
    check_kept,
    check_next,
    check_whole,
    corrupt,
    looked_at,
    opened,
    prepared,
    save,
)
from faults import (
    WRONG,
    Call,
    State,
    Trace,
    contents,
    crash_states,
    kill_states,
    lay_out,
    recorded,
)
from kills import quick_folder
from latency_kv.errors import StateError


def refuse_links(number: int, call: Call) -> None:
    """As on a file system that has none."""
    if call.name == "link":
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def trace_of(folder: Path, change: Change, *, has_links: bool = True) -> Trace:
    files = prepared(folder, change)
    with recorded(folder, before=None if has_links else refuse_links) as trace:
        change.make(files)
        trace.acknowledge()
    *_, end = kill_states(trace)
    assert end.files == contents(folder), "something was done that was not recorded"
    return trace


def flaw_in(change: Change, state: State, *, is_kill: bool) -> str:
    """What is wrong with what is left, once it is opened; empty if nothing is."""
    with quick_folder() as folder:
        lay_out(state, folder)
        try:
            files = opened(folder, change.max_backups)
            holding = looked_at(files)
            check_whole(change, holding)
            if is_kill:
                check_kept(change, holding)
            if state.acknowledged:
                check_done(change, holding)
            check_next(files, holding)
        except (Flaw, StateError, OSError) as error:
            return f"after {state.last_call}: {error}"
    return ""


def violations(change: Change, trace: Trace, *, first: bool = False) -> list[str]:
    """What crashes and kills break, or the first thing that they do."""
    found = []
    for is_kill, states in [(True, kill_states(trace)), (False, crash_states(trace))]:
        for state in states:
            if flaw := flaw_in(change, state, is_kill=is_kill):
                found.append(flaw)
                if first:
                    return found
    return found


@pytest.mark.parametrize("has_links", [True, False], ids=["links", "copies"])
@pytest.mark.parametrize("name", CHANGES)
def test_no_crash_leaves_anything_but_whole_documents(
    folder: Path, name: str, has_links: bool
) -> None:
    change = CHANGES[name]
    assert not violations(change, trace_of(folder, change, has_links=has_links))


def is_publishing(call: Call) -> bool:
    return (call.name, call.target) == ("replace", DOCUMENT)


def is_backing_up(call: Call) -> bool:
    """Giving the old document its second name, or that its place."""
    if call.name == "replace":
        return call.path.startswith(".") and call.target != DOCUMENT
    return call.name == "link"


def is_sync_of_copy(call: Call) -> bool:
    return call.name == "fsync" and call.path.startswith(f".{backup(1)}")


def removed_first(call: Call) -> list[Call]:
    return [Call("unlink", DOCUMENT), call] if is_publishing(call) else [call]


def moved_away(call: Call) -> list[Call]:
    if not is_backing_up(call):
        return [call]
    return [replace(call, path=DOCUMENT)] if call.name == "replace" else []


def overwritten(call: Call) -> list[Call]:
    """The document itself, as it is written."""
    if call.path.startswith(f".{DOCUMENT}") and call.name == "open":
        return [replace(call, path=DOCUMENT, flags=os.O_CREAT | os.O_TRUNC)]
    return [] if is_publishing(call) else [call]


def is_moving_up(call: Call) -> bool:
    return call.name == "replace" and call.path.startswith(NAME)


def newest_first(trace: Trace) -> Trace:
    """Of the renames of backups, each overwrites what the next one is for."""
    renames = [call for call in trace.calls if is_moving_up(call)]
    return trace.changed(lambda call: [renames.pop()] if is_moving_up(call) else [call])


def kept_as_backup(call: Call) -> list[Call]:
    is_aside = call.target == corrupt(1)
    return [replace(call, target=backup(1)) if is_aside else call]


def deleted(call: Call) -> list[Call]:
    is_moving = call.path == DOCUMENT and call.name in ("replace", "rename")
    return [Call("unlink", DOCUMENT) if is_moving else call]


def named_otherwise(call: Call) -> list[Call]:
    path, target = (name.replace(".tmp", ".temp") for name in (call.path, call.target))
    return [replace(call, path=path, target=target)]


def changed(of: Callable[[Call], list[Call]]) -> Callable[[Trace], Trace]:
    return lambda trace: trace.changed(of)


# By name: which change, and the wrong way to make it.
PLANTED: dict[str, tuple[str, Callable[[Trace], Trace]]] = {
    "removed before the rename": ("save", changed(removed_first)),
    "moved away instead of linked": ("rotation", changed(moved_away)),
    "no temporary file": ("save", changed(overwritten)),
    "backup of the new one": (
        "save",
        lambda trace: trace.moved(is_backing_up, after="replace"),
    ),
    "no backup": ("save", lambda trace: trace.without(is_backing_up)),
    "backups over good ones": ("rotation", newest_first),
    "damage among the backups": ("save over damage", changed(kept_as_backup)),
    "damage overwritten": (
        "save over damage",
        lambda trace: trace.without(is_backing_up),
    ),
    "damage overwritten by recovery": (
        "recovery",
        lambda trace: trace.without(is_backing_up),
    ),
    "leftovers that nobody knows": ("save", changed(named_otherwise)),
    "cleared without a backup": ("clear", changed(deleted)),
    "damage cleared away": ("clear of damage", changed(deleted)),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_wrong_protocol_is_noticed(folder: Path, planted: str) -> None:
    name, of = PLANTED[planted]
    trace = trace_of(folder, CHANGES[name])
    wrong = of(trace)
    assert wrong.calls != trace.calls
    assert violations(CHANGES[name], wrong, first=True)


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize(
    "name", ["first save", "rotation", "migration", "restore", "recovery"]
)
def test_wrong_order_of_any_change_is_noticed(
    folder: Path, name: str, wrong: str
) -> None:
    trace = trace_of(folder, CHANGES[name])
    assert violations(CHANGES[name], WRONG[wrong](trace), first=True)


@pytest.mark.parametrize("wrong", ["no sync of the folder", "told before the sync"])
def test_clearing_that_may_not_last_is_noticed(folder: Path, wrong: str) -> None:
    trace = trace_of(folder, CHANGES["clear"])
    assert violations(CHANGES["clear"], WRONG[wrong](trace), first=True)


def test_copy_without_a_sync_is_noticed(folder: Path) -> None:
    trace = trace_of(folder, CHANGES["rotation"], has_links=False)
    wrong = trace.without(is_sync_of_copy)
    assert violations(CHANGES["rotation"], wrong, first=True)


def lost_folders(trace: Trace) -> list[State]:
    """The states that have not what was acknowledged, or cannot be gone on with."""
    found = []
    for state in crash_states(trace):
        with quick_folder() as scratch:
            lay_out(state, scratch)
            files = opened(scratch / "a" / "state")
            holding = looked_at(files)
            if state.acknowledged and holding != CHANGES["first save"].after:
                found.append(state)
            check_next(files, holding)
    return found


def test_folder_and_first_document_are_durable_together(folder: Path) -> None:
    """Locks are not, and need not be: nobody holds one after a crash."""
    folder.mkdir()
    with recorded(folder) as trace:
        save(opened(folder / "a" / "state"))
        trace.acknowledge()
    states = list(crash_states(trace))
    assert any("a/state/.locks" not in state.folders for state in states)
    assert not lost_folders(trace)
    assert lost_folders(
        trace.without(lambda call: call.name == "fsync" and "clock" not in call.path)
    )


def unsynced(folder: Path) -> Trace:
    """A save of a store that is not durable, over one that is on disk."""
    files = prepared(folder, CHANGES["save"])
    files.durable = False
    with recorded(folder) as trace:
        save(files)
        trace.acknowledge()
    return trace


def test_store_that_is_not_durable_loses_to_power_and_not_to_kills(
    folder: Path,
) -> None:
    trace = unsynced(folder)
    assert "fsync" not in [call.name for call in trace.calls]
    change = CHANGES["save"]
    assert not [
        flaw
        for state in kill_states(trace)
        if (flaw := flaw_in(change, state, is_kill=True))
    ]
    assert violations(change, trace, first=True)
