"""Changes: every kind of change of a plugin's documents, and what it may leave.

    CHANGES          by name: the files there are, what is done, and what there is then
    prepared         such files in a folder, and what works on them
    looked_at        what a reader finds there: a Holding
    check_done       that the change was made
    check_whole      that it was made or not, and nothing between, whatever interrupted it
    check_kept       that nothing was lost on the way, where no power was
    check_next       that the next save works, and loses nothing

Documents are told apart by a number, the newer the higher. Whatever is neither one of
them nor the damage that was there before is a Flaw. Start at `Holding`.
"""

import functools
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import product, starmap
from pathlib import Path
from typing import NamedTuple

from documents.scenes import document
from latency_kv.documents.backups import parsed
from latency_kv.documents.document import decode
from latency_kv.documents.files import DocumentFiles
from latency_kv.errors import StateParseError

NAME = "clock"
DOCUMENT = f"{NAME}.json"
LOCKS = ".locks"

# The number of the one that a change makes, and of the one that comes after it.
NEW, NEXT = 9, 10

# Twice that many bytes are what a disk may run out of in the midst of one.
FILLING = "x" * 40

DAMAGED, DAMAGED_TOO = -1, -2
_DAMAGES = {b"damaged": DAMAGED, b"damaged too": DAMAGED_TOO}


class Flaw(AssertionError):
    """What must not be, after whatever has happened."""


class Holding(NamedTuple):
    """The numbers of a plugin's documents, damaged ones among them below zero."""

    document: int | None = None
    # Newest first, as a store lists them.
    backups: tuple[int, ...] = ()
    aside: tuple[int, ...] = ()

    @property
    def all(self) -> set[int]:
        document = set() if self.document is None else {self.document}
        return {*document, *self.backups, *self.aside}

    @property
    def sound(self) -> set[int]:
        return set(_sound(self.all))


@dataclass(frozen=True)
class Change:
    """What is done to the files before, and what is there when it is done."""

    before: dict[str, int]
    make: Callable[[DocumentFiles], object]
    after: Holding
    max_backups: int = 3
    # A name that is to be one file with the document's.
    twin: str = ""

    @property
    def recovers(self) -> bool:
        return self.make is _recover

    @property
    def reads(self) -> bool:
        """Whether it asks for documents or backups first, as a reader does."""
        return self.make not in (save, _clear)

    @property
    def held(self) -> Holding:
        """What there is before."""
        numbers = self.before
        return Holding(
            numbers.get(DOCUMENT),
            tuple(n for name, n in numbers.items() if ".backup." in name),
            tuple(n for name, n in numbers.items() if ".corrupt-" in name),
        )


def _sound(numbers: Iterable[int]) -> list[int]:
    return [number for number in numbers if number >= 0]


def data_of(number: int) -> dict[str, object]:
    return {"number": number, "filling": FILLING}


def content_of(number: int) -> bytes:
    damages = {damage: content for content, damage in _DAMAGES.items()}
    return damages.get(number) or document(data_of(number))


def backup(index: int) -> str:
    return f"{NAME}.backup.{index}.json"


def corrupt(number: int) -> str:
    return f"{NAME}.corrupt-{number}.json"


def save(files: DocumentFiles, number: int = NEW) -> None:
    with files.hold(NAME):
        files.write(NAME, data_of(number), None)


def _migrate(files: DocumentFiles) -> None:
    with files.hold(NAME):
        state = files.read(NAME)
        assert state is not None
        files.write(NAME, data_of(NEW), state.version + 1)


def _clear(files: DocumentFiles) -> None:
    with files.hold(NAME):
        files.clear(NAME)


def _restore(index: int) -> Callable[[DocumentFiles], None]:
    def restore(files: DocumentFiles) -> None:
        with files.hold(NAME):
            files.restore(NAME, index)

    return restore


def _recover(files: DocumentFiles) -> None:
    with files.hold(NAME):
        files.recover(NAME)


_FULL = {DOCUMENT: 5, backup(1): 4, backup(2): 3, backup(3): 2}
_BROKEN = {DOCUMENT: DAMAGED, backup(1): 4, backup(2): 3}
_CLEARED = {backup(1): 5, backup(2): 4}
_MANY = {DOCUMENT: 5} | {backup(index): 5 - index for index in range(1, 6)}
_GAPS = {DOCUMENT: 5, backup(1): 4, backup(3): 3, backup(4): 2, backup(5): 1}
_TORN = {DOCUMENT: 5, backup(1): 4, backup(2): 3, backup(5): 2}
_TWIN = {DOCUMENT: 5, backup(1): 5, backup(2): 4}

