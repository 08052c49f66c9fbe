"""Loading: what a document gives, and what is said of one that is damaged.

Document 4, unit tests 3: load existing state, return null for non-existent state, parse
JSON correctly, convert dates correctly, handle read errors, handle parse errors, emit
load events.
"""

import errno
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from documents.disk import Ask, refused
from documents.scenes import WRITTEN, Witness, document, files, put
from latency_kv import FileSystemStateStore, StateData
from latency_kv.documents.events import StateLoadedEvent
from latency_kv.errors import (
    StateFormatError,
    StateParseError,
    StateReadError,
    StateWriteError,
)

pytestmark = pytest.mark.anyio

VALUES: list[Any] = [
    {"key1": "value1", "key2": {"nested": "data"}},
    [],
    {},
    "",
    '\u00fc \U0001f600 \u2028 \x00 \\ "',
    0,
    -0.0,
    1e-300,
    10**400,
    0.1,
    True,
    False,
    None,
    [[[[]]]],
    {"": 1, "__proto__": 2, "metadata": {"pluginName": "x"}},
]

METADATA = {"lastModified": WRITTEN, "pluginName": "clock"}

DAMAGED: dict[str, bytes] = {
    "empty": b"",
    "cut": document({"a": [1, 2, 3]})[:-9],
    "zeroes": bytes(200),
    "no UTF-8": document("x").replace(b'"x"', b'"\xff"'),
    "a byte order mark": b"\xef\xbb\xbf" + document(1),
    "two documents": document(1) * 2,
    "a list": b"[]",
    "null": b"null",
    "NaN": document("x").replace(b'"x"', b"NaN"),
    "infinity": document("x").replace(b'"x"', b"-Infinity"),
    "a number too large": document("x").replace(b'"x"', b"1e999"),
    "a key twice": document("x").replace(b'"x"', b'{"a": 1, "a": 2}'),
    "a lone surrogate": document("x").replace(b'"x"', b'"\\ud800"'),
    "too deep": document("x").replace(b'"x"', b"[" * 300 + b"]" * 300),
    "far too deep": document("x").replace(b'"x"', b"[" * 100_000),
    "no version": b'{"data": 1, "metadata": %s}' % json.dumps(METADATA).encode(),
    "no data": b'{"version": 1, "metadata": %s}' % json.dumps(METADATA).encode(),
    "no metadata": b'{"version": 1, "data": 1}',
    "an unknown field": document(1, extra=1),
    "a version that is text": document(1, "1"),
    "a version that is true": document(1, True),
    "a version below 0": document(1, -1),
    "a version with a fraction": document(1, 1.5),
    "metadata that are a list": document(1, metadata=[]),
    "no date": document(1, metadata={"pluginName": "clock"}),
    "a date that is none": document(1, metadata=METADATA | {"lastModified": "now"}),
    "a date without a zone": document(
        1, metadata=METADATA | {"lastModified": "2024-01-01T00:00:00"}
    ),
    "no plugin name": document(1, metadata={"lastModified": WRITTEN}),
    "unknown metadata": document(1, metadata=METADATA | {"by": "me"}),
    "another plugin's": document(1, plugin_name="watch"),
}


async def loaded(store: FileSystemStateStore) -> StateData[Any]:
    state = await store.load("clock")
    assert state is not None
    return state


async def test_load_returns_what_was_saved(store: FileSystemStateStore) -> None:
    await store.save("clock", {"count": 3}, 2)
    state = await loaded(store)
    assert isinstance(state, StateData)
    assert (state.version, state.data) == (2, {"count": 3})
    assert state.metadata.plugin_name == "clock"


async def test_load_of_a_missing_document_is_none_without_event(
    store: FileSystemStateStore, witness: Witness
) -> None:
    assert await store.load("clock") is None
    assert witness.heard == []
    assert files(store.state_dir) == {}


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:20])
async def test_load_parses_every_json_value_as_it_was_saved(
    store: FileSystemStateStore, value: Any
) -> None:
    await store.save("clock", value)
    state = await loaded(store)
    assert (state.data, type(state.data)) == (value, type(value))
    assert repr(state.data) == repr(value)


async def test_load_takes_what_is_as_deep_as_a_save_takes(
    store: FileSystemStateStore,
) -> None:
    data: Any = 1
    for _ in range(100):
        data = [data]
    await store.save("clock", data)
    assert (await loaded(store)).data == data
    with pytest.raises(StateWriteError):
        await store.save("clock", [data])


async def test_load_converts_the_date_of_a_save(store: FileSystemStateStore) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    await store.save("clock", 1)
    moment = (await loaded(store)).metadata.last_modified
    assert before <= moment <= datetime.now(UTC)
    assert moment.utcoffset() == timedelta(0)


async def test_load_converts_dates_of_other_zones(store: FileSystemStateStore) -> None:
    there = METADATA | {"lastModified": "2024-01-01T02:30:00.250+02:00"}
    put(store, "clock.json", document(1, metadata=there))
    moment = (await loaded(store)).metadata.last_modified
    assert moment == datetime(2024, 1, 1, 0, 30, 0, 250_000, tzinfo=UTC)
    assert moment.utcoffset() == timedelta(0)


