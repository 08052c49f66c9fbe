"""Secrets: EnvironmentSecretStore keeps the facet's contract, and shows no value."""

import logging
import os
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from fresh import run_fresh
from latency_kv.errors import FacetError
from latency_kv.facets.secret_store import SecretStore
from latency_kv.providers.secrets import EnvironmentSecretStore
from latency_kv.testing.secret_store import SecretStoreContract

pytestmark = pytest.mark.anyio

SECRET = "hunter2"

IMPOSSIBLE_KEYS = ["", "=", "A=B", "=A", "\0", "A\0B", "\ud800"]

Call = Callable[[SecretStore, Any], Awaitable[Any]]

READS: dict[str, Call] = {
    "get_secret": lambda store, key: store.get_secret(key),
    "has_secret": lambda store, key: store.has_secret(key),
}
WRITES: dict[str, Call] = {
    "set_secret": lambda store, key: store.set_secret(key, SECRET),
    "delete_secret": lambda store, key: store.delete_secret(key),
}

by_read = pytest.mark.parametrize("call", READS.values(), ids=READS)
by_write = pytest.mark.parametrize("call", WRITES.values(), ids=WRITES)
with_prefix = pytest.mark.parametrize("prefix", ["", "SHOP_"])


@with_prefix
class TestEnvironmentSecretStore(SecretStoreContract):
    read_only = True
    prepared = "TOKEN", SECRET

    @pytest.fixture
    def provider(self, prefix: str) -> SecretStore:
        return EnvironmentSecretStore(prefix, {f"{prefix}TOKEN": SECRET})


class TestEnvironmentSecretStoreOfTheProcess(SecretStoreContract):
    read_only = True
    prepared = "LATENCY_KV_TEST_TOKEN", SECRET

    @pytest.fixture
    def provider(self, monkeypatch: pytest.MonkeyPatch) -> SecretStore:
        monkeypatch.setenv("LATENCY_KV_TEST_TOKEN", SECRET)
        return EnvironmentSecretStore()


async def test_variable_is_read_at_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    store = EnvironmentSecretStore("LATENCY_KV_TEST_")
    for value in ("one", "two", ""):
        monkeypatch.setenv("LATENCY_KV_TEST_TOKEN", value)
        assert await store.get_secret("TOKEN") == value
        assert await store.has_secret("TOKEN") is True
    monkeypatch.delenv("LATENCY_KV_TEST_TOKEN")
    assert await store.get_secret("TOKEN") is None
    assert await store.has_secret("TOKEN") is False


async def test_environment_may_be_replaced_as_a_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = EnvironmentSecretStore()
    monkeypatch.setattr(os, "environ", {"TOKEN": SECRET})
    assert await store.get_secret("TOKEN") == SECRET
    assert await store.has_secret("TOKEN") is True


