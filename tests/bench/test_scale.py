"""The bench of scale: what it puts is what it finds, and no row is lost on its way.

Stores are tiny here: what is tested is that every process measures what it owes, that
what does not fit is told, and that a page shows what the JSON says.  No timing decides
a test.
"""

import json
import math
import random
import re
import shutil
import subprocess
from array import array
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from latency_kv.bench import machine, native, peers
from latency_kv.bench.reports import plots
from latency_kv.bench.reports.__main__ import main as reports
from latency_kv.bench.reports.runs import BenchRun, read_run
from latency_kv.bench.reports.wording import amount
from latency_kv.bench.scale import __main__ as command
from latency_kv.bench.scale import process
from latency_kv.bench.scale.entries import Entries
from latency_kv.bench.scale.process import WrongAnswerError, measure
from latency_kv.bench.scale.rows import HUGE, PROCESSES, Measured, Process, figures

SIZE = 1_000
SIZES = (1_000, 2_000)


def operator_is_missing() -> bool:
    try:
        native.operator()
    except ImportError:
        return True
    return False


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The JSON of a run of two tiny sizes, its processes real."""
    folder = tmp_path_factory.mktemp("scale")
    path = folder / "made.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "objection", lambda: None)
        options = ["--quick", "--huge-pages", "--json", str(path)]
        options += ["--folder", str(folder)]
        ended = command.main([*map(str, SIZES), *options])
    assert ended == int(operator_is_missing())
    assert [*folder.iterdir()] == [path]
    return path


@pytest.fixture(scope="module")
def run(path: Path) -> BenchRun:
    return read_run(path)


def test_every_row_is_there_at_every_size(run: BenchRun) -> None:
    owed = {
        (HUGE if p.has_huge_pages else "") + name for p in PROCESSES for name in p.owes
    }
    assert {(row.row, row.size) for row in run.scale} == {
        (name, size) for name in owed for size in SIZES
    }
    for row in run.scale:
        # What a system or its compiler may not have.
        if row.row in ("find", f"{HUGE}find", f"{HUGE}share"):
            continue
        assert row.ours is not None
        assert math.isfinite(row.ours) and row.ours > 0 or row.row.endswith("memory")


def test_dict_is_beside_ours_where_it_has_one(run: BenchRun) -> None:
    beside = {row.row for row in run.scale if row.theirs is not None}
    assert (
        beside
        == {name for p in PROCESSES if not p.is_ours for name in p.owes}
        == {"fill", "fill-p999", "fill-longest", "memory", "get", "snapshot", "peak"}
    )


def test_image_has_the_size_that_its_format_says(run: BenchRun) -> None:
    for row in run.scale:
        if row.row == "image":
            assert row.ours == pytest.approx(row.size * 48e-6, rel=0.05)


PAGE = """# A page

<!-- figures: scale from made.json -->
<!-- end -->

