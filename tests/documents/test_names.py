"""Names: every plugin name has a file name of its own, on any file system.

Hostile names by the hundred thousand, each folded and normalised in all the ways in
which a file system may do that; the inverse; and the stems that are on disks already.
Start at `test_no_two_names_share_a_file`.
"""

import base64
import hashlib
import re
import unicodedata
from itertools import product
from random import Random
from typing import Literal

import pytest

from latency_kv.documents.names import name_of, stem_of

NAME_COUNT = 300_000
FORMS: list[Literal["NFC", "NFD", "NFKC", "NFKD"]] = ["NFC", "NFD", "NFKC", "NFKD"]
ALPHABET = re.compile(r"[a-z0-9_-]{1,150}")
HASHED = re.compile(r"(.*)__([a-z2-7]{52})")

# What file systems take, in bytes, and the longest name that there is around a stem.
MOST_BYTES = 255
LONGEST = ".{}.backup.1000000.json.0123456789abcdef.tmp"

DEVICES = {"con", "prn", "aux", "nul", "conin$", "conout$", "clock$"} | {
    port + number for port in ("com", "lpt") for number in "0123456789\xb9\xb2\xb3"
}

WORDS = ["clock", "a", "b", "theme-picker", "x2", "user", "state", "con", "com1", "-"]

# Each line: what some file system or some reader takes for the same, or for a path.
FRAGMENTS = [
    *("A", "a", "\uff21", "\u0410", "\u0430", "\u0391", "\U0001d400", "\xaa"),
    *("K", "k", "\u212a", "\u03a9", "\u2126", "\xe5", "\u212b", "a\u030a", "\xc5"),
    *("ss", "\xdf", "\u1e9e", "s", "\u017f", "fi", "\ufb01", "ffi", "\ufb03"),
    *("i", "I", "\u0130", "\u0131", "i\u0307", "\u03c3", "\u03c2", "\u03a3"),
    *("\xe9", "e\u0301", "\u1ec7", "e\u0323\u0302", "e\u0302\u0323", "\u0344"),
    *("\uac00", "\u1100\u1161", "\u0958", "\u0915\u093c", "\U0002fa1d"),
    *(".", "..", "/", "\\", "//", "./", "../", ":", "*", "?", "|", "<", ">", '"'),
    *("~", "~1", " ", "  ", "\u3000", "\xa0", "\u2024", "\u2044", "\uff0f", "\u2215"),
    *("%", "%2f", "%2F", "%00", "%25", "%c0%af", "&", "$", "$(", "`", ";", "'", "!"),
    *("_", "__", "_2f", "_2F", "_5f", "_5f2f", "_41", "_4", "_c3_a9", "_ff", "_a"),
    *("\0", "\1", "\t", "\n", "\r", "\x1b", "\x7f", "\x80", "\x85", "\u2028", "\xad"),
    *("\U0001f600", "\u2764", "\u2764\ufe0f", "\U0001f468\u200d\U0001f469", "\u200d"),
    *("\U0001f1e9\U0001f1ea", "\U0001f44d\U0001f3fd", "\U000e0001", "\U0010ffff"),
    *("\u202e", "\u200f", "\u2066", "\u05d0", "\u0627", "\u200b", "\ufeff", "\u2060"),
    *("con", "CON", "nul", "Nul", "com1", "COM\xb9", "lpt9", "aux", "prn", "CONIN$"),
    *(".json", ".backup.1", ".tmp", ".lock", ".corrupt-1", ".locks", ".git", "-rf"),
    *("0", "1", "9", "\u0661", "\xb2", "\u2460", "\uff11", "z", "Z", "\uff3a"),
]


def grown(random: Random) -> str:
    """A few fragments after one another, or one of them again and again."""
    if random.random() < 0.1:
        return random.choice(FRAGMENTS) * random.randint(1, 120)
    return "".join(random.choices(FRAGMENTS + WORDS, k=random.randint(1, 6)))


def varied(random: Random, name: str) -> str:
    """A name that is easily taken for this one."""
    kind = random.randrange(9)
    if kind < 4:
        return unicodedata.normalize(FORMS[kind], name)
    if kind == 4:
        return "".join(random.choice((str.upper, str.lower))(char) for char in name)
    if kind == 5:
        # The stem of a name is a name too, and so is what it is hashed to.
        return stem_of(name[:120])
    if kind == 6:
        place = random.randrange(len(name) + 1)
        return name[:place] + random.choice(FRAGMENTS) + name[place:]
    if kind == 7:
        # Those that differ in the last of 120 characters only.
        return name.ljust(119, random.choice("a_\xe9\U0001f600"))[:119] + name[-1]
    return name.swapcase()


def hostile_names(random: Random, count: int) -> set[str]:
    names: set[str] = set()
    while len(names) < count:
        name = grown(random)[:120]
        names.add(name)
        for _ in range(3):
            name = varied(random, name)[:120]
            names.add(name)
    return names


def test_no_two_names_share_a_file(seed: int, full: bool) -> None:
    random = Random(seed)
    for _ in range(10 if full else 1):
        check_files(hostile_names(random, NAME_COUNT))


