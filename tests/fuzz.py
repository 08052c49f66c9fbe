"""Fuzz: images that a coverage-guided fuzzer makes up, under AddressSanitizer.

    python -P tests/fuzz.py [seconds]

Builds the engine with clang, libFuzzer's coverage and AddressSanitizer compiled in, at
ordinary sizes and at those at which everything splits early, and lets atheris play for
so long on each.  The checksum is always repaired: blind damage never gets past it.

    raw      the input is an image but for its size and checksum
    framed   the input is what lies in the sections, and the header is right: so the
             fuzzer spends its time on offsets and keys

What is accepted has to be sound in every use; what is refused, refused by one of the
two exceptions.  Needs clang and the extra [fuzz].  Start at `play`.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).parent
VARIANTS = ["fuzz", "tiny+fuzz"]
SECONDS = 600

# Enough for a table of many pages in the tiny build; the sections need no more.
MOST_BYTES = 4_096

HEADER_SIZE = 128
OFFSET_SIZE = 8
ALIGNMENT = 64


def framed(data: bytes) -> bytes:
    """A header around sections that take their bytes, and their sizes, from data."""
    count, keys_size = data[0], data[1] * 3
    rest = data[2:]
    parts, offset, header = [], HEADER_SIZE, b""
    for size in ((count + 1) * OFFSET_SIZE, keys_size, (count + 1) * OFFSET_SIZE, None):
        part = rest if size is None else rest[:size].ljust(size, b"\0")
        rest = rest[len(part) :]
        start = -(-offset // ALIGNMENT) * ALIGNMENT
        parts.append(bytes(start - offset) + part)
        header += start.to_bytes(8, "little") + len(part).to_bytes(8, "little")
        offset = start + len(part)
    fields = b"\1" + bytes(7) + bytes(8) + count.to_bytes(8, "little") + bytes(8)
    return bytes(16) + fields + header + bytes(16) + b"".join(parts)


def repaired(image: bytes) -> bytes:
    """The image with magic, size and checksum as they have to be."""
    import xxhash

    body = image[16:40] + len(image).to_bytes(8, "little") + image[48:]
    checksum = xxhash.xxh64_intdigest(body, 0)
    return b"\x89LKVS\r\n\x1a" + checksum.to_bytes(8, "little") + body


def play(data: bytes) -> None:
    """Read what the fuzzer made up, and use it if it is accepted."""
    from latency_kv import InMemoryStore, StateSnapshot
    from latency_kv.errors import SnapshotCorruptError, SnapshotVersionError

    if len(data) < 8:
        return
    kind, data = data[0], data[1:]
    image = repaired(framed(data) if kind & 1 else data)
    try:
        snapshot = StateSnapshot.from_bytes(image)
    except (SnapshotCorruptError, SnapshotVersionError):
        return
    snapshot.check()
    assert snapshot.to_bytes() == image
    keys = list(snapshot)
    assert keys == sorted(set(keys))
    store = InMemoryStore.from_snapshot(snapshot, ordered=bool(kind & 2))
    store.check()
    assert store == snapshot
    assert all(snapshot.contains(key) for key in keys)
    assert store.get_many(keys) == snapshot.get_many(keys)
    assert list(store.items()) == list(snapshot.items())
    assert list(snapshot.range_keys(data[:3], data[3:6])) == list(
        store.range_keys(data[:3], data[3:6])
    )
    again = store.snapshot().to_bytes()
    assert again[32:] == image[32:]
    for key in keys[::2]:
        store.delete(key)
    store.put(b"new", data)
    store.check()


def fuzz() -> None:
    """Hand this process to the fuzzer; its options are the command line's."""
    import atheris

    atheris.Setup(sys.argv, play)
    atheris.Fuzz()


def seeds(folder: Path) -> None:
    """Start from the golden images, as they are and as the contents of a frame."""
    for number, path in enumerate(sorted((TESTS / "core" / "golden").glob("*.lkv"))):
        image = path.read_bytes()[:MOST_BYTES]
        (folder / f"raw-{number}").write_bytes(b"\2" + image)
    offsets = b"".join(n.to_bytes(8, "little") for n in range(0, 12, 3))
    content = b"aaabbbccc"
    (folder / "framed").write_bytes(b"\3\3\3" + offsets + content + offsets + content)


def run(variant: str, seconds: int) -> int:
    """Build a variant and fuzz it; libFuzzer's status, 0 without a finding."""
    import atheris

    from core.test_variants import BUILD, built

    os.environ["CC"] = shutil.which("clang") or shutil.which("clang-14") or "clang"
    folder = built(variant)
    with tempfile.TemporaryDirectory() as corpus:
        seeds(Path(corpus))
        runtime = Path(atheris.path()) / "asan_with_fuzzer.so"
        command = [sys.executable, "-P", __file__, "--fuzz", corpus]
        options = [f"-max_total_time={seconds}", f"-max_len={MOST_BYTES}"]
        return subprocess.run(
            [
                *command,
                *options,
                f"-artifact_prefix={BUILD}/fuzz-",
                "-print_final_stats=1",
            ],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(folder), str(TESTS)]),
                "PYTHONMALLOC": "malloc",
                "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1",
                "LD_PRELOAD": str(runtime),
            },
            check=False,
        ).returncode


if __name__ == "__main__":
    if "--fuzz" in sys.argv:
        sys.argv.remove("--fuzz")
        fuzz()
    else:
        limit = int(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
        failed = [variant for variant in VARIANTS if run(variant, limit)]
        sys.exit(f"findings in: {', '.join(failed)}" if failed else 0)
