"""Columns: an image as numpy arrays and as an Arrow table, without a copy.

Start at `test_columns_are_the_sections`.
"""

import gc
import sys
from pathlib import Path
from typing import Any

import pytest

from core.goldens import CREATED_NS, EDGES, GOLDENS, Golden
from image import encode
from latency_kv import InMemoryStore, StateSnapshot

np = pytest.importorskip("numpy")

NAMES = ("key_offsets", "keys", "value_offsets", "values")
golden = pytest.mark.parametrize("golden", GOLDENS, ids=lambda golden: golden.name)


@pytest.fixture(params=["live", "image", "map", "memory"])
def snapshot(request: pytest.FixtureRequest, tmp_path: Path) -> StateSnapshot:
    """EDGES, in each way to have a snapshot."""
    image = encode(EDGES, CREATED_NS)
    path = tmp_path / "state.lkv"
    path.write_bytes(image)
    ways = {
        "live": lambda: InMemoryStore(EDGES).snapshot(),
        "image": lambda: StateSnapshot.from_bytes(image),
        "map": lambda: StateSnapshot.open(path),
        "memory": lambda: StateSnapshot.open(path, mmap=False),
    }
    return ways[request.param]()


def entries_of(columns: Any) -> list[tuple[bytes, bytes]]:
    """Read entries as the format's page tells a stranger to."""

    def parts(ends: Any, data: Any) -> list[bytes]:
        return [data[ends[i] : ends[i + 1]].tobytes() for i in range(len(ends) - 1)]

    keys = parts(columns.key_offsets, columns.keys)
    return list(zip(keys, parts(columns.value_offsets, columns.values), strict=True))


@golden
def test_columns_of_golden_images_hold_their_entries(golden: Golden) -> None:
    columns = StateSnapshot.from_bytes(golden.image()).columns()
    assert entries_of(columns) == sorted(golden.entries.items())


def test_columns_are_the_sections(snapshot: StateSnapshot) -> None:
    columns = snapshot.columns()
    assert isinstance(columns, tuple)
    assert columns._fields == NAMES
    assert [array.dtype.str for array in columns] == ["<i8", "|u1", "<i8", "|u1"]
    assert all(array.ndim == 1 for array in columns)
    assert len(columns.key_offsets) == len(columns.value_offsets) == len(EDGES) + 1
    assert columns.keys.tobytes() == b"".join(sorted(EDGES))
    assert entries_of(columns) == sorted(EDGES.items())


def test_columns_share_the_memory_of_the_image(snapshot: StateSnapshot) -> None:
    whole = np.frombuffer(memoryview(snapshot), dtype=np.uint8)
    places = np.frombuffer(whole[48:112].tobytes(), dtype="<u8").reshape(4, 2)
    columns: Any = snapshot.columns()
    again: Any = snapshot.columns()
    for array, other, (start, size) in zip(
        columns, again, places.tolist(), strict=True
    ):
        assert array.nbytes == size
        assert array.ctypes.data == other.ctypes.data == whole.ctypes.data + start
        assert array.ctypes.data % 8 == 0
        if size:
            assert np.shares_memory(array, whole)


def test_columns_of_kept_bytes_share_the_memory_of_the_bytes() -> None:
    image = encode(EDGES, CREATED_NS)
    columns = StateSnapshot.from_bytes(image).columns()
    assert np.shares_memory(columns.values, np.frombuffer(image, dtype=np.uint8))


def test_columns_are_read_only(snapshot: StateSnapshot) -> None:
    image = snapshot.to_bytes()
    for array in snapshot.columns():
        assert not array.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            array[:1] = 7
        with pytest.raises(ValueError, match=r"WRITEABLE|writeable"):
            array.flags.writeable = True
    assert snapshot.to_bytes() == image


