"""The verbs: what they print into a pipe, and the status that scripts decide by."""

import base64
import json
import os
import tracemalloc
from pathlib import Path

import pytest

from cli.conftest import Answer, Run, Save
from latency_kv import InMemoryStore, StateSnapshot
from latency_kv.checkpoints import CheckpointDirectory
from latency_kv.cli.screen import TROUBLE
from latency_kv.errors import SnapshotCorruptError

ENTRIES = {
    b"gate:7": b"open",
    b"gate:8": b"closed",
    b"seat:12A": b"taken",
    b"seat:12B": b"free",
    b"\x00\xff": b"\x1b[2J\n\\",
}

# As the listing has it, in key order.
LISTED = [
    "\\x00\\xff\t\\x1b[2J\\n\\\\",
    "gate:7\topen",
    "gate:8\tclosed",
    "seat:12A\ttaken",
    "seat:12B\tfree",
]


@pytest.fixture
def file(save: Save) -> Path:
    return save(ENTRIES)


def overlooked(path: Path) -> str:
    """What is told of the newest checkpoint, where its last bit was flipped."""
    with pytest.raises(SnapshotCorruptError) as caught:
        StateSnapshot.open(path)
    assert "checksum" in caught.value.reason
    return f"latency-kv: passed over {path}: {caught.value.reason}\n"


@pytest.fixture
def damaged(save: Save) -> Path:
    path = save({b"key": b"value"}, "damaged.lkv")
    flip_last_bit(path)
    return path


def flip_last_bit(path: Path) -> None:
    image = bytearray(path.read_bytes())
    image[-1] ^= 1
    path.write_bytes(image)


def is_trouble(answer: Answer, *parts: str) -> bool:
    """Whether a command said one line, with these parts, and nothing else."""
    one_line = answer.err.count("\n") == 1 and answer.err.startswith("latency-kv: ")
    silent = answer.status == TROUBLE and not answer.out
    return one_line and silent and all(part in answer.err for part in parts)


# info


def test_info_tells_figures_for_programs(run: Run, file: Path) -> None:
    answer = run("info", file, "--json")
    facts = json.loads(answer.out)
    image = file.read_bytes()
    with_stamp = StateSnapshot.open(file)
    assert answer.status == 0 and not answer.err
    assert facts == {
        "path": str(file),
        "version": 1,
        "created": with_stamp.created_at.isoformat(),
        "created_ns": with_stamp.timestamp_ns,
        "entries": 5,
        "file_bytes": len(image),
        "checksum": image[15:7:-1].hex(),
        "keys": {"bytes": 30, "min": 2, "p50": 6, "max": 8},
        "values": {"bytes": 25, "min": 4, "p50": 5, "max": 6},
        "first_key": base64.b64encode(b"\x00\xff").decode(),
        "last_key": base64.b64encode(b"seat:12B").decode(),
        "prefixes": [
            {"prefix": base64.b64encode(b"gate:").decode(), "entries": 2},
            {"prefix": base64.b64encode(b"seat:").decode(), "entries": 2},
        ],
        "skipped": [],
    }


def test_info_in_a_pipe_has_a_field_a_line(run: Run, file: Path) -> None:
    lines = run("info", file).out.splitlines()
    fields = dict(line.split("\t") for line in lines)
    assert len(fields) == len(lines)
    assert fields["entries"] == "5" and fields["keys.p50"] == "6"
    assert fields["first_key"] == r"\x00\xff"
    assert fields["prefixes.1.prefix"] == "seat:"


def test_info_of_an_empty_snapshot(run: Run, save: Save) -> None:
    facts = json.loads(run("info", save({}), "--json").out)
    assert facts["entries"] == 0 and "first_key" not in facts
    assert facts["values"] == {"bytes": 0, "min": 0, "p50": 0, "max": 0}


# verify


