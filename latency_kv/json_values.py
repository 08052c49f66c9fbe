"""JSON values: what JSON can say, exactly, as plain Python values and as bytes.

    null true false   None, bool
    a number          int, if it has neither a point nor an exponent; else a finite float
    a string          str without lone surrogates
    an array          list
    an object         dict with str keys, each once

Invariants
    1. What `detached_value` lets pass, `decode_value(encode_value(value))` gives back
       equal, of equal types.
    2. Two values have the same bytes if and only if they are equal, of equal types, and
       their zeros of equal sign; the order of a dict's keys is nothing.
    3. Whatever the bytes, `decode_value` returns such a value or raises JsonValueError.

Knows no store and no document.  Start at `detached_value`, then `decode_value`.
"""

from __future__ import annotations

import re
import reprlib
import sys
from collections.abc import Iterable
from json import JSONDecodeError, JSONDecoder
from math import isfinite
from typing import Any, Final

import msgspec

from latency_kv.errors import JsonValueError

__all__ = [
    "MAX_DEPTH",
    "decode_value",
    "detached_value",
    "encode_value",
    "is_short",
    "kind_of",
    "parsed_json",
    "shown",
]

# Lists and dicts inside one another.  Far below where Python's recursion ends, whoever
# calls; and no circle gets further.
MAX_DEPTH: Final = 100

# Python's limit to the digits of an int can be set to no less.
_LEAST_LIMIT = sys.int_info.str_digits_check_threshold

# Ints of at most so many bits are below the least limit, whatever the limit is.
_SURELY_SHORT = (10**_LEAST_LIMIT).bit_length() - 1

# A string, which may have brackets in it, or a bracket.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)

# Of the way to a place: what is deeper is likely a circle.
_MOST_SHOWN_KEYS = 12

_KINDS = "JSON has dict with str keys, list, str, int, float, bool and None"

_VOWELS = tuple("aeiouAEIOU")

# Values and names in messages: enough to tell one from another.
_brief = reprlib.Repr()
_brief.maxstring = 80
_brief.maxother = 80

# Quick, and lax where JSON is not: what they take is checked before and after.
_encoder = msgspec.json.Encoder(order="sorted")
_lax_decoder = msgspec.json.Decoder()


def detached_value(value: Any, name: str = "value") -> Any:
    """Copy a value as dict, list, str, int, float, bool and None.

    Instances of their subclasses become plain ones; nothing else is converted.  Raises
    JsonValueError, which tells the place within what it calls `name`, for anything that
    JSON has no word for.  Quick, since an event loop waits for it: 30 to 50 ns for a
    scalar in it, 200 for a list or a dict.

    >>> detached_value({"a": [1, None]})
    {'a': [1, None]}
    """
    try:
        return _copied([value], 0)[0]
    except _Refused as refused:
        raise JsonValueError(refused.told(name)) from refused.__cause__


def encode_value(value: Any) -> bytes:
    """Return the value's bytes: UTF-8, keys in order, no blanks, nothing escaped in vain.

    The same for equal values of equal types, and for no others.  JsonValueError as
    `detached_value` has it.  Nothing else may change the value meanwhile.

    >>> encode_value({"b": [1, 1.0, True], "a": "\u00e9"}).decode()
    '{"a":"\u00e9","b":[1,1.0,true]}'
    """
    try:
        if _is_everyday(value, 1):
            return _encoder.encode(value)
    except (ValueError, RuntimeError):
        # A lone surrogate, which is told below; a caller deep in the stack; a thread
        # that changes the value, whose copy does not change.
        pass
    return _encoder.encode(detached_value(value))


def decode_value(raw: bytes) -> Any:
    """Return the value that these bytes are, written like `encode_value`'s or otherwise.

    JsonValueError for bytes that are none, and for what Python's parser lets pass though
    JSON or this page does not: NaN, lone surrogates, a key that comes twice, too deep.

    >>> decode_value(b'[1, 1.0, {"a": null}]')
    [1, 1.0, {'a': None}]
    """
    try:
        value = _lax_decoder.decode(raw)
        # What a lax decoder overlooks, a key that comes twice, is not what it writes.
        if _encoder.encode(value) == raw and _is_shallow(raw, value):
            return value
    # Older releases of msgspec have errors that are no ValueError.
    except (msgspec.MsgspecError, ValueError, RecursionError):
        # Below it is told what is wrong, if anything is.
        pass
    value, repeated = parsed_json(raw)
    if repeated:
        raise JsonValueError(
            f"an object has the key {shown(repeated[0])} more than once"
        )
    return detached_value(value)


