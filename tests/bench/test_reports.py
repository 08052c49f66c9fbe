"""Reports: every row is there, nothing of a file is trusted, no figure is typed by hand.

A run is made up here by code: two engines, two sizes, one workload.  Start at `made_run`.
"""

import json
import random
import re
from collections.abc import Callable
from copy import deepcopy
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from fresh import TESTS
from latency_kv.bench.reports import comparison, html, pages, plots, tables, wording
from latency_kv.bench.reports.__main__ import main
from latency_kv.bench.reports.runs import read_run, run_of

ROOT = TESTS.parent
RESULTS = ROOT / "bench" / "results"
PAGES = [
    ROOT / "README.md",
    *(ROOT / "docs" / f"{n}.md" for n in ("benchmarks", "scale")),
]

HOSTILE = """<script>alert("1")</script>|$x^|`_*[a](b)
<!-- end -->\x1b[31m\u2028</style></svg>"""

needs_matplotlib = pytest.mark.skipif(not plots.is_there(), reason="no matplotlib")


def figure(row: str, size: int, ours: float | None, **others: Any) -> dict[str, Any]:
    """A figure against a dict that takes 100 ns, with a goal of 0.5."""
    return {
        "row": row,
        "title": f"the row {row}",
        "unit": "ns",
        "size": size,
        "peer": "dict",
        "ours": ours,
        "theirs": 100.0,
        "ratio": None if ours is None else ours / 100,
        "goal": 0.5,
        "limit": None,
        "reached": None if ours is None else ours <= 50,
        "note": "",
        "spread": 0.05,
    } | others


def workload(engine: str, entries: int, **others: Any) -> dict[str, Any]:
    """One engine on readrandom, at so many entries."""
    return {
        "workload": "readrandom",
        "engine": engine,
        "entries": entries,
        "key_bytes": 16,
        "value_bytes": 16,
        "operations": 1_000,
        "rate": 1e7,
        "spread": 0.02,
        "is_wide": False,
        "p50": 90,
        "p99": 200,
        "p999": 1_000,
        "max": 45_000,
        "histogram": [[64.0, 400], [128.0, 590], [1024.0, 9], [65536.0, 1]],
        "memory": 87.4,
        "ratio": {"dict": 0.7, HOSTILE: 0.2} if engine == "latency_kv" else None,
        "note": "",
    } | others


def made_run(**others: Any) -> dict[str, Any]:
    """A run with all that one can have; dict's name is hostile elsewhere."""
    return {
        "schema": 1,
        "machine": {"processor": "a processor", "python": "3.11", "x": HOSTILE},
        "options": {"quick": True, "nested": [HOSTILE]},
        "figures": [
            figure("get-fresh", 1_000, 40.0),
            figure("get-fresh", 1_000_000, 60.0),
            figure("put-new", 1_000, 51.0, note=HOSTILE),
            figure("hostile", 1_000, 30.0, title=HOSTILE, peer=HOSTILE),
            figure("absent", 1_000, None),
        ],
        "workloads": [
            workload(engine, entries)
            for entries in (1_000, 100_000)
            for engine in ("latency_kv", "dict", "_quiet", HOSTILE)
        ],
        "pauses": [
            {
                "workload": "growth",
                "engine": engine,
                "points": [[0, 1e3], [1_000, 2e7], [2_000, 0.0]],
                "unit": "entries",
            }
            for engine in ("dict", "latency_kv", HOSTILE)
        ],
        "scale": [
            {"size": size, "row": row, "title": title, "unit": "ns", "ours": size}
            for size in (1_000, 1_000_000)
            for row, title in (("get", "a get"), ("hostile", HOSTILE))
        ],
        "stores": [
            {
                "store": store,
                "engine": HOSTILE,
                "operation": operation,
                "tasks": tasks,
                "entries": 1_000,
                "calls": 100,
                "ours": 50_000.0 * tasks,
                "ours_spread": 0.01,
                "theirs": theirs,
                "theirs_spread": None,
                "ratio": theirs and theirs / (50_000.0 * tasks),
                "cpu_ratio": None,
                "reached": None,
            }
            for store, theirs in (("memory:", 25_000.0), ("redis://a|b:1/", None))
            for operation in ("set", "list")
            for tasks in (1, 32)
        ],
        "missing": [{"workload": "import", "engine": "Redis", "reason": HOSTILE}],
    } | others


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return written(tmp_path / "made.json", made_run())