def test_verify_counts_in_words(run: Run, save: Save) -> None:
    one = save({b"k": b""}, "one.lkv")
    assert run("verify", one).out == f"OK\t{one}\t1 entry\n"


def test_verify_is_0_when_all_are_sound(run: Run, file: Path, save: Save) -> None:
    other = save({}, "b.lkv")
    answer = run("verify", file, other)
    assert answer == (0, f"OK\t{file}\t5 entries\nOK\t{other}\t0 entries\n", "")


def test_verify_is_1_when_one_is_damaged(run: Run, file: Path, damaged: Path) -> None:
    answer = run("verify", damaged, file)
    assert answer.status == 1
    bad, good = answer.out.splitlines()
    assert bad.startswith(f"BAD\t{damaged}\t") and "checksum" in bad
    assert good.startswith("OK\t")


def test_verify_is_2_when_one_cannot_be_checked(
    run: Run, file: Path, damaged: Path, tmp_path: Path
) -> None:
    answer = run("verify", tmp_path / "absent", damaged, file)
    assert answer.status == TROUBLE
    first, *rest = answer.out.splitlines()
    assert first == f"ERROR\t{tmp_path / 'absent'}\tno such file; check the path"
    assert [line.split("\t")[0] for line in rest] == ["BAD", "OK"]


def test_verify_checks_all_checkpoints_of_a_folder(run: Run, tmp_path: Path) -> None:
    directory = CheckpointDirectory(tmp_path / "checkpoints")
    assert run("verify", directory.path).status == TROUBLE
    for _ in range(2):
        directory.write(InMemoryStore(ENTRIES).snapshot())
    assert run("verify", directory.path).status == 0
    flip_last_bit(directory.list()[1].path)
    answer = run("verify", directory.path)
    assert answer.status == 1
    assert [line.split("\t")[0] for line in answer.out.splitlines()] == ["OK", "BAD"]


# get


def test_get_prints_the_value_in_one_line(run: Run, file: Path) -> None:
    assert run("get", file, "gate:7") == (0, "open\n", "")
    assert run("get", file, r"\x00\xff") == (0, "\\x1b[2J\\n\\\\\n", "")


def test_get_takes_and_gives_other_notations(run: Run, file: Path) -> None:
    assert run("get", file, "00ff", "--hex").out == "1b5b324a0a5c\n"
    assert run("get", file, "AP8=", "--base64").out == "G1sySgpc\n"


def test_get_raw_gives_the_bytes_and_nothing_else(
    file: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    from latency_kv.__main__ import main

    assert main(["snapshot", "get", str(file), r"\x00\xff", "--raw"]) == 0
    assert capfdbinary.readouterr() == (b"\x1b[2J\n\\", b"")


def test_get_of_a_key_that_begins_with_a_dash(run: Run, save: Save) -> None:
    assert run("get", save({b"-k": b"v"}), "--", "-k").out == "v\n"


def test_get_without_such_a_key_is_1(run: Run, file: Path) -> None:
    answer = run("get", file, "gate:77")
    assert (answer.status, answer.out) == (1, "")
    assert answer.err == f"latency-kv: {file}: no key gate:77; the next one is gate:8\n"
    assert run("get", file, "z").err.endswith("no key z\n")
    assert run("get", file, "z" * 70_000).status == 1


@pytest.mark.parametrize(
    "options",
    [["a\\b"], ["abc", "--hex"], ["+-", "--base64"], ["", "--hex", "--base64"]],
)
def test_key_that_is_none_is_trouble(run: Run, file: Path, options: list[str]) -> None:
    assert is_trouble(run("get", file, *options))


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["position", "--hex"], ["KEY 'position': it is no hex", "706f736974696f6e"]),
        ([r"\x00z", "--hex"], ["if that is its text, give 007a"]),
        (["a-b", "--base64"], ["it is no base64", "if that is its text, give YS1i"]),
    ],
)
def test_key_in_another_notation_is_told_in_the_right_one(
    run: Run, file: Path, options: list[str], parts: list[str]
) -> None:
    assert is_trouble(run("get", file, *options), *parts)


