"""Scripts: how values and their ordered index are kept together in a Redis.

    shop:d:seat:12A  ->  the value's JSON             with an end of the server's own
    shop:i           ->  {"seat:12A": 0, ...}         sorted set, all of score 0

A sorted set whose scores are equal is in the order of its members' bytes, so the keys
with a prefix are one range of it.  In a cluster a bucket's number stands behind the
namespace, `shop{7}:d:seat:12A` and `shop{7}:i`: what is in braces decides about the
node, so both are on one.

Invariants
    1. Each value has its member in the index.  A script names the member before it
       stores, and removes it after it deletes: one that a full or forbidding server ends
       half way breaks nothing.
    2. A member without a value is one that is over.  `LIST` leaves it out and removes it,
       and each `SET` with an end looks at a few at random: so what nobody lists stays
       within proportion to what there is.

Each script is told all keys that it writes to, and asks for a value together with its
index: while a cluster moves them to another node, one of the two may be there already,
and the server refuses what concerns both instead of calling a value missing.

Knows no connection.  Start at `SET`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha1
from math import ceil
from typing import Any, Final, NamedTuple, TypeAlias

__all__ = [
    "Command",
    "Shard",
    "claim",
    "compare_and_set",
    "delete",
    "is_answer",
    "is_script",
    "list_page",
    "set_if_absent",
    "set_values",
    "shard_of",
    "whole",
]

Command: TypeAlias = tuple[bytes, ...]
"""A command's name and its arguments."""

# KEYS: the index, the values' names.  ARGV: where a key starts in its value's name, the
# milliseconds to live or 0, the values.
_SET: Final = b"""
local start = ARGV[1] + 1
for i = 2, #KEYS do
    redis.call('ZADD', KEYS[1], 0, string.sub(KEYS[i], start))
end
if ARGV[2] == '0' then
    for i = 2, #KEYS do
        redis.call('SET', KEYS[i], ARGV[i + 1])
    end
else
    for i = 2, #KEYS do
        redis.call('SET', KEYS[i], ARGV[i + 1], 'PX', ARGV[2])
    end
    local prefix = string.sub(KEYS[2], 1, ARGV[1])
    for _, key in ipairs(redis.call('ZRANDMEMBER', KEYS[1], 3)) do
        if redis.pcall('EXISTS', KEYS[1], prefix .. key) == 1 then
            redis.call('ZREM', KEYS[1], key)
        end
    end
end
return 1
"""

# KEYS: the index, the value's name.  ARGV: where the key starts in it, the value.
_SET_IF_ABSENT: Final = b"""
if redis.call('EXISTS', KEYS[2]) == 1 then
    return 0
end
redis.call('ZADD', KEYS[1], 0, string.sub(KEYS[2], ARGV[1] + 1))
redis.call('SET', KEYS[2], ARGV[2])
return 1
"""

# The same; ARGV also has the expected value, before the new one.
_COMPARE_AND_SET: Final = b"""
if redis.call('GET', KEYS[2]) ~= ARGV[2] then
    return 0
end
redis.call('ZADD', KEYS[1], 0, string.sub(KEYS[2], ARGV[1] + 1))
redis.call('SET', KEYS[2], ARGV[3])
return 1
"""

_DELETE: Final = b"""
local there = redis.call('DEL', KEYS[2])
redis.call('ZREM', KEYS[1], string.sub(KEYS[2], ARGV[1] + 1))
return there
"""

# KEYS: the index.  ARGV: its range, how many to look at, what a value's name starts with.
# Returns the last member looked at, or nothing where the range ends; the keys; and for
# those that have an end, the number in this list and the milliseconds left.
_LIST: Final = b"""
local page = redis.call('ZRANGEBYLEX', KEYS[1], ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[3])
local live = {}
local ends = {}
for _, key in ipairs(page) do
    local name = ARGV[4] .. key
    local left = redis.call('PTTL', name)
    if left ~= -2 then
        live[#live + 1] = key
        if left ~= -1 then
            ends[#ends + 1] = #live - 1
            ends[#ends + 1] = left
        end
    elseif redis.call('EXISTS', KEYS[1], name) == 1 then
        redis.pcall('ZREM', KEYS[1], key)
    end
end
return {#page == tonumber(ARGV[3]) and page[#page], live, ends}
"""


# KEYS: a name.  ARGV: what it has to hold unless it holds something.  Written in any case:
# to be confirmed by replicas, something has to be on its way to them.
_CLAIM: Final = b"""
local there = redis.call('GET', KEYS[1]) or ARGV[1]
redis.call('SET', KEYS[1], there)
return there
"""


class Shard(NamedTuple):
    """Where some of a namespace's entries are: all of them, or those of a bucket."""

    index_name: bytes

    value_prefix: bytes
    """What the values' names start with; a key follows."""

    key_start: bytes
    """Where the key starts in such a name, in digits."""

    number: int
    """The bucket's number, 0 where there is one for all."""


