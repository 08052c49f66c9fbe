"""State keys: what is checked alike for every store, and that no secret is shown."""

import math
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latency_kv.errors import StateParseError
from latency_kv.providers.state_keys import (
    DEFAULT_NAMESPACE,
    MAX_TTL,
    checked_namespace,
    checked_ttl,
    flag,
    key_bytes,
    key_text,
    redacted_url,
    stored_value,
    successor,
    url_options,
    url_parts,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
SECRET = "hunter2"


class Text(str):
    def __str__(self) -> str:
        return "another"

    def encode(self, *arguments: Any) -> bytes:
        return b"another"


@given(TEXTS, TEXTS)
def test_keys_are_sorted_by_their_bytes_as_by_code_point(one: str, other: str) -> None:
    assert (key_bytes(one) < key_bytes(other)) == (one < other)
    assert key_text(key_bytes(one)) == one


@given(TEXTS, TEXTS)
def test_prefix_ends_at_its_successor(prefix: str, key: str) -> None:
    start, raw = key_bytes(prefix), key_bytes(key)
    stop = successor(start)
    is_within = start <= raw and (stop is None or raw < stop)
    assert is_within == key.startswith(prefix)


@pytest.mark.parametrize("key", [None, 1, b"a", ["a"], Mock])
def test_key_that_is_no_str_is_refused(key: Any) -> None:
    key = Mock(spec=str) if key is Mock else key
    with pytest.raises(TypeError, match="a key is a str, not "):
        key_bytes(key)


@pytest.mark.parametrize("key", ["\ud800", "a\udfff", "\udc00" * 1_000])
def test_key_with_a_lone_surrogate_is_refused(key: str) -> None:
    with pytest.raises(
        ValueError, match="the prefix .* has a lone surrogate"
    ) as caught:
        key_bytes(key, what="prefix")
    assert type(caught.value) is ValueError
    assert len(str(caught.value)) < 200


def test_key_of_a_subclass_is_its_characters() -> None:
    assert key_bytes(Text("a")) == b"a"


def test_key_that_is_too_long_is_refused_with_the_limit() -> None:
    assert key_bytes("\xe9" * 5, 10) == "\xe9".encode() * 5
    with pytest.raises(ValueError, match="has 11 bytes of UTF-8, and at most 10"):
        key_bytes("\xe9" * 5 + "a", 10)
    with pytest.raises(ValueError, match="at most 10") as caught:
        key_bytes("a" * 1_000_000, 10)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "namespace", ["a", DEFAULT_NAMESPACE, "Shop-1.eu_2", "x" * 100, Text("a")]
)
def test_namespace_is_a_plain_word(namespace: str) -> None:
    checked = checked_namespace(namespace)
    assert checked == str.__str__(namespace)
    assert type(checked) is str


@pytest.mark.parametrize(
    "namespace",
    ["", "a:b", "a/b", "{a}", "a b", "a\n", "\x00", "\xe9", "x" * 101, "\ud800", "*"],
)
def test_namespace_that_an_engine_could_misread_is_refused(namespace: str) -> None:
    with pytest.raises(ValueError, match="1 to 100 of letters, digits"):
        checked_namespace(namespace)


def test_namespace_that_is_no_str_is_refused() -> None:
    for namespace in (None, 1, b"a"):
        with pytest.raises(TypeError, match="a namespace is a str"):
            checked_namespace(namespace)  # type: ignore[arg-type]


def test_ttl_is_a_number_of_seconds() -> None:
    for ttl in (1, 0.001, 5e-324, MAX_TTL):
        assert checked_ttl(ttl) == ttl
        assert type(checked_ttl(ttl)) is float
    for ttl in (0, -1, -0.0, math.nan, math.inf, -math.inf, MAX_TTL + 1, 10**10_000):
        with pytest.raises(ValueError, match="a ttl is above 0 and at most"):
            checked_ttl(ttl)
    for wrong in (True, "1", None, b"1"):
        with pytest.raises(TypeError, match="a ttl is a number of seconds"):
            checked_ttl(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("memory:", "memory:?namespace=n"),
        ("file:state/a@b", "file:state/a@b?namespace=n"),
        ("file:///var/a@b", "file:/var/a@b?namespace=n"),
        ("redis://db:6379/0", "redis://db:6379/0?namespace=n"),
        (f"redis://{SECRET}@db", "redis://db?namespace=n"),
        (f"redis://:{SECRET}@[::1]:6379/0", "redis://[::1]:6379/0?namespace=n"),
        (
            f"redis-cluster://me:{SECRET}@a:1,b:2/n?replicas=1",
            "redis-cluster://a:1,b:2/n?namespace=n",
        ),
        (
            f"postgresql://me:{quote('p@/?#', '')}{SECRET}@db/shop?password={SECRET}#{SECRET}",
            "postgresql://db/shop?namespace=n",
        ),
    ],
)
def test_url_in_messages_has_no_credentials(url: str, shown: str) -> None:
    assert redacted_url(url, "n") == shown
    assert redacted_url(url_parts(url), "n") == shown