def parsed_json(raw: bytes, around: int = 0) -> tuple[Any, list[str]]:
    """Return what a JSON text says, and keys that an object in it has more than once.

    What JSON has no numbers for is in it, and what is deeper than it should be may be:
    `detached_value` refuses them where they are.  around is the number of lists and dicts that
    may be around a value.  JsonValueError for what is no JSON.
    """
    try:
        return _parsed(raw, MAX_DEPTH + around)
    except _Refused as refused:
        raise JsonValueError(refused.reason) from refused.__cause__


def is_short(value: int) -> bool:
    """Tell whether Python may write an int in decimal digits, and read it again."""
    limit = sys.get_int_max_str_digits()
    return limit == 0 or -(10**limit) < value < 10**limit


def shown(value: Any) -> str:
    """Write a value for a message, cut short."""
    try:
        return _brief.repr(value)
    except ValueError:
        # An int of too many digits, or something with one in it.
        return f"<{type(value).__name__}>"


def kind_of(value: Any) -> str:
    """Name a value's type, with its article."""
    name = type(value).__name__
    return f"{'an' if name.startswith(_VOWELS) else 'a'} {name}"


class _Refused(ValueError):
    """Something that JSON has no word for, or that is no JSON.

    keys lead to it from within: each list or dict on the way out adds its own.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.keys: list[str | int] = []

    def told(self, name: str) -> str:
        """Tell the reason behind the place; name is what everything is in."""
        # The outermost is the list that `detached_value` puts around everything.
        keys = [f"[{shown(key)}]" for key in self.keys[-2::-1]]
        if len(keys) > _MOST_SHOWN_KEYS:
            keys[_MOST_SHOWN_KEYS:] = ["..."]
        return f"{name}{''.join(keys)}: {self.reason}"


class _LongInt(int):
    """Stands in for an int of a file's that has more digits than Python may read."""


def _is_everyday(value: Any, depth: int) -> bool:
    """Tell whether a value is one of JSON's beyond doubt, but for lone surrogates.

    depth counts lists and dicts, this one with them.
    """
    kind = type(value)
    if kind is dict:
        for key in value:
            if type(key) is not str:
                return False
        value = value.values()
    elif kind is not list:
        return _is_everyday([value], depth - 1)
    for item in value:
        kind = type(item)
        if kind is str or kind is int or kind is bool or item is None:
            continue
        if kind is float:
            if not isfinite(item):
                return False
        elif (
            kind is not dict
            and kind is not list
            or depth >= MAX_DEPTH
            or not _is_everyday(item, depth + 1)
        ):
            return False
    return True


def _is_shallow(raw: bytes, value: Any) -> bool:
    brackets = raw.count(b"[") + raw.count(b"{")
    return brackets <= MAX_DEPTH or _is_everyday(value, 1)


def _copied(values: Any, depth: int) -> Any:
    """Copy a list or a dict of exactly this type, inside of `depth` others."""
    if depth > MAX_DEPTH:
        raise _Refused(
            f"it is deeper than {MAX_DEPTH} lists and dicts, or has itself in it"
        )
    # The rest is about the copy, which no other thread can change meanwhile.
    copy = values.copy()
    if type(copy) is dict:
        for key in copy:
            if type(key) is not str or not (key.isascii() or _is_text(key)):
                copy = _with_plain_keys(copy)
                break
        items: Iterable[tuple[Any, Any]] = copy.items()
    else:
        items = enumerate(copy)
    for key, value in items:
        kind = type(value)
        if kind is str:
            if value.isascii() or _is_text(value):
                continue
        elif kind is int:
            if value.bit_length() <= _SURELY_SHORT:
                continue
        elif kind is float:
            if isfinite(value):
                continue
        elif kind is bool or value is None:
            continue
        try:
            if kind is dict or kind is list:
                copy[key] = _copied(value, depth + 1)
            else:
                copy[key] = _plain(value, depth + 1)
        except _Refused as refused:
            refused.keys.append(key)
            raise
    return copy


