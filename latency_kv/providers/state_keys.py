"""State keys: keys, namespaces, URLs and ttls, checked alike by every provider.

    key_bytes, key_text      a key as the bytes that an engine sorts by, and back
    successor                where the keys with a prefix end
    checked_namespace        names that no engine takes for anything else
    checked_ttl              seconds that every clock can add
    url_parts                a URL taken apart, and never shown
    url_options              what stands behind its `?`
    redacted_url             a URL for messages, without user, password and options
    stored_key, stored_value what stored bytes are, or a StateParseError

Knows no engine.  Start at `key_bytes`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from reprlib import repr as shorten
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, urlsplit

from latency_kv.errors import JsonValueError, StateParseError
from latency_kv.json_values import decode_value, shown
from latency_kv.typed.keys import successor

__all__ = [
    "DEFAULT_NAMESPACE",
    "MAX_TTL",
    "checked_namespace",
    "checked_ttl",
    "flag",
    "key_bytes",
    "key_text",
    "redacted_url",
    "stored_key",
    "stored_value",
    "successor",
    "url_options",
    "url_parts",
]

DEFAULT_NAMESPACE: Final = "default"

MAX_TTL: Final = 100 * 366 * 86_400.0
"""In seconds, 100 years: every engine's clock can add it to the present."""

# No colon, brace, quote, slash or NUL: what an engine's own names are made with.
_NAMESPACE = re.compile(r"[A-Za-z0-9._-]{1,100}")

# Whose URLs have a host; elsewhere an '@' may be part of a file's name.
_OF_SERVERS = frozenset(
    {"postgres", "postgresql", "redis", "rediss", "redis-cluster", "rediss-cluster"}
)

_WORDS = {"true": True, "1": True, "false": False, "0": False}


def key_bytes(key: str, max_size: int | None = None, what: str = "key") -> bytes:
    """Return the UTF-8 of a key, or of the prefix of one.

    TypeError for anything but a str; ValueError for lone surrogates, and for more bytes
    than max_size, which the engine takes.

    >>> key_bytes("caf\\u00e9")
    b'caf\\xc3\\xa9'
    """
    # By type: isinstance believes what a mock says of itself.
    if not issubclass(type(key), str):
        raise TypeError(f"a {what} is a str, not {type(key).__name__}")
    try:
        raw = str.encode(key)
    except UnicodeEncodeError:
        raise ValueError(
            f"the {what} {shorten(str.__str__(key))} has a lone surrogate, which UTF-8 "
            "has no bytes for"
        ) from None
    if max_size is not None and len(raw) > max_size:
        raise ValueError(
            f"the {what} {shorten(str.__str__(key))} has {len(raw)} bytes of UTF-8, and "
            f"at most {max_size} are stored here"
        )
    return raw


def key_text(raw: bytes) -> str:
    """Return the key that has these bytes."""
    return raw.decode()


def checked_namespace(namespace: str) -> str:
    """Return the namespace: 1 to 100 of A-Z, a-z, 0-9, `.`, `_` and `-`.

    TypeError for anything but a str, ValueError for any other.
    """
    if not issubclass(type(namespace), str):
        raise TypeError(f"a namespace is a str, not {type(namespace).__name__}")
    namespace = str.__str__(namespace)
    if not _NAMESPACE.fullmatch(namespace):
        raise ValueError(
            f"the namespace {shorten(namespace)} is not 1 to 100 of letters, digits, "
            "'.', '_' and '-'"
        )
    return namespace


def checked_ttl(ttl: float) -> float:
    """Return the seconds; ValueError unless they are above 0 and at most MAX_TTL."""
    if isinstance(ttl, bool) or not isinstance(ttl, int | float):
        raise TypeError(f"a ttl is a number of seconds, not {type(ttl).__name__}")
    # Not the other way round: nothing is true of NaN.
    if not 0 < ttl <= MAX_TTL:
        raise ValueError(
            f"a ttl is above 0 and at most {MAX_TTL:.0f} seconds, not {shown(ttl)}; "
            "without one a value stays"
        )
    return float(ttl)