# scan


def test_scan_lists_all_in_key_order_with_tabs(run: Run, file: Path) -> None:
    assert run("scan", file) == (0, "\n".join(LISTED) + "\n", "")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["seat:"], LISTED[3:]),
        (["gate:", "--reverse"], LISTED[2:0:-1]),
        (["--start", "gate:8", "--stop", "seat:12B"], LISTED[2:4]),
        (["seat:", "--start", "seat:12B"], LISTED[4:]),
        (["seat:", "--start", "a"], LISTED[3:]),
        (["seat:", "--stop", "seat:12B"], LISTED[3:4]),
        (["gate:", "--start", "seat:"], []),
        (["gate:", "--stop", "a"], []),
        (["--start", "z"], []),
        (["--limit", "2"], LISTED[:2]),
        (["--limit", "0"], []),
        (["seat:", "--keys"], ["seat:12A", "seat:12B"]),
        (["00", "--hex"], ["00ff\t1b5b324a0a5c"]),
    ],
)
def test_scan_lists_what_is_asked_for(
    run: Run, file: Path, options: list[str], expected: list[str]
) -> None:
    answer = run("scan", file, *options)
    assert answer == (0, "".join(f"{line}\n" for line in expected), "")


def test_scan_lists_a_prefix_of_ff(run: Run, save: Save) -> None:
    file = save({b"\xfe": b"", b"\xff": b"", b"\xff\xff": b""})
    assert run("scan", file, r"\xff", "--keys").out == "\\xff\n\\xff\\xff\n"


def test_scan_gives_json_lines_that_hold_the_bytes(run: Run, file: Path) -> None:
    lines = run("scan", file, "--json").out.splitlines()
    told = [json.loads(line) for line in lines]
    assert {
        base64.b64decode(entry["key"]): base64.b64decode(entry["value"])
        for entry in told
    } == ENTRIES
    assert json.loads(run("scan", file, "--json", "--keys", "gate:7").out) == {
        "key": base64.b64encode(b"gate:7").decode()
    }


def test_listed_key_is_taken_back(run: Run, save: Save) -> None:
    entries = {bytes([byte, byte ^ 0x80]): b"%d" % byte for byte in range(256)}
    file = save(entries)
    for line in run("scan", file).out.splitlines()[::7]:
        key, value = line.split("\t")
        assert run("get", file, "--", key).out == f"{value}\n"


# diff


def test_diff_of_equal_entries_is_0(run: Run, file: Path, save: Save) -> None:
    answer = run("diff", file, save(ENTRIES, "b.lkv"))
    counts = "latency-kv: 0 added, 0 removed, 0 changed, 5 the same\n"
    assert answer == (0, "", counts)


@pytest.fixture
def newer(save: Save) -> Path:
    changed = {b"gate:7": b"closed", b"gate:9": b"open"}
    entries = ENTRIES | changed
    del entries[b"gate:8"]
    return save(entries, "newer.lkv")


def test_diff_lists_changes_and_is_1(run: Run, file: Path, newer: Path) -> None:
    answer = run("diff", file, newer)
    assert answer.status == 1
    assert answer.out.splitlines() == [
        "~\tgate:7\topen\tclosed",
        "-\tgate:8\tclosed",
        "+\tgate:9\topen",
    ]
    assert answer.err == "latency-kv: 1 added, 1 removed, 1 changed, 3 the same\n"


def test_diff_counts_beyond_its_limit(run: Run, file: Path, newer: Path) -> None:
    answer = run("diff", file, newer, "--limit", "0")
    assert (answer.status, answer.out) == (1, "")
    assert "1 added, 1 removed, 1 changed" in answer.err


