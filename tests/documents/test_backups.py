"""Backups: names that are read as they are written, and rotations that lose nothing.

Every set of a few indexes and every number of backups is played, rename by rename, on a
folder that is a dict. Start at `played`.
"""

from collections.abc import Iterable
from itertools import chain, combinations
from random import Random

import pytest

from latency_kv.documents.backups import (
    Rotation,
    StateFile,
    backup_file,
    corrupt_file,
    lock_file,
    parsed,
    rotation,
    state_file,
)
from latency_kv.documents.names import stem_of

NEW = 0
STEMS = [stem_of(name) for name in ("clock", "a", "A/\xe9", "con", "\xe9" * 99, "-")]


def test_names_of_files_are_as_they_always_were() -> None:
    assert state_file("clock") == "clock.json"
    assert backup_file("clock", 3) == "clock.backup.3.json"
    assert corrupt_file("clock", 12) == "clock.corrupt-12.json"
    assert lock_file("clock") == "clock.lock"


@pytest.mark.parametrize("stem", STEMS)
def test_names_are_read_as_they_are_written(stem: str) -> None:
    assert parsed(state_file(stem)) == StateFile(stem, "state", 0)
    for number in (1, 2, 9, 10, 11, 100, 999_999, 10**17):
        assert parsed(backup_file(stem, number)) == StateFile(stem, "backup", number)
        assert parsed(corrupt_file(stem, number)) == StateFile(stem, "corrupt", number)


@pytest.mark.parametrize(
    "name",
    [
        *("", ".json", "json", "clock", "clock.", "clock.txt", "clock.lock", ".lock"),
        *("Clock.json", "clock.JSON", "clock.Backup.1.json", "clock.json ", " a.json"),
        *("clock.json\n", "clock\n.json", "\nclock.json", "a b.json", "a.b.json"),
        *("clock.backup.0.json", "clock.backup.01.json", "clock.backup.-1.json"),
        *("clock.backup.1.1.json", "clock.backup..json", "clock.backup.json"),
        *("clock.backup.+1.json", "clock.backup.1_0.json", "clock.backup. 1.json"),
        *("clock.backup.\u0661.json", "clock.backup.\xb2.json", "clock.backup.1"),
        *("clock.backup-1.json", "clock.corrupt.1.json", "clock.corrupt-0.json"),
        *("clock.corrupt-01.json", "clock.corrupt-.json", "clock.corrupt.json"),
        *("clock.corrupt-1", ".backup.1.json", ".corrupt-1.json", "clock.1.json"),
        *(".clock.json.0123456789abcdef.tmp", ".clock.json", "clock.json.tmp"),
        *(".clock.backup.1.json.0123456789abcdef.tmp", "clock.json~", "clock.json.bak"),
        *("../clock.json", "a/clock.json", "\xe9.json", "clock.json\0", "clock\0.json"),
        f"clock.backup.1{'0' * 18}.json",
        f"clock.backup.{'9' * 5_000}.json",
    ],
)
def test_other_names_are_nobodys(name: str) -> None:
    assert parsed(name) is None


def test_whatever_is_read_is_written_the_same(seed: int) -> None:
    random = Random(seed)
    parts = ["clock", ".", "backup", "corrupt", "-", "json", "1", "0", "A", ".json"]
    found = 0
    for _ in range(100_000):
        name = "".join(random.choices(parts, k=random.randint(1, 7)))
        file = parsed(name)
        if file is not None:
            found += 1
            again = {
                "state": state_file(file.stem),
                "backup": backup_file(file.stem, file.number),
                "corrupt": corrupt_file(file.stem, file.number),
            }
            assert again[file.kind] == name
    assert found > 100


def played(indexes: Iterable[int], max_backups: int) -> Rotation:
    """Do what the plan says, on backups that are called by their first index."""
    plan = rotation(indexes, max_backups)
    folder = {index: index for index in indexes}
    newest_first = sorted(folder)
    staying = newest_first[: max(0, max_backups - 1)]
    for old, new in plan.renames:
        assert old != new
        assert folder.get(new) not in staying
        folder[new] = folder.pop(old)
        # Whenever the power goes, each that stays is there, and in its order.
        held = [folder[index] for index in sorted(folder) if folder[index] in staying]
        assert held == staying
    if max_backups:
        # The new one is published before anything is removed.
        assert folder.get(1) not in staying
        folder[1] = NEW
    for index in plan.surplus:
        assert folder.pop(index) not in [*staying, NEW]
    kept = [NEW, *staying] if max_backups else []
    assert folder == dict(enumerate(kept, start=1))
    return plan


@pytest.mark.parametrize("max_backups", range(9))
def test_rotation_of_every_set_of_indexes(max_backups: int) -> None:
    sets = chain.from_iterable(combinations(range(1, 8), size) for size in range(8))
    plans = [played(indexes, max_backups) for indexes in sets]
    assert len(plans) == 2**7


def test_rotation_of_many_indexes(seed: int, full: bool) -> None:
    random = Random(seed)
    for _ in range(100_000 if full else 3_000):
        highest = random.choice((5, 20, 100, 10**17))
        indexes = [random.randint(1, highest) for _ in range(random.randint(0, 30))]
        played(indexes, random.randint(0, 35))


def test_rotation_without_gaps_renames_each_once_from_the_oldest() -> None:
    assert rotation([1, 2, 3], 3) == Rotation([(2, 3), (1, 2)], [])
    assert rotation([1, 2], 3) == Rotation([(2, 3), (1, 2)], [])


def test_rotation_leaves_what_already_fits() -> None:
    assert rotation([], 3) == Rotation([], [])
    assert rotation([2, 3], 3) == Rotation([], [])
    assert rotation([2, 3, 4, 5], 3) == Rotation([], [4, 5])


def test_rotation_to_one_backup_lets_the_new_one_overwrite() -> None:
    assert rotation([1, 2, 5], 1) == Rotation([], [2, 5])


def test_rotation_to_no_backups_removes_all() -> None:
    assert rotation([3, 1], 0) == Rotation([], [1, 3])


def test_rotation_takes_indexes_in_any_order_from_anything() -> None:
    assert rotation(iter([3, 1, 2, 1]), 4) == rotation({1, 2, 3}, 4)
