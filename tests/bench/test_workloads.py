"""Workloads: each one on each engine, what it checks, and what a run owes.

The engines run once, in a process of their own as in a run, with a tiny store; what a
workload does, and that a broken engine is noticed, is tried in this process. No timing
decides a test. Start at `told`.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from latency_kv.bench import __main__ as command
from latency_kv.bench import machine, report
from latency_kv.bench.workloads import latencies, runner, tables
from latency_kv.bench.workloads.content import Block, Content, Lap, Shape, batches
from latency_kv.bench.workloads.engines import (
    NAMES,
    Dict,
    Engine,
    Ours,
    PythonEngine,
    SortedDictionary,
    Spans,
    WrongAnswerError,
    phrase_of,
)
from latency_kv.bench.workloads.manifest import (
    DEFAULT_SHAPES,
    FULL_SHAPES,
    Cell,
    Choice,
    Manifest,
    engines_of,
    shapes_of,
)
from latency_kv.bench.workloads.results import Results
from latency_kv.bench.workloads.seat import Seat, Watched
from latency_kv.bench.workloads.table import ENGINES, WORKLOADS, Workload
from latency_kv.bench.workloads.weigh import weigh
from latency_kv.bench.workloads.worker import Task, perform, turns_of

SHAPE = Shape(250, 8, 5)
OUTSIDE = {"documents": Shape(1, 0, 50), "import": Shape(0, 0, 0)}
CALLS = 200

WITHIN = [work for work in WORKLOADS if work.turn is not None]
BY_NAME = {work.name: work for work in WORKLOADS}
CELLS = [(work.name, engine) for work in WORKLOADS for engine in work.engines]

Told = dict[tuple[str, str], dict[str, Any]]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """What one process each tells of every workload within and outside of stores."""
    names = [work.name for work in WITHIN]
    tasks = [Task(SHAPE, names, [*ENGINES], CALLS, 1, 0)]
    for name, shape in OUTSIDE.items():
        engines = [*BY_NAME[name].engines]
        tasks.append(Task(shape, [name], engines, CALLS, 1, 0))
    home = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("bench"))
    try:
        events = [event for task in tasks for event in runner.worked(task)]
    finally:
        os.chdir(home)
    ended = [event for event in events if event["event"] != "turn"]
    return {(event["workload"], event["engine"]): event for event in ended}


@pytest.mark.parametrize(("workload", "engine"), CELLS)
def test_every_engine_gives_finite_figures(
    told: Told, workload: str, engine: str
) -> None:
    event = told[workload, engine]
    if event["event"] == "missing":
        assert event["is_absent"], event["reason"]
        pytest.skip(event["reason"])
    assert event["laps"]
    for operations, spent in event["laps"]:
        assert operations > 0 and math.isfinite(spent) and spent > 0
    shares = event["percentiles"]
    known = [shares[name] for name in ("p50", "p99", "p999", "max") if shares[name]]
    assert known == sorted(known)
    assert sum(count for _, count in event["histogram"]) > 0
    assert ("points" in event) == bool(BY_NAME[workload].pauses)


def seat_of(
    kind: type[Engine], folder: Path, shape: Shape = SHAPE
) -> tuple[Seat, Content]:
    content = Content(shape)
    return Seat(kind, content, Watched(content), folder), content


def turn(
    workload: str, seat: Seat, content: Content, spans: Spans | None = None
) -> tuple[int, int]:
    work = BY_NAME[workload].turn
    assert work is not None
    return work(seat, Lap(content, 1, CALLS), spans)


@pytest.mark.parametrize("workload", [work.name for work in WITHIN])
def test_workload_leaves_the_entries_of_the_content(
    workload: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    seat, content = seat_of(Ours, tmp_path)
    operations, spent = turn(workload, seat, content)
    assert operations > 0 and spent > 0
    assert sorted(seat.engine.target) == sorted(content.keys.cut())
    seat.check()
    seat.engine.target.check()
    seat.leave()


@pytest.mark.parametrize("workload", ["fillseq", "fillrandom"])
@pytest.mark.parametrize("kind", [Ours, Dict])
def test_fill_puts_exactly_the_entries(
    workload: str,
    kind: type[Engine],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    filled: list[dict[bytes, bytes]] = []
    monkeypatch.setattr(
        kind, "close", lambda engine: filled.append(dict(engine.target))
    )
    seat, content = seat_of(kind, tmp_path)
    turn(workload, seat, content)
    seat.leave()
    keys = content.in_order if workload == "fillseq" else content.keys
    due = dict(zip(keys.cut(), content.values.cut(), strict=True))
    assert filled and all(each == due for each in filled)


class Broken(SortedDictionary):
    """An engine that does all of it right; below, one thing wrong each."""


def broken(operation: str, phrase: str) -> type[PythonEngine]:
    class Worse(Broken):
        phrases: ClassVar = {**Broken.phrases, operation: phrase}

    return Worse


class LivingSnapshot(Broken):
    def snapshot(self) -> Any:
        return self.target


class LossyImage(Broken):
    def decode(self, image: bytes) -> Any:
        entries = super().decode(image)
        entries.popitem()
        return entries


class OtherImage(Broken):
    def decode(self, image: bytes) -> Any:
        return dict.fromkeys(super().decode(image), b"other")


class LateCheckpoint(Broken):
    def recovered(self, folder: Path) -> Any:
        return dict(self.target)


@pytest.mark.parametrize(
    ("workload", "kind"),
    [
        ("fillrandom", broken("put", "pass")),
        ("fillseq", broken("put", "target[key] = b''")),
        ("growth", broken("put", "target.setdefault(key[:-1], value)")),
        ("readrandom", broken("get", "None")),
        ("readhot", broken("get", "target.peekitem()[1]")),
        ("readmissing", broken("get", "target.get(key, b'')")),
        ("multiget", broken("multiget", "[target.get(key) for key in keys[1:]]")),
        ("multiget", broken("multiget", "[target.get(k) for k in sorted(keys)]")),
        ("overwrite", broken("put", "target.setdefault(key, value)")),
        ("overwrite", broken("put", "target[key] = target[key + b'x'] = value")),
        ("deleterandom", broken("delete", "target.get(key)")),
        ("mixed", broken("delete", "target.get(key)")),
        ("mixed", broken("put", "target.setdefault(key, value)")),
        ("prefixscan", broken("prefixscan", "pass")),
        (
            "prefixscan",
            broken("prefixscan", "for key, value in target.items():\n    USE"),
        ),
        (
            "rangescan",
            broken("rangescan", "for key in target:\n    value = b''\n    USE"),
        ),
        ("snapshot", LivingSnapshot),
        ("encode", LossyImage),
        ("restore", OtherImage),
        ("checkpoint", LateCheckpoint),
    ],
)
def test_broken_engine_is_noticed(
    workload: str,
    kind: type[PythonEngine],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("sortedcontainers")
    monkeypatch.chdir(tmp_path)
    sound, content = seat_of(Broken, tmp_path)
    turn(workload, sound, content)
    seat, content = seat_of(kind, tmp_path)
    with pytest.raises(WrongAnswerError):
        turn(workload, seat, content)


def test_every_engine_has_phrases_for_what_it_owes() -> None:
    operations = {
        "readrandom": ["get"],
        "fillrandom": ["put"],
        "deleterandom": ["delete"],
        "multiget": ["multiget"],
        "mixed": ["mixed"],
        "prefixscan": ["prefixscan"],
        "rangescan": ["rangescan"],
    }
    for work, names in operations.items():
        for engine in BY_NAME[work].engines:
            kind = ENGINES[engine]
            if issubclass(kind, PythonEngine):
                assert all(phrase_of(kind, name) for name in names)


def test_mixed_phrase_uses_every_name_once() -> None:
    phrase = phrase_of(Dict, "mixed")
    assert phrase.count("target.get(") == 6 and phrase.count("del ") == 1
    for name in NAMES["mixed"].split(", "):
        assert name in phrase


def test_keys_are_distinct_and_come_in_groups() -> None:
    content = Content(Shape(1_050, 8, 16))
    keys = content.keys.cut()
    assert len(set(keys)) == 1_050 and {len(key) for key in keys} == {8}
    groups = Counter(key[: content.prefix_bytes] for key in keys)
    assert sorted(groups.values()) == [50, *[100] * 10]
    assert set(groups) == set(content.prefixes.cut())
    assert keys == Content(Shape(1_050, 8, 16)).keys.cut()


def test_streams_ask_for_what_they_say() -> None:
    content = Content(Shape(2_000, 16, 16))
    lap = Lap(content, 7, 4_000)
    keys = content.keys.cut()
    assert set(lap.picked.cut()) <= set(keys)
    assert set(lap.hot.cut()) == set(keys[:20])
    assert not set(lap.absent.cut()) & set(keys)
    assert len(set(lap.distinct.cut())) == lap.distinct.count == 1_000
    ranks = Counter(lap.zipf.cut())
    # The first rank of 2,000 has an eighth of all: 1 / the sum of rank ** -0.99.
    share = 1 / sum(rank**-0.99 for rank in range(1, 2_001))
    assert ranks.most_common(1)[0][0] == keys[0]
    assert ranks[keys[0]] / 4_000 == pytest.approx(share, abs=0.03)
    assert lap.picked.data != Lap(content, 8, 4_000).picked.data
    assert lap.picked.data == Lap(content, 7, 4_000).picked.data


def test_block_begins_again_after_its_last_piece() -> None:
    block = Block(b"aabbcc", 2, 7)
    assert block.cut() == [b"aa", b"bb", b"cc", b"aa", b"bb", b"cc", b"aa"]
    assert block.cut(2, 4) == [b"cc", b"aa"]
    assert Block(b"", 0, 3).cut() == [b"", b"", b""]
    assert [keys for (keys,) in batches(block)] == [block.cut()]


def test_buckets_bound_their_spans_closely() -> None:
    for span in [0, 1, 2, 3, 7, 40, 41, 1_000, 10**9]:
        bound = latencies.upper_bound(latencies.bucket(span))
        assert span <= bound * (1 + 1e-9) <= max(span, 1) * 1.1
    counts = latencies.histogram([40, 41, 5_000])
    assert sum(counts.values()) == 3
    bounds = [bound for bound, _ in latencies.bounded(counts)]
    assert bounds == sorted(set(bounds))


def test_percentile_of_too_few_calls_is_not_told() -> None:
    few = latencies.percentiles(range(10))
    assert (few["p50"], few["p99"], few["p999"], few["max"]) == (5, None, None, 9)
    many = latencies.percentiles(range(1_000))
    assert (many["p99"], many["p999"]) == (990, 999)


def test_slices_have_the_longest_call_of_each() -> None:
    spans = [1] * 9_999 + [70]
    points = latencies.slices(spans, "entries")
    assert len(points) == latencies.SLICES and points[-1] == (10_000, 70)
    timed = latencies.slices(spans, "s")
    assert timed[-1][0] == pytest.approx(10_069 / 1e9) and timed[-1][1] == 70
    assert len(timed) <= latencies.SLICES + 1


def choice(**changes: Any) -> Choice:
    usual: dict[str, Any] = {
        "shapes": (SHAPE,),
        "workloads": ("readrandom", "snapshot"),
        "engines": ("latency_kv", "dict", "Redis"),
        "rounds": 3,
        "processes": 3,
        "calls": 1_000,
    }
    return Choice(**{**usual, **changes})


def test_manifest_has_the_cells_that_the_table_declares() -> None:
    manifest = Manifest.of(choice(), 1 << 40)
    assert {(cell.workload, cell.engine) for cell in manifest.cells} == {
        ("readrandom", "latency_kv"),
        ("readrandom", "dict"),
        ("readrandom", "Redis"),
        ("snapshot", "latency_kv"),
        ("snapshot", "dict"),
    }
    assert [task.number for task in manifest.tasks] == [0, 1, 2]
    assert not manifest.left_out


def test_shape_of_many_entries_has_one_process() -> None:
    shapes = (Shape(1_000_000, 16, 16), Shape(10_000_000, 16, 16))
    tasks = Manifest.of(choice(shapes=shapes, rounds=6), 1 << 40).tasks
    assert [(task.shape.entries, task.number, task.laps) for task in tasks] == [
        (1_000_000, 0, 2),
        (1_000_000, 1, 2),
        (1_000_000, 2, 2),
        (10_000_000, 0, 2),
    ]
    (fill,) = (work for work in WORKLOADS if work.name == "fillrandom")
    assert [turns_of(fill, task) for task in tasks] == [(2, 1), (2, 0), (2, 0), (2, 1)]


def test_manifest_of_everything_has_every_cell_once() -> None:
    every = tuple(work.name for work in WORKLOADS)
    engines = tuple(engines_of())
    for shapes in (DEFAULT_SHAPES, FULL_SHAPES):
        wanted = choice(shapes=shapes, workloads=every, engines=engines)
        cells = Manifest.of(wanted, 1 << 50).cells
        assert len(cells) == len(set(cells))
        owed = Counter((cell.workload, cell.engine) for cell in cells)
        for work in WORKLOADS:
            times = len(shapes) if work.turn else 1
            assert all(owed[work.name, engine] == times for engine in work.engines)


def test_engines_that_do_not_fit_side_by_side_meet_ours_in_turn() -> None:
    each = SHAPE.entries * (2 * (8 + 5) + 250)
    tasks = Manifest.of(choice(processes=1), 2 * 2 * each).tasks
    assert [task.engines for task in tasks] == [
        ["latency_kv", "dict"],
        ["latency_kv", "Redis"],
    ]
    manifest = Manifest.of(choice(), each)
    assert not manifest.tasks and not manifest.cells
    assert "half of the free memory" in manifest.left_out[0]


def events_of(cell: Cell, laps: list[list[int]]) -> dict[str, Any]:
    place = {"workload": cell.workload, "engine": cell.engine}
    shares = {"p50": 5, "p99": None, "p999": None, "max": 9}
    told = {"laps": laps, "percentiles": shares, "histogram": [[8, 3]]}
    return {"event": "result", **place, **told}


def cells_of(*engines: str) -> list[Cell]:
    return [Cell("readrandom", engine, SHAPE) for engine in engines]


def test_missing_cell_is_noticed() -> None:
    ours, theirs = cells_of("latency_kv", "dict")
    results = Results([ours, theirs])
    results.take(events_of(ours, [[10, 100]]), SHAPE, 0)
    assert [row.engine for row in results.rows()] == ["latency_kv"]
    (missing,) = results.missing()
    assert (missing["engine"], missing["workload"]) == ("dict", "readrandom")
    assert "no figure came" in missing["reason"]
    assert results.has_failures()


def test_absent_engine_is_missing_but_no_failure() -> None:
    (theirs,) = cells_of("LMDB")
    results = Results([theirs])
    told = {"event": "missing", "workload": "readrandom", "engine": "LMDB"}
    results.take({**told, "reason": "install it", "is_absent": True}, SHAPE, 0)
    assert "install it" in results.missing()[0]["reason"]
    assert not results.has_failures()


def test_import_of_an_absent_engine_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "sortedcontainers", None)
    shape = OUTSIDE["import"]
    task = Task(shape, ["import"], ["latency_kv", "SortedDict"], 1, 1, 0)
    results = Results([Cell("import", name, shape) for name in task.engines])
    for event in perform(task):
        results.take(event, shape, 0)
    assert [row.engine for row in results.rows()] == ["latency_kv"]
    (missing,) = results.missing()
    hint = "sortedcontainers is not installed: pip install 'latency-kv[bench]'"
    assert missing["reason"] == hint
    assert not results.has_failures()


def test_engine_that_did_not_fill_is_not_weighed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shape = Shape(100_000, 16, 16)
    engines = ["latency_kv", "dict"]
    place = {"workload": "fillrandom", "engine": "dict", "reason": "not installed"}
    events = [
        {"event": "missing", "is_absent": True, **place},
        {**place, "event": "result", "engine": "latency_kv", "laps": [(1, 1)]},
    ]
    weighed: list[str] = []
    monkeypatch.setattr(runner, "worked", lambda _: iter(events))

    def weigh(engine: str, shape: Shape) -> float:
        weighed.append(engine)
        return 1.0

    monkeypatch.setattr(runner, "weigh", weigh)
    choice = Choice((shape,), ("fillrandom",), tuple(engines), 1, 1, 1)
    results = runner.results_of(Manifest.of(choice), lambda *_: None)
    assert weighed == ["latency_kv"]
    assert [row.memory for row in results.rows()] == [1.0]


def test_wrong_answer_in_one_process_takes_the_row_away() -> None:
    (theirs,) = cells_of("dict")
    results = Results([theirs])
    results.take(events_of(theirs, [[10, 100]]), SHAPE, 0)
    told = {"event": "missing", "workload": "readrandom", "engine": "dict"}
    results.take({**told, "reason": "wrong: x", "is_absent": False}, SHAPE, 1)
    assert not results.rows() and results.has_failures()


def test_ratio_is_taken_turn_by_turn() -> None:
    ours, theirs = cells_of("latency_kv", "dict")
    results = Results([ours, theirs])
    # The second process has a machine of half the speed, which slows both.
    for process, slow in enumerate((1, 2)):
        results.take(events_of(ours, [[10, 100 * slow]]), SHAPE, process)
        results.take(events_of(theirs, [[10, 400 * slow]]), SHAPE, process)
    row, other = results.rows()
    assert row.ratio == {"dict": 0.25} and row.ratio_spread == {"dict": 0.0}
    assert other.ratio is None
    assert row.spread == pytest.approx(2 / 3) and row.rate == pytest.approx(1e9 / 15)


def test_ratio_is_between_engines_of_one_language() -> None:
    cells = cells_of("latency_kv", "latency_kv-cython", "dict", "Rust-FxHash")
    results = Results(cells)
    for cell in cells:
        results.take(events_of(cell, [[10, 100]]), SHAPE, 0)
    ratios = {row.engine: row.ratio for row in results.rows()}
    assert ratios["latency_kv"] == {"dict": 1.0}
    assert ratios["latency_kv-cython"] == {"Rust-FxHash": 1.0}


def test_wide_row_is_marked() -> None:
    wide, calm = cells_of("latency_kv", "dict")
    results = Results([wide, calm])
    results.take(events_of(wide, [[1, 100], [1, 190], [1, 110]]), SHAPE, 0)
    results.take(events_of(calm, [[1, 100], [1, 105], [1, 110]]), SHAPE, 0)
    assert [row.is_wide for row in results.rows()] == [True, False]
    (table,) = tables.tables(results.rows())
    lines = {line[2:].split()[0]: line for line in table.splitlines() if line[2:]}
    assert lines["latency_kv"].startswith("~ ") and not lines["dict"].startswith("~")
    assert all(len(line) <= 100 for line in table.splitlines())


def test_calmest_process_tells_the_pauses() -> None:
    cell = Cell("growth", "dict", SHAPE)
    results = Results([cell])
    for process, longest in enumerate((900, 500, 700)):
        event = events_of(cell, [[10, 100]])
        results.take({**event, "points": [[5, 80], [10, longest]]}, SHAPE, process)
    (told,) = results.pauses()
    assert told["points"] == [(5, 80), (10, 500)] and told["unit"] == "entries"


def test_process_that_breaks_off_is_told() -> None:
    task = Task(Shape(-1, 8, 0), ["readrandom"], ["dict"], 100, 1, 0)
    manifest = Manifest([task], [Cell("readrandom", "dict", task.shape)])
    results = runner.results_of(manifest, lambda done, total, name: None)
    assert "its process ended" in results.missing()[0]["reason"]
    assert results.has_failures()


def test_weighing_gives_bytes_of_an_entry() -> None:
    assert weigh("dict", Shape(20_000, 16, 16)) > 32


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let other builds be measured too."""
    monkeypatch.setattr(machine, "objection", lambda: None)