<!-- figures: scale from made.json get huge-get -->
<!-- end -->
"""


def test_page_is_filled_and_a_planted_figure_is_found(
    path: Path, run: BenchRun, tmp_path: Path
) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    fill = ["fill", str(path), str(page)]
    assert reports(fill) == 0
    assert reports([*fill, "--check"]) == 0
    text = page.read_text()
    assert "|  | 1K | 2K |" in text
    first, second = text.split("<!-- end -->")[:2]
    assert not re.search("^.*with huge pages", first, re.MULTILINE)
    assert first.count("\n| ") == 1 + len(
        {row.row for row in run.scale if not row.row.startswith(HUGE)}
    )
    assert [line[:20] for line in second.splitlines() if "get" in line[:40]][1:] == [
        "| get, fresh keys in",
        "| with huge pages: g",
    ]
    # The page says another figure than the run.
    page.write_text(text.replace("| 1K | 2K |", "| 1K | 3K |", 1))
    assert reports([*fill, "--check"]) == 1
    # The run says another figure than the page.
    page.write_text(text)
    content = json.loads(path.read_bytes())
    (image,) = (
        row for row in content["scale"] if (row["row"], row["size"]) == ("image", SIZE)
    )
    image["ours"] *= 2
    other = tmp_path / path.name
    other.write_text(json.dumps(content))
    assert reports(["fill", str(other), str(page), "--check"]) == 1


def test_row_that_a_run_lacks_is_named(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- figures: scale get got -->\n<!-- end -->\n")
    assert reports(["fill", str(path), str(page)]) == 2
    assert "made.json has no row got" in capsys.readouterr().err


@pytest.mark.skipif(not plots.is_there(), reason="no matplotlib")
def test_picture_and_page_are_made_of_it(path: Path, tmp_path: Path) -> None:
    assert reports(["pictures", str(path), str(tmp_path)]) == 0
    assert [file.name for file in tmp_path.iterdir()] == ["scale.png"]
    assert reports(["html", str(path), str(tmp_path / "made.html")]) == 0
    page = (tmp_path / "made.html").read_text()
    assert 'id="scale"' in page and "dict: copy()" in page


def test_cell_has_the_figures_of_its_row_and_size(
    path: Path, run: BenchRun, tmp_path: Path
) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    assert reports(["fill", str(path), str(page)]) == 0
    lines = [line.strip("| ").split(" | ") for line in page.read_text().splitlines()]
    cells = {line[0]: dict(zip(SIZES, line[1:], strict=False)) for line in lines}
    for row in run.scale:
        if row.row.startswith(HUGE) or row.ours is None:
            continue
        shown = cells[row.title][row.size]
        ours, _, theirs = shown.partition("; dict ")
        assert ours == amount(row.ours, row.unit)
        assert theirs == amount(row.theirs, row.unit)


def test_entries_are_distinct_and_in_groups() -> None:
    made = Entries(500_000)
    seen = [pair for batch in made.batches() for pair in zip(*batch, strict=True)]
    entries = dict(seen)
    assert len(seen) == len(entries) == len({*entries.values()}) == made.size
    assert {len(key) for key in entries} == {len(v) for v in entries.values()} == {16}
    groups = Counter(key[:8] for key in entries)
    assert {*groups.values()} == {100}
    assert {*made.prefixes(10_000)} == {*groups}
    keys, values = made.sample(1_000)
    picked = [(keys[at : at + 16], values[at : at + 16]) for at in range(0, 16_000, 16)]
    assert len({*picked}) == 1_000
    assert all(entries[key] == value for key, value in picked)


@pytest.mark.parametrize("size", [0, 50, 1_050])
def test_size_that_has_no_groups_is_refused(
    size: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match="no multiple"):
        Entries(size)
    with pytest.raises(SystemExit) as stop:
        command.main([str(size)])
    assert stop.value.code == 2
    assert "a multiple of 100" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "put", "said"),
    [
        ("puts", "pass", "0 entries"),
        ("reads", "target.put(key, key)", "not what was put"),
        ("store", "target.put(key, value[:15] + b'?')", "not what was put"),
        ("dict", "target[key[:8]] = value", "10 entries"),
    ],
)
def test_wrong_answer_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    kind: str,
    put: str,
    said: str,
) -> None:
    name = "dict" if kind == "dict" else "latency_kv"
    monkeypatch.setattr(process, "STORE", replace(peers.STORE, put=put))
    monkeypatch.setitem(peers._ENGINES, name, replace(peers._ENGINES[name], put=put))
    with pytest.raises(WrongAnswerError, match=said):
        measure(kind, Entries(SIZE), tmp_path)


def test_restore_of_another_checkpoint_is_found_out(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as others:
        # Threads of other people are not waited for.
        others.submit(int).result()
        measure("store", Entries(SIZE), tmp_path)
    assert {*measure("restore", Entries(SIZE), tmp_path)} == {
        "open",
        "mapped-get",
        "restore",
    }
    with pytest.raises(WrongAnswerError):
        measure("restore", Entries(2 * SIZE), tmp_path)


def test_figure_is_the_median_of_its_processes() -> None:
    ours = Process("a", ("get", "find"), 1)
    other = Process("b", ("get",), 1, is_ours=False)
    made = figures(
        SIZE,
        [
            *(Measured(ours, {"get": get, "find": None}) for get in (1.0, 4.0, 2.0)),
            *(Measured(other, {"get": get}) for get in (7.0, 9.0)),
            # It ended with an error.
            Measured(other, {}),
        ],
    )
    assert [(row.row, row.ours, row.theirs, row.spread) for row in made] == [
        ("get", 2.0, 8.0, 1.5),
        ("find", None, None, None),
    ]


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let no process run; the kinds that were asked for."""
    asked: list[str] = []

    def values(one: Process, size: int, folder: Path) -> dict[str, float | None]:
        asked.append(one.kind)
        return dict.fromkeys(one.owes, 1.0)

    monkeypatch.setattr(machine, "objection", lambda: None)
    monkeypatch.setattr(machine, "describe", lambda: {"processor": "a processor"})
    monkeypatch.setattr(command, "_values", values)
    return asked


