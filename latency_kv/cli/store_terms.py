r"""Store terms: the arguments and options that the verbs of `latency-kv store` share.

Start at `Place`, and at `named` for what a key is.
"""

import os
import re
import sys
from typing import Annotated, NamedTuple, TypeAlias
from urllib.parse import parse_qsl, unquote, unquote_to_bytes, urlsplit

import typer

from latency_kv.cli.notation import TEXT, printable
from latency_kv.cli.screen import Screen, fail
from latency_kv.providers.state_keys import redacted_url, url_parts
from latency_kv.providers.state_stores import open_state_store

Url: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="URL",
        help="A store, such as file:state, lmdb:state or redis://localhost.",
    ),
]
Key: TypeAlias = Annotated[str, typer.Argument(metavar="KEY", help="As keys shows it.")]
Namespace: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Which of the store's namespaces.  [that of the URL, else default]",
        show_default=False,
    ),
]
Raw: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--raw", help="Keys as they are, without escapes; as keys -0 has them."
    ),
]

# Of a key in a message so many columns are shown.
_KEY_COLUMNS = 64

# Schemes of folders, and what is in one that is a store.
_FOLDERS = {"file": "", "lmdb": "data.mdb"}

# What is shorter is found in any message.
_LEAST_SECRET = 4

_TTL = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?")
_SECONDS = {"ms": 0.001, "s": 1, None: 1, "m": 60, "h": 3600, "d": 86_400}


class Place(NamedTuple):
    """Where a store is, and which of its namespaces is meant; None: that of the URL.

    Its text may be shown: it has no credentials.
    """

    url: str
    namespace: str | None = None

    def __str__(self) -> str:
        query = dict(parse_qsl(urlsplit(self.url).query))
        namespace = self.namespace or query.get("namespace")
        return f"{self.bare}?namespace={namespace}" if namespace else self.bare

    @property
    def bare(self) -> str:
        """The URL without credentials and namespace."""
        parts = urlsplit(self.url)
        if "@" in parts.path and not parts.netloc and parts.scheme not in _FOLDERS:
            # As if `//` had been forgotten: who knows what of it is a password.
            return f"{parts.scheme}:***"
        return redacted_url(self.url, "").partition("?")[0]

    @property
    def is_memory(self) -> bool:
        return self._scheme == "memory"

    @property
    def is_missing(self) -> bool:
        """Whether it is a folder where nothing is stored; opening it may make one."""
        if self._scheme not in _FOLDERS:
            return False
        path = os.fsdecode(unquote_to_bytes(urlsplit(self.url).path))
        try:
            os.stat(os.path.join(path, _FOLDERS[self._scheme]))
        except (FileNotFoundError, NotADirectoryError):
            return True
        except (OSError, ValueError):
            # The store will say what is wrong, and better.
            return False
        return False

    def without_credentials(self, message: str) -> str:
        """Return a message of somebody else's without what the URL has of secrets."""
        parts = urlsplit(self.url)
        user, at, _ = parts.netloc.rpartition("@")
        _, _, password = user.partition(":")
        options = [text for name, text in parse_qsl(parts.query) if name != "namespace"]
        message = message.replace(self.url, str(self))
        for secret in (f"{user}{at}", password, unquote(password), *options):
            if len(secret) >= _LEAST_SECRET:
                message = message.replace(secret, "***")
        return message

    @property
    def _scheme(self) -> str:
        return urlsplit(self.url).scheme


def located(url: str, namespace: str | None) -> Place:
    """Return the place; leaves the program, without showing it, if it is no URL."""
    try:
        url_parts(url)
    except ValueError as error:
        fail(str(error))
    return Place(url, namespace)


def lasting(url: str, namespace: str | None) -> Place:
    """Return the place; leaves the program if what is there ends with the program."""
    place = located(url, namespace)
    if place.is_memory:
        fail(
            "memory: lives as long as one command, so nothing is in it and nothing "
            "stays there: name a store that lasts, such as file:state"
        )
    return place


def present(place: Place) -> Place:
    """Return the place; leaves the program if reading would have to make it."""
    if place.is_missing:
        try:
            # Nothing is opened; what is not installed comes before what is not there.
            open_state_store(place.url, namespace=place.namespace)
        except ImportError as error:
            fail(f"{place}: {error}")
        except ValueError:
            pass
        fail(f"{place}: nothing is stored there; check the path")
    return place


def named(text: str, *, raw: bool = False, what: str = "KEY") -> str:
    r"""Return the key that `keys` shows so; leaves the program if none is shown so.

    >>> named(r"a\x20b"), named(r"a\x20b", raw=True)
    ('a b', 'a\\x20b')
    """
    try:
        return (text.encode() if raw else TEXT.read(text)).decode()
    except ValueError as error:
        reason = "it is no UTF-8" if isinstance(error, UnicodeError) else error
        fail(f"{what} '{text}': {reason}")


def brief(key: str) -> str:
    """Return a key for a message, as the verbs take it if it is short."""
    return Screen().shortened(key.encode(), _KEY_COLUMNS)


def seconds(text: str) -> float:
    """Return a duration; leaves the program if it is none.

    >>> seconds("30s"), seconds("1.5h"), seconds("2")
    (30.0, 5400.0, 2.0)
    """
    match = _TTL.fullmatch(text.strip())
    duration = float(match[1]) * _SECONDS[match[2]] if match else 0.0
    if not duration:
        fail(
            f"--ttl '{text}': a number above 0 and ms, s, m, h or d are wanted, such as "
            "30s or 1.5h"
        )
    return duration


def agreed(question: str, option: str) -> bool:
    """Ask at the terminal; leaves the program where there is none."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        fail(f"there is no terminal to ask at: {option}")
    return typer.confirm(printable(question), err=True)
