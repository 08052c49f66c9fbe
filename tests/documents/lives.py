"""Lives: writers of one document that are killed or lose their power, and what is left.

Whoever writes adds one to the number that is there, under the lock, and acknowledges
what it made of it. So the numbers are the one order of all writes, a write that is lost
is made again by another, and the backups count down from the document.

Each runs in a fresh interpreter: test_kills.py and test_power.py call them. Start at
`Checked.check`.
"""

import functools
import itertools
import time
from contextlib import nullcontext
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import anyio

# A write imports it, and each forked life would again.
import filelock  # noqa: F401

from kills import Acknowledge, kill_often, quick_folder
from latency_kv import FileSystemStateStore
from latency_kv.documents.backups import parsed
from latency_kv.documents.document import decode
from latency_kv.documents.files import DocumentFiles
from latency_kv.errors import LockTimeoutError, StateError, StateParseError
from power import cut_and_lose, cut_on_each_mount

NAME = "clock"
MAX_BACKUPS = 3

# Some pages, so that a write can be cut in its midst.
LARGEST_FILLING = 20_000

# Less than a write takes.
PAUSE_S = 0.000_2

# From before the first call to some writes later; for a store a loop, its thread and a
# lock that is asked for every 10 ms come first.
LONGEST_LIFE_S = {"files": 0.005, "store": 0.015}

# Long enough for two to meet, where there is one processor for them.
LONGEST_CARELESS_LIFE_S = 0.02


def next_of(data: Any) -> dict[str, Any]:
    """What comes after these data, None at first."""
    number = 1 if data is None else data["number"] + 1
    size = Random(number).randrange(LARGEST_FILLING)
    return {"number": number, "filling": "x" * size}


def number_of(data: Any) -> int:
    """The number of data that are as they were written."""
    number = data["number"]
    assert isinstance(number, int)
    assert data == next_of(None if number == 1 else {"number": number - 1})
    return number


def write_forever(
    folder: Path, acknowledge: Acknowledge, *, durable: bool = True
) -> None:
    """Count on, in a folder that others count on in too."""
    files = DocumentFiles(folder, max_backups=MAX_BACKUPS, durable=durable)
    files.open()
    while True:
        try:
            with files.hold(NAME):
                state = files.read(NAME)
                data = next_of(state and state.data)
                files.write(NAME, data, None)
        except LockTimeoutError:
            time.sleep(PAUSE_S)
        else:
            acknowledge(data["number"])


def write_without_lock(folder: Path, acknowledge: Acknowledge) -> None:
    """The same, careless of others."""
    try:
        with mock.patch.object(DocumentFiles, "hold", return_value=nullcontext()):
            write_forever(folder, acknowledge)
    except StateError:
        # Another one's renames came between.
        wait_forever()


def write_until_cut(
    folder: Path, acknowledge: Acknowledge, *, durable: bool = True
) -> None:
    """The same, and wait for the end once the disk is gone."""
    try:
        write_forever(folder, acknowledge, durable=durable)
    except OSError:
        wait_forever()


def wait_forever() -> None:
    while True:
        time.sleep(1)


def update_forever(folder: Path, acknowledge: Acknowledge) -> None:
    """Count on by a store's `update`."""

    async def main() -> None:
        async with FileSystemStateStore(
            state_dir=folder, max_backups=MAX_BACKUPS
        ) as store:
            while True:
                data = await store.update(NAME, next_of)
                acknowledge(data["number"])

    anyio.run(main)


