"""Format: the oracle, the golden images and the page that draws the format agree.

Nothing here runs the engine: XXH64 against published and foreign values, `decode`
against images that `encode` would not write, and docs/snapshot-format.md against both.
Start at `test_golden_images_are_what_they_were`.
"""

import hashlib
import re
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.goldens import CREATED_NS, FOLDER, GOLDENS, Golden
from fresh import TESTS
from image import HEADER, MAGIC, checksum, decode, encode, repaired

PAGE = TESTS.parent / "docs" / "snapshot-format.md"

# A line of the page's dump: an address, up to 16 bytes, and what they are.
DUMPED = re.compile(
    r"^    ([0-9a-f]{4})  ((?:[0-9a-f]{2} {1,2})*[0-9a-f]{2})", re.MULTILINE
)
DRAWN = re.compile(r"^ {5,}(\d+) +(\d+)  [a-z]", re.MULTILINE)
TINY = {b"gate:7": b"open", b"seat:12A": b"taken"}

# Four from the documents of xxHash and python-xxhash, the rest by xxHash 0.8.1.
XXH64 = {
    b"": 0xEF46DB3751D8E999,
    b"a": 0xD24EC4F1A98C6E5B,
    b"abc": 0x44BC2CF5AD770999,
    b"Nobody inspects the spammish repetition": 0xFBCEA83C8A378BF1,
    bytes(range(31)): 0xC346D2B59B4D8EE1,
    bytes(range(32)): 0xCBF59C5116FF32B4,
    bytes(range(33)): 0x0C535D1ACAFB8EAD,
    bytes(range(256)): 0x1FACBE8406CD904B,
    bytes(1_000): 0x0E2B1EF27944075A,
}

golden = pytest.mark.parametrize("golden", GOLDENS, ids=lambda golden: golden.name)


@pytest.mark.parametrize("data", XXH64, ids=len)
def test_checksum_is_xxh64(data: bytes) -> None:
    assert checksum(data) == XXH64[data]


@golden
def test_golden_images_are_what_they_were(golden: Golden) -> None:
    assert hashlib.sha256(golden.image()).hexdigest() == golden.digest


def test_golden_folder_holds_the_golden_images_alone() -> None:
    names = {f"{golden.name}.lkv" for golden in GOLDENS}
    assert {path.name for path in FOLDER.iterdir()} == {"README.md", *names}


@golden
def test_oracle_reads_and_writes_golden_images(golden: Golden) -> None:
    assert decode(golden.image()) == (golden.entries, CREATED_NS)
    assert encode(golden.entries, CREATED_NS) == golden.image()


@given(
    st.dictionaries(st.binary(max_size=9), st.binary(max_size=70)),
    st.integers(-(2**63), 2**63 - 1),
)
def test_oracle_reads_what_it_writes(entries: dict[bytes, bytes], stamp: int) -> None:
    image = encode(entries, stamp)
    assert decode(image) == (entries, stamp)
    assert repaired(image) == image


def test_oracle_writes_no_key_longer_than_the_longest() -> None:
    assert decode(encode({bytes(65_535): b""}, 0)) == ({bytes(65_535): b""}, 0)
    with pytest.raises(ValueError, match="too long"):
        encode({bytes(65_536): b""}, 0)


def test_oracle_refuses_every_changed_bit() -> None:
    """With the checksum right: all but stamp, keys, values and where a value ends."""
    entries = {b"": b"", b"mm": b"free"}
    image = encode(entries, 0)
    free = {*range(24, 32), 192, 193, 264, *range(320, 324)}
    for place in {*range(16, len(image))} - free:
        for bit in range(8):
            changed = bytearray(image)
            changed[place] ^= 1 << bit
            with pytest.raises(ValueError, match=r"\w"):
                decode(repaired(bytes(changed)))


def test_oracle_refuses_what_is_out_of_order() -> None:
    """Each lie is told in all places alike, but for the one rule that it breaks."""
    image = encode({b"ka": b"1", b"kb": b"2"}, 0)
    lies = [
        image.replace(b"kakb", b"kbka"),
        image.replace(b"kakb", b"kaka"),
        image.replace(b"kakb", b"kak\x00"),
        image.replace(struct.pack("<3q", 0, 2, 4), struct.pack("<3q", 0, 5, 4)),
        image.replace(struct.pack("<3q", 0, 2, 4), struct.pack("<3q", 0, -2, 4)),
        image.replace(struct.pack("<3q", 0, 2, 4), struct.pack("<3q", 0, 2, 2**62)),
    ]
    for lie in lies:
        assert lie != image
        with pytest.raises(ValueError, match=r"\w"):
            decode(repaired(lie))


def test_page_draws_the_header() -> None:
    """The drawn fields follow each other without a gap, from 0 to the first section."""
    fields = [
        (int(start), int(size)) for start, size in DRAWN.findall(PAGE.read_text())
    ]
    ends = [start + size for start, size in fields]
    assert fields[0][0] == 0
    assert [start for start, _ in fields[1:]] == ends[:-1]
    assert ends[-1] == HEADER.size
    assert MAGIC.hex(" ").upper() in PAGE.read_text()


def test_page_dumps_a_true_image() -> None:
    dumped = bytearray()
    for address, octets in DUMPED.findall(PAGE.read_text()):
        dumped += bytes(int(address, 16) - len(dumped))
        dumped += bytes.fromhex(octets)
    assert bytes(dumped) == encode(TINY, CREATED_NS)