def url_parts(url: str) -> SplitResult:
    """Take a store's URL apart; ValueError, which never shows it, if that cannot be.

    A user or a password with `/`, `?`, `#` or `@` in it has to have it escaped: else its
    rest would be taken for a host or a path, and shown.
    """
    if not issubclass(type(url), str):
        raise TypeError(f"a URL is a str, not {type(url).__name__}")
    url = str.__str__(url)
    if not url.isprintable():
        raise ValueError("the URL has a character in it that is not printable")
    try:
        parts = urlsplit(url)
    except ValueError:
        # Its message has the password in it.
        raise ValueError(
            "the URL cannot be read: is there a '[' or ']' in it that should be escaped?"
        ) from None
    if not parts.scheme:
        raise ValueError(
            "the URL has no scheme: write file: before a path, as in 'file:state'; "
            "'memory:' is this process"
        )
    if not parts.netloc and "@" in parts.path and parts.scheme in _OF_SERVERS:
        raise ValueError(
            f"the URL has an '@' and no host: write {parts.scheme}://USER:PASSWORD@HOST"
        )
    behind = url.partition("://")[2] if parts.netloc else ""
    user, _, hosts = parts.netloc.rpartition("@")
    if "@" in user or behind.rpartition("@")[0] != user:
        raise ValueError(
            "the URL has an '@' that does not end its user and password: write %40 for "
            "'@', %2F for '/', %3F for '?' and %23 for '#' in them"
        )
    for host in hosts.split(","):
        port = host.rpartition("]")[2].rpartition(":")
        if port[1] and not re.fullmatch("[0-9]{0,5}", port[2]):
            raise ValueError(
                "the URL has a port that is no number; a password stands before an '@'"
            )
    return parts


def url_options(
    url: SplitResult, kinds: dict[str, Callable[[str], Any]]
) -> dict[str, Any]:
    """Return what stands behind the `?`, each made by its kind; without the namespace.

    ValueError, which shows no value, for a name that nobody knows, for one that comes
    twice, and for a value that its kind refuses with a ValueError.

    >>> url_options(url_parts("redis://db/?timeout=2&namespace=n"), {"timeout": float})
    {'timeout': 2.0}
    """
    options: dict[str, Any] = {}
    seen: set[str] = set()
    known = ["namespace", *kinds]
    if url.fragment:
        raise ValueError("the URL has a '#': write %23 if it belongs to it")
    for name, text in parse_qsl(url.query, keep_blank_values=True):
        if name not in known:
            raise ValueError(
                f"the URL has the option {shorten(name)}, and {url.scheme}: knows "
                f"{', '.join(known)}"
            )
        if name in seen:
            raise ValueError(f"the URL has the option {name!r} twice")
        seen.add(name)
        if name == "namespace":
            continue
        try:
            options[name] = kinds[name](text)
        except ValueError:
            kind = getattr(kinds[name], "__name__", "value")
            raise ValueError(f"the URL's option {name!r} is no {kind}") from None
    return options


def flag(text: str) -> bool:
    """Read a word of a URL as a bool: true, false, 1 or 0."""
    try:
        return _WORDS[text.lower()]
    except KeyError:
        raise ValueError(f"{shorten(text)} is neither true nor false") from None


def redacted_url(url: SplitResult | str, namespace: str) -> str:
    """Return the URL for messages and reprs: no user, no password, only the namespace.

    >>> redacted_url("redis://me:hunter2@db:6379/0?password=x", "shop")
    'redis://db:6379/0?namespace=shop'
    """
    text = url if isinstance(url, str) else f"{url.scheme}:{_behind_scheme(url)}"
    scheme, _, rest = text.partition(":")
    if rest.startswith("//"):
        rest = rest[2:]
        if not rest.startswith("/"):
            # All before the last '@', wherever a password's unescaped '/' or '?' is.
            rest = "//" + rest.rpartition("@")[2]
    elif scheme in _OF_SERVERS:
        rest = rest.rpartition("@")[2]
    place = re.split("[?#]", rest, maxsplit=1)[0]
    return f"{scheme}:{place}?namespace={namespace}"


def stored_key(raw: bytes, store: str) -> str:
    """Return the key that listed bytes are; StateParseError for those of none.

    store is the redacted URL.
    """
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        text = raw.decode("utf-8", "backslashreplace")
        raise StateParseError(
            None,
            f"what is listed is not a key, since it is no UTF-8: {shorten(text)}",
            text=text,
            store=store,
        ) from error


def stored_value(raw: bytes, key: str, store: str) -> Any:
    """Return the value that a store's bytes are; StateParseError for those of none.

    store is the redacted URL.
    """
    try:
        return decode_value(raw)
    except JsonValueError as error:
        raise StateParseError(
            None,
            f"what is stored is not a value: {error.reason}",
            text=raw.decode("utf-8", "backslashreplace"),
            key=key,
            store=store,
        ) from error


def _behind_scheme(url: SplitResult) -> str:
    # Not geturl, which makes a relative path an absolute one.
    return f"//{url.netloc}{url.path}" if url.netloc else url.path
