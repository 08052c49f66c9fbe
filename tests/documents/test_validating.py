"""Validating: the validator's word, and nothing written.

Document 4, unit tests 5: validate valid state, reject invalid state, handle validation
errors.
"""

import warnings
from typing import Any

import pytest

from documents.scenes import Witness, document, files, put
from latency_kv import FileSystemStateStore
from latency_kv.errors import (
    StateError,
    StateFormatError,
    StateParseError,
    StateValidationError,
)

pytestmark = pytest.mark.anyio


def has_count(data: Any) -> bool:
    return isinstance(data, dict) and "count" in data


async def test_validate_of_a_valid_state_is_true(
    store: FileSystemStateStore, witness: Witness
) -> None:
    await store.save("clock", {"count": 1})
    witness.forget()
    assert await store.validate("clock", has_count) is True
    assert witness.heard == []


async def test_validate_of_an_invalid_state_is_false(
    store: FileSystemStateStore, witness: Witness
) -> None:
    await store.save("clock", {"colour": "red"})
    witness.forget()
    assert await store.validate("clock", has_count) is False
    assert witness.heard == []


async def test_validator_is_given_the_data_alone(store: FileSystemStateStore) -> None:
    await store.save("clock", {"count": 1}, 3)
    assert await store.validate("clock", lambda data: data == {"count": 1}) is True


async def test_validate_without_a_document_is_true_unasked(
    store: FileSystemStateStore, witness: Witness
) -> None:
    assert await store.validate("clock", lambda data: False) is True
    assert witness.heard == []


async def test_validate_answers_with_a_bool(store: FileSystemStateStore) -> None:
    await store.save("clock", {"count": 1})
    truthy: Any = lambda data: data["count"]
    assert await store.validate("clock", truthy) is True


async def test_validator_that_raises_is_a_validation_error(
    store: FileSystemStateStore, witness: Witness
) -> None:
    await store.save("clock", {"count": 1})
    before = files(store.state_dir)
    witness.forget()
    with pytest.raises(StateValidationError) as caught:
        await store.validate("clock", lambda data: bool(data["colour"]))
    assert caught.value.plugin_name == "clock"
    assert isinstance(caught.value.__cause__, KeyError)
    assert witness.saw_error("validate", caught.value)
    assert files(store.state_dir) == before


async def test_validator_that_changes_the_data_changes_no_document(
    store: FileSystemStateStore,
) -> None:
    await store.save("clock", {"count": 1})
    before = files(store.state_dir)
    assert await store.validate("clock", lambda data: not data.clear())
    assert files(store.state_dir) == before


async def test_validator_that_is_a_coroutine_is_never_taken_for_true(
    store: FileSystemStateStore,
) -> None:
    async def never(data: Any) -> bool:
        return False

    await store.save("clock", 1)
    with warnings.catch_warnings():
        # One that is refused may never be awaited.
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            answer = await store.validate("clock", never)  # type: ignore[arg-type]
        except (TypeError, StateError):
            return
    assert answer is False


@pytest.mark.parametrize(
    ("content", "error"),
    [(b"{", StateParseError), (document({}, format=2), StateFormatError)],
    ids=["damaged", "newer"],
)
async def test_validate_of_what_cannot_be_read_raises(
    store: FileSystemStateStore,
    witness: Witness,
    content: bytes,
    error: type[StateParseError],
) -> None:
    put(store, "clock.json", content)
    with pytest.raises(error) as caught:
        await store.validate("clock", has_count)
    assert witness.saw_error("validate", caught.value)
    assert files(store.state_dir) == {"clock.json": content}