def test_columns_outlive_the_snapshot(tmp_path: Path) -> None:
    values = StateSnapshot.from_bytes(encode(EDGES, CREATED_NS)).columns().values
    columns = InMemoryStore(EDGES).snapshot().columns()
    path = tmp_path / "other.lkv"
    path.write_bytes(encode(EDGES, CREATED_NS))
    mapped = StateSnapshot.open(path).columns()
    path.unlink()
    gc.collect()
    litter = [bytes(813) for _ in range(200)]
    assert entries_of(columns) == entries_of(mapped) == sorted(EDGES.items())
    assert values.tobytes() == b"".join(EDGES[key] for key in sorted(EDGES))
    assert len(litter) == 200


@pytest.mark.parametrize("live", [False, True])
def test_columns_of_an_empty_store_are_empty(live: bool) -> None:
    snapshot = InMemoryStore().snapshot()
    if not live:
        snapshot = StateSnapshot.from_bytes(encode({}, CREATED_NS))
    columns = snapshot.columns()
    assert columns.key_offsets.tolist() == columns.value_offsets.tolist() == [0]
    assert columns.keys.tolist() == columns.values.tolist() == []
    assert [array.dtype.str for array in columns] == ["<i8", "|u1", "<i8", "|u1"]


def test_columns_without_numpy_say_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    snapshot = InMemoryStore(EDGES).snapshot()
    with pytest.raises(ModuleNotFoundError, match=r"latency-kv\[numpy\]"):
        snapshot.columns()
    assert snapshot == EDGES


def test_arrow_without_pyarrow_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    snapshot = InMemoryStore(EDGES).snapshot()
    with pytest.raises(ModuleNotFoundError, match=r"latency-kv\[arrow\]"):
        snapshot.to_arrow()
    assert snapshot == EDGES


@golden
def test_arrow_tables_of_golden_images_hold_their_entries(golden: Golden) -> None:
    pa = pytest.importorskip("pyarrow")
    table = StateSnapshot.from_bytes(golden.image()).to_arrow()
    assert table.schema.names == ["key", "value"]
    assert table.schema.types == [pa.large_binary(), pa.large_binary()]
    assert table.num_rows == len(golden.entries)
    table.validate(full=True)
    keys, values = (table.column(name).to_pylist() for name in ("key", "value"))
    expected = sorted(golden.entries.items())
    assert list(zip(keys, values, strict=True)) == expected


def test_arrow_table_is_no_copy(snapshot: StateSnapshot) -> None:
    pytest.importorskip("pyarrow")
    table = snapshot.to_arrow()
    columns = snapshot.columns()
    sections = {
        "key": (columns.key_offsets, columns.keys),
        "value": (columns.value_offsets, columns.values),
    }
    for name, arrays in sections.items():
        (chunk,) = table.column(name).chunks
        assert chunk.null_count == chunk.offset == 0
        validity, *buffers = chunk.buffers()
        assert validity is None
        assert [buffer.address for buffer in buffers] == [
            array.ctypes.data for array in arrays
        ]
        assert [buffer.size for buffer in buffers] == [array.nbytes for array in arrays]
        assert not any(buffer.is_mutable for buffer in buffers)


def test_arrow_table_outlives_the_snapshot(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "state.lkv"
    InMemoryStore(EDGES).snapshot().save(path)
    tables = [
        InMemoryStore(EDGES).snapshot().to_arrow(),
        StateSnapshot.open(path).to_arrow(),
    ]
    path.unlink()
    gc.collect()
    for table in tables:
        table.validate(full=True)
        assert table.column("key").to_pylist() == sorted(EDGES)
        taken = table.slice(3, 5).column("value").to_pylist()
        assert taken == [EDGES[key] for key in sorted(EDGES)[3:8]]


def test_arrow_table_of_an_empty_store_is_empty() -> None:
    pa = pytest.importorskip("pyarrow")
    table = InMemoryStore().snapshot().to_arrow()
    table.validate(full=True)
    assert table.num_rows == 0
    assert table.schema.types == [pa.large_binary(), pa.large_binary()]