CHANGES = {
    "first save": Change({}, save, Holding(NEW)),
    "save": Change({DOCUMENT: 5}, save, Holding(NEW, (5,))),
    "rotation": Change(_FULL, save, Holding(NEW, (5, 4, 3))),
    "rotation of 1": Change(
        {DOCUMENT: 5, backup(1): 4}, save, Holding(NEW, (5,)), max_backups=1
    ),
    "rotation of 0": Change({DOCUMENT: 5}, save, Holding(NEW), max_backups=0),
    "rotation of 0 that was 2": Change(
        {DOCUMENT: 5, backup(1): 4, backup(2): 3}, save, Holding(NEW), max_backups=0
    ),
    "rotation of 2 that was 5": Change(_MANY, save, Holding(NEW, (5, 4)), 2),
    "rotation after gaps": Change(_GAPS, save, Holding(NEW, (5, 4, 3))),
    "rotation over a gap": Change(_TORN, save, Holding(NEW, (5, 4)), max_backups=2),
    "rotation after the newest": Change(
        {DOCUMENT: 5, backup(2): 4, backup(3): 3}, save, Holding(NEW, (5, 4, 3))
    ),
    "save after a clear": Change(_CLEARED, save, Holding(NEW, (5, 4))),
    "save over a backup's twin": Change(
        _TWIN, save, Holding(NEW, (5, 4)), twin=backup(1)
    ),
    "save over damage": Change(_BROKEN, save, Holding(NEW, (4, 3), (DAMAGED,))),
    "save over damage again": Change(
        {**_BROKEN, corrupt(1): DAMAGED_TOO},
        save,
        Holding(NEW, (4, 3), (DAMAGED_TOO, DAMAGED)),
    ),
    "save over damage without backups": Change(
        {DOCUMENT: DAMAGED}, save, Holding(NEW, (), (DAMAGED,)), max_backups=0
    ),
    "migration": Change(_FULL, _migrate, Holding(NEW, (5, 4, 3))),
    "clear": Change(_FULL, _clear, Holding(None, (5, 4, 3))),
    "clear of 0": Change({DOCUMENT: 5}, _clear, Holding(), max_backups=0),
    "clear of a backup's twin": Change(
        _TWIN, _clear, Holding(None, (5, 4)), twin=backup(1)
    ),
    "clear of damage": Change(_BROKEN, _clear, Holding(None, (4, 3), (DAMAGED,))),
    "restore": Change(_FULL, _restore(1), Holding(4, (5, 4, 3))),
    "restore of the oldest": Change(_FULL, _restore(3), Holding(2, (5, 4, 3))),
    "restore of the only one": Change(
        {DOCUMENT: 5, backup(1): 4}, _restore(1), Holding(4, (5,)), max_backups=1
    ),
    "restore after a clear": Change(_CLEARED, _restore(1), Holding(5, (5, 4))),
    "restore over damage": Change(_BROKEN, _restore(2), Holding(3, (4, 3), (DAMAGED,))),
    "recovery": Change(_BROKEN, _recover, Holding(4, (4, 3), (DAMAGED,))),
    "recovery past damage": Change(
        {**_BROKEN, backup(1): DAMAGED_TOO},
        _recover,
        Holding(3, (DAMAGED_TOO, 3), (DAMAGED,)),
    ),
}


def opened(folder: Path, max_backups: int = 3) -> DocumentFiles:
    files = DocumentFiles(folder, max_backups=max_backups)
    files.open()
    return files


def prepared(folder: Path, change: Change) -> DocumentFiles:
    """Make the folder hold what the change finds, and nothing else but locks."""
    with suppress(FileNotFoundError):
        for name in names(folder):
            (folder / name).unlink()
    folder.mkdir(exist_ok=True)
    for name, number in change.before.items():
        (folder / name).write_bytes(content_of(number))
    if change.twin:
        (folder / change.twin).unlink()
        (folder / change.twin).hardlink_to(folder / DOCUMENT)
    files = opened(folder, change.max_backups)
    # Whoever locked before left the file, and it is on disk.
    with files.hold(NAME):
        pass
    return files