@given(st.text(max_size=8), st.text(max_size=8), st.text(max_size=8))
def test_password_is_never_shown(before: str, between: str, behind: str) -> None:
    """Escaped or not: whoever wrote the URL finds out, and nobody else."""
    url = f"redis://me:{before}{SECRET}{between}{SECRET}{behind}@db:6379/0"
    try:
        shown = redacted_url(url_parts(url), "n")
    except ValueError as error:
        shown = str(error)
        assert error.__cause__ is None
        assert error.__suppress_context__ or error.__context__ is None
    assert SECRET not in shown
    assert SECRET not in redacted_url(url, "n")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "no scheme"),
        ("state/here", "no scheme"),
        ("//db:1/0", "no scheme"),
        (f"redis:me:{SECRET}@db/0", "no host: write redis://"),
        (f"postgresql:/me:{SECRET}@db", "no host: write postgresql://"),
        (f"redis://:{SECRET}", "a port that is no number"),
        (f"redis://db:{SECRET}/0", "a port that is no number"),
        (f"redis://a:1,b:{SECRET}/0", "a port that is no number"),
        (f"redis://me:{SECRET}/x@db", "write %40 for '@'"),
        (f"redis://me:{SECRET}?x@db", "write %40 for '@'"),
        (f"redis://me:{SECRET}#x@db", "write %40 for '@'"),
        (f"redis://me:{SECRET}@x@db", "write %40 for '@'"),
        (f"redis://me:[{SECRET}@db", "cannot be read"),
        (f"redis://me:\u2100{SECRET}@db", "cannot be read"),
        (f"redis://me:{SECRET}\n@db", "not printable"),
        ("memory:\x00", "not printable"),
    ],
)
def test_url_that_cannot_be_is_refused_without_being_shown(
    url: str, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        url_parts(url)
    error = caught.value
    assert SECRET not in str(error)
    assert error.__suppress_context__ or error.__context__ is None
    assert SECRET not in redacted_url(url, "n") or "@" not in url


def test_url_that_is_no_str_is_refused() -> None:
    with pytest.raises(TypeError, match="a URL is a str, not PosixPath|not bytes"):
        url_parts(b"memory:")  # type: ignore[arg-type]


def test_options_are_read_by_their_kinds() -> None:
    url = url_parts(
        "redis://db/?namespace=n&timeout=2.5&replicas=1&tls=false&name=a%26b"
    )
    kinds: dict[str, Callable[[str], Any]]
    kinds = {"timeout": float, "replicas": int, "tls": flag, "name": str, "more": int}
    assert url_options(url, kinds) == {
        "timeout": 2.5,
        "replicas": 1,
        "tls": False,
        "name": "a&b",
    }
    assert url_options(url_parts("redis://db"), kinds) == {}


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("time=2", "the option 'time', and redis: knows namespace, timeout"),
        ("timeout=x" + SECRET, "the URL's option 'timeout' is no float"),
        ("timeout=", "the URL's option 'timeout' is no float"),
        ("timeout=1&timeout=1", "the option 'timeout' twice"),
        ("namespace=a&namespace=b", "the option 'namespace' twice"),
        ("timeout=1#x", "the URL has a '#'"),
    ],
)
def test_option_that_nobody_knows_is_refused(query: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        url_options(url_parts(f"redis://db/?{query}"), {"timeout": float})
    assert SECRET not in str(caught.value)


def test_flag_is_one_of_four_words() -> None:
    assert [flag(word) for word in ("true", "False", "1", "0")] == [
        True,
        False,
        True,
        False,
    ]
    for word in ("", "yes", "2"):
        with pytest.raises(ValueError, match="neither true nor false"):
            flag(word)


def test_stored_bytes_that_are_no_value_are_told_with_key_and_store() -> None:
    assert stored_value(b'{"a":1}', "k", "memory:") == {"a": 1}
    with pytest.raises(StateParseError) as caught:
        stored_value(b'{"a":\xff', "k", "redis://db?namespace=n")
    error = caught.value
    assert str(error).startswith("key 'k' of redis://db?namespace=n: what is stored is")
    assert (error.plugin_name, error.key, error.text) == (None, "k", '{"a":\\xff')
