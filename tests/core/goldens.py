"""Goldens: what the golden images hold, written out or made by a rule.

The files in golden/ were made once, by tests/image.py, and stay as they are; a release
that cannot read them has broken its users' files. Nothing here reads them through the
engine. Start at `GOLDENS`.
"""

from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent / "golden"

# 2023-11-14T22:13:20.123456789Z, for all of them.
CREATED_NS = 1_700_000_000_123_456_789

EDGES = {
    b"": b"the empty key",
    b"\x00": b"",
    b"\x00\x00": b"\x00",
    b"\x00\xff": b"\xff",
    b"\n": b"\r\n",
    b"\r\n": b"\x1a",
    b"a": b"prefix of the next",
    b"a\x00": b"prefix of the next\x00",
    b"a\x00b": b"",
    b"ab": b"\x89LKVS\r\n\x1a",
    b"seat:12A": b"eight bytes of key",
    b"seat:12A\x00": b"nine, the last a NUL",
    b"seat:12AB": b"nine",
    b"\x7f": b"below the sign bit",
    b"\x80": b"above the sign bit",
    b"\xfe\xff": b"\x00" * 9,
    b"\xff": b"\xff" * 9,
    b"\xff\x00": b"",
    b"\xff" * 8: b"a word of ones",
    b"\xff" * 9: b"",
}


class Golden(NamedTuple):
    """An image that was kept: its entries, and the SHA-256 that its file must have."""

    name: str
    entries: dict[bytes, bytes]
    digest: str

    def image(self) -> bytes:
        return (FOLDER / f"{self.name}.lkv").read_bytes()


def filled(size: int, number: int) -> bytes:
    """Bytes that tell where they are and whose."""
    return bytes((number * 7 + place) % 256 for place in range(size))


def mixed() -> dict[bytes, bytes]:
    """Three hundred short entries, a long key, and values around and above 1 KiB."""
    entries = {
        b"user/%04d" % (number * number): filled(number % 61, number)
        for number in range(300)
    }
    entries[b"user/" + filled(295, 1)] = b"a key of 300 bytes"
    entries |= {b"page/%04d" % size: filled(size, size) for size in (1_024, 1_025)}
    entries[b"page/5000"] = filled(5_000, 5)
    return entries


GOLDENS = [
    Golden(
        "empty",
        {},
        "b4a753459599c0b5c346a88bc16fc4f0ad0e22b2206a89710b2d4d2a28776b3e",
    ),
    Golden(
        "one",
        {b"": b""},
        "61d9ddca0c2246b1b71f2e72daaf8dc77839e096b57879905c1a07ae52663437",
    ),
    Golden(
        "edges",
        EDGES,
        "badf999e15f5892e363bcc311d037c81ea4c6204a66002272a7229b43d6e387e",
    ),
    Golden(
        "mixed",
        mixed(),
        "999895f2b4e347fdbcc15bb40a6d416d94c85ee5463eef2229a4159ea9917700",
    ),
]
