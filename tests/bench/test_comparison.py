"""Comparison: what got dearer is found, and what cannot be told is not judged.

Of the scripts in the clone's bench/, whose times and counts are made up here; no timing
decides a test.  Valgrind's counts decide one, in `make check`, where it is installed.
"""

import json
import re
import shutil
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from fresh import TESTS

BENCH = TESTS.parent / "bench"


def script(name: str) -> Any:
    spec = spec_from_file_location(f"bench_{name}", BENCH / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    # dataclasses look for the module that they stand in.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


instructions = script("instructions")
compare = script("compare")

FACTS = {"python": "CPython 3.11.7", "compiler": "GCC 12.2.0"}
KEPT = {"dict.get": 700.0, "find, hit": 100.0, "get, hit": 450.0}

PART = """\
# callgrind format
part: 4

positions: line
events: Ir
summary: 66

fl=(1) store.c
fn=(1) get
10 20
+2 4
cfn=(2) find
calls=3 99
* 42

fn=(2)
99 40
-3 2
"""


def judged(counts: dict[str, float], **facts: str) -> Any:
    return instructions.compared(FACTS, KEPT, {**FACTS, **facts}, {**KEPT, **counts})


def test_planted_regression_is_found() -> None:
    verdict = judged({"find, hit": 101.0})
    assert verdict.is_dearer
    (row, summary, advice) = verdict.lines
    assert re.match(r"find, hit .* 101\.0 .* 100\.0, x1\.010", row)
    assert "1 dearer and 0 cheaper" in summary
    assert "--save" in advice


def test_improvement_is_told_and_no_failure() -> None:
    verdict = judged({"get, hit": 400.0})
    assert not verdict.is_dearer
    assert "x0.889" in verdict.lines[0]
    assert "0 dearer and 1 cheaper" in verdict.lines[1]


def test_regression_is_not_made_up_for_by_an_improvement() -> None:
    verdict = judged({"get, hit": 300.0, "find, hit": 110.0})
    assert verdict.is_dearer
    assert "1 dearer and 1 cheaper" in verdict.lines[2]


def test_what_is_within_the_tolerance_is_not_told() -> None:
    verdict = judged({"find, hit": 100.4, "get, hit": 448.0})
    assert not verdict.is_dearer
    assert len(verdict.lines) == 1


@pytest.mark.parametrize("fact", FACTS)
def test_counts_of_another_build_are_printed_and_not_judged(fact: str) -> None:
    verdict = judged({"find, hit": 200.0}, **{fact: "another"})
    assert not verdict.is_dearer
    assert "x2.000" in "\n".join(verdict.lines)
    assert f"{fact}: kept with {FACTS[fact]}, this is another" in verdict.lines[-1]


def test_another_build_of_the_interpreter_is_known_by_its_own_counts() -> None:
    verdict = judged({"dict.get": 500.0, "get, hit": 460.0})
    assert not verdict.is_dearer
    assert "another build of the interpreter" in verdict.lines[-1]


def test_operation_that_was_not_kept_is_told() -> None:
    verdict = judged({"find, miss": 70.0})
    assert not verdict.is_dearer
    assert verdict.lines[0].endswith("not kept yet")


def test_cost_of_a_function_is_without_what_it_calls(tmp_path: Path) -> None:
    part = tmp_path / "part.4"
    part.write_text(PART)
    assert instructions.cost_by_function(part) == {"get": 24, "find": 42}


def test_count_is_what_twice_as_many_took_more(tmp_path: Path) -> None:
    """Costs of starting fall out; of several tries the median counts."""
    work = []
    for index, (once, twice) in enumerate(
        [(1_010, 2_010), (1_500, 2_500), (99, 9_999)]
    ):
        for number, cost in ((4 * index + 2, once), (4 * index + 4, twice)):
            (tmp_path / f"part.{number}").write_text(f"\nfn=(1) get\n1 {cost}\n")
        work += [["get", 10], ["get", 20]]
    measured = instructions._measured(FACTS, work, tmp_path)
    assert measured.counts == {"get": 100.0}
    assert measured.functions == {"get": {"get": 100.0}}


@pytest.mark.parametrize(("factor", "ends"), [(1.0, 0), (0.9, 0), (1.1, 1)])
def test_command_ends_with_1_when_something_got_dearer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, factor: float, ends: int
) -> None:
    path = tmp_path / "kept.json"
    path.write_text(json.dumps({"schema": 1, "facts": FACTS, "counts": KEPT}))
    counts = KEPT | {"get, hit": KEPT["get, hit"] * factor}
    monkeypatch.setattr(instructions, "KEPT", path)
    monkeypatch.setattr(
        instructions,
        "measure",
        lambda *_: instructions.Measured(FACTS, counts, {}),
    )
    assert instructions.main([]) == ends
    assert instructions.main(["--save"]) == 0
    assert instructions.main([]) == 0


