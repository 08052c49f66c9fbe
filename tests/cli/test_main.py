"""The front of the command line: one --help for all, and what works without the extra."""

import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from fresh import TESTS, run_fresh
from latency_kv import get_include
from latency_kv.__main__ import main

SCRIPT = Path(sys.executable).with_name("latency-kv")

# An interpreter in which the extra is not installed.
WITHOUT = "import sys; sys.modules[{missing!r}] = None\n"
MAIN = "from latency_kv.__main__ import main; sys.exit(main({arguments!r}))"


def without(missing: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = WITHOUT.format(missing=missing) + MAIN.format(arguments=[*arguments])
    return subprocess.run(
        [sys.executable, "-P", "-c", program],
        env={"PYTHONPATH": get_include()},
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_shows_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert [line.split()[0] for line in text.splitlines() if line[:4] == "    "] == (
        ["snapshot", "state", "store", "facets", "bench", "include", "version"]
    )
    words = " ".join(text.split())
    assert "Start here: latency-kv store set file:state answer 42" in words
    for takes in ("a snapshot's FILE:", "documents in a DIR:", "at a URL:"):
        assert takes in words


@pytest.mark.parametrize(
    ("verb", "note"),
    [
        (["snapshot", "info"], "A pipe gets the fields of --json, named as there"),
        (["state", "list"], "A pipe gets the lines without the header"),
        (["state", "backups"], "A pipe gets the lines without the header"),
    ],
)
def test_help_tells_what_a_pipe_gets(
    verb: list[str], note: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*verb, "--help"]) == 0
    assert note in " ".join(capsys.readouterr().out.split())


VERBS = {
    "snapshot": ["info", "verify", "get", "scan", "diff"],
    "state": ["list", "show", "backups", "validate", "restore", "migrate"],
    "store": ["get", "set", "delete", "keys", "copy"],
}


@pytest.mark.parametrize(
    ("app", "verb"), [(app, verb) for app in VERBS for verb in VERBS[app]]
)
def test_every_verb_has_help_with_an_example(
    app: str, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([app, verb, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"Example: latency-kv {app} {verb} " in " ".join(text.split())
    assert main([app, "-h"]) == 0
    text = capsys.readouterr().out
    assert re.search(rf"\n  {verb} .*\.\n", text) and "...\n  " not in text


@pytest.mark.parametrize(
    ("app", "verb"), [(app, verb) for app in VERBS for verb in VERBS[app]]
)
def test_help_has_no_word_of_python(
    app: str, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An argument is shown by its name: no type of the code, no braces."""
    assert main([app, verb, "--help"]) == 0
    text = capsys.readouterr().out
    usage, _, rest = text.partition("\n\n")
    assert not re.search(r"[{}]|<\w|list\[", usage) and "list[" not in rest
    listed = rest.partition("Arguments:")[2].partition("Options:")[0]
    arguments = re.findall(r"^  ([A-Z]+) ", listed, re.MULTILINE)
    assert arguments == re.findall(r"[A-Z]+", usage.partition("[OPTIONS]")[2])


def test_module_runs_as_the_script_does() -> None:
    assert run_fresh("-m", "latency_kv", "include").strip() == get_include()
    assert run_fresh("-m", "latency_kv", "version").strip()
    assert "python -m latency_kv" in run_fresh("-m", "latency_kv", "-h")


def test_script_is_the_module_s_main() -> None:
    project = tomllib.loads((TESTS.parent / "pyproject.toml").read_text())["project"]
    module, name = project["scripts"]["latency-kv"].split(":")
    assert getattr(import_module(module), name) is main
    assert project["optional-dependencies"]["cli"] == ["typer", "rich"]


def test_bench_is_called_as_it_was_typed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["bench", "--help"])
    assert capsys.readouterr().out.startswith("usage: latency-kv bench ")
    said = run_fresh("-m", "latency_kv", "bench", "--help")
    assert said.startswith("usage: python -m latency_kv bench ")


@pytest.mark.skipif(not SCRIPT.exists(), reason="the package is not installed here")
def test_script_runs() -> None:
    done = subprocess.run([SCRIPT, "-h"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: latency-kv ")


@pytest.mark.parametrize("missing", ["typer", "rich"])
@pytest.mark.parametrize("app", VERBS)
def test_without_the_extra_an_app_says_what_to_install(missing: str, app: str) -> None:
    done = without(missing, app, VERBS[app][0], "file")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"latency-kv {app} needs {missing}: pip install 'latency-kv[cli]'\n"
    )


@pytest.mark.parametrize("missing", ["typer", "rich"])
@pytest.mark.parametrize("command", [["include"], ["version"], ["bench", "--list"]])
def test_without_the_extra_the_rest_works(missing: str, command: list[str]) -> None:
    done = without(missing, *command)
    assert done.returncode == 0 and done.stdout and not done.stderr


def test_module_that_is_missing_otherwise_is_not_hidden() -> None:
    done = without("latency_kv.checkpoints.directory", "snapshot", "info", "file")
    assert done.returncode == 1 and "ModuleNotFoundError" in done.stderr


@pytest.mark.parametrize("wrong", [[], ["bogus"], ["include", "more"], ["-x"]])
def test_wrong_command_is_2(
    wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(wrong)
    assert end.value.code == 2
    assert "usage: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (["-x"], "no option -x; latency-kv --help has what there is"),
        (["--verbose", "snapshot", "info", "file"], "no option --verbose; latency-kv"),
        (["--versio"], "no option --versio;"),
        (["snapshoot"], "no command 'snapshoot'; did you mean snapshot?"),
        (["snapshoot", "--help"], "did you mean snapshot?"),
        (["xyz"], "no command 'xyz'; there are snapshot, state, store, facets, bench,"),
        (["help", "stor"], "no command 'stor'; did you mean store?"),
    ],
)
def test_wrong_command_is_named_with_what_there_is(
    wrong: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(wrong)
    assert end.value.code == 2
    said = capsys.readouterr()
    assert told in said.err.splitlines()[-1] and not said.out


def test_version_is_an_option_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    version = capsys.readouterr().out
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == version
    with pytest.raises(SystemExit):
        main(["--help"])
    assert re.search(r"\n  --version +print the version\n", capsys.readouterr().out)


@pytest.mark.parametrize("command", [[], ["snapshot"], ["store", "get"], ["bench"]])
def test_help_is_a_command_too(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    texts = []
    for arguments in (["help", *command], [*command, "--help"]):
        try:
            assert main(arguments) == 0
        except SystemExit as end:
            assert end.code == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] and "latency-kv" in texts[0]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["snapshot", "scan", "f", "--limit", "x"],
            "'--limit': 'x' is no whole number",
        ),
        (["snapshot", "diff", "f", "g", "--limit", "1.5"], "'1.5' is no whole number"),
        (
            ["store", "keys", "file:f", "--limit", ""],
            "'--limit': '' is no whole number",
        ),
        (["state", "list", "f", "--limit", "-1"], "-1 is too low: 0 is the least"),
        (["state", "show", "f", "p", "--backup", "0"], "0 is too low: 1 is the least"),
        (["state", "restore", "f", "p", "--index", "no"], "'no' is no whole number"),
        (["state", "migrate", "f", "p", "--to", "x"], "'--to': 'x' is no whole number"),
    ],
)
def test_number_that_is_none_is_told(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert told in said.err and not said.out


def test_import_of_the_package_does_not_import_the_command_line() -> None:
    program = "import sys, latency_kv; assert not {'typer', 'rich'} & set(sys.modules)"
    run_fresh("-c", program)
