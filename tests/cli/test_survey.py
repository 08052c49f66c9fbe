"""Survey and comparison: the figures of a walk equal those of plain Python."""

from collections import Counter
from statistics import median_low

from hypothesis import given
from hypothesis import strategies as st

from latency_kv import InMemoryStore
from latency_kv.cli.comparison import Change, Comparison
from latency_kv.cli.survey import Sizes, survey

# Few keys, so that two stores share some; separators, so that there are prefixes.
KEYS = st.text("ab:/", max_size=4).map(str.encode)
ENTRIES = st.dictionaries(KEYS, st.binary(max_size=3))


def unseen(done: int) -> None:
    """A progress that nobody looks at."""


def spread(sizes: Sizes) -> tuple[int, int, int, int]:
    return sizes.total, sizes.smallest, sizes.median, sizes.largest


def plain_spread(parts: list[bytes]) -> tuple[int, int, int, int]:
    sizes = sorted(map(len, parts)) or [0]
    return sum(sizes), sizes[0], median_low(sizes), sizes[-1]


@given(ENTRIES)
def test_survey_tells_what_plain_counting_finds(entries: dict[bytes, bytes]) -> None:
    found = survey(InMemoryStore(entries).snapshot(), unseen)
    assert spread(found.keys) == plain_spread(list(entries))
    assert spread(found.values) == plain_spread(list(entries.values()))
    places = {key: min(map(key.find, _separators(key)), default=-1) for key in entries}
    counts = Counter(key[: end + 1] for key, end in places.items() if end >= 0)
    ranked = sorted(counts.items(), key=lambda counted: (-counted[1], counted[0]))
    assert [count for _, count in found.prefixes] == [n for _, n in ranked[:8]]
    assert set(found.prefixes) <= set(ranked)


def _separators(key: bytes) -> list[bytes]:
    return [separator for separator in (b":", b"/") if separator in key]


def test_survey_tells_no_prefix_that_is_rare() -> None:
    entries = {b"many:%d" % number: b"" for number in range(500)}
    found = survey(InMemoryStore(entries | {b"one:": b""}).snapshot(), unseen)
    assert found.prefixes == [(b"many:", 500)]


@given(ENTRIES, ENTRIES)
def test_comparison_gives_the_changes_between_two_dicts(
    old: dict[bytes, bytes], new: dict[bytes, bytes]
) -> None:
    before, after = InMemoryStore(old).snapshot(), InMemoryStore(new).snapshot()
    comparison = Comparison(before, after, unseen)
    changes = list(comparison)
    assert changes == [
        Change(key, old.get(key), new.get(key))
        for key in sorted(old | new)
        if old.get(key) != new.get(key)
    ]
    kinds = Counter(change.kind for change in changes)
    assert comparison.added == kinds["added"] == len(new.keys() - old.keys())
    assert comparison.removed == kinds["removed"] == len(old.keys() - new.keys())
    assert comparison.changed == kinds["changed"]
    assert comparison.same == len(old.items() & new.items())
    assert comparison.done == len(old) + len(new)


def test_progress_is_told_while_it_goes_on() -> None:
    snapshot = InMemoryStore({b"%d" % n: b"" for n in range(20_000)}).snapshot()
    told: list[int] = []
    survey(snapshot, told.append)
    assert len(told) > 3 and told == sorted(told) and told[-1] <= 20_000
    told.clear()
    list(Comparison(snapshot, snapshot, told.append))
    assert len(told) > 3 and told == sorted(told) and told[-1] <= 40_000