def _with_plain_keys(values: dict[Any, Any]) -> dict[Any, Any]:
    plain = {_plain_key(key): value for key, value in values.items()}
    if len(plain) < len(values):
        raise _Refused("two of its keys are the same when taken as plain str")
    return plain


def _plain_key(key: Any) -> str:
    # By type: isinstance believes what an object says of itself, a mock's too.
    if not issubclass(type(key), str):
        raise _Refused(
            f"the key {shown(key)} is {kind_of(key)}; JSON has str keys, and nothing is "
            "converted"
        )
    return _checked_text(str.__str__(key), "the key")


def _plain(value: Any, depth: int) -> Any:
    """Copy a value that is no everyday one, inside of depth - 1 lists and dicts."""
    kind = type(value)
    if issubclass(kind, str):
        return _checked_text(str.__str__(value), "the str")
    if issubclass(kind, int):
        if kind is _LongInt or not is_short(int.__int__(value)):
            raise _Refused(
                f"an int of more than {sys.get_int_max_str_digits()} digits; "
                "PYTHONINTMAXSTRDIGITS sets how many Python reads and writes"
            )
        return int.__int__(value)
    if issubclass(kind, float):
        number = float.__float__(value)
        if not isfinite(number):
            raise _Refused(f"JSON has no {number}")
        return number
    if issubclass(kind, dict):
        return _copied(dict(value.items()), depth)
    if issubclass(kind, list):
        return _copied(list(value), depth)
    advice = ": make it a list" if issubclass(kind, tuple | set | frozenset) else ""
    raise _Refused(f"{kind_of(value)} is no JSON value{advice}; {_KINDS}")


def _checked_text(text: str, what: str) -> str:
    if _is_text(text):
        return text
    raise _Refused(
        f"{what} {shown(text)} has a lone surrogate, which UTF-8 has no bytes for"
    )


def _is_text(text: str) -> bool:
    """Tell whether a str is Unicode text: without lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _parsed(raw: bytes, depth: int) -> tuple[Any, list[str]]:
    text = _text_of(raw)
    try:
        try:
            return _decoder.decode(text), []
        except JSONDecodeError:
            raise
        except ValueError:
            # A key that comes twice, or an int of too many digits.
            return _parsed_as_it_is(text)
    except JSONDecodeError as error:
        raise _Refused(
            f"it is no JSON: {error.msg} (line {error.lineno}, column {error.colno})"
        ) from error
    except RecursionError:
        # A caller deep in the stack is no damage.
        if not _is_deep(text, depth):
            raise
        raise _Refused(f"it is deeper than {MAX_DEPTH} lists and dicts") from None


def _object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a key comes twice")
    return values


# Made once: that takes as long as to read a small value.
_decoder = JSONDecoder(object_pairs_hook=_object_of)


def _parsed_as_it_is(text: str) -> tuple[Any, list[str]]:
    """Parse what has keys that come twice, which are returned too, or long ints."""
    repeated: list[str] = []

    def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) < len(pairs) and not repeated:
            seen: set[str] = set()
            for key, _ in pairs:
                if key in seen:
                    repeated.append(key)
                seen.add(key)
        return values

    decoder = JSONDecoder(object_pairs_hook=object_of, parse_int=_int_of)
    return decoder.decode(text), repeated


def _text_of(raw: bytes) -> str:
    if not raw:
        raise _Refused("it is empty")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise _Refused(
            f"it is no UTF-8 from byte {error.start} on: {error.reason}"
        ) from error
    if text[0] == "\ufeff":
        raise _Refused("it begins with a byte order mark, which JSON has not")
    return text


def _int_of(digits: str) -> int:
    try:
        return int(digits)
    except ValueError:
        # As many of them as always can be read keep the sign, and that it is no 0 or 1.
        return _LongInt(digits[:_LEAST_LIMIT])


def _is_deep(text: str, most: int) -> bool:
    """Tell whether a text, JSON as far as that, is deeper than most."""
    depth = 0
    for token in _TOKEN.finditer(text):
        bracket = token[0]
        if bracket in "[{":
            depth += 1
            if depth > most:
                return True
        elif bracket in "]}":
            depth -= 1
    return False
