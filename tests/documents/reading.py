"""Reading: bytes are a sound document or a StateParseError, and nothing else.

    outcome         the document that bytes are, or None
    check_outcome   the same, compared with what is there
    refusal         why they are no document
    check_return    data comes back from bytes as it was

Start at `outcome`.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from documents.values import PLUGIN_NAME, check_sound, same
from latency_kv import StateData
from latency_kv.documents.document import decode, detached, encode
from latency_kv.errors import StateParseError
from latency_kv.facets.stores import StateMetadata

PATH = Path("state/clock.json")
STORED = datetime(2024, 1, 1, tzinfo=UTC)


def outcome(raw: bytes) -> StateData[Any] | None:
    """The document that bytes are, None if they are none; any other exception fails."""
    try:
        state = decode(raw, PLUGIN_NAME, PATH)
    except StateParseError as error:
        assert (error.plugin_name, error.path) == (PLUGIN_NAME, PATH)
        assert error.text == raw.decode("utf-8", "backslashreplace")
        assert 0 < len(error.reason) < 2_000
        str(error).encode()
        return None
    check_sound(state)
    return state


def check_outcome(raw: bytes) -> bool:
    """Assert that what is read is what is there; tell whether it is read."""
    state = outcome(raw)
    if state is None:
        return False
    document = json.loads(raw.decode(), object_pairs_hook=with_each_key_once)
    assert document.pop("format", 1) == 1
    assert document.keys() == {"version", "data", "metadata"}
    assert same(state.data, document["data"])
    assert same(state.version, document["version"])
    metadata = document["metadata"]
    assert metadata.keys() == {"lastModified", "pluginName"}
    assert metadata["pluginName"] == PLUGIN_NAME
    modified = datetime.fromisoformat(metadata["lastModified"])
    assert modified.tzinfo is not None
    assert modified == state.metadata.last_modified
    again = outcome(encode(state, pretty_print=False))
    assert again is not None
    assert same((again.version, again.data), (state.version, state.data))
    return True


def with_each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    assert len(values) == len(pairs)
    return values


def refusal(raw: bytes) -> str:
    """The reason for which bytes are no document, of today's format at least."""
    assert outcome(raw) is None
    with pytest.raises(StateParseError) as caught:
        decode(raw, PLUGIN_NAME, PATH)
    assert type(caught.value) is StateParseError
    assert isinstance(caught.value.__cause__, ValueError)
    return caught.value.reason


def state_of(data: Any, version: int = 1) -> StateData[Any]:
    return StateData(version, data, StateMetadata(STORED, PLUGIN_NAME))


def check_return(data: Any, *, pretty_print: bool) -> None:
    """Detach, encode and decode data, and compare."""
    copy = detached(data, PLUGIN_NAME)
    assert same(copy, data)
    raw = encode(state_of(copy), pretty_print=pretty_print)
    assert raw.endswith(b"}\n")
    assert json.loads(raw)["data"] == data
    state = decode(raw, PLUGIN_NAME, None)
    check_sound(state)
    assert same(state, state_of(data))
    assert encode(state, pretty_print=pretty_print) == raw
