"""Scenarios: every scenario of document 5, as a test of its name.

Each goes through `ctx.data` of an atom in a scope. The document's "undefined" is here
the default that `get` is passed: a sentinel that no store holds.
"""

from typing import Any, assert_type

import pytest

from latency_kv.atoms import Atom, AtomContext, DataStore, Scope, Tag, atom, tag

pytestmark = pytest.mark.anyio

UNDEFINED: Any = object()

RETRIES = tag("retries", type=int)
WITH_DEFAULT = tag("with default", default=3)


@pytest.fixture
async def data() -> DataStore:
    """What an atom's factory has for itself."""

    @atom
    def store(ctx: AtomContext) -> DataStore:
        return ctx.data

    return await Scope().resolve(store)


# Requirement: Tag-Based Keys


async def test_type_safe_get_set(data: DataStore) -> None:
    data.set(RETRIES, 3)
    assert_type(RETRIES, Tag[int])
    assert_type(data.get(RETRIES), int | None)
    assert data.get(RETRIES, UNDEFINED) == 3
    wrong: Any = "three"
    with pytest.raises(TypeError):
        data.set(RETRIES, wrong)
    assert data.get(RETRIES, UNDEFINED) == 3


# Requirement: DataStore get() Method


async def test_returns_undefined_when_not_stored(data: DataStore) -> None:
    assert data.get(RETRIES, UNDEFINED) is UNDEFINED
    assert data.get(WITH_DEFAULT, UNDEFINED) is UNDEFINED
    assert data.get(WITH_DEFAULT) is None


async def test_returns_stored_value(data: DataStore) -> None:
    data.set(RETRIES, 3)
    data.set(WITH_DEFAULT, 7)
    assert data.get(RETRIES, UNDEFINED) == 3
    assert data.get(WITH_DEFAULT, UNDEFINED) == 7


async def test_consistent_with_has(data: DataStore) -> None:
    for key in (RETRIES, WITH_DEFAULT):
        assert data.get(key, UNDEFINED) is UNDEFINED
        assert data.has(key) is False
        data.set(key, 0)
        assert data.get(key, UNDEFINED) == 0
        assert data.has(key) is True
        data.delete(key)
        assert data.get(key, UNDEFINED) is UNDEFINED
        assert data.has(key) is False


# Requirement: Storage Persistence


async def test_data_persists_across_invalidation() -> None:
    @atom
    def counter(ctx: AtomContext) -> int:
        count = ctx.data.get(RETRIES, 0) + 1
        ctx.data.set(RETRIES, count)
        return count

    scope = Scope()
    assert await scope.resolve(counter) == 1
    scope.invalidate(counter)
    assert await scope.resolve(counter) == 2
    scope.invalidate(counter)
    await scope.flush()
    assert await scope.resolve(counter) == 3


# Requirement: Private Scope


async def test_isolated_storage_per_atom() -> None:
    def writer(ctx: AtomContext) -> DataStore:
        ctx.data.set(RETRIES, 3)
        return ctx.data

    def reader(ctx: AtomContext, other: DataStore) -> DataStore:
        assert ctx.data.get(RETRIES, UNDEFINED) is UNDEFINED
        ctx.data.set(RETRIES, 7)
        return ctx.data

    scope = Scope()
    writing: Atom[DataStore] = atom(writer)
    reading: Atom[DataStore] = atom(reader, deps=[writing])
    read = await scope.resolve(reading)
    written = await scope.resolve(writing)
    assert (written.get(RETRIES), read.get(RETRIES)) == (3, 7)
    read.clear()
    assert written.has(RETRIES)
    # Nor do two atoms that share their factory.
    assert await scope.resolve(atom(writer)) is not written


# Requirement: Map-Like Operations


async def test_check_existence(data: DataStore) -> None:
    assert data.has(RETRIES) is False
    data.set(RETRIES, 0)
    assert data.has(RETRIES) is True
    assert data.has(WITH_DEFAULT) is False


async def test_delete_entry(data: DataStore) -> None:
    data.set(RETRIES, 3)
    assert data.delete(RETRIES) is True
    assert data.get(RETRIES, UNDEFINED) is UNDEFINED
    assert data.delete(RETRIES) is False
    assert data.delete(WITH_DEFAULT) is False


async def test_clear_all(data: DataStore) -> None:
    data.set(RETRIES, 3)
    data.set(WITH_DEFAULT, 7)
    data.clear()
    assert data.get(RETRIES, UNDEFINED) is UNDEFINED
    assert data.get(WITH_DEFAULT, UNDEFINED) is UNDEFINED
    assert len(data) == 0


# Requirement: getOrSet Method


async def test_initialize_with_tag_default(data: DataStore) -> None:
    assert data.get_or_set(WITH_DEFAULT) == 3
    assert data.get(WITH_DEFAULT, UNDEFINED) == 3


async def test_initialize_with_provided_value(data: DataStore) -> None:
    assert data.get_or_set(WITH_DEFAULT, 7) == 7
    assert data.get(WITH_DEFAULT, UNDEFINED) == 7


async def test_return_existing_without_overwrite(data: DataStore) -> None:
    data.set(RETRIES, 3)
    assert data.get_or_set(RETRIES, 7) == 3
    assert data.get(RETRIES, UNDEFINED) == 3


# Requirement: Relaxed Type Signatures


async def test_accept_any_tag_type_for_has_delete(data: DataStore) -> None:
    texts: Tag[str] = tag("text", type=str)
    keys: list[Tag[Any]] = [RETRIES, WITH_DEFAULT, texts, tag("bare")]
    keys.append(tag("made", default_factory=dict))
    for key in keys:
        assert data.has(key) is False
        assert data.delete(key) is False
        data.set(key, "text" if key is texts else 3)
        assert data.has(key) is True
        assert data.delete(key) is True
    # Of static types, where a key is of any type at all.
    assert data.has(texts) is data.has(RETRIES) is False
    assert data.delete(texts) is data.delete(RETRIES) is False
