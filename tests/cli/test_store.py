"""`latency-kv store`: what a pipe gets, what is stored, and the statuses for scripts."""

import io
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from cli import stand_in_stores as stand_in
from cli.conftest import Answer, Run, running
from cli.test_state import is_trouble
from latency_kv.cli import copying
from latency_kv.cli.screen import INTERRUPTED, TROUBLE
from latency_kv.errors import OutcomeUnknownError, StateWriteError
from latency_kv.json_values import encode_value
from latency_kv.providers.state_stores import open_state_store

# One of each kind that comes back as something else where a codec is careless.
VALUES: dict[str, Any] = {
    "none": None,
    "false": False,
    "zero": 0,
    "one": 1,
    "a float": 1.0,
    "huge": 2**200,
    "deep": {"b": [1, 1.0, True, None, "1"], "a": {"": []}},
    "text": 'caf\u00e9 \U0001f600 \x1b[2J\x00\n\t"\\',
}

# In the order of their UTF-8 bytes.
KEYS = [
    "",
    "\x00",
    "*",
    "A",
    "[a]",
    "\\x41",
    "a",
    "a\nb",
    "a b",
    "\x9b",
    "\u00e9",
    "\U0001f600",
]

SECRET = "hunter22"
OTHER_SECRET = "open sesame"