def check_files(names: set[str]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        stem = stem_of(name)
        assert ALPHABET.fullmatch(stem), (name, stem)
        assert stem not in DEVICES, name
        assert len(LONGEST.format(stem).encode()) <= MOST_BYTES
        assert seen.setdefault(stem, name) == name
        if hashed := HASHED.fullmatch(stem):
            digest = hashlib.sha256(name.encode()).digest()
            padded = hashed[2].upper() + "===="
            assert base64.b32decode(padded) == digest
            assert name_of(stem) is None
        else:
            assert "__" not in stem
            assert name_of(stem) == name
    for form in FORMS:
        files = {
            unicodedata.normalize(form, f"{stem}.json".casefold()) for stem in seen
        }
        assert len(files) == len(names)
    assert any("__" in stem for stem in seen)


def test_every_character_has_a_stem_of_its_own(full: bool) -> None:
    step = 1 if full else 61
    characters = [
        chr(code) for code in [*range(0x3000), *range(0x3000, 0x110000, step)]
    ]
    names = [char for char in characters if not "\ud800" <= char <= "\udfff"]
    stems = [stem_of(name) for name in names]
    assert len(set(stems)) == len(names)
    assert [name_of(stem) for stem in stems] == names


def test_all_pairs_of_ascii_have_stems_of_their_own() -> None:
    names = ["".join(pair) for pair in product(map(chr, range(128)), repeat=2)]
    stems = [stem_of(name) for name in names]
    assert len({stem.casefold() for stem in stems}) == len(names)
    assert [name_of(stem) for stem in stems] == names


@pytest.mark.parametrize("word", ["con", "prn", "aux", "nul", "com0", "com9", "lpt1"])
def test_device_names_are_escaped_in_every_case(word: str) -> None:
    for name in {word, word.upper(), word.title()}:
        assert stem_of(name).split(".")[0] not in DEVICES
        assert name_of(stem_of(name)) == name
    assert stem_of(word) == f"_{ord(word[0]):02x}{word[1:]}"
    assert stem_of(f"{word}x") == f"{word}x"


# What is on disks already: none of these may ever change.
@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("clock", "clock"),
        ("theme-picker-2", "theme-picker-2"),
        ("-", "-"),
        ("com10", "com10"),
        ("con", "_63on"),
        ("lpt1", "_6cpt1"),
        ("Clock", "_43lock"),
        ("a b", "a_20b"),
        ("a_b", "a_5fb"),
        ("_2f", "_5f2f"),
        ("a/b", "a_2fb"),
        (".", "_2e"),
        ("..", "_2e_2e"),
        ("\0", "_00"),
        ("\xe9", "_c3_a9"),
        ("e\u0301", "e_cc_81"),
        ("\U0001f600", "_f0_9f_98_80"),
        ("a" * 120, "a" * 120),
        ("A" * 50, "_41" * 50),
        (
            "A" * 51,
            "_41" * 32 + "__duywc3rqomr33adxlltuqp6omvfdwzn45vytjqroc6nc4jivkaeq",
        ),
        (
            "ab" + "\U0001f600" * 20,
            "ab"
            + "_f0_9f_98_80" * 7
            + "__ibm6hysjl3gpkejcrj7psae27vigj7tjoqbotv5qmmlvy3romgca",
        ),
    ],
)
def test_stems_are_as_they_always_were(name: str, stem: str) -> None:
    assert stem_of(name) == stem


@pytest.mark.parametrize(
    "stem",
    [
        *(
            "",
            "A",
            "a.b",
            "a/b",
            "a b",
            "\xe9",
            "a\n",
            "clock\n",
            "_",
            "__",
            "_4",
            "_4x",
        ),
        *("_2F", "_61", "_2d", "_30", "con", "_61ux_", "nul", "_63lock", "_63ON"),
        *("_ff", "_c3", "_c3_28", "_ed_a0_80", "_c0_af", "_f4_90_80_80", "a__b"),
        *("a" * 121, "_41" * 51, "a__" + "b" * 52, "a" * 10_000),
    ],
)
def test_stem_that_no_name_has_is_nobodys(stem: str) -> None:
    assert name_of(stem) is None


def test_any_stem_is_nobodys_or_its_names(seed: int) -> None:
    random = Random(seed)
    found = 0
    for _ in range(100_000):
        parts = random.choices(["a", "-", "4", "_", "_5f", "_c3_a9", "_43", "con"], k=4)
        stem = "".join(parts)
        name = name_of(stem)
        found += name is not None
        assert name is None or stem_of(name) == stem
    assert found > 1_000


@pytest.mark.parametrize("name", ["", "a" * 121, "\ud800", "a\udfff", "\udc80b" * 60])
def test_name_that_is_none_raises_value_error(name: str) -> None:
    with pytest.raises(ValueError, match="a plugin's name has") as caught:
        stem_of(name)
    assert type(caught.value) is ValueError


@pytest.mark.parametrize("name", [None, 3, b"clock", ["clock"], object()])
def test_name_that_is_no_str_raises_type_error(name: object) -> None:
    with pytest.raises(TypeError, match="a plugin's name is a str, not "):
        stem_of(name)  # type: ignore[arg-type]