def test_diff_gives_json_lines(run: Run, file: Path, newer: Path) -> None:
    def text(value: bytes) -> str:
        return base64.b64encode(value).decode()

    lines = run("diff", file, newer, "--json").out.splitlines()
    assert [json.loads(line) for line in lines] == [
        {
            "change": "changed",
            "key": text(b"gate:7"),
            "old": text(b"open"),
            "new": text(b"closed"),
        },
        {"change": "removed", "key": text(b"gate:8"), "old": text(b"closed")},
        {"change": "added", "key": text(b"gate:9"), "new": text(b"open")},
    ]


def test_diff_with_a_damaged_file_is_2(run: Run, file: Path, damaged: Path) -> None:
    assert is_trouble(run("diff", file, damaged), str(damaged), "checksum")


# Troubles

ONE_FILE = [["info"], ["get", "key"], ["scan"]]


def asked(run: Run, verb: list[str], file: str | Path) -> Answer:
    return run(verb[0], file, *verb[1:])


@pytest.mark.parametrize("verb", ONE_FILE, ids=lambda verb: verb[0])
def test_trouble_is_one_line_with_file_reason_and_remedy(
    run: Run, verb: list[str], damaged: Path, tmp_path: Path
) -> None:
    answer = asked(run, verb, damaged)
    assert is_trouble(answer, str(damaged), "checksum", "take another copy")

    newer = tmp_path / "newer.lkv"
    image = bytearray(damaged.read_bytes())
    image[16] = 7
    newer.write_bytes(image)
    assert is_trouble(asked(run, verb, newer), str(newer), "version 7", "newer release")

    absent = tmp_path / "absent.lkv"
    assert is_trouble(asked(run, verb, absent), str(absent), "no such file")

    text = tmp_path / "text"
    text.write_text("x" * 500)
    assert is_trouble(asked(run, verb, text), str(text), "begin as a snapshot")

    assert is_trouble(asked(run, verb, "/dev/null"), "/dev/null", "regular file")

    folder = tmp_path / "folder"
    folder.mkdir()
    assert is_trouble(asked(run, verb, folder), str(folder), "no checkpoints")


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="owners as POSIX has them")
def test_file_of_somebody_else_is_trouble(
    run: Run, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> int:
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr("latency_kv.core.files.os.open", refuse)
    assert is_trouble(run("info", file), str(file), "permission denied", "owner")


def test_name_of_a_file_is_hostile_too(run: Run, tmp_path: Path) -> None:
    name = tmp_path / "\x1b[2J\n.lkv"
    assert is_trouble(run("info", name), r"\x1b[2J\x0a.lkv: no such file")
    name.write_bytes(b"")
    assert run("verify", name).out.startswith(f"BAD\t{tmp_path}/\\x1b[2J\\x0a.lkv\t")


@pytest.mark.parametrize(
    "wrong", [["bogus"], ["info"], ["scan", "f", "--limit", "-1"], ["info", "a", "b"]]
)
def test_wrong_use_is_2(run: Run, wrong: list[str]) -> None:
    answer = run(*wrong)
    assert (answer.status, answer.out) == (TROUBLE, "")
    assert "Usage: " in answer.err and "Traceback" not in answer.err


# Folders of checkpoints


def tree(path: Path) -> dict[str, tuple[int, int, int]]:
    found = {}
    for place in [path, *path.rglob("*")]:
        status = place.stat()
        found[str(place)] = status.st_mtime_ns, status.st_mode, status.st_size
    return found


@pytest.fixture
def checkpoints(tmp_path: Path) -> Path:
    """A folder of three, the newest of them damaged, without the lock's file."""
    directory = CheckpointDirectory(tmp_path / "checkpoints")
    for number in range(3):
        store = InMemoryStore({**ENTRIES, b"generation": b"%d" % number})
        directory.write(store.snapshot())
    flip_last_bit(directory.list()[0].path)
    for leftover in directory.path.glob(".*"):
        leftover.unlink()
    return directory.path


def test_folder_stands_for_its_newest_sound_checkpoint(
    run: Run, checkpoints: Path
) -> None:
    assert run("get", checkpoints, "generation").out == "1\n"
    facts = json.loads(run("info", checkpoints, "--json").out)
    newest, sound, _ = sorted(checkpoints.iterdir(), reverse=True)
    assert facts["path"] == str(sound)
    (skipped,) = facts["skipped"]
    assert skipped["path"] == str(newest) and "checksum" in skipped["reason"]


def test_what_is_passed_over_is_told_with_its_reason(
    run: Run, checkpoints: Path, file: Path
) -> None:
    newest, sound, oldest = sorted(checkpoints.iterdir(), reverse=True)
    told = overlooked(newest)
    for verb in (["info"], ["info", "--json"], ["get", "generation"], ["scan"]):
        answer = asked(run, verb, checkpoints)
        assert (answer.status, answer.err) == (0, told) and answer.out
        alone = asked(run, verb, sound)
        assert (alone.status, alone.err) == (0, "")
    absent = run("get", checkpoints, "z")
    assert absent == (1, "", f"{told}latency-kv: {sound}: no key z\n")
    # Once for each file, however many folders are named.
    assert run("diff", checkpoints, checkpoints).err.startswith(f"{told}latency-kv: 0 ")
    for arguments in [(checkpoints, file), (file, checkpoints)]:
        answer = run("diff", *arguments)
        assert answer.status == 1 and answer.err.count("passed over") == 1
    flip_last_bit(sound)
    answer = run("get", checkpoints, "generation")
    assert answer == (0, "0\n", told + overlooked(sound))
    # What is said of a file that is named alone is its trouble, not this.
    flip_last_bit(oldest)
    answer = run("get", checkpoints, "generation")
    assert is_trouble(answer, "none of its 3 checkpoints", "to start with nothing")


def test_folder_that_lies_where_a_checkpoint_should_is_told(
    run: Run, checkpoints: Path
) -> None:
    newest = max(checkpoints.iterdir())
    newest.unlink()
    newest.mkdir()
    answer = run("get", checkpoints, "generation")
    assert (answer.status, answer.out) == (0, "1\n")
    reason = "it is not a regular file"
    assert answer.err == f"latency-kv: passed over {newest}: {reason}\n"


def test_looking_changes_nothing_on_disk(
    run: Run, checkpoints: Path, file: Path
) -> None:
    before = tree(checkpoints.parent)
    for verb in (*ONE_FILE, ["verify"]):
        asked(run, verb, checkpoints)
        asked(run, verb, file)
    run("diff", checkpoints, checkpoints)
    assert tree(checkpoints.parent) == before


def test_folder_without_a_sound_checkpoint_is_trouble(
    run: Run, checkpoints: Path
) -> None:
    for path in sorted(checkpoints.iterdir())[:2]:
        flip_last_bit(path)
    assert is_trouble(run("info", checkpoints), str(checkpoints), "can be read")


# Size


@pytest.mark.parametrize(
    "command",
    [
        ["info", "big"],
        ["scan", "big"],
        ["scan", "big", "--json"],
        ["diff", "big", "old"],
    ],
    ids=" ".join,
)
def test_large_files_are_streamed(
    command: list[str], save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    """10 MB of values pass by, none of them stay."""
    from latency_kv.__main__ import main

    files = {
        "big": save({b"%06d" % n: bytes(2000) for n in range(5_000)}),
        "old": save({b"%06d" % n: b"\x01" * 2000 for n in range(0, 5_000, 2)}, "b"),
    }
    arguments = [str(files.get(argument, argument)) for argument in command]
    main(["snapshot", "info", str(save({}, "c"))])
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        monkeypatch.setattr("sys.stdout", nowhere)
        monkeypatch.setattr("sys.stderr", nowhere)
        tracemalloc.start()
        try:
            assert main(["snapshot", *arguments]) in (0, 1)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 2_000_000
