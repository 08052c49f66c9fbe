"""`latency-kv facets`: the catalog for a terminal, a pipe, a program and README."""

import json

import pytest

from cli.test_main import without
from latency_kv.__main__ import main
from latency_kv.cli.screen import TROUBLE
from latency_kv.facets.catalog import CATALOG, STATUSES

terminal = pytest.importorskip("cli.terminal", reason="terminals as POSIX has them")

FACETS = ("-m", "latency_kv", "facets")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What `latency-kv facets *arguments` writes to a pipe."""
    assert main(["facets", *arguments]) == 0
    out, err = capsys.readouterr()
    assert not err
    return out


def words(text: str) -> set[str]:
    return set(text.split())


def test_pipe_gets_fields_between_tabs(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line.split("\t") for line in run(capsys).splitlines()]
    assert lines == [
        [
            entry.name,
            entry.status,
            entry.module,
            ",".join(entry.providers),
            entry.notes,
        ]
        for entry in CATALOG
    ]


def test_json_is_an_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    told = [json.loads(line) for line in run(capsys, "--json").splitlines()]
    assert told == [
        {
            "facet": entry.name,
            "status": entry.status,
            "module": entry.module,
            "providers": [*entry.providers],
            "notes": entry.notes,
        }
        for entry in CATALOG
    ]


def test_markdown_is_a_table_with_links(capsys: pytest.CaptureFixture[str]) -> None:
    head, rule, *lines = run(capsys, "--markdown").splitlines()
    rows = [line for line in lines if line.startswith("| ")]
    assert len(rows) == len(CATALOG)
    assert {line.count("|") for line in [head, rule, *rows]} == {6}
    for row, entry in zip(rows, CATALOG, strict=True):
        assert row.startswith(f"| `{entry.name}` | [")
        assert f"]({entry.module.replace('.', '/')}.py) | " in row
        assert all(f"`{each.split('.')[-1]}`" in row for each in entry.providers)
        assert ("none yet" in row) == (not entry.providers)
    rest = lines[len(rows) :]
    assert [line.partition(":")[0] for line in rest if line] == [*STATUSES]


def test_two_looks_at_once_are_trouble(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["facets", "--markdown", "--json"]) == TROUBLE
    out, err = capsys.readouterr()
    assert not out and err.count("\n") == 1


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["facets", "-h"]) == main(["facets", "--help"]) == 0
    out = capsys.readouterr().out
    assert out.count("Example: latency-kv facets ") == 2


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_terminal_shows_everything_at_any_width(columns: int) -> None:
    status, text = terminal.seen(*FACETS, columns=columns, NO_COLOR="1")
    assert status == 0 and "\x1b" not in text
    assert max(map(len, text.splitlines())) <= columns
    for entry in CATALOG:
        assert words(f"{entry.name} {entry.status}") <= words(text)
        assert {each.split(".")[-1] for each in entry.providers} <= words(text)
    for meaning in STATUSES.values():
        assert meaning in " ".join(text.split())
    if columns >= terminal.COLUMNS:
        assert all(entry.notes in text for entry in CATALOG)


def test_terminal_is_in_colours_and_nothing_else() -> None:
    status, text = terminal.seen(*FACETS)
    assert status == 0
    plain = terminal.COLOUR.sub("", text)
    assert plain != text and "\x1b" not in plain


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_the_extra_it_says_what_to_install(missing: str) -> None:
    done = without(missing, "facets")
    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install 'latency-kv[cli]'" in done.stderr