@pytest.fixture
def store(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `latency-kv store *arguments` with pipes for its output, nobody to ask."""
    return running("store", capsys)


@pytest.fixture(autouse=True)
def others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Other people's schemes, installed and empty."""
    monkeypatch.syspath_prepend(stand_in.installed(tmp_path / "site"))
    yield
    for kept in (stand_in.HELD, stand_in.CALLS, stand_in.HOOKS):
        kept.clear()


@pytest.fixture(params=["file", "lmdb"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store that is there and has nothing in it yet but under another namespace."""
    url = f"{request.param}:{tmp_path / 'here'}"
    fill(f"{url}?namespace=other", {"other": "namespace"})
    return url


def fill(url: str, values: dict[str, Any], **options: Any) -> None:
    async def main() -> None:
        async with open_state_store(url) as opened:
            for key, value in values.items():
                await opened.set(key, value, **options)

    anyio.run(main)


def held(url: str) -> dict[str, Any]:
    """All that a store holds, as far as it has not expired."""

    async def main() -> dict[str, Any]:
        async with open_state_store(url) as opened:
            return {key: await opened.get(key) for key in await opened.keys()}

    return anyio.run(main)


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal, and of equal types."""
    return encode_value(one) == encode_value(other)


def typed(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def numbers(count: int) -> dict[str, Any]:
    return {f"{number:05}": {"n": number} for number in range(count)}


# get and set


def test_values_are_set_and_printed_exactly(store: Run, url: str) -> None:
    for key, value in VALUES.items():
        assert store("set", url, key, json.dumps(value)) == (0, "", "")
    for key, value in VALUES.items():
        status, out, err = store("get", url, key)
        assert (status, err) == (0, "") and same(json.loads(out), value)
    assert same(held(url), VALUES)


def test_value_in_a_pipe_is_one_compact_printable_line(store: Run, url: str) -> None:
    fill(url, {"k": {"a": [1, "\u00e9"], "b": "\x1b\u202e"}})
    assert store("get", url, "k").out == '{"a":[1,"\u00e9"],"b":"\\u001b\\u202e"}\n'


def test_value_in_a_pipe_without_utf8_is_json_still(
    store: Run, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(url, {"k": VALUES["text"]})
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    store("get", url, "k")
    assert json.loads(written.getvalue()) == VALUES["text"]


def test_missing_key_is_status_1_and_a_stored_none_is_not(store: Run, url: str) -> None:
    fill(url, {"k": None})
    assert store("get", url, "k") == (0, "null\n", "")
    place = f"{url}?namespace=shop"
    assert store("get", place, "k\\n") == (1, "", f"latency-kv: {place}: no key k\\n\n")


@pytest.mark.parametrize("value", ["-5", "-1.5e-3", "-0"])
def test_negative_number_is_no_option(store: Run, url: str, value: str) -> None:
    assert store("set", url, "k", value) == (0, "", "")
    assert same(held(url), {"k": json.loads(value)})
    assert store("set", url, "k", "1", "--tll", "5s").status == TROUBLE


@pytest.mark.parametrize(
    "value",
    ["", "abc", "{", "[1] 2", "NaN", "Infinity", '{"a":1,"a":2}', '"\\ud800"', "'a'"],
)
def test_value_that_is_no_json_is_trouble(store: Run, url: str, value: str) -> None:
    fill(url, {"k": 1})
    answer = store("set", url, "k", "--", value)
    assert is_trouble(answer, "VALUE: ", "--string stores text as it is")
    assert same(held(url), {"k": 1})


def test_text_is_stored_as_it_is(store: Run, url: str) -> None:
    for key, text in {"a": "null", "b": "", "c": '"q"\n', "d": "\u00e9"}.items():
        assert store("set", url, key, text, "--string") == (0, "", "")
    assert same(held(url), {"a": "null", "b": "", "c": '"q"\n', "d": "\u00e9"})


def test_value_comes_from_stdin(
    store: Run, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed(monkeypatch, b' {"n":\n[1]}\n')
    assert store("set", url, "json", "-") == (0, "", "")
    typed(monkeypatch, b"caf\xc3\xa9\r\n")
    assert store("set", url, "text", "-", "--string") == (0, "", "")
    assert same(held(url), {"json": {"n": [1]}, "text": "caf\u00e9\r\n"})
    for options in ([], ["--string"]):
        typed(monkeypatch, b'"\xff"')
        assert is_trouble(store("set", url, "text", "-", *options), "VALUE: ", "UTF-8")


def test_ttl_is_handed_on_and_plain_set_ends_it(store: Run, url: str) -> None:
    assert store("set", url, "day", "1", "--ttl", "1d").status == 0
    assert store("set", url, "soon", "1", "--ttl", "1ms").status == 0
    assert store("set", url, "stays", "1", "--ttl", "1ms").status == 0
    assert store("set", url, "stays", "2").status == 0
    anyio.run(anyio.sleep, 0.01)
    assert same(held(url), {"day": 1, "stays": 2})
    assert store("get", url, "soon").status == 1


@pytest.mark.parametrize(
    ("ttl", "seconds"), [("30s", 30), ("5m", 300), ("2h", 7200), ("1.5", 1.5)]
)
def test_ttl_has_units(store: Run, ttl: str, seconds: float) -> None:
    assert store("set", "stand-in://host/a", "k", "1", "--ttl", ttl).status == 0
    assert ("a.set", ("k", seconds)) in stand_in.CALLS


@pytest.mark.parametrize("ttl", ["", "0", "0s", "-1s", "5 weeks", "s", "1h30m", "nan"])
def test_ttl_that_is_none_is_trouble(store: Run, url: str, ttl: str) -> None:
    answer = store("set", url, "k", "1", f"--ttl={ttl}")
    assert is_trouble(answer, f"--ttl '{ttl}'", "such as 30s")
    assert not held(url)


def test_ttl_that_a_store_refuses_is_trouble(store: Run, url: str) -> None:
    assert is_trouble(store("set", url, "k", "1", "--ttl", "99999999d"), url, "ttl")
    answer = store("set", "plain://host/a", "k", "1", "--ttl", "1s")
    assert is_trouble(answer, "plain://host/a", "leave out --ttl")


# Keys


def test_keys_are_listed_in_order_and_taken_as_they_are_shown(
    store: Run, url: str
) -> None:
    fill(url, dict.fromkeys(KEYS, 0))
    status, out, err = store("keys", url)
    lines = out.splitlines()
    assert (status, err, len(lines)) == (0, "", len(KEYS))
    assert all(map(str.isprintable, lines))
    for number, line in enumerate(lines):
        assert store("get", url, "--", line).status == 0
        assert store("set", url, "--", line, f"{number}").status == 0
    assert same(held(url), dict(zip(KEYS, range(len(KEYS)), strict=True)))


def test_keys_for_programs_are_whole(store: Run, url: str) -> None:
    fill(url, dict.fromkeys(KEYS, 0))
    out = store("keys", url, "--json").out
    assert [json.loads(line) for line in out.splitlines()] == [
        {"key": key} for key in KEYS
    ]


def test_keys_between_nuls_are_raw_keys(store: Run, url: str) -> None:
    wanted = [key for key in KEYS if "\0" not in key]
    fill(url, dict.fromkeys(wanted, 0))
    out = store("keys", url, "-0").out
    assert out.split("\0") == [*wanted, ""]
    assert store("delete", url, "--raw", "--", *wanted[1:]) == (0, "", "")
    assert held(url) == {"": 0}
    fill(url, {"a\0b": 1})
    answer = store("keys", url, "-0", "--prefix", "a")
    assert is_trouble(answer, "a\\x00b", "--json")


def test_keys_take_a_prefix_and_a_limit(store: Run, url: str) -> None:
    fill(url, dict.fromkeys(["a", "a*1", "a*2", "ab", "a\\x", "b"], 0))
    assert store("keys", url, "--prefix", "a*").out == "a*1\na*2\n"
    assert store("keys", url, "--prefix", "a\\x2a").out == "a*1\na*2\n"
    assert store("keys", url, "--prefix", "a\\x", "--raw").out == "a\\\\x\n"
    assert store("keys", url, "--limit", "2") == (0, "a\na*1\n", "")
    assert store("keys", url, "--limit", "0") == (0, "", "")
    assert store("keys", url, "--prefix", "c") == (0, "", "")


def test_keys_of_a_store_without_order_are_in_order(store: Run) -> None:
    fill("plain://host/a", dict.fromkeys(KEYS, 0))
    out = store("keys", "plain://host/a", "--json").out
    assert [json.loads(line)["key"] for line in out.splitlines()] == KEYS


def test_many_keys_are_listed_once_each(store: Run, url: str) -> None:
    opened = "stand-in://host/a"
    stand_in.HELD["a", "default"] = numbers(1234)
    assert store("keys", opened).out.split() == [*numbers(1234)]


@pytest.mark.parametrize(
    ("verb", "rest"), [("get", []), ("set", ["1"]), ("delete", []), ("keys", None)]
)
def test_key_that_nothing_is_shown_as_is_trouble(
    store: Run, url: str, verb: str, rest: list[str] | None
) -> None:
    for key, reason in (("\\q", "no escape"), ("\\xff", "no UTF-8")):
        key_first = ["--prefix", key] if rest is None else [key, *rest]
        assert is_trouble(store(verb, url, *key_first), reason, key)


def test_two_looks_at_once_are_trouble(store: Run, url: str) -> None:
    assert is_trouble(store("keys", url, "-0", "--json"), "not both")


# delete


def test_delete_tells_which_key_was_not_there(store: Run, url: str) -> None:
    fill(url, dict.fromkeys("abcdefgh", None))
    assert store("delete", url, "a") == (0, "", "")
    assert store("delete", url, "a") == (1, "", f"latency-kv: {url}: no key a\n")
    status, out, err = store("delete", url, "a", "b", "\\\\", "c")
    assert (status, out) == (1, "")
    assert "no such keys: 2 of 4, such as a, \\\\" in err
    assert held(url) == dict.fromkeys("defgh", None)


def test_delete_by_prefix_needs_yes_without_a_terminal(store: Run, url: str) -> None:
    fill(url, dict.fromkeys(["a", "a:1", "a:2", "b"], 0))
    assert is_trouble(store("delete", url, "--prefix", "a:"), "--yes")
    assert len(held(url)) == 4
    status, out, err = store("delete", url, "--prefix", "a:", "--yes")
    assert (status, out) == (0, "") and "deleted 2 keys from " in err
    assert held(url) == {"a": 0, "b": 0}
    status, _, err = store("delete", url, "--prefix", "a:")
    assert status == 0 and "nothing to do" in err
    assert "deleted 2 keys" in store("delete", url, "--prefix", "", "--yes").err
    assert held(url) == {}
    assert held(f"{url}?namespace=other") == {"other": "namespace"}


@pytest.mark.parametrize("given", [[], ["a", "--prefix", "a"], ["a", "--prefix", ""]])
def test_delete_is_told_what_and_once(store: Run, url: str, given: list[str]) -> None:
    fill(url, {"a": 0, "ab": 0})
    assert is_trouble(store("delete", url, *given, "--yes"), "KEY or --prefix")
    assert len(held(url)) == 2


def test_delete_that_fails_tells_how_far_it_came(store: Run) -> None:
    def fail(held: dict[str, Any], key: str) -> None:
        if len(held) == 3:
            raise StateWriteError(None, "it is full", key=key, store="stand-in://h")

    stand_in.HELD["a", "default"] = numbers(5)
    stand_in.HOOKS["a.delete"] = fail
    answer = store("delete", "stand-in://h/a", "--prefix", "", "--yes")
    assert is_trouble(answer, "it is full", "deleted 2 of 5")


# Namespaces and places


def test_namespace_is_the_option_s_or_the_url_s(store: Run, url: str) -> None:
    assert store("set", url, "k", "1", "--namespace", "one").status == 0
    assert store("set", f"{url}?namespace=two", "k", "2").status == 0
    both = f"{url}?namespace=two"
    assert store("get", both, "k", "--namespace", "one").out == "1\n"
    assert store("get", both, "k").out == "2\n"
    assert store("get", url, "k").status == 1
    assert store("keys", url, "--namespace", "one").out == "k\n"
    assert store("delete", both, "k", "--namespace", "one").status == 0
    assert held(both) == {"k": 2} and not held(f"{url}?namespace=one")
    assert is_trouble(store("get", url, "k", "--namespace", "a/b"), "namespace")


def test_memory_is_refused_since_it_ends_with_the_command(store: Run, url: str) -> None:
    for command in (
        ["get", "memory:", "k"],
        ["set", "memory:", "k", "1"],
        ["delete", "memory:", "k"],
        ["delete", "memory:", "--prefix", "", "--yes"],
        ["keys", "memory:?namespace=a"],
        ["copy", "memory:", url],
        ["copy", url, "memory:"],
        ["copy", url, "memory:", "--dry-run"],
    ):
        assert is_trouble(store(*command), "memory: lives as long as one command")


def test_reading_makes_no_store(store: Run, tmp_path: Path) -> None:
    for scheme in ("file", "lmdb"):
        absent = f"{scheme}:{tmp_path / 'absent'}"
        for command in (
            ["get", absent, "k"],
            ["keys", absent],
            ["delete", absent, "k"],
            ["delete", absent, "--prefix", "", "--yes"],
            ["copy", absent, f"file:{tmp_path / 'target'}"],
        ):
            assert is_trouble(store(*command), absent, "nothing is stored there")
    assert not (tmp_path / "absent").exists() and not (tmp_path / "target").exists()
    (tmp_path / "empty").mkdir()
    answer = store("keys", f"lmdb:{tmp_path / 'empty'}")
    assert is_trouble(answer, "nothing is stored there")
    assert store("keys", f"file:{tmp_path / 'empty'}") == (0, "", "")
    assert not [*(tmp_path / "empty").iterdir()]


def test_path_that_cannot_be_looked_at_is_the_store_s_to_tell(
    store: Run, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[Any] = []
    stat = os.stat

    def refuse(path: Any, *arguments: Any, **options: Any) -> os.stat_result:
        if not looked_at:
            looked_at.append(path)
            raise PermissionError(13, "Permission denied")
        return stat(path, *arguments, **options)

    fill(url, {"k": 1})
    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", refuse)
        assert store("get", url, "k") == (0, "1\n", "")
    assert str(looked_at[0]).startswith(url.partition(":")[2])


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("nosuch:x", ["unknown scheme nosuch:; known", "file:", "stand-in:"]),
        ("state", ["no scheme", "file:state"]),
        ("", ["no scheme"]),
        ("file:x?bogus=1", ["bogus"]),
        ("redis://h:port/", ["port"]),
        (f"redis://me:{SECRET}@@h/", ["%40"]),
        (f"redis://me:[{SECRET}@h/", ["cannot be read"]),
        (f"nosuch:me:{SECRET}@h/", ["nosuch:***: unknown scheme"]),
        ("stand-in://h/\x1b[2J", ["not printable"]),
    ],
)
def test_url_that_is_none_is_trouble(
    store: Run, tmp_path: Path, url: str, parts: list[str]
) -> None:
    (tmp_path / "x").mkdir()
    url = url.replace("file:x", f"file:{tmp_path / 'x'}")
    for command in (["get", url, "k"], ["copy", f"file:{tmp_path}", url]):
        answer = store(*command)
        assert is_trouble(answer, *parts) and SECRET not in answer.err


def test_extra_that_is_not_installed_is_told(
    store: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lmdb", None)
    monkeypatch.delitem(sys.modules, "latency_kv.providers.lmdb", raising=False)
    answer = store("set", f"lmdb:{tmp_path}", "k", "1")
    assert is_trouble(answer, "pip install 'latency-kv[lmdb]'")
    absent = f"lmdb:{tmp_path / 'absent'}"
    for command in (["get", absent, "k"], ["copy", absent, f"file:{tmp_path}"]):
        assert is_trouble(store(*command), absent, "pip install 'latency-kv[lmdb]'")


# Troubles


URL = f"stand-in://me:{SECRET}@host/a?token=open+sesame"

COMMANDS = [
    ["get", URL, "k"],
    ["set", URL, "k", "1"],
    ["delete", URL, "k"],
    ["delete", URL, "--prefix", "", "--yes"],
    ["keys", URL],
    ["copy", URL, "stand-in://host/b"],
    ["copy", "stand-in://host/b", URL],
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
@pytest.mark.parametrize("operation", ["open", "close"])
def test_failure_is_one_line_without_credentials(
    store: Run, command: list[str], operation: str
) -> None:
    def fail(held: dict[str, Any], about: Any) -> None:
        raise RuntimeError(f"{URL} or me:{SECRET}\x1b[2J\n or {SECRET}, {OTHER_SECRET}")

    for name in "ab":
        stand_in.HELD[name, "default"] = {f"k{name}": 1}
    stand_in.HOOKS[f"a.{operation}"] = fail
    answer = store(*command)
    assert answer.status == TROUBLE
    for secret in (SECRET, OTHER_SECRET, "open+sesame"):
        assert secret not in answer.err + answer.out
    assert answer.err.count("\n") == 1 and "stand-in://host/a" in answer.err
    assert "RuntimeError" in answer.err and answer.err[:-1].isprintable()


@pytest.mark.parametrize(
    ("operation", "command"),
    [
        ("get", COMMANDS[0]),
        ("set", COMMANDS[1]),
        ("delete", COMMANDS[2]),
        ("iter_keys", COMMANDS[3]),
        ("iter_keys", COMMANDS[4]),
        ("iter_keys", COMMANDS[5]),
        ("get_many", COMMANDS[5]),
        ("iter_keys", COMMANDS[6]),
        ("get_many", COMMANDS[6]),
        ("set_many", COMMANDS[6]),
    ],
)
def test_state_error_is_told_with_its_key_and_store_once(
    store: Run, operation: str, command: list[str]
) -> None:
    def fail(held: dict[str, Any], about: Any) -> None:
        shown = "stand-in://host/a?namespace=default"
        raise OutcomeUnknownError(None, "lost; look again", key="k", store=shown)

    for name in "ab":
        stand_in.HELD[name, "default"] = {f"k{name}": 1}
    stand_in.HOOKS[f"a.{operation}"] = fail
    answer = store(*command)
    assert is_trouble(answer, "key 'k' of stand-in://host/a?namespace=default: lost;")
    assert answer.err.count("stand-in://") == 1


def test_first_of_two_troubles_is_told(store: Run) -> None:
    def fail(held: dict[str, Any], about: Any) -> None:
        raise OSError("the cause" if about else "what follows")

    stand_in.HOOKS |= {"a.get": fail, "a.close": fail}
    answer = store("get", "stand-in://host/a", "k")
    assert is_trouble(answer, "stand-in://host/a: the cause")


def test_group_of_troubles_is_told_by_its_first(store: Run) -> None:
    def fail(held: dict[str, Any], about: Any) -> None:
        raise ExceptionGroup("2", [ExceptionGroup("1", [OSError("no route")])])

    stand_in.HOOKS["a.get"] = fail
    answer = store("get", "stand-in://host/a", "k")
    assert is_trouble(answer, "stand-in://host/a: no route")


def test_interrupt_is_told_and_the_store_is_closed(store: Run) -> None:
    stand_in.HOOKS["a.get"] = interrupt
    status, out, err = store("get", "stand-in://host/a", "k")
    assert (status, out, err) == (INTERRUPTED, "", "latency-kv: interrupted\n")
    assert stand_in.CALLS[-1][0] == "a.close"


def interrupt(held: dict[str, Any], about: Any) -> None:
    signal.raise_signal(signal.SIGINT)


# copy


@pytest.fixture(params=["file", "lmdb"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"{request.param}:{tmp_path / 'there'}"


def words(answer: Answer) -> str:
    """What a command told that wrote nothing to stdout; one line."""
    assert not answer.out and answer.err.count("\n") == 1
    return answer.err


def test_copy_takes_everything_between_any_two(
    store: Run, url: str, target: str
) -> None:
    values = VALUES | dict.fromkeys(KEYS, "key")
    fill(url, values)
    answer = store("copy", url, target)
    count = len(values)
    assert answer.status == 0
    assert (
        f"copied {count} of {count} entries from {url} to {target}: {count} new, 0 "
        in (words(answer))
    )
    assert "expiry times are not copied" in answer.err
    assert same(held(target), values) and same(held(url), values)
    assert not held(f"{target}?namespace=other")


def test_copy_between_namespaces_of_one_store(store: Run, url: str) -> None:
    fill(url, {"a": 1, "b": 2})
    assert store("copy", url, f"{url}?namespace=new").status == 0
    assert held(f"{url}?namespace=new") == {"a": 1, "b": 2}
    status, _, err = store(
        "copy", url, url, "--namespace", "new", "--to-namespace", "newer"
    )
    assert status == 0 and "namespace=new to " in err and "namespace=newer:" in err
    assert held(f"{url}?namespace=newer") == {"a": 1, "b": 2}
    assert held(f"{url}?namespace=other") == {"other": "namespace"}


def test_copy_takes_one_namespace_for_both(store: Run, url: str, target: str) -> None:
    assert store("copy", url, target, "--namespace", "other").status == 0
    assert held(f"{target}?namespace=other") == {"other": "namespace"}
    assert not held(target)


def test_copy_takes_a_prefix(store: Run, url: str, target: str) -> None:
    fill(url, dict.fromkeys(["a", "a*", "a*1", "b"], 0))
    fill(target, {"b": "different", "z": 1})
    assert store("copy", url, target, "--prefix", "a*").status == 0
    assert held(target) == {"a*": 0, "a*1": 0, "b": "different", "z": 1}


def test_copy_is_refused_where_it_would_overwrite(
    store: Run, url: str, target: str
) -> None:
    before = {"b": 2, "c": "old", "d": None, "e": 1.0, "f": True, "z": 0}
    fill(url, {"a": 1, "b": 2, "c": "new", "d": 0, "e": 1, "f": 1, "g": None})
    fill(target, before)
    answer = store("copy", url, target)
    assert answer.status == 1
    assert f"{target}: other values are there under 4 of 7 keys, such as c, d, e: " in (
        words(answer)
    )
    assert "nothing was copied; --replace overwrites" in answer.err
    assert same(held(target), before)
    answer = store("copy", url, target, "--replace")
    assert answer.status == 0
    assert "copied 6 of 7 entries" in words(answer)
    assert "2 new, 4 replaced, 1 equal already" in answer.err
    assert same(held(target), {**held(url), "z": 0})
    answer = store("copy", url, target)
    assert answer.status == 0 and "copied 0 of 7" in words(answer)


@pytest.mark.parametrize("options", [[], ["--replace"]])
def test_dry_run_counts_and_writes_nothing(
    store: Run, url: str, target: str, options: list[str]
) -> None:
    fill(url, {"a": 1, "b": 2, "c": 3})
    answer = store("copy", url, target, "--dry-run", *options)
    assert answer.status == 0
    assert f"would copy 3 of 3 entries from {url} to {target}: 3 new" in words(answer)
    assert not Path(target.partition(":")[2]).exists()
    fill(target, {"b": 2, "c": 4})
    answer = store("copy", url, target, "--dry-run", *options)
    if options:
        assert answer.status == 0 and "would copy 2 of 3 entries" in words(answer)
        assert "1 new, 1 replaced, 1 equal already" in answer.err
    else:
        assert answer.status == 1 and "under 1 of 3 keys" in words(answer)
    assert held(target) == {"b": 2, "c": 4}


def test_copy_of_nothing_says_so(store: Run, url: str, target: str) -> None:
    answer = store("copy", url, target)
    assert answer.status == 0 and f"nothing to do: {url} has no keys\n" in words(answer)
    answer = store("copy", url, target, "--prefix", "x")
    assert answer.status == 0 and "no keys that begin so" in words(answer)


@pytest.mark.parametrize("options", [[], ["--replace"]])
def test_copy_is_permanent_and_equal_values_keep_their_end(
    store: Run, url: str, options: list[str]
) -> None:
    fill(url, {"a": 1, "b": 2}, ttl=3600)
    stand_in.HELD["b", "default"] = {"b": 2}
    assert store("copy", url, "stand-in://host/b", *options).status == 0
    written = [about for call, about in stand_in.CALLS if call.startswith("b.set")]
    assert written == [{"a": 1}]


def test_copy_leaves_no_trace_of_what_expired_after_it_was_listed(store: Run) -> None:
    def expire(held: dict[str, Any], keys: list[str]) -> None:
        held.pop("b", None)

    stand_in.HELD["a", "default"] = {"a": None, "b": None, "c": None}
    stand_in.HOOKS["a.get_many"] = expire
    assert "copied 2 of 2" in words(
        store("copy", "stand-in://host/a", "stand-in://host/b")
    )
    assert stand_in.HELD["b", "default"] == {"a": None, "c": None}


def test_none_is_told_from_a_missing_key_on_both_sides(store: Run) -> None:
    stand_in.HELD["a", "default"] = {"a": None, "b": None, "c": 1, "d": 1}
    stand_in.HELD["b", "default"] = {"b": None, "d": None}
    answer = store("copy", "stand-in://host/a", "stand-in://host/b")
    assert answer.status == 1 and "1 of 4 keys" in words(answer)
    answer = store("copy", "stand-in://host/a", "stand-in://host/b", "--replace")
    assert "2 new, 1 replaced, 1 equal already" in words(answer)
    assert stand_in.HELD["b", "default"] == stand_in.HELD["a", "default"]


@pytest.mark.parametrize("target", ["plain://host/b", "stand-in://host/b"])
@pytest.mark.parametrize("source", ["plain://host/a", "stand-in://host/a"])
def test_copy_needs_no_capability(store: Run, source: str, target: str) -> None:
    stand_in.HELD["a", "default"] = numbers(700)
    stand_in.HELD["b", "default"] = {"00001": {"n": 1}, "00003": 3, "x": 0}
    assert "1 of 700 keys" in words(store("copy", source, target))
    assert "698 new, 1 replaced, 1 equal" in words(
        store("copy", source, target, "--replace")
    )
    assert stand_in.HELD["b", "default"] == {**numbers(700), "x": 0}


def test_copy_is_made_in_batches(store: Run) -> None:
    stand_in.HELD["a", "default"] = numbers(3 * copying.BATCH)
    store("copy", "stand-in://host/a", "stand-in://host/b")
    called = [call for call, _ in stand_in.CALLS]
    assert called.count("b.set_many") <= 5 and "b.set" not in called
    assert called.count("a.get_many") <= 5 and "a.get" not in called
    sizes = [len(about) for call, about in stand_in.CALLS if call == "b.set_many"]
    assert max(sizes) == copying.BATCH and sum(sizes) == 3 * copying.BATCH


def test_batches_of_large_values_are_small(
    store: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "_BATCH_BYTES", 1000)
    stand_in.HELD["a", "default"] = {f"{n:03}": "x" * 300 for n in range(100)}
    store("copy", "stand-in://host/a", "stand-in://host/b")
    sizes = [len(about) for call, about in stand_in.CALLS if call == "b.set_many"]
    assert sizes[0] == 50 and max(sizes[1:]) == 3
    assert len(stand_in.HELD["b", "default"]) == 100


def test_copy_that_fails_says_how_far_it_came_and_goes_on(store: Run) -> None:
    def fail(held: dict[str, Any], values: dict[str, Any]) -> None:
        if len(held) >= 50:
            held.update([*values.items()][:7])
            raise StateWriteError(None, "it is full", store="stand-in://host/b")

    stand_in.HELD["a", "default"] = numbers(1000)
    stand_in.HOOKS["b.set_many"] = fail
    command = ["copy", "stand-in://host/a", "stand-in://host/b"]
    answer = store(*command)
    assert is_trouble(answer, "it is full; copied 50 of 1,000 entries for certain")
    assert "goes on from there" in answer.err
    stand_in.HOOKS.clear()
    stand_in.CALLS.clear()
    answer = store(*command)
    assert answer.status == 0 and "943 new, 0 replaced, 57 equal" in words(answer)
    written = [about for call, about in stand_in.CALLS if call == "b.set_many"]
    assert sum(map(len, written)) == 943
    assert stand_in.HELD["b", "default"] == numbers(1000)


def test_copy_that_is_interrupted_says_how_far_it_came(store: Run) -> None:
    def stop(held: dict[str, Any], values: dict[str, Any]) -> None:
        if held:
            interrupt(held, values)

    stand_in.HELD["a", "default"] = numbers(200)
    stand_in.HOOKS["b.set_many"] = stop
    answer = store("copy", "stand-in://host/a", "stand-in://host/b")
    assert answer.status == INTERRUPTED
    assert "interrupted; copied 50 of 200 entries for certain" in words(answer)
    assert [call for call, _ in stand_in.CALLS][-2:] == ["b.close", "a.close"]


@pytest.mark.parametrize("operation", ["a.open", "b.open", "a.iter_keys", "b.get_many"])
def test_copy_that_fails_before_it_writes_says_so(store: Run, operation: str) -> None:
    def fail(held: dict[str, Any], about: Any) -> None:
        raise OSError("no route")

    stand_in.HELD["a", "default"] = stand_in.HELD["b", "default"] = {"a": 1}
    stand_in.HOOKS[operation] = fail
    answer = store("copy", "stand-in://host/a", "stand-in://host/b")
    name = operation[0]
    assert is_trouble(answer, f"stand-in://host/{name}: no route; nothing was copied")


def after_comparison(change: Callable[[dict[str, Any]], None]) -> Callable[..., None]:
    """A hook that changes a store when it is gone through for the second time."""
    times = []

    def hook(held: dict[str, Any], about: Any) -> None:
        times.append(about)
        if len(times) == 2:
            change(held)

    return hook


@pytest.mark.parametrize("options", [[], ["--replace"]])
def test_what_others_write_meanwhile_is_not_overwritten_unasked(
    store: Run, options: list[str]
) -> None:
    stand_in.HELD["a", "default"] = {"a": 1, "b": 2}
    stand_in.HOOKS["b.iter_keys"] = after_comparison(lambda held: held.update(b=3))
    answer = store("copy", "stand-in://host/a", "stand-in://host/b", *options)
    if options:
        assert answer.status == 0 and "1 new, 1 replaced" in words(answer)
    else:
        assert answer.status == 1
        assert "1 left as others wrote them meanwhile" in words(answer)
    assert stand_in.HELD["b", "default"] == {"a": 1, "b": 2 if options else 3}


def test_what_comes_after_it_was_not_listed_is_not_overwritten(store: Run) -> None:
    def come(held: dict[str, Any], keys: list[str]) -> None:
        held["b"] = 3

    stand_in.HELD["a", "default"] = {"a": 1, "b": 2}
    stand_in.HOOKS["b.get_many"] = come
    answer = store("copy", "stand-in://host/a", "stand-in://host/b")
    assert answer.status == 1 and "1 left as others wrote" in words(answer)
    assert stand_in.HELD["b", "default"] == {"a": 1, "b": 3}


def test_store_that_lists_keys_out_of_order_is_not_trusted(store: Run) -> None:
    stand_in.HELD["a", "default"] = numbers(5)
    stand_in.HELD["b", "default"] = {"00000": "different"}
    stand_in.HELD["b", "disorder"] = {"00002": 0, "00000": 0}
    answer = store("copy", "stand-in://host/a", "stand-in://host/b")
    assert is_trouble(answer, "stand-in://host/b: its keys come out of order")
    assert stand_in.HELD["b", "default"] == {"00000": "different"}


def test_copy_refuses_a_value_that_the_target_refuses(
    store: Run, tmp_path: Path
) -> None:
    long = "k" * 5000
    source, target = f"file:{tmp_path / 'a'}", f"lmdb:{tmp_path / 'b'}"
    fill(source, {"a": 1, long: 2})
    answer = store("copy", source, target)
    assert is_trouble(answer, target, "bytes", "copied 0 of 2 entries for certain")
    assert held(target) == {}
