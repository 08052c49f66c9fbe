"""The bench: every row gives figures, verdicts follow from goals, misuse is refused.

Stores are tiny here: what is tested is that the rows measure something, not how fast
it was.  No timing decides a test.
"""

import json
import math
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from random import Random
from statistics import median

import pytest

from latency_kv.bench import __main__ as command
from latency_kv.bench import children, machine, native, peers, report
from latency_kv.bench.figures import FULL, Case, Figure, Pair, Plan, Row, judge, spread
from latency_kv.bench.goals import rows
from latency_kv.bench.goals.rows import ROWS, chosen, measure
from latency_kv.bench.keys import batches, cut, grouped_block, picked, random_block
from latency_kv.bench.timing import (
    percentile,
    plain_loop,
    race,
    spans_loop,
    timed_loop,
)
from latency_kv.bench.workloads.table import WORKLOADS

TINY = Plan(most=300, calls=200, rounds=1, passes=1)


def _quiet(done: int, total: int, name: str) -> None:
    assert 0 <= done < total


def _row(value: float | None, case: Case) -> tuple[Row, Case, Pair]:
    def unused(size: int, peer: str, plan: Plan) -> Pair:
        raise AssertionError

    return Row("row", "a row", unused, (case,)), case, Pair(value, 100.0)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_gives_finite_figures(row: Row) -> None:
    figures = list(measure([row], TINY, _quiet))
    assert {figure.peer for figure in figures} == {case.peer for case in row.cases}
    for figure in figures:
        if figure.ours is None:
            assert re.search("not (installed|made)", figure.note)
            pytest.skip(figure.note)
        assert math.isfinite(figure.ours) and figure.ours > 0
        if figure.theirs is not None:
            assert math.isfinite(figure.theirs)
        assert report.line(figure)


def test_spread_is_where_the_median_lies() -> None:
    assert spread([[10.0]]) is None and spread([[0.0, 0.0]]) is None
    assert spread([[9.0, 10.0, 11.0], []]) == pytest.approx(0.2)
    # Of six the outermost (97 %), of nine the second at each end, of 15 the fourth.
    rounds = [1.0, 8.0, 9.0, 11.0, 12.0, 100.0]
    assert spread([rounds]) == pytest.approx(9.9)
    assert spread([[*rounds, 10.0, 10.0, 10.0]]) == pytest.approx(0.4)
    assert spread([[*rounds, *[10.0] * 9]]) == 0.0


def test_spread_reaches_to_the_median_of_each_process() -> None:
    calm = [10.0] * 20
    assert spread([calm, calm]) == 0.0
    assert spread([calm, [9.0, 14.0, 14.0]]) == pytest.approx(0.4)
    assert spread([[value] for value in (9.0, 10.0, 12.0)]) == pytest.approx(0.3)


@pytest.mark.parametrize("rounds", [2, 5, 6, 9, 15, 40])
def test_spread_covers_the_median_of_what_is_drawn(rounds: int, seed: int) -> None:
    """In 19 of 20 samples; of five or fewer the outermost do what they can."""
    random = Random(seed)
    held = 0
    for _ in range(2_000):
        ranked = sorted(random.random() for _ in range(rounds))
        width = spread([ranked]) or 0.0
        cut = next(
            cut
            for cut in range(rounds)
            if math.isclose(
                (ranked[-1 - cut] - ranked[cut]) / median(ranked), width, abs_tol=1e-12
            )
        )
        held += ranked[cut] <= 0.5 <= ranked[-1 - cut]
    assert held / 2_000 > (0.93 if rounds > 5 else 0.95 - 2 * 0.5**rounds - 0.02)


def test_figures_of_several_processes_are_pooled() -> None:
    pairs = [
        Pair(10.0, 100.0, "a note", [[0.1, 0.12]]),
        Pair(30.0, 100.0, "another"),
        Pair(20.0, 400.0, "", [[0.05]]),
    ]
    pooled = Pair.pooled(pairs)
    assert (pooled.ours, pooled.theirs, pooled.note) == (20.0, 100.0, "a note")
    assert pooled.ratios == [[0.1, 0.12], [0.3], [0.05]]
    absent = Pair.pooled([Pair(None, None, "not installed")] * 3)
    assert (absent.ours, absent.theirs, absent.ratios) == (None, None, [])
    assert absent.note == "not installed"


def test_case_is_measured_in_as_many_processes_as_planned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tasks: list[str] = []

    def told(*arguments: str) -> str:
        tasks.append(arguments[-1])
        return children.output(*arguments)

    monkeypatch.setattr(rows, "output", told)
    (figure,) = measure(chosen(["get-idle"]), replace(TINY, processes=2), _quiet)
    assert len(tasks) == 2 and '"processes": 1' in tasks[0]
    assert figure.ratio and figure.spread is not None