def written(path: Path, run: dict[str, Any]) -> Path:
    path.write_text(json.dumps(run))
    return path


class Seen(HTMLParser):
    """The tags, the addresses and the texts of cells of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name in ("href", "src", "xlink:href", "action", "data"):
                self.addresses.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@needs_matplotlib
def test_page_has_each_row_and_escapes_what_is_hostile(
    path: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "out.html"
    assert main(["html", str(path), str(out)]) == 0
    text = out.read_text(encoding="ascii")
    seen = Seen()
    seen.feed(text)
    assert not {"script", "img", "iframe", "link", "object"} & seen.tags
    assert not seen.handlers
    assert all(address.startswith("#") for address in seen.addresses)
    assert text.count("</svg>") == 6  # ratios, goals, tails, costs, pauses, scale
    assert text.count("</style>") == 1 + text.count("<style type")
    run = read_run(path)
    for row in run.figures:
        assert wording.one_line(row.title) in seen.texts
    for contest in tables.contests(run.workloads):
        for engine in contest.engines:
            cells = tables.workload_row(contest, engine)
            at = seen.texts.index(cells[0])
            assert set(filter(None, cells)) <= set(seen.texts[at:])
    # Both sizes' tables, and the legends of tails and costs.
    assert [text.strip() for text in seen.texts].count("_quiet") == 4
    (missing,) = run.missing
    assert wording.one_line(missing.reason) in seen.texts
    assert "not measured" in seen.texts
    assert "\x1b" not in text


@needs_matplotlib
def test_addresses_within_a_page_lead_somewhere() -> None:
    text = html.page(run_of(made_run()))
    ids = re.findall(r'\bid="([^"]*)"', text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]*)"', text)) <= set(ids)
    assert set(re.findall(r"url\(#([^)]*)\)", text)) <= set(ids)


@needs_matplotlib
def test_row_that_is_too_wide_is_marked() -> None:
    rows = [workload("latency_kv", 10), workload("dict", 10, is_wide=True, spread=0.9)]
    text = html.page(run_of(made_run(workloads=rows)))
    assert "90 % too wide" in text and '<tr class="wide">' in text
    assert "% too wide" not in html.page(run_of(made_run()))


@needs_matplotlib
def test_pictures_are_made_of_what_a_run_has(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "pictures"
    assert main(["pictures", str(path), str(folder)]) == 0
    names = {file.name for file in folder.iterdir()}
    assert names == {
        "ratios.png",
        "goals.png",
        "tails-readrandom.png",
        "costs-readrandom.png",
        "pauses-growth.png",
        "scale.png",
    }
    said = capsys.readouterr().out.split()
    for file in folder.iterdir():
        assert file.read_bytes().startswith(b"\x89PNG")
        assert str(file) in said


def test_tail_ends_with_the_slowest_call() -> None:
    (row, *_) = run_of(made_run()).workloads
    assert plots._tail(row.histogram) == [
        (64.0, 0.6),
        (128.0, 0.01),
        (1024.0, 0.001),
        (65536.0, 0.001),
    ]


@pytest.mark.parametrize("file", sorted(RESULTS.glob("*.json")), ids=lambda p: p.stem)
def test_kept_runs_are_readable(file: Path) -> None:
    run = read_run(file)
    assert run.figures or run.workloads or run.scale or run.stores
    assert tables.machine_line(run.machine)


def test_pages_are_filled_from_the_runs_that_they_name() -> None:
    """Where it fails: `python -m latency_kv.bench.reports fill RUNS... PAGES...`."""
    names = {name for page in PAGES for name in pages.runs_named(page.read_text())}
    assert names
    runs = [str(RESULTS / name) for name in sorted(names)]
    assert main(["fill", "--check", *runs, *map(str, PAGES)]) == 0


PAGE = """# A page