def names(folder: Path) -> list[str]:
    return sorted(name for name in os.listdir(folder) if name != LOCKS)


def looked_at(files: DocumentFiles) -> Holding:
    """What the folder holds; a Flaw if it is not what `read` and `backups` tell."""
    aside, paths = [], {}
    for name in names(files.directory):
        found = parsed(name)
        if found is None:
            raise Flaw(f"a leftover: {name}")
        paths[found.kind, found.number] = files.directory / name
        if found.kind == "corrupt":
            aside.append(found.number)
    listed = files.backups(NAME)
    if set(listed) != {path for (kind, _), path in paths.items() if kind == "backup"}:
        raise Flaw(f"not all backups, or more: {listed}")
    return Holding(
        _document_number(files, paths.get(("state", 0))),
        tuple(map(_number, listed)),
        tuple(_number(paths["corrupt", number]) for number in sorted(aside)),
    )


def _document_number(files: DocumentFiles, path: Path | None) -> int | None:
    number = None if path is None else _number(path)
    read: object = "damage"
    try:
        state = files.read(NAME)
    except StateParseError:
        if number is not None and number < 0:
            read = number
    else:
        read = None if state is None else state.data["number"]
    if read != number:
        raise Flaw(f"the document is {number}, and read as {read}")
    return number


def _number(path: Path) -> int:
    """The number of the document or damage in a file."""
    return _number_in(path.read_bytes())


@functools.lru_cache
def _number_in(content: bytes) -> int:
    if content in _DAMAGES:
        return _DAMAGES[content]
    try:
        data = decode(content, NAME, None).data
    except StateParseError as error:
        raise Flaw(f"not whole: {error}: {content!r}") from error
    number = data["number"]
    if data != data_of(number):
        raise Flaw(f"nobody wrote this: {content!r}")
    assert isinstance(number, int)
    return number


def check_done(change: Change, holding: Holding) -> None:
    """That the change was made; backups that are too many may still be there."""
    kept = len(change.after.backups)
    surplus = holding.backups[kept:]
    if holding._replace(backups=holding.backups[:kept]) != change.after:
        raise Flaw(f"not what was told: {holding}, not {change.after}")
    if not set(surplus) <= set(change.held.backups):
        raise Flaw(f"not only what was too many before: {holding}")


def check_whole(change: Change, holding: Holding, *, older: bool = False) -> None:
    """That the document is the old or the new, and the backups are backups.

    With older it may be any that there is a backup of.
    """
    before, after = change.held, change.after
    others = before.backups if older else ()
    if holding.document not in (before.document, after.document, *others):
        raise Flaw(f"neither the old nor the new document: {holding}")
    if before.sound and after.sound and not holding.sound:
        raise Flaw(f"no document is left: {holding}")
    if after.document in before.sound - holding.sound:
        raise Flaw(f"what was asked for is lost: {holding}")
    if not set(holding.backups) <= {*before.backups, *after.backups}:
        raise Flaw(f"backups of what was never in place or is damaged: {holding}")
    sound = _sound(holding.backups)
    if sound != sorted(set(sound), reverse=True):
        raise Flaw(f"backups that are not in order: {holding}")
    if not set(holding.aside) <= {*before.aside, *after.aside}:
        raise Flaw(f"set aside, and not damaged: {holding}")


def check_kept(change: Change, holding: Holding) -> None:
    """That what there was and has to stay is there at every instant."""
    lost = (change.held.all & change.after.all) - holding.all
    if lost:
        raise Flaw(f"{lost} lost for a while: {holding}")


def check_next(files: DocumentFiles, holding: Holding) -> None:
    """That another save works, and backs up what it finds, in front of the others."""
    save(files, NEXT)
    document, backups, aside = holding
    may_be, may_be_aside = [backups], [aside]
    # Backup 1 may be the document itself, or another one that is like it; what is set
    # aside likewise.
    if document is not None and document < 0:
        may_be_aside = [(*aside, document)] + [aside] * (document in aside)
    elif document is not None:
        may_be = [(document, *backups)] + [backups] * (backups[:1] == (document,))
    may_be = [some[: files.max_backups] for some in may_be]
    after = looked_at(files)
    if after not in starmap(Holding, product([NEXT], may_be, may_be_aside)):
        raise Flaw(f"the next save made {after} of {holding}")