def test_names_of_rows_are_unique() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_cases_that_shrink_to_one_size_are_measured_once() -> None:
    (row,) = chosen(["get-fresh"])
    assert len(row.cases) == 3
    assert [f.size for f in measure([row], TINY, _quiet)] == [TINY.most]


@pytest.mark.parametrize(
    ("ours", "case", "reached"),
    [
        (40.0, Case(100, "dict", goal=0.5), True),
        (60.0, Case(100, "dict", goal=0.5), False),
        (40.0, Case(100, "dict", goal=0.5, limit=30.0), False),
        (40.0, Case(100, "dict", limit=40.0), True),
        (40.0, Case(100, "dict"), None),
        (None, Case(100, "dict", goal=0.5), None),
        (40.0, Case(FULL.most + 1, "dict", goal=0.5), None),
    ],
)
def test_verdict_follows_from_goal_and_limit(
    ours: float | None, case: Case, reached: bool | None
) -> None:
    row, case, pair = _row(ours, case)
    assert judge(row, case, FULL, pair).reached is reached


def test_goal_that_lacks_its_peer_is_not_reached() -> None:
    row, case, _ = _row(1.0, Case(100, "dict", goal=0.5))
    assert judge(row, case, FULL, Pair(1.0)).reached is False


def test_missing_peer_is_named_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "sortedcontainers", None)
    (figure,) = measure(chosen(["put-scan"]), TINY, _quiet)
    assert figure.ours is None
    hint = "sortedcontainers is not installed: pip install 'latency-kv[bench]'"
    assert figure.note == hint
    assert "not measured" in report.line(figure)


def test_cython_figure_stands_alone_without_rust(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    try:
        native.operator()
    except ImportError as error:
        assert re.search("not (installed|made)", str(error))
        pytest.skip(str(error))
    native.reference.cache_clear()
    monkeypatch.setenv("PATH", "")
    figures = list(measure(chosen(["find"]), TINY, _quiet))
    assert all("rustc is not installed" in figure.note for figure in figures)
    assert all(figure.theirs is None for figure in figures)


def test_failed_build_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    source = tmp_path / "source.pyx"
    source.touch()
    with pytest.raises(ImportError, match=r"could not be built: see .*build\.log"):
        native._built(source, [sys.executable, "-c", "exit('no such luck')"], source)
    (log,) = tmp_path.rglob("build.log")
    assert "no such luck" in log.read_text()
    assert list(log.parent.iterdir()) == [log]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("get-frsh", "no goal or workload get-frsh: did you mean get-fresh? --list "),
        ("ReadRandom", "did you mean readrandom? "),
        ("nonsense", "no goal or workload nonsense: --list names all"),
    ],
)
def test_unknown_name_is_answered_with_the_nearest(
    capsys: pytest.CaptureFixture[str], name: str, hint: str
) -> None:
    with pytest.raises(SystemExit) as stop:
        command.main(["get-fresh", name])
    assert stop.value.code == 2
    assert hint in capsys.readouterr().err