<!-- figures: {words} -->
typed by hand
<!-- end -->
And prose: 1.23.
"""

WORDS = [
    *("machine", "summary", "ratios", "goals", "rows", "workloads", "scale", "stores"),
    "stores redis",
    "goals from made.json put-new get-fresh",
    "goals\nput-new",
    "rows from made.json put-new from made.json hostile",
    "workloads readrandom",
    "scale hostile get",
]


@pytest.mark.parametrize("words", WORDS)
def test_fill_is_idempotent_and_leaves_prose(
    words: str, path: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.format(words=words))
    fill = ["fill", str(path), str(page)]
    assert main([*fill, "--check"]) == 1
    assert "typed by hand" in page.read_text()
    assert main(fill) == 0
    text = page.read_text()
    assert main([*fill, "--check"]) == 0
    assert main(fill) == 0
    assert page.read_text() == text
    assert text.isascii()
    assert "typed by hand" not in text
    assert text.startswith(f"# A page\n\n<!-- figures: {words} -->\n\n")
    assert text.endswith("\n\n<!-- end -->\nAnd prose: 1.23.\n")


def test_table_has_the_rows_asked_for_in_their_order() -> None:
    text = pages.filled(
        PAGE.format(words="goals put-new get-fresh"), {"made.json": run_of(made_run())}
    )
    rows = [row for row in text.splitlines() if row.startswith("| the row")]
    assert [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows] == [
        [f"the row {row}", size, ours, "dict", "100 ns", ratio, "0.5", verdict]
        for row, size, ours, ratio, verdict in (
            ("put-new", "1K", "51 ns", "0.51 +- 5.0 %", "**no, within the spread**"),
            ("get-fresh", "1K", "40 ns", "0.40 +- 5.0 %", "yes"),
            ("get-fresh", "1M", "60 ns", "0.60 +- 5.0 %", "**no**"),
        )
    ]


def test_stores_stand_beside_their_bare_clients() -> None:
    run = {"made.json": run_of(made_run())}
    text = pages.filled(PAGE.format(words="stores"), run)
    assert "|  |  | 1 task | 32 tasks |" in text
    assert (
        "| memory: | set | 50 K/s; bare 25 K/s; 0.50 | 1.6 M/s; bare 25 K/s; 0.016 |"
    ) in text
    assert "| redis: | list | 50 K/s | 1.6 M/s |" in text
    assert "memory" not in pages.filled(PAGE.format(words="stores redis"), run)


def test_agreement_tells_what_differs_and_counts_the_rest() -> None:
    far = changed(lambda run: run["figures"][1].update(ratio=0.7))
    runs = {"a.json": run_of(made_run()), "b.json": run_of(far)}
    words = "agreement from a.json from b.json"
    lines = pages.filled(PAGE.format(words=words), runs).splitlines()
    assert "8 ratios: 7 agree, 1 DIFFER." in lines
    assert "| get-fresh 1M dict | 0.60 +- 5.0 % | 0.70 +- 5.0 % |" in lines
    same = {"a.json": runs["a.json"], "b.json": runs["a.json"]}
    assert "| get-fresh" not in pages.filled(PAGE.format(words=words), same)


def test_hostile_name_stays_in_its_cell() -> None:
    text = pages.filled(
        PAGE.format(words="rows hostile"), {"made.json": run_of(made_run())}
    )
    (row,) = [line for line in text.splitlines() if "alert" in line]
    assert len(re.findall(r"(?<!\\)\|", row)) == len(tables.ROWS_HEAD) + 1
    assert "<script" not in row
    assert "<!--" not in row


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PAGE.format(words="pie-chart"), "line 3: no block 'pie-chart'; there are"),
        (PAGE.format(words=""), "line 3: no block ''"),
        (PAGE.format(words="goals lost"), "line 3: made.json has no row lost"),
        (PAGE.format(words="machine lost"), "line 3: it takes no rows: lost"),
        (PAGE.format(words="workloads lost"), "line 3: made.json has no row lost"),
        (PAGE.format(words="agreement"), "line 3: it takes two runs"),
        (PAGE.format(words="goals from x.json"), "line 3: run 'x.json' was not given"),
        (PAGE.format(words="goals from"), "line 3: run '' was not given"),
        ("\n<!-- figures: goals -->\n", "line 2: the block has no end"),
        ("<!-- end -->\n", "line 1: a block ends"),
        ("<!-- figures: rows -->\n<!-- figures: rows -->\n", "line 2: a block begins"),
    ],
)
def test_page_that_cannot_be_filled_is_left_alone(
    text: str,
    said: str,
    path: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    good, bad = tmp_path / "good.md", tmp_path / "bad.md"
    good.write_text(PAGE.format(words="goals"))
    bad.write_text(text)
    assert main(["fill", str(path), str(good), str(bad)]) == 2
    assert f"{bad}, {said}" in capsys.readouterr().err
    assert bad.read_text() == text
    assert "typed by hand" in good.read_text()


def test_block_says_from_which_of_several_runs() -> None:
    runs = {"a.json": run_of(made_run()), "b.json": run_of(made_run())}
    with pytest.raises(
        ValueError, match=r"line 3: say from which run: a\.json, b\.json"
    ):
        pages.filled(PAGE.format(words="goals"), runs)


def test_headline_is_of_the_workload_at_the_size_in_question() -> None:
    rows = [
        workload("latency_kv", 1_000_000, ratio={"dict": 0.9, "LMDB": 0.3}),
        workload("dict", 1_000_000),
        workload("LMDB", 1_000_000, is_wide=True),
        workload("latency_kv", 10_000_000, ratio={"dict": 0.8}),
        workload("latency_kv", 1_000_000, key_bytes=8, ratio={"dict": 0.1}),
    ]
    get, put = tables.headline(run_of(made_run(workloads=rows)))
    assert (put.title, put.ratios) == ("put, new entries", {"dict": 0.51})
    assert (get.size, get.ours) == (1_000_000, "100 ns")
    assert get.ratios == {"dict": 0.9, "LMDB": 0.3}
    assert get.wide == {"LMDB"}
    assert get.cells() == ["0.90", "", "", "~ 0.30"]


def test_headline_without_workloads_is_of_the_goals_rows() -> None:
    get, put = tables.headline(run_of(made_run(workloads=[])))
    assert (get.size, get.ours, get.ratios) == (1_000_000, "60 ns", {"dict": 0.6})
    assert (put.size, put.ours, put.ratios) == (1_000, "51 ns", {"dict": 0.51})


def test_headline_s_longest_calls_are_those_of_the_pauses() -> None:
    rows = [workload("latency_kv", entries, workload="growth") for entries in (10, 99)]
    pauses = [
        {"workload": "growth", "engine": engine, "points": points, "unit": "entries"}
        for engine, points in (("latency_kv", [[0, 9], [1, 50]]), ("dict", [[0, 1e4]]))
    ]
    run = run_of(made_run(workloads=rows, pauses=pauses, figures=[]))
    assert tables.headline(run) == [
        tables.HeadlineRow("longest put while growing", 99, "50 ns", {"dict": 0.005})
    ]


def test_spread_of_a_ratio_goes_before_those_of_its_rows() -> None:
    ours = workload("latency_kv", 10, spread=0.9, is_wide=True)
    ours["ratio_spread"] = {"dict": 0.01, HOSTILE: None}
    rows = [ours, workload("dict", 10), workload(HOSTILE, 10)]
    run = run_of(made_run(workloads=rows, figures=[]))
    (contest,) = tables.contests(run.workloads)
    assert contest.wide == {"latency_kv", HOSTILE}
    assert tables.workload_row(contest, contest.engines[1])[7] == "0.70 +- 1.0 %"
    found = comparison.compared(run, run)
    assert [item.agreement for item in found] == ["agree", "too wide"]


# Two runs of one machine.


def compare(
    tmp_path: Path, first: dict[str, Any], second: dict[str, Any], *options: str
) -> int:
    sides = [
        str(written(tmp_path / f"{name}.json", run))
        for name, run in (("a", first), ("b", second))
    ]
    return main(["compare", *sides, *options])


def test_run_agrees_with_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare(tmp_path, made_run(), made_run()) == 0
    # Four figures with a ratio; two sizes of store, two peers each.
    assert capsys.readouterr().out == "8 ratios: 8 agree\n"
    assert compare(tmp_path, made_run(), made_run(), "--all") == 0
    assert "get-fresh 1M dict" in capsys.readouterr().out


def changed(change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    run = deepcopy(made_run())
    change(run)
    return run


def test_planted_disagreement_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """0.60 +- 5 % reaches to 0.63, and 0.67 +- 5 % down to 0.6365."""
    far = changed(lambda run: run["figures"][1].update(ratio=0.67))
    near = changed(lambda run: run["figures"][1].update(ratio=0.66))
    assert compare(tmp_path, made_run(), near) == 0
    capsys.readouterr()
    assert compare(tmp_path, made_run(), far) == 1
    line, summary = capsys.readouterr().out.splitlines()
    assert line.startswith("DIFFER") and line.endswith("get-fresh 1M dict")
    assert summary == "8 ratios: 7 agree, 1 DIFFER"
    assert compare(tmp_path, far, made_run()) == 1


def test_ratio_of_a_workload_is_held_to_both_spreads(tmp_path: Path) -> None:
    """0.70 with 2 % and 2 %: 0.75 is within 4 % of each, 0.77 is not."""
    near = changed(lambda run: run["workloads"][0]["ratio"].update(dict=0.75))
    far = changed(lambda run: run["workloads"][0]["ratio"].update(dict=0.77))
    assert compare(tmp_path, made_run(), near) == 0
    assert compare(tmp_path, made_run(), far) == 1


def test_ratio_that_one_run_lacks_is_a_disagreement(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shorter = changed(lambda run: run["figures"].pop(0))
    assert compare(tmp_path, made_run(), shorter) == 1
    assert "MISSING" in capsys.readouterr().out


def test_size_that_one_run_did_not_measure_is_no_disagreement(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is lacking at a size that both did measure is one."""
    rows = made_run()["workloads"]
    small = made_run(workloads=[row for row in rows if row["entries"] == 1_000])
    assert compare(tmp_path, made_run(), small) == compare(tmp_path, small, made_run())
    assert "one run" in capsys.readouterr().out
    assert compare(tmp_path, made_run(), small) == 0
    asked = {"options": {"shapes": [[1_000, 16, 16], [100_000, 16, 16]]}}
    assert compare(tmp_path, made_run(), small | asked) == 1
    large = [row | {"ratio": None} for row in rows if row["entries"] > 1_000]
    owing = made_run(workloads=[*small["workloads"], *large])
    assert compare(tmp_path, made_run(), owing) == 1
    assert "MISSING" in capsys.readouterr().out