@pytest.mark.parametrize(
    ("room", "left_out", "asked"),
    [
        (1 << 40, [], {"store", "restore", "puts", "dict", "dict-puts"}),
        (460_000_000, ["dict"], {"store", "restore", "puts"}),
        (400_000_000, ["latency_kv", "dict"], set()),
    ],
)
def test_size_that_does_not_fit_is_told_and_left_out(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    quiet: list[str],
    room: int,
    left_out: list[str],
    asked: set[str],
) -> None:
    monkeypatch.setattr(command, "available", lambda: room)
    path = tmp_path / "run.json"
    assert command.main(["1M", "--quick", "--json", str(path)]) == 0
    assert {*quiet} == asked
    run = read_run(path)
    assert [row.engine for row in run.missing] == left_out
    said = capsys.readouterr().out
    assert said.count("left out") == len(left_out)
    assert all("are free" in row.reason for row in run.missing)
    assert bool(run.scale) == bool(asked)


def test_disk_that_is_full_is_told(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    quiet: list[str],
) -> None:
    usage = shutil.disk_usage(".")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_000))
    assert command.main(["1000"]) == 0
    assert not quiet
    assert "not on the disk" in capsys.readouterr().out


def test_process_that_fails_is_a_missing_row(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    true_run: Callable[..., Any] = subprocess.run
    tampered: Callable[..., Any] = lambda command, **options: true_run(
        ["false"] if "restore" in command else command, **options
    )
    monkeypatch.setattr(machine, "objection", lambda: None)
    monkeypatch.setattr(subprocess, "run", tampered)
    path = tmp_path / "run.json"
    assert command.main(["1000", "--quick", "--json", str(path)]) == 1
    monkeypatch.undo()
    said = capfd.readouterr()
    assert "restore ended with 1" in said.err
    assert "missing: mapped-get, 1K entries" in said.out
    absent = {row.engine for row in read_run(path).missing}
    assert {"restore", "open", "mapped-get"} <= absent


def test_huge_pages_are_asked_of_their_processes_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[str, bool]] = []

    def run(command: list[str], *, env: dict[str, str], **options: Any) -> Any:
        asked.append((command[4], "hugetlb=1" in env.get("GLIBC_TUNABLES", "")))
        values = dict.fromkeys([name for p in PROCESSES for name in p.owes], 1.0)
        return subprocess.CompletedProcess(command, 0, json.dumps(values))

    monkeypatch.setattr(machine, "objection", lambda: None)
    monkeypatch.setattr(machine, "describe", lambda: {"processor": "a processor"})
    monkeypatch.setattr(subprocess, "run", run)
    plain = [(p.kind, False) for p in PROCESSES if not p.has_huge_pages]
    assert command.main(["1000", "--quick"]) == 0
    assert asked == plain
    asked.clear()
    assert command.main(["1000", "--quick", "--huge-pages"]) == 0
    assert asked == [*plain, ("reads", True), ("puts", True)]


def test_longest_thousandth_is_kept_whatever_the_order() -> None:
    spans = random.Random(5).sample(range(100_000), 50_000)
    longest = process._Longest(len(spans))
    for at in range(0, len(spans), 7_000):
        longest.add(array("q", spans[at : at + 7_000]))
    ranked = sorted(spans)
    assert longest.values() == (ranked[-1], ranked[-50])


def test_help_tells_what_the_largest_size_needs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        command.main(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "50M entries need 12.2 GB of free memory" in said
    assert "python -m latency_kv.bench.scale 1M 10M --json" in said


def test_builds_that_mislead_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(machine, "objection", lambda: "a reason")
    assert command.main(["1000"]) == 1
    assert "a reason" in capsys.readouterr().err