def test_list_names_goals_and_workloads_apart(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command.main(["--list"]) == 0
    goals, works, engines = capsys.readouterr().out.split("\n\n")
    heads = []
    for part, names in ((goals, ROWS), (works, WORKLOADS)):
        head, *lines = part.splitlines()
        heads.append(head.partition(":")[0])
        assert [line.split()[0] for line in lines] == [each.name for each in names]
        assert all(line.startswith("  ") for line in lines)
    assert heads == ["goals", "workloads"]
    assert engines.startswith("engines: latency_kv, ")
    assert command.main(["encode", "--list"]) == 0
    said = capsys.readouterr().out
    assert "goals: " in said and "workloads: " in said
    assert command.main(["get-fresh", "--list"]) == 0
    assert "workloads" not in capsys.readouterr().out


def test_help_names_the_command_that_was_typed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for called in ("latency-kv bench", "python -m latency_kv.bench"):
        with pytest.raises(SystemExit):
            command.main(["--help"], called)
        said = capsys.readouterr().out
        assert said.startswith(f"usage: {called} ")
        assert f"  {called} --quick  " in said


@pytest.mark.parametrize(
    ("options", "takes"),
    [
        ([], "this takes about 20 minutes; --quick"),
        (["--full"], "this takes hours; --quick"),
        (["--quick"], ""),
        (["goals"], ""),
        (["--workloads", "readrandom"], ""),
        (["--engines", "dict"], ""),
        (["--entries", "100"], ""),
    ],
)
def test_long_run_tells_first_what_it_takes(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    takes: str,
) -> None:
    def stop() -> dict[str, str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(machine, "objection", lambda: None)
    monkeypatch.setattr(machine, "describe", stop)
    with pytest.raises(KeyboardInterrupt):
        command.main(options)
    said = capsys.readouterr().err
    assert said.startswith(takes) and bool(said) == bool(takes)


def test_what_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_PEERS", ("no-such-package",))
    monkeypatch.setattr(shutil, "which", lambda _: None)
    peers = machine.describe()["peers"]
    assert peers.startswith("no-such-package not installed, sqlite ")
    assert peers.endswith("redis-server not installed, rustc not installed")


def test_package_that_is_broken_is_not_told_as_absent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "broken_peer.py").write_text("import nowhere_to_be_found\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ImportError, match="nowhere_to_be_found"):
        peers.required("broken_peer")


@pytest.mark.parametrize("build", ["tiny", "address", "hooks"])
def test_other_builds_are_refused(build: str) -> None:
    assert build in str(machine.objection(build))


def test_debug_interpreter_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "gettotalrefcount", lambda: 0, raising=False)
    assert "debug build" in str(machine.objection("release"))


def test_checked_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONMALLOC", "debug")
    assert "PYTHONMALLOC" in str(machine.objection("release"))


def test_refusal_measures_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(machine, "objection", lambda: "a reason")
    assert command.main(["get-fresh"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "a reason" in said.err


def test_report_goes_to_text_json_and_picture(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(machine, "objection", lambda: None)
    monkeypatch.setattr(command, "QUICK", TINY)
    data, picture = tmp_path / "figures.json", tmp_path / "figures.png"
    names = ["get-same", "drop-snapshot"]
    options = ["--quick", "--json", str(data), "--picture", str(picture)]
    assert command.main([*names, *options]) == 0
    text = capsys.readouterr().out
    assert text.index("processor") < text.index("get, the same key objects")
    assert "NOT REACHED is no verdict" in text
    assert text.rstrip().splitlines()[-1].endswith("0 of 0 goals reached")
    content = json.loads(data.read_text())
    assert content["machine"]["latency_kv"]
    assert [figure["row"] for figure in content["figures"]] == names
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_bench_runs_as_a_module() -> None:
    assert "get-fresh" in children.output("-m", "latency_kv.bench", "--list")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5, "0.5 ns"),
        (999.7, "1000 ns"),
        (1_500.0, "1.5 us"),
        (200_000.0, "200 us"),
        (56e6, "56 ms"),
        (2e9, "2 s"),
        (None, ""),
    ],
)
def test_quantity_picks_its_unit(value: float | None, text: str) -> None:
    assert report.quantity(value, "ns") == text


@pytest.mark.parametrize(
    ("size", "text"), [(0, ""), (100, "100"), (10_000, "10K"), (2_000_000, "2M")]
)
def test_size_is_shortened(size: int, text: str) -> None:
    assert report.short(size) == text


def test_summary_names_what_was_missed() -> None:
    row, case, pair = _row(60.0, Case(1_000, "dict", goal=0.5))
    missed: Figure = judge(row, case, FULL, pair)
    assert report.summary([missed]) == "0 of 1 goals reached; not: row 1K dict"


def test_every_loop_is_code_of_its_own() -> None:
    one = timed_loop("one", "key", "target(key)")
    other = timed_loop("other", "key", "target(key)")
    assert one.__code__ is not other.__code__
    assert "one" in one.__code__.co_filename


def test_loops_call_once_for_each_key() -> None:
    keys = random_block(300, 1)
    seen: list[bytes] = []
    spans: list[int] = []
    single = spans_loop("list", "key, value", "target.append(key)")
    single(seen, batches(keys, keys), spans.append)
    assert seen == cut(keys)
    assert len(spans) == 300
    plain_loop("list", "key", "target.append(key)")(seen, [b"last"])
    assert seen[-1] == b"last"


def test_sides_take_turns_and_the_first_round_does_not_count() -> None:
    turns: list[str] = []

    def side(name: str, spans: list[float]) -> float:
        turns.append(name)
        return spans.pop(0)

    a, b = [99.0, 1.0, 5.0, 3.0], [99.0, 2.0, 2.0, 8.0]
    medians = race([lambda: side("a", a), lambda: side("b", b)], 3)
    assert medians == [3.0, 2.0]
    assert turns[2:] == ["a", "b", "b", "a", "a", "b"]


def test_percentile_is_a_span_that_the_share_does_not_exceed() -> None:
    assert percentile(range(1_000), 0.999) == 999
    assert percentile([7], 0.999) == 7


def test_keys_repeat_from_run_to_run_and_not_within() -> None:
    block = random_block(1_000, 1)
    assert block == random_block(1_000, 1)
    assert len(set(cut(block))) == 1_000
    assert set(cut(picked(block, 50, 2))) <= set(cut(block))


def test_every_group_has_its_entries() -> None:
    keys, prefixes = grouped_block(300, 1)
    for prefix in cut(prefixes, 8):
        assert sum(key.startswith(prefix) for key in cut(keys)) == 100


def test_lmdb_outlives_its_folder() -> None:
    pytest.importorskip("lmdb")
    target = peers.peer("LMDB").make([(b"b", b"2"), (b"a", b"1")])
    assert target.get(b"b") == b"2"
    assert [key for key, _ in target.cursor()] == [b"a", b"b"]