class Checked:
    """A folder that is counted on in, and the number that was there when it was checked.

    After each life of all writers, `check` takes what each of them acknowledged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.number = 0
        self.check_count = 0

    def check(self, acknowledged: list[list[int]]) -> None:
        """What is acknowledged is there, once, and all that is there is whole."""
        numbers = list(itertools.chain(*acknowledged))
        assert all(some == sorted(some) for some in acknowledged)
        assert len(set(numbers)) == len(numbers), "an update was lost to another"
        assert min(numbers, default=self.number + 1) > self.number
        self.check_count += 1
        files = DocumentFiles(self.folder, max_backups=MAX_BACKUPS)
        # At other times the next life has to sweep.
        if self.check_count % 2:
            files.open()
            names = [path.name for path in self.folder.iterdir() if path.is_file()]
            assert all(map(parsed, names)), names
            assert not [name for name in names if "corrupt" in name]
        state = files.read(NAME)
        number = 0 if state is None else number_of(state.data)
        assert number >= max(numbers, default=0), f"lost {max(numbers)}"
        # Each may have written once without telling.
        told = number - self.number - len(numbers)
        assert 0 <= told <= len(acknowledged), (number, self.number)
        self.check_backups(files, number)
        self.number = number

    def check_backups(self, files: DocumentFiles, number: int) -> None:
        """What came before it; amid a change the newest twice, or one too many."""
        backups = []
        for index, path in enumerate(files.backups(NAME), start=1):
            try:
                state = decode(path.read_bytes(), NAME, path)
            except StateParseError:
                # One too many was removed, not yet for good: with data=writeback its
                # space may be another file's already when the power comes back.
                assert index > MAX_BACKUPS
                break
            backups.append(number_of(state.data))
        newest = backups[0] if backups else number - 1
        assert newest in (number, number - 1), backups
        assert backups == list(range(newest, newest - len(backups), -1)), backups
        assert min(MAX_BACKUPS, newest) <= len(backups) <= MAX_BACKUPS + 1, backups

    def check_next_write(self) -> None:
        files = DocumentFiles(self.folder, max_backups=MAX_BACKUPS)
        files.open()
        for _ in range(2):
            with files.hold(NAME):
                self.number += 1
                files.write(NAME, next_of({"number": self.number - 1}), None)
        self.check_backups(files, self.number)


WRITERS = {"files": write_forever, "store": update_forever}


def kill_documents(writer: str, kills: str, seed: str) -> None:
    """Kill two writers of one document together, again and again."""
    # It imports the loop, and each forked life would again.
    anyio.run(anyio.sleep, 0)
    with quick_folder() as folder:
        checked = Checked(folder / "state")
        write = functools.partial(WRITERS[writer], checked.folder)
        written = kill_often(
            [write, write],
            checked.check,
            int(kills),
            int(seed),
            longest_life_s=LONGEST_LIFE_S[writer],
        )
        assert written, "every writer was killed before it acknowledged anything"
        checked.check_next_write()
        print(f"{written} documents acknowledged, of {checked.number}")


def kill_documents_without_lock(kills: str, seed: str) -> None:
    """The same for writers without a lock: it has to be noticed."""
    losses = 0
    with quick_folder() as folder:
        numbers = iter(range(int(kills)))

        def check(acknowledged: list[list[int]]) -> None:
            nonlocal losses
            try:
                Checked(folder / "state").check(acknowledged)
            except (AssertionError, StateError):
                losses += 1
            (folder / "state").rename(folder / str(next(numbers)))

        (folder / "state").mkdir()
        write = functools.partial(write_without_lock, folder / "state")
        kill_often(
            [write, write],
            check,
            int(kills),
            int(seed),
            longest_life_s=LONGEST_CARELESS_LIFE_S,
        )
    print(f"{losses} of {kills} lives lost updates")
    assert losses, "no life lost any: these kills prove nothing"


def cut_documents(cuts: str, seed: str) -> None:
    """Cut the power of a writer."""
    cut_on_each_mount(int(cuts), int(seed), write_until_cut, Checked)


def cut_documents_that_are_not_durable(cuts: str, seed: str) -> None:
    """Cut the power of a store that syncs nothing."""

    def check(folder: Path, acknowledged: list[int]) -> None:
        state = DocumentFiles(folder).read(NAME)
        number = 0 if state is None else number_of(state.data)
        assert number >= max(acknowledged, default=0)

    write = functools.partial(write_until_cut, durable=False)
    cut_and_lose(int(cuts), int(seed), write, check)