async def test_load_reads_a_document_of_the_published_format(
    store: FileSystemStateStore,
) -> None:
    put(store, "clock.json", document({"key1": "value1"}, 1))
    state = await loaded(store)
    assert state.data == {"key1": "value1"}
    assert state.metadata.last_modified == datetime(2024, 1, 1, tzinfo=UTC)


async def test_load_emits_loaded_with_the_version(
    store: FileSystemStateStore, witness: Witness
) -> None:
    await store.save("clock", 1, 6)
    witness.forget()
    await store.load("clock")
    assert witness.heard == [("state.loaded", StateLoadedEvent("clock", 6))]


async def test_loaded_data_are_the_callers_own(store: FileSystemStateStore) -> None:
    await store.save("clock", {"a": []})
    (await loaded(store)).data["a"].append(1)
    assert (await loaded(store)).data == {"a": []}


async def test_load_changes_no_file(store: FileSystemStateStore) -> None:
    await store.save("clock", 1)
    before = (store.state_dir / "clock.json").stat()
    await store.load("clock")
    assert (store.state_dir / "clock.json").stat().st_mtime_ns == before.st_mtime_ns
    assert list(files(store.state_dir)) == ["clock.json"]


async def test_load_that_the_system_refuses_is_a_read_error(
    store: FileSystemStateStore, witness: Witness
) -> None:
    await store.save("clock", 1)
    witness.forget()

    def is_document(ask: Ask) -> bool:
        return ask.name == "open" and ask.path.name == "clock.json"

    with (
        refused(store.state_dir, is_document, errno.EACCES),
        pytest.raises(StateReadError) as caught,
    ):
        await store.load("clock")
    assert caught.value.plugin_name == "clock"
    assert caught.value.path == store.state_dir / "clock.json"
    assert isinstance(caught.value.__cause__, PermissionError)
    assert witness.saw_error("load", caught.value)


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
async def test_load_of_a_damaged_document_is_a_parse_error(
    store: FileSystemStateStore, witness: Witness, content: bytes
) -> None:
    path = put(store, "clock.json", content)
    with pytest.raises(StateParseError) as caught:
        await store.load("clock")
    error = caught.value
    assert not isinstance(error, StateFormatError)
    assert (error.plugin_name, error.path) == ("clock", path)
    if content != DAMAGED["no UTF-8"]:
        assert error.text.removeprefix("\ufeff") == content.decode().lstrip("\ufeff")
    assert files(store.state_dir) == {"clock.json": content}
    assert witness.saw_error("load", error)


async def test_parse_error_tells_where_the_json_breaks(
    store: FileSystemStateStore,
) -> None:
    put(store, "clock.json", b'{\n  "version": 1,\n  "data": ]\n}')
    with pytest.raises(StateParseError, match=r"line 3") as caught:
        await store.load("clock")
    assert "column 11" in str(caught.value)


async def test_parse_error_names_both_plugins(store: FileSystemStateStore) -> None:
    put(store, "clock.json", document(1, plugin_name="watch"))
    with pytest.raises(StateParseError, match="'watch'.*|watch") as caught:
        await store.load("clock")
    assert "clock" in caught.value.reason


@pytest.mark.parametrize("content", [document(1, format=2), b'{"format": 3}'])
async def test_load_of_a_newer_format_is_a_format_error(
    store: FileSystemStateStore, witness: Witness, content: bytes
) -> None:
    put(store, "clock.json", content)
    with pytest.raises(StateFormatError) as caught:
        await store.load("clock", recover=True)
    assert files(store.state_dir) == {"clock.json": content}
    assert witness.saw_error("load", caught.value)


async def test_exists_tells_whether_there_is_a_document(
    store: FileSystemStateStore, witness: Witness
) -> None:
    assert await store.exists("clock") is False
    await store.save("clock", None)
    witness.forget()
    assert await store.exists("clock") is True
    assert await store.exists("watch") is False
    assert witness.heard == []
    await store.clear("clock")
    assert await store.exists("clock") is False


async def test_constructor_touches_no_disk_and_keeps_its_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = FileSystemStateStore()
    assert list(tmp_path.iterdir()) == []
    assert store.state_dir == tmp_path / ".agentos" / "state"
    assert (store.max_backups, store.pretty_print) == (3, True)
    assert (store.durable, store.lock_timeout) == (True, 10.0)
    with pytest.raises(ValueError):
        FileSystemStateStore(max_backups=-1)


async def test_state_dir_stays_when_the_process_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = FileSystemStateStore(state_dir="mine")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    async with store:
        await store.save("clock", 1)
    assert (tmp_path / "mine" / "clock.json").exists()


async def test_store_opens_at_its_first_operation(folder: Path) -> None:
    store = FileSystemStateStore(state_dir=folder)
    assert await store.load("clock") is None
    await store.save("clock", 1)
    assert (await loaded(store)).data == 1