def test_what_cannot_be_judged_is_counted_apart() -> None:
    run = run_of(
        made_run(
            figures=[figure("memory", 1, 40.0, spread=None)],
            workloads=[workload("latency_kv", 1, is_wide=True), workload("dict", 1)],
        )
    )
    found = comparison.compared(run, run)
    assert [item.agreement for item in found] == ["no spread", "too wide", "no spread"]
    assert not any(item.is_failure for item in found)


def test_runs_without_spreads_do_not_agree(tmp_path: Path) -> None:
    bare = made_run(figures=[figure("memory", 1, 40.0, spread=None)], workloads=[])
    assert compare(tmp_path, bare, bare) == 1


def test_two_machines_are_not_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = made_run(machine={"processor": "another"})
    assert compare(tmp_path, made_run(), other) == 2
    assert "not one machine" in capsys.readouterr().err
    newer = changed(lambda run: run["machine"].update(python="3.12"))
    assert compare(tmp_path, made_run(), newer) == 0
    assert "not the same: python: 3.11 and 3.12" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["html", "pictures", "fill", "compare"])
def test_help_says_what_every_argument_is(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    said = capsys.readouterr().out
    arguments = said.partition("positional arguments:\n")[2].partition("\n\n")[0]
    assert arguments
    assert all(re.match(r" +\S+ +\S", line) for line in arguments.splitlines())


# Files that are damaged, or made up to do harm.


def damaged(**others: Any) -> bytes:
    return json.dumps(made_run(**others)).encode()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "truncated"),
        (damaged()[:-100], "truncated"),
        (b"\xff\xfe" + damaged(), "byte 0xff in position 0"),
        (b"[]", "Expected `object`, got `array`"),
        (b"{}", "missing required field `machine`"),
        (damaged().replace(b"40.0", b"NaN", 1), "malformed"),
        (damaged().replace(b"40.0", b"1e999", 1), "$.figures[0].ours"),
        (damaged().replace(b"40.0", b'"fast"', 1), "$.figures[0].ours"),
        (damaged(schema=2), "schema 2 is newer than 1"),
        (damaged(machine={"processor": {"name": 1}}), "$.machine"),
        (damaged(figures=[figure("../../etc", 1, 1.0)]), "$.figures[0].row"),
        (damaged(figures=[figure("a", 1, 1.0)] * 2), "is there 2 times"),
        (damaged(figures=[figure("a", -1, 1.0)]), "$.figures[0].size"),
        (damaged(figures=[figure("a", 1, -1.0)]), "$.figures[0].ours"),
        (damaged(figures=[figure("a", 1, 1e300)]), "$.figures[0].ours"),
        (damaged(figures=[figure("a", 1 << 80, 1.0)]), "$.figures[0].size"),
        (damaged(figures=[figure("a", 1, 1.0, title="x" * 5_000)]), "[0].title"),
        (damaged(workloads=[workload("dict", 1, workload="a/b")]), "[0].workload"),
        (
            damaged(workloads=[workload("dict", 1, histogram=[[2, 1], [1, 1]])]),
            "do not rise - at `$.workloads[0]`",
        ),
        (damaged(pauses=[{"workload": "a"}]), "$.pauses[0]"),
        (damaged(scale=made_run()["scale"] * 2), "is there 2 times"),
        (b'{"options":{"a":' + b"[" * 200_000, "nested too deeply"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("command", ["html", "pictures", "fill", "compare"])
def test_damaged_file_is_refused_with_its_name_and_the_place(
    command: str,
    content: bytes,
    said: str,
    path: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file, out = tmp_path / "damaged.json", tmp_path / "out.md"
    file.write_bytes(content)
    out.write_text(PAGE.format(words="goals"))
    other = {"html": out, "pictures": tmp_path / "folder", "fill": out, "compare": path}
    assert main([command, str(file), str(other[command])]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"reports: {file}: ")
    assert said in error
    assert error.count("\n") == 1
    assert "typed by hand" in out.read_text()


def test_file_that_is_not_there_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = str(tmp_path / "missing.json")
    assert main(["compare", missing, missing]) == 2
    assert missing in capsys.readouterr().err


@pytest.mark.parametrize(
    "files", [["a.json"], ["page.md"], ["a.json", "b.txt", "page.md"]]
)
def test_fill_wants_runs_and_pages(
    files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fill", *files]) == 2
    assert "RUN.json and one or more PAGE.md" in capsys.readouterr().err


def test_damage_at_random_places_is_refused_or_read(path: Path) -> None:
    """Whatever is cut out or put in: a run, or a ValueError with the file's name."""
    content = path.read_bytes()
    dice = random.Random(7)
    for _ in range(300):
        at = dice.randrange(len(content))
        cut = dice.randrange(4)
        path.write_bytes(content[:at] + dice.randbytes(cut) + content[at + 1 :])
        try:
            read_run(path)
        except ValueError as error:
            assert str(path) in str(error)


@needs_matplotlib
@pytest.mark.parametrize(
    "others",
    [
        {"figures": [], "workloads": [], "pauses": [], "missing": []},
        {"workloads": [workload("dict", 0, rate=0, histogram=[], operations=0)]},
        {"workloads": [workload("latency_kv", 5, histogram=[[0, 0], [1, 0]])]},
        {"figures": [figure("get-fresh", 0, 0.0)], "options": {}},
        {"figures": [figure("a", 1, 1e-300), figure("b", 1, 1e18)]},
        {"pauses": [{"workload": "a", "engine": "b", "points": [], "unit": "s"}]},
        {"pauses": [{"workload": "a", "engine": "b", "points": [[0, 5]], "unit": "s"}]},
    ],
    ids=lambda others: ", ".join(others),
)
def test_run_with_little_in_it_has_a_page(others: dict[str, Any]) -> None:
    assert html.page(made_run(**others)).endswith("</html>\n")


@pytest.mark.parametrize(
    ("ratio", "text"),
    [(None, ""), (0.0, "0.00"), (0.0013, "0.0013"), (1.0, "1.00"), (15.01, "15.0")],
)
def test_ratio_has_two_digits(ratio: float | None, text: str) -> None:
    assert wording.ratio_text(ratio) == text