def shard_of(namespace: str, number: int | None = None) -> Shard:
    """Return the bucket of this number, or the one for all.

    >>> shard_of("shop", 7).index_name
    b'shop{7}:i'
    """
    tag = namespace if number is None else f"{namespace}{{{number}}}"
    values = f"{tag}:d:".encode()
    return Shard(f"{tag}:i".encode(), values, b"%d" % len(values), number or 0)


_TEXTS: Final = {
    sha1(text, usedforsecurity=False).hexdigest().encode(): text
    for text in (_SET, _SET_IF_ABSENT, _COMPARE_AND_SET, _DELETE, _LIST, _CLAIM)
}
_SHAS: Final = {text: sha for sha, text in _TEXTS.items()}


def set_values(
    shard: Shard, values: Mapping[bytes, bytes], ttl: float | None = None
) -> Command:
    """Store each value under its key, all at once, for ttl seconds or for ever."""
    life = 0 if ttl is None else ceil(ttl * 1_000)
    names = [shard.value_prefix + key for key in values]
    return (
        *(b"EVALSHA", _SHAS[_SET], b"%d" % (1 + len(names)), shard.index_name, *names),
        *(shard.key_start, b"%d" % life, *values.values()),
    )


def set_if_absent(shard: Shard, key: bytes, value: bytes) -> Command:
    """Store the value if the key is not there; 1 if it was stored, else 0."""
    return _about_one(_SET_IF_ABSENT, shard, key, value)


def compare_and_set(shard: Shard, key: bytes, expected: bytes, new: bytes) -> Command:
    """Store the new value if the key has the expected one; 1 if it was stored, else 0."""
    return _about_one(_COMPARE_AND_SET, shard, key, expected, new)


def delete(shard: Shard, key: bytes) -> Command:
    """Delete the value; 1 if there was one, else 0."""
    return _about_one(_DELETE, shard, key)


def list_page(shard: Shard, start: bytes, stop: bytes, count: int) -> Command:
    """List the keys of a range, of which count members of the index are looked at.

    start and stop are as ZRANGEBYLEX has them.  The answer is the last member that was
    looked at, None where the range ends; the keys; and by turns the place of one of them
    that has an end, and the milliseconds until then.
    """
    return (
        *(b"EVALSHA", _SHAS[_LIST], b"1", shard.index_name),
        *(start, stop, b"%d" % count, shard.value_prefix),
    )


def claim(name: bytes, value: bytes) -> Command:
    """Store the value there unless there is one; the answer is the one that is there."""
    return b"EVALSHA", _SHAS[_CLAIM], b"1", name, value


def whole(command: Command) -> Command:
    """Return the command with its script's text, for a server that does not know it."""
    if command[0] != b"EVALSHA":
        return command
    return (b"EVAL", _TEXTS[command[1]], *command[2:])


def is_script(command: Command) -> bool:
    """Tell whether it is one of the scripts, by name or as a whole."""
    return command[0] in (b"EVALSHA", b"EVAL")


def is_answer(command: Command, answer: Any) -> bool:
    """Tell whether a server may answer so; of a command that is not known, anything.

    An answer of another kind belongs to another request, or comes from something that
    is no server of this kind.
    """
    script = command[1] if is_script(command) else command[0]
    kind = _KINDS.get(script)
    return kind is None or kind(answer)


def _about_one(text: bytes, shard: Shard, key: bytes, *values: bytes) -> Command:
    return (
        *(b"EVALSHA", _SHAS[text], b"2", shard.index_name, shard.value_prefix + key),
        *(shard.key_start, *values),
    )


def _is_count(answer: Any) -> bool:
    return type(answer) is int


def _is_text(answer: Any) -> bool:
    return type(answer) is bytes


def _is_value(answer: Any) -> bool:
    return answer is None or type(answer) is bytes


def _is_page(answer: Any) -> bool:
    match answer:
        case [None | bytes(), [*keys], [*ends]]:
            return (
                all(type(key) is bytes for key in keys)
                and all(type(number) is int for number in ends)
                and len(ends) % 2 == 0
                and all(0 <= place < len(keys) for place in ends[::2])
            )
    return False


_COUNTING: Final = (_SET, _SET_IF_ABSENT, _COMPARE_AND_SET, _DELETE)

# By a command's name, a script's hash and its text.
_KINDS: Final[dict[bytes, Callable[[Any], bool]]] = {
    **{name: _is_count for name in (b"EXISTS", b"WAIT")},
    **{name: _is_count for text in _COUNTING for name in (text, _SHAS[text])},
    **{name: _is_text for name in (b"ASKING", _CLAIM, _SHAS[_CLAIM])},
    **{name: _is_page for name in (_LIST, _SHAS[_LIST])},
    b"GET": _is_value,
}
