"""Reads of images: in place, and answered as a store or the model answers them.

Start at `test_reads_of_an_image_equal_the_model`.
"""

import gc
from collections.abc import Callable

import pytest

from core.goldens import CREATED_NS, EDGES, GOLDENS, Golden
from core.test_model import READS, Play
from image import encode
from latency_kv import InMemoryStore, StateSnapshot
from model import Model, ModelReads, answer

BOUNDS = sorted([*EDGES, b"a\xff", b"seat:12A\x00\x00", b"\xff\xff", b"zz"])
SMALL_READS, FULL_READS = 4_000, 100_000

golden = pytest.mark.parametrize("golden", GOLDENS, ids=lambda golden: golden.name)


def image_of(entries: dict[bytes, bytes]) -> StateSnapshot:
    return StateSnapshot.from_bytes(encode(entries, CREATED_NS))


@pytest.mark.parametrize("ordered", [False, True])
def test_reads_of_an_image_equal_the_model(
    seed: int, full: bool, ordered: bool
) -> None:
    play = Play(seed, 700)
    for _ in range(900):
        play.fill(play.twins[0])
    snapshot = play.twins[0].store.snapshot()
    image, model = StateSnapshot.from_bytes(snapshot.to_bytes()), play.twins[0].model
    for _ in range(FULL_READS if full else SMALL_READS):
        call = play.random.choice(READS)(play)
        assert answer(call, image) == answer(call, model)
    image.check()


@pytest.mark.parametrize("golden", GOLDENS, ids=lambda golden: golden.name)
@pytest.mark.parametrize("bound", [None, *BOUNDS])
def test_scans_of_golden_images_equal_the_model(
    golden: Golden, bound: bytes | None
) -> None:
    image, model = (
        StateSnapshot.from_bytes(golden.image()),
        Model(golden.entries.items()),
    )

    def scans(reads: StateSnapshot | ModelReads) -> list[object]:
        key = bound or b""
        found: list[object] = [reads.first(key), reads.last(key)]
        found += [reads.floor(key), reads.ceiling(key)]
        for reverse in (False, True):
            for limit in (None, 0, 1, 3, 1 << 40):
                found += [
                    list(reads.prefix_scan(key, reverse=reverse, limit=limit)),
                    list(reads.prefix_keys(key, reverse=reverse, limit=limit)),
                    list(reads.range_scan(bound, reverse=reverse, limit=limit)),
                    list(reads.range_keys(None, bound, reverse=reverse, limit=limit)),
                    list(reads.range_scan(b"\x00", bound, reverse=reverse)),
                ]
        return found

    assert scans(image) == scans(model)


@golden
def test_image_is_a_mapping(golden: Golden) -> None:
    image, entries = StateSnapshot.from_bytes(golden.image()), golden.entries
    assert len(image) == len(entries)
    assert bool(image) is bool(entries)
    assert image.is_empty() is not bool(entries)
    assert list(image) == list(image.keys()) == sorted(entries)
    assert list(reversed(image)) == sorted(entries, reverse=True)
    assert list(image.values()) == [entries[key] for key in sorted(entries)]
    assert list(image.items()) == sorted(entries.items())
    assert image.size_bytes() == sum(map(len, [*entries, *entries.values()]))
    for key, value in entries.items():
        assert image[key] == image.get(key) == image.get(bytearray(key)) == value
        assert key in image
        assert image.contains(memoryview(key))
    wanted = [*entries, b"absent", *entries]
    assert image.get_many(wanted) == [entries.get(key) for key in wanted]


def test_absent_keys_of_an_image_are_absent() -> None:
    image = image_of(EDGES)
    for key in (b"a\x00\x00", b"seat:12", b"\xff" * 7, b"\xff" * 10, bytes(65_536)):
        assert image.get(key) is None
        assert image.get(key, 7) == 7
        assert key not in image
        assert not image.contains(key)
        with pytest.raises(KeyError) as raised:
            image[key]
        assert raised.value.args == (key,)


@pytest.mark.parametrize(
    "call",
    [
        lambda image: image.get("text"),
        lambda image: image["text"],
        lambda image: image.contains("text"),
        lambda image: "text" in image,
        lambda image: image.get_many([b"", 7]),
        lambda image: image.prefix_scan("text"),
        lambda image: image.range_keys(None, 7),
        lambda image: image.first("text"),
        lambda image: image.floor(None),
    ],
)
def test_wrong_types_raise_on_an_image_as_on_a_store(
    call: Callable[[StateSnapshot | InMemoryStore], object],
) -> None:
    for reads in (
        image_of(EDGES),
        InMemoryStore(EDGES),
        InMemoryStore(EDGES).snapshot(),
    ):
        with pytest.raises(TypeError):
            call(reads)


def test_image_compares_with_every_mapping_of_bytes() -> None:
    store = InMemoryStore(EDGES)
    image = image_of(EDGES)
    equals = [EDGES, store, store.snapshot(), image_of(EDGES), Model(EDGES.items())]
    for equal in equals:
        assert image == equal
        assert equal == image
    others = [{**EDGES, b"a": b"other"}, {**EDGES, b"more": b""}, {b"": b""}, {}]
    for other in others:
        assert image != other
        assert image != image_of(other)
        assert image != InMemoryStore(other).snapshot()
        assert InMemoryStore(other) != image


def test_repr_of_an_image_shows_no_contents() -> None:
    shown = repr(image_of({b"secret-key": b"secret-value"}))
    assert "StateSnapshot" in shown
    assert "secret" not in shown


def test_scan_outlives_the_image_that_it_is_of() -> None:
    scan = image_of(EDGES).prefix_scan()
    first = next(scan)
    gc.collect()
    assert [first, *scan] == sorted(EDGES.items())


def test_image_of_an_image_is_encoded_by_no_one() -> None:
    image = encode(EDGES, CREATED_NS)
    assert StateSnapshot.from_bytes(image).to_bytes() is image