async def test_environ_that_is_given_is_a_view(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that is empty at first: it does not stand for the process's own."""
    monkeypatch.setenv("LATENCY_KV_TEST_TOKEN", "the process's")
    environ: dict[str, str] = {}
    store = EnvironmentSecretStore("LATENCY_KV_TEST_", environ)
    assert await store.get_secret("TOKEN") is None
    assert await store.has_secret("TOKEN") is False
    environ["LATENCY_KV_TEST_TOKEN"] = SECRET
    assert await store.get_secret("TOKEN") == SECRET


async def test_prefix_keeps_the_other_variables_out() -> None:
    environ = {"TOKEN": "another's", "SHOP_TOKEN": SECRET, "SHOP_SHOP_TOKEN": "inner"}
    store = EnvironmentSecretStore("SHOP_", environ)
    assert await store.get_secret("TOKEN") == SECRET
    assert await store.get_secret("SHOP_TOKEN") == "inner"
    assert await store.get_secret("SHOP_SHOP_TOKEN") is None


async def test_variable_of_the_prefix_itself_is_no_secret() -> None:
    store = EnvironmentSecretStore("SHOP_", {"SHOP_": SECRET})
    with pytest.raises(FacetError):
        await store.get_secret("")


async def test_value_comes_back_as_the_system_has_it() -> None:
    values = ["two words", "a=b=c", "line\nline", "caf\u00e9", "\udcff", "''"]
    environ = {f"KEY {number}": value for number, value in enumerate(values)}
    store = EnvironmentSecretStore(environ=environ)
    assert [await store.get_secret(key) for key in environ] == values


@with_prefix
@by_read
@pytest.mark.parametrize("key", IMPOSSIBLE_KEYS)
async def test_key_that_no_variable_can_have_is_refused(
    prefix: str, call: Call, key: str
) -> None:
    for environ in (None, {}, {prefix + key: SECRET}):
        with pytest.raises(FacetError) as caught:
            await call(EnvironmentSecretStore(prefix, environ), key)
        assert caught.value.code == "VALIDATION"


@by_read
@pytest.mark.parametrize(
    "key", ["a", "A B", "A-B", "\u00e9", "\udcff", "A\n", "%s", "1"]
)
async def test_key_that_some_variable_can_have_is_looked_up(
    call: Call, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"LATENCY_KV_TEST_{key}", SECRET)
    store = EnvironmentSecretStore("LATENCY_KV_TEST_")
    assert await call(store, key) in (SECRET, True)
    assert await call(store, f"{key}_") in (None, False)


async def test_key_that_the_systems_encoding_cannot_write_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a process whose locale has ASCII alone."""
    for name, value in {
        "LC_ALL": "C",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONUTF8": "0",
    }.items():
        monkeypatch.setenv(name, value)
    assert run_fresh("-c", PROGRAM_IN_ASCII) == "ascii VALIDATION None\n"


PROGRAM_IN_ASCII = r"""
import sys
from latency_kv.errors import FacetError
from latency_kv.providers import EnvironmentSecretStore
print(sys.getfilesystemencoding(), end=" ")
try:
    EnvironmentSecretStore().get_secret("caf\u00e9").send(None)
except FacetError as error:
    print(error.code, end=" ")
try:
    EnvironmentSecretStore().get_secret("caf").send(None)
except StopIteration as stop:
    print(stop.value)
"""


@by_read
@pytest.mark.parametrize("key", [None, 7, b"TOKEN"])
async def test_key_that_is_no_text_is_a_type_error(call: Call, key: Any) -> None:
    for environ in (None, {key: SECRET}):
        with pytest.raises(TypeError):
            await call(EnvironmentSecretStore(environ=environ), key)


@with_prefix
@by_write
@pytest.mark.parametrize("key", ["TOKEN", "MISSING", *IMPOSSIBLE_KEYS])
async def test_nobody_may_write(prefix: str, call: Call, key: str) -> None:
    environ = {f"{prefix}TOKEN": "as it was"}
    before = dict(os.environ)
    for given in (environ, None):
        with pytest.raises(FacetError) as caught:
            await call(EnvironmentSecretStore(prefix, given), key)
        assert caught.value.code == "AUTH"
    assert environ == {f"{prefix}TOKEN": "as it was"}
    assert dict(os.environ) == before


@pytest.mark.parametrize("prefix", ["=", "A=", "\0", "\ud800"])
def test_prefix_that_no_variable_can_have_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="no variable"):
        EnvironmentSecretStore(prefix)


@pytest.mark.parametrize("prefix", [None, 7, b"A"])
def test_prefix_that_is_no_text_is_refused(prefix: Any) -> None:
    with pytest.raises(TypeError):
        EnvironmentSecretStore(prefix)


@pytest.mark.parametrize("environ", [None, {"SHOP_TOKEN": SECRET}])
def test_repr_shows_the_prefix_and_no_value(
    environ: Mapping[str, str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_TOKEN", SECRET)
    store = EnvironmentSecretStore("SHOP_", environ)
    for text in (repr(store), str(store), f"{store}"):
        assert text == "EnvironmentSecretStore('SHOP_')"


async def test_nothing_that_fails_or_is_logged_shows_a_value(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = EnvironmentSecretStore("SHOP_", {"SHOP_TOKEN": SECRET, "SHOP_": SECRET})
    caplog.set_level(logging.DEBUG)
    texts: list[str] = []
    for call in (*READS.values(), *WRITES.values()):
        for key in ("TOKEN", *IMPOSSIBLE_KEYS):
            try:
                await call(store, key)
            except FacetError as error:
                texts += [repr(error), str(error), *map(repr, error.args)]
                texts += traceback.format_exception(error)
    assert texts
    # The test's own line has the secret's name, never its value.
    assert not [text for text in texts if SECRET in text]
    assert SECRET not in caplog.text
