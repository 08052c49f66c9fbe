"""Pickling: stores and snapshots travel as images, and only an image is believed.

Start at `test_stores_and_snapshots_come_back_from_a_pickle`.
"""

import copy
import io
import pickle
from pathlib import Path

import pytest

from core.goldens import CREATED_NS, EDGES, GOLDENS, Golden
from fresh import run_fresh
from image import encode
from latency_kv import InMemoryStore, StateSnapshot
from latency_kv.errors import SnapshotCorruptError, SnapshotVersionError

LARGE = {b"large/%d" % number: bytes([number]) * 100_000 for number in range(5)}

golden = pytest.mark.parametrize("golden", GOLDENS, ids=lambda golden: golden.name)
each_protocol = pytest.mark.parametrize("protocol", range(2, 6))


@golden
@each_protocol
def test_stores_and_snapshots_come_back_from_a_pickle(
    golden: Golden, protocol: int
) -> None:
    store = InMemoryStore(golden.entries)
    image = StateSnapshot.from_bytes(golden.image())
    loaded = pickle.loads(
        pickle.dumps([store, store.snapshot(), image], protocol=protocol)
    )
    assert [type(each) for each in loaded] == [
        InMemoryStore,
        StateSnapshot,
        StateSnapshot,
    ]
    assert loaded[0] == loaded[1] == loaded[2] == store == golden.entries
    assert loaded[2].to_bytes() == golden.image()
    assert loaded[2].timestamp_ns == CREATED_NS
    loaded[0].put(b"new", b"value")
    loaded[0].check()
    assert store == golden.entries


@each_protocol
def test_pickled_snapshot_keeps_its_image(protocol: int) -> None:
    snapshot = InMemoryStore(EDGES).snapshot()
    loaded = pickle.loads(pickle.dumps(snapshot, protocol=protocol))
    assert loaded.to_bytes() == snapshot.to_bytes()
    assert loaded.created_at == snapshot.created_at


def test_pickle_of_an_opened_file_needs_no_file(tmp_path: Path) -> None:
    path = tmp_path / "state.lkv"
    path.write_bytes(encode(EDGES, CREATED_NS))
    pickled = pickle.dumps(StateSnapshot.open(path))
    path.unlink()
    assert pickle.loads(pickled) == EDGES


def test_one_object_pickled_twice_stays_one() -> None:
    store = InMemoryStore(EDGES)
    snapshot = store.snapshot()
    loaded = pickle.loads(pickle.dumps([store, store, snapshot, snapshot]))
    assert loaded[0] is loaded[1]
    assert loaded[2] is loaded[3]


@pytest.mark.parametrize("what", ["snapshot", "store"])
def test_buffers_go_out_of_band(what: str) -> None:
    store = InMemoryStore(LARGE)
    original = store if what == "store" else store.snapshot()
    buffers: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps(original, protocol=5, buffer_callback=buffers.append)
    assert len(pickled) < 1_000
    (buffer,) = buffers
    raw = buffer.raw()
    assert raw.readonly
    assert bytes(raw[:8]) == b"\x89LKVS\r\n\x1a"
    loaded = pickle.loads(pickled, buffers=[bytearray(raw)])
    assert type(loaded) is type(original)
    assert loaded == original == LARGE
    loaded.check()


def test_out_of_band_snapshot_is_never_copied() -> None:
    np = pytest.importorskip("numpy")
    snapshot = InMemoryStore(LARGE).snapshot()
    buffers: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps(snapshot, protocol=5, buffer_callback=buffers.append)
    sent = np.frombuffer(buffers[0].raw(), dtype=np.uint8)
    assert np.shares_memory(sent, np.frombuffer(snapshot.to_bytes(), dtype=np.uint8))
    received = buffers[0].raw().tobytes()
    assert pickle.loads(pickled, buffers=[received]).to_bytes() is received


def test_deep_copies_are_apart() -> None:
    store = InMemoryStore(EDGES | LARGE, ordered=True)
    snapshot = store.snapshot()
    other, held = copy.deepcopy((store, snapshot))
    other.put(b"only", b"here")
    store.clear()
    assert other == EDGES | LARGE | {b"only": b"here"}
    assert held == snapshot == EDGES | LARGE
    assert held.timestamp_ns == snapshot.timestamp_ns
    other.check()
    assert copy.copy(snapshot) == snapshot


def test_pickle_is_read_by_another_process(tmp_path: Path) -> None:
    """Under another secret, and without this module's help."""
    path, back = tmp_path / "pickled", tmp_path / "back"
    path.write_bytes(
        pickle.dumps([InMemoryStore(EDGES), InMemoryStore(EDGES).snapshot()])
    )
    program = (
        "import pickle, sys; from pathlib import Path\n"
        "store, snapshot = pickle.loads(Path(sys.argv[1]).read_bytes())\n"
        "store.check(); snapshot.check(); assert store == snapshot\n"
        "store.put(b'there', b'and back')\n"
        "Path(sys.argv[2]).write_bytes(pickle.dumps(store))"
    )
    run_fresh("-c", program, str(path), str(back))
    assert pickle.loads(back.read_bytes()) == EDGES | {b"there": b"and back"}


@pytest.mark.parametrize("what", ["snapshot", "store"])
@each_protocol
def test_damaged_pickle_is_refused(what: str, protocol: int) -> None:
    store = InMemoryStore({b"key": b"well-known value"})
    original = store if what == "store" else store.snapshot()
    pickled = pickle.dumps(original, protocol=protocol)
    damaged = pickled.replace(b"well-known value", b"well-known lies!")
    assert damaged != pickled
    with pytest.raises(SnapshotCorruptError):
        pickle.loads(damaged)


def test_pickle_of_a_newer_image_is_refused() -> None:
    buffers: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps(
        InMemoryStore(EDGES), protocol=5, buffer_callback=buffers.append
    )
    newer = bytearray(buffers[0].raw())
    newer[16] = 2
    with pytest.raises(SnapshotVersionError):
        pickle.loads(pickled, buffers=[newer])
    with pytest.raises(TypeError):
        pickle.loads(pickled, buffers=["text"])


def test_pickle_calls_nothing_but_the_package() -> None:
    called: list[str] = []

    class Watched(pickle.Unpickler):
        def find_class(self, module_name: str, global_name: str, /) -> object:
            called.append(module_name)
            return super().find_class(module_name, global_name)

    for original in (InMemoryStore(EDGES), InMemoryStore(EDGES).snapshot()):
        assert Watched(io.BytesIO(pickle.dumps(original))).load() == EDGES
    assert called
    assert {name.split(".")[0] for name in called} == {"latency_kv"}