def test_missing_valgrind_is_named_with_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert instructions.main([]) == 2
    assert "apt-get install valgrind" in capsys.readouterr().err


def test_every_operation_is_kept() -> None:
    source = (BENCH / "counted.py").read_text()
    kept = json.loads(instructions.KEPT.read_bytes())
    assert [*kept["counts"]] == re.findall(r'Operation\(\s*"([^"]+)"', source)
    assert instructions.REFERENCE in kept["counts"]


def test_hot_paths_take_what_is_kept(full: bool) -> None:
    """Not more, in this build; another than the kept one is not judged."""
    if not full or shutil.which("valgrind") is None:
        pytest.skip("counting takes make check, and valgrind")
    kept = json.loads(instructions.KEPT.read_bytes())
    try:
        measured = instructions.measure(["dict.get", "find, hit", "get, hit"])
    except instructions.CannotCountError as error:
        pytest.skip(str(error))
    verdict = instructions.compared(
        kept["facts"], kept["counts"], measured.facts, measured.counts
    )
    assert not verdict.is_dearer, "\n".join(verdict.lines)
    assert all(count > 10 for count in measured.counts.values())


def time(median: float, spread: float = 0.02, engine: str = "latency_kv") -> Any:
    return compare.Time(engine, median, median * (1 - spread), median * (1 + spread))


def moved(was: Any, now: Any) -> list[str]:
    lines: list[str] = compare.compared({"points: get": was}, {"points: get": now})
    return lines[:-1]


def test_slower_test_is_told_with_both_times_and_the_ratio() -> None:
    (line,) = moved(time(100), time(1_500))
    assert re.match(
        r"points: get +100 \(98\.\.102\) ns -> +1\.5 \(1\.47\.\.1\.53\) us +x15\.00",
        line,
    )


def test_faster_test_is_told() -> None:
    (line,) = moved(time(100), time(50))
    assert line.endswith("x0.50")


@pytest.mark.parametrize(
    ("was", "now"),
    [
        (time(100), time(100)),
        (time(100), time(104)),
        (time(100, 0.3), time(120)),
        (time(100), time(120, 0.3)),
    ],
)
def test_test_that_stays_within_a_spread_is_not_told(was: Any, now: Any) -> None:
    assert not moved(was, now)


def test_what_the_machine_is_worth_is_told_by_the_others() -> None:
    was = {"get[dict]": time(100, engine="dict"), "get": time(50)}
    now = {"get[dict]": time(130, engine="dict"), "get": time(65)}
    assert "x1.30 in the median" in compare.compared(was, now)[-1]


def test_tests_that_came_and_went_are_told() -> None:
    lines = compare.compared({"old": time(1)}, {"new": time(1)})
    assert lines[:2] == ["new: not in the baseline", "old: not measured"]


def test_baseline_spans_what_its_runs_saw() -> None:
    runs = [{"get": time(median)} for median in (100.0, 110.0, 90.0)]
    joined = compare.joined(runs)["get"]
    assert (joined.median, joined.low, joined.high) == (100.0, 88.2, 112.2)


def test_times_are_an_operation_s(tmp_path: Path) -> None:
    stats = {"median": 2e-6, "q1": 1e-6, "q3": 3e-6, "min": 0.0}
    run = {
        "benchmarks": [
            {
                "fullname": "bench/test_points.py::test_get[dict]",
                "extra_info": {"operations": 10, "engine": "dict"},
                "stats": stats,
            }
        ]
    }
    assert compare.times_of(run) == {
        "points: get[dict]": compare.Time("dict", 200.0, 100.0, 300.0)
    }


def test_another_machine_is_not_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def unused() -> Any:
        raise AssertionError

    path = tmp_path / "baseline.json"
    here = {"processor": "this one", "python": "CPython 3.11.7"}
    monkeypatch.setattr(compare, "BASELINE", path)
    monkeypatch.setattr(compare, "machine", lambda: here)
    compare.save({"points: get": time(100)}, path)
    saved = json.loads(path.read_bytes())
    path.write_text(json.dumps(saved | {"machine": here | {"processor": "another"}}))
    monkeypatch.setattr(compare, "measured", unused)
    assert compare.main([]) == 0
    said = capsys.readouterr().out
    assert "not compared" in said
    assert "processor: saved on another, this is this one" in said

    path.write_text(json.dumps(saved))
    monkeypatch.setattr(compare, "measured", lambda: {"points: get": time(200)})
    assert compare.main([]) == 0
    assert "x2.00" in capsys.readouterr().out


def test_saved_baseline_is_of_ours_and_of_others() -> None:
    saved = json.loads(compare.BASELINE.read_bytes())
    assert {*saved["machine"]} == {*compare.machine()}
    assert {"latency_kv", "dict"} <= {
        time["engine"] for time in saved["times"].values()
    }
