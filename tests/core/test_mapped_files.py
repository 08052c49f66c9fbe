"""Mapped files: what an opened snapshot holds, and what may become of its file.

Truncation in place is not here: the system ends a process that touches what is gone, as
docs/snapshot-format.md says. Start at `test_opened_snapshot_stays_as_it_was`.
"""

import gc
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from core.damage import lied, worried
from core.goldens import CREATED_NS, EDGES, GOLDENS
from image import encode
from latency_kv import InMemoryStore, StateSnapshot
from latency_kv.errors import SnapshotCorruptError

IMAGE = encode(EDGES, CREATED_NS)
OTHER = {b"other": b"contents"}

READS: list[Callable[[StateSnapshot, bytes], object]] = [
    lambda image, key: image[key],
    lambda image, key: image.get(key),
    lambda image, key: image.get_many([key] * 40),
    lambda image, key: (image.first(key), image.last(key)),
    lambda image, key: (image.floor(key), image.ceiling(key)),
    lambda image, key: list(image.prefix_scan(key[:1])),
    lambda image, key: list(image.range_scan(key, reverse=True)),
    lambda image, key: list(image.range_keys(None, key)),
    lambda image, key: image == EDGES,
    lambda image, key: (len(image), image.size_bytes(), repr(image)),
    lambda image, key: image.to_bytes(),
]

both = pytest.mark.parametrize("mmap", [True, False], ids=["mmap", "memory"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.lkv"


@both
def test_refused_file_leaves_no_descriptor(path: Path, mmap: bool) -> None:
    path.write_bytes(IMAGE[:-1])
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with pytest.raises(SnapshotCorruptError):
            StateSnapshot.open(path, mmap=mmap)
    assert len(os.listdir("/proc/self/fd")) <= before


def test_opened_file_is_given_back_with_the_snapshot(path: Path) -> None:
    path.write_bytes(IMAGE)

    def is_mapped() -> bool:
        return str(path) in Path("/proc/self/maps").read_text()

    opened = StateSnapshot.open(path)
    assert is_mapped()
    view = memoryview(opened)
    del opened
    gc.collect()
    assert is_mapped()
    assert view == IMAGE
    del view
    gc.collect()
    assert not is_mapped()
    opened = StateSnapshot.open(path, mmap=False)
    assert not is_mapped()
    assert opened == EDGES


@both
@pytest.mark.parametrize("becomes", ["unlinked", "replaced", "saved over"])
def test_opened_snapshot_stays_as_it_was(path: Path, mmap: bool, becomes: str) -> None:
    path.write_bytes(IMAGE)
    opened = StateSnapshot.open(path, mmap=mmap)
    scan = opened.prefix_scan()
    next(scan)
    if becomes == "unlinked":
        path.unlink()
    elif becomes == "replaced":
        other = path.with_name("other")
        other.write_bytes(bytes(300))
        other.replace(path)
    else:
        InMemoryStore(OTHER).snapshot().save(path)
        assert StateSnapshot.open(path) == OTHER
    assert opened == EDGES
    assert len(list(scan)) == len(EDGES) - 1
    assert opened.to_bytes() == IMAGE
    opened.check()


def test_snapshot_in_memory_does_not_see_the_file_change(path: Path) -> None:
    path.write_bytes(IMAGE)
    opened = StateSnapshot.open(path, mmap=False)
    path.write_bytes(b"")
    assert opened == EDGES
    assert opened.to_bytes() == IMAGE


def test_opened_snapshot_is_saved_over_its_own_file(path: Path) -> None:
    path.write_bytes(IMAGE)
    opened = StateSnapshot.open(path)
    opened.save(path)
    assert opened == StateSnapshot.open(path) == EDGES
    assert path.read_bytes() == IMAGE


@pytest.mark.parametrize("name", ["edges", "mixed"])
def test_file_that_changes_under_its_reader_breaks_nothing(
    path: Path, seed: int, full: bool, name: str
) -> None:
    """Reads may answer anything or raise: they stay within the image, and end.

    A store that is restored meanwhile is whole, or as it was before.
    """
    random = Random(seed)
    golden = next(golden for golden in GOLDENS if golden.name == name)
    image, keys = golden.image(), [*golden.entries, b"absent", b"user/"]
    path.write_bytes(image)
    for _ in range(10_000 if full else 300):
        opened = StateSnapshot.open(path)
        damaged = random.choice((worried, lied))(random, image)
        with path.open("r+b") as file:
            file.write(damaged)
        for read in random.sample(READS, len(READS)):
            with suppress(KeyError, SnapshotCorruptError):
                read(opened, random.choice(keys))
        store = InMemoryStore(OTHER)
        try:
            store.restore(opened)
        except SnapshotCorruptError:
            assert store == OTHER
        store.check()
        with path.open("r+b") as file:
            file.write(image)


FLIP = """
import mmap, os, sys
with open(sys.argv[1], "r+b") as file, mmap.mmap(file.fileno(), 0) as image:
    parent = os.getppid()
    print(flush=True)
    while os.getppid() == parent:
        image[int(sys.argv[2])] ^= 3
"""


def test_file_that_changes_amid_a_restore_is_refused_or_read_whole(path: Path) -> None:
    """A key flips between two that are in order, but have other hashes."""
    entries = {b"%05d a" % number: b"" for number in range(20_000)}
    path.write_bytes(encode(entries, CREATED_NS))
    opened = StateSnapshot.open(path)
    at = path.read_bytes().index(b"10000 a") + 6
    refused = 0
    command = [sys.executable, "-c", FLIP, path, str(at)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        for _ in range(5_000):
            if refused == 20:
                break
            store = InMemoryStore(OTHER)
            try:
                store.restore(opened)
            except SnapshotCorruptError:
                refused += 1
                assert store == OTHER
            store.check()
        writer.kill()
    assert refused == 20