@pytest.mark.usefixtures("release")
def test_run_writes_what_it_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.json"
    options = ["readrandom", "--engines", "DICT,latency_kv", "--entries", "100"]
    options += ["--rounds", "1", "--quick", "--json", str(path)]
    assert command.main(options) == 0
    assert "100 entries, keys of 16, values of 16 bytes" in capsys.readouterr().out
    run = json.loads(path.read_text())
    assert run["schema"] == 1 and run["machine"]["started"].endswith("+00:00")
    ours, theirs = run["workloads"]
    assert (ours["engine"], theirs["engine"]) == ("latency_kv", "dict")
    assert ours["ratio"]["dict"] > 0 and ours["histogram"] and ours["rate"] > 0
    assert run["figures"] == [] and run["missing"] == [] and run["pauses"] == []


def missing_results(is_absent: bool) -> Results:
    (cell,) = cells_of("dict")
    results = Results([cell])
    told = {"event": "missing", "workload": "readrandom", "engine": "dict"}
    event = {**told, "reason": "a reason", "is_absent": is_absent}
    results.take(event, SHAPE, 0)
    return results


@pytest.mark.usefixtures("release")
@pytest.mark.parametrize(
    ("is_absent", "options", "status"),
    [
        (True, [], 1),
        (True, ["--allow-missing"], 0),
        (False, [], 1),
        (False, ["--allow-missing"], 1),
    ],
)
def test_missing_row_ends_the_run_with_one(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    is_absent: bool,
    options: list[str],
    status: int,
) -> None:
    monkeypatch.setattr(command, "results_of", lambda *_: missing_results(is_absent))
    assert command.main(["--workloads", "readrandom", *options]) == status
    assert "missing: dict, readrandom: a reason" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--engines", "dict,mysql"], ["--engines", "no mysql", "SortedDict"]),
        (["--workloads", "readsome"], ["--workloads", "no readsome", "readrandom"]),
        (["readsome"], ["no goal or workload readsome", "--list"]),
        (["--entries", "99"], ["--entries", "99 is not in 100 to 10,000,000"]),
        (["--entries", "20M"], ["--entries", "20M is not in"]),
        (["--entries", "many"], ["--entries", "many"]),
        (["--key-bytes", "7,16"], ["--key-bytes", "7 is not in 8 to 256"]),
        (["--value-bytes", "2000000"], ["--value-bytes", "1,048,576"]),
        (["--rounds", "0"], ["--rounds", "0 is not in"]),
        (["--engines", "Redis", "prefixscan"], ["Redis", "prefixscan"]),
        (["--quick", "--full"], ["--full", "--quick"]),
    ],
)
def test_wrong_option_is_refused_by_name(
    capsys: pytest.CaptureFixture[str], arguments: list[str], words: list[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        command.main(arguments)
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert all(word in said for word in words), said


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> Iterator[defaultdict[str, Any]]:
    """What main would measure."""
    seen: defaultdict[str, Any] = defaultdict(list)

    def note(rows: Any, choice: Choice) -> None:
        seen.update(rows=[row.name for row in rows], choice=choice)

    monkeypatch.setattr(command, "_list", note)
    yield seen


@pytest.mark.parametrize(
    ("arguments", "rows", "works"),
    [
        (["encode"], ["encode"], ("encode",)),
        (["get-fresh"], ["get-fresh"], ()),
        (["readzipf"], [], ("readzipf",)),
        (["--workloads", "encode"], [], ("encode",)),
        (["get-fresh", "--workloads", "mixed"], ["get-fresh"], ("mixed",)),
    ],
)
def test_one_word_selects_goals_and_workloads(
    chosen: defaultdict[str, Any],
    arguments: list[str],
    rows: list[str],
    works: tuple[str, ...],
) -> None:
    assert command.main([*arguments, "--list"]) == 0
    assert chosen["rows"] == rows and chosen["choice"].workloads == works


def test_sizes_make_every_combination(chosen: defaultdict[str, Any]) -> None:
    sizes = ["--entries", "100,1M", "--key-bytes", "8", "--value-bytes", "0,64"]
    assert command.main([*sizes, "--list"]) == 0
    assert chosen["choice"].shapes == shapes_of([100, 1_000_000], [8], [0, 64])
    assert len(chosen["choice"].shapes) == 4 and chosen["rows"] == []


def test_default_has_every_goal_and_workload(chosen: defaultdict[str, Any]) -> None:
    assert command.main(["--list"]) == 0
    assert chosen["choice"].workloads == tuple(work.name for work in WORKLOADS)
    assert "get-fresh" in chosen["rows"] and "save" in chosen["rows"]


def test_names_of_workloads_are_the_field_s() -> None:
    assert {work.name for work in WORKLOADS} == {
        *("fillseq", "fillrandom", "overwrite", "readrandom", "readmissing"),
        *("readhot", "readzipf", "multiget", "deleterandom", "prefixscan"),
        *("rangescan", "mixed", "growth", "snapshot", "encode", "restore"),
        *("checkpoint", "documents", "import"),
    }
    assert all(isinstance(work, Workload) for work in WORKLOADS)


def test_numbers_stand_on_one_line(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    content = {"pauses": [{"points": [[1.5, 20], [2e-9, -3]], "unit": "[s, s]"}]}
    report.write_json(path, content)
    assert json.loads(path.read_text()) == content
    assert "[ 1.5, 20 ]" in path.read_text()
