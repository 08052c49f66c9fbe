"""Store: `latency-kv store`, the verbs for what is in a StateStore, wherever it is.

    get       one value                   keys    what there is, in order
    set       one value, maybe for a      copy    from any store into any other
              time only
    delete    keys, or all that begin so

Exit status: 0 done; 1 no such key (get, delete), declined (delete), refused (copy); 2
trouble, with one line on stderr.  A URL says which store, and is shown without
credentials.

What is done with a store comes from `store_access`, how a copy goes on from `copying`.
Start at `get`.
"""

import sys
from contextlib import aclosing
from typing import Annotated, Any

import typer

from latency_kv.cli.app import VerbCommand, new_app, whole_number
from latency_kv.cli.json_screen import JsonScreen
from latency_kv.cli.json_text import compact
from latency_kv.cli.screen import (
    SCREENFUL,
    Line,
    Screen,
    count_text,
    fail,
    note,
    verb,
    working,
)
from latency_kv.cli.store_access import MISSING, StoreAccess, run
from latency_kv.cli.store_copy import copy
from latency_kv.cli.store_terms import (
    Key,
    Namespace,
    Place,
    Raw,
    Url,
    agreed,
    brief,
    lasting,
    named,
    present,
    seconds,
)
from latency_kv.errors import JsonValueError
from latency_kv.json_values import decode_value

app = new_app(
    "Look into a state store, or copy one into another.\n\n"
    "A store is a URL: file:DIR, lmdb:DIR, postgresql://..., redis://... or "
    "redis-cluster://...; it is shown without credentials. Keys are shown with escapes "
    "such as \\x00, and \\\\ for a backslash, and are given in the same way; values are "
    "JSON. A pipe gets them whole and unlimited.",
    "latency-kv store keys file:state --prefix user:",
)

# A terminal gets so many bytes of a line of a value; a pipe gets all.
_MOST_SHOWN = 4096

_STDIN = "-"

# Of the keys that were not there so many are told.
_EXAMPLES = 3


@app.command(
    cls=VerbCommand, epilog="Example: latency-kv store get file:state user:7 | jq .name"
)
@verb
def get(url: Url, key: Key, namespace: Namespace = None, raw: Raw = False) -> int:
    """Print a value as JSON.  Status 1: there is no such key."""
    screen = JsonScreen()
    place = present(lasting(url, namespace))
    name = named(key, raw=raw)

    async def main() -> Any:
        with working(f"asking {place}"):
            async with StoreAccess(place) as store:
                return await store.get(name)

    value = run(main)
    if value is MISSING:
        note(f"{place}: no key {brief(name)}")
        return 1
    if not screen.terminal:
        screen.line(compact(value, only_ascii=screen.only_ascii))
    elif screen.indented(value, _MOST_SHOWN):
        note("more follow: a pipe gets all")
    return 0


# A value may be a negative number, and is no option then.
@app.command(
    "set",
    cls=VerbCommand,
    epilog='Example: latency-kv store set file:state user:7 \'{"name": "Ada"}\'',
    context_settings={"ignore_unknown_options": True},
)
@verb
def set_(
    url: Url,
    key: Key,
    value: Annotated[
        str,
        typer.Argument(metavar="VALUE", help=f"As JSON; {_STDIN} reads it from stdin."),
    ],
    string: Annotated[
        bool,
        typer.Option("--string", help="VALUE is text, every character of it, no JSON."),
    ] = False,
    ttl: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="How long it is there, such as 30s, 5m, 2h, 1d.  [for ever]",
            show_default=False,
        ),
    ] = None,
    namespace: Namespace = None,
    raw: Raw = False,
) -> int:
    """Store a value, over an older one."""
    place = lasting(url, namespace)
    name = named(key, raw=raw)
    lifetime = None if ttl is None else seconds(ttl)
    new = _value(value, string=string)

    async def main() -> None:
        with working(f"writing to {place}"):
            async with StoreAccess(place) as store:
                await store.set(name, new, lifetime)

    run(main)
    return 0


@app.command(
    cls=VerbCommand,
    epilog="Example: latency-kv store delete file:state --prefix session:",
)
@verb
def delete(
    url: Url,
    keys: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY", help="As keys shows them.", show_default=False),
    ] = None,
    prefix: Annotated[
        str | None,
        typer.Option(metavar="PREFIX", help="All keys that begin so, instead."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    namespace: Namespace = None,
    raw: Raw = False,
) -> int:
    """Delete keys, or with --prefix all that begin so.

    --prefix asks; without a terminal it needs --yes.  Status 1: a key was not there, or
    you said no.
    """
    place = present(lasting(url, namespace))
    if (not keys) is (prefix is None):
        fail("KEY or --prefix is wanted: what to delete")
    if prefix is None:
        names = [named(key, raw=raw) for key in keys or []]
        absent = _deleted(place, names)
        if absent:
            such = ", ".join(map(brief, absent[:_EXAMPLES]))
            many = f"no such keys: {len(absent):,} of {len(names):,}, such as"
            note(f"{place}: {'no key' if len(names) == 1 else many} {such}")
        return 1 if absent else 0
    begin = named(prefix, raw=raw, what="--prefix")

    async def main() -> list[str]:
        with working(f"listing {place}", unit="keys") as progress:
            async with (
                StoreAccess(place) as store,
                aclosing(store.keys(begin)) as found,
            ):
                names = []
                async for key in found:
                    names.append(key)
                    progress(len(names))
                return names

    # Those that were counted, and none that comes while somebody makes up their mind.
    names = run(main)
    if not names:
        note(f"nothing to do: {place} has no keys{' that begin so' if begin else ''}")
        return 0
    which = f" beginning with {brief(begin)}" if begin else ", which is all,"
    question = f"Delete {count_text(len(names), 'key')}{which} from {place}?"
    if not (yes or agreed(question, "--yes deletes without being asked")):
        note("nothing was deleted")
        return 1
    deleted = len(names) - len(_deleted(place, names))
    note(f"deleted {count_text(deleted, 'key')} from {place}")
    return 0


@app.command(
    "keys",
    cls=VerbCommand,
    epilog="Example: latency-kv store keys file:state --prefix user: --limit 10",
)
@verb
def keys_(
    url: Url,
    prefix: Annotated[
        str,
        typer.Option(
            metavar="PREFIX", help="Only keys that begin so.", show_default=False
        ),
    ] = "",
    limit: Annotated[
        int | None,
        typer.Option(
            parser=whole_number(0),
            metavar="N",
            help=f"At most so many keys.  [{SCREENFUL} on a terminal, else all]",
            show_default=False,
        ),
    ] = None,
    null: Annotated[
        bool,
        typer.Option("-0", "--null", help="Without escapes, a NUL behind each."),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="A JSON object a line.")] = False,
    namespace: Namespace = None,
    raw: Raw = False,
) -> int:
    """List keys, one a line, in the order of their UTF-8 bytes."""
    screen = Screen()
    if null and json:
        fail("-0 or --json, not both")
    if null and screen.terminal:
        fail("-0 writes keys as they are: send them to a file or a pipe")
    place = present(lasting(url, namespace))
    begin = named(prefix, raw=raw, what="--prefix")
    most = SCREENFUL if limit is None and screen.terminal else limit

    def write(keys: list[str]) -> None:
        if json:
            for key in keys:
                screen.json({"key": key})
        elif null:
            screen.raw(b"".join(map(_ended, keys)))
        else:
            screen.lines(Line("", key.encode()) for key in keys)

    async def main() -> bool:
        batch: list[str] = []
        listed = 0
        async with StoreAccess(place) as store, aclosing(store.keys(begin)) as found:
            async for key in found:
                if listed == most:
                    write(batch)
                    return True
                batch.append(key)
                listed += 1
                if len(batch) == SCREENFUL:
                    write(batch)
                    batch = []
            write(batch)
        return False

    if run(main) and screen.terminal:
        note("more follow: --limit N shows N, and a pipe gets all")
    return 0


app.command(
    cls=VerbCommand,
    epilog="Example: latency-kv store copy file:state redis://localhost --prefix user:",
)(copy)


def _deleted(place: Place, keys: list[str]) -> list[str]:
    """Delete keys; return those that were not there."""
    absent: list[str] = []
    done = 0

    async def main() -> None:
        nonlocal done
        with working(f"deleting from {place}", len(keys), "keys") as progress:
            async with StoreAccess(place) as store:
                for done, key in enumerate(keys):
                    progress(done)
                    if not await store.delete(key):
                        absent.append(key)

    run(main, lambda: f"deleted {done - len(absent):,} of {len(keys):,}")
    return absent


def _ended(key: str) -> bytes:
    if "\0" in key:
        fail(f"-0: the key {brief(key)} has a NUL in it: --json has it too")
    return key.encode() + b"\0"


def _value(text: str, *, string: bool) -> Any:
    """Return the value that an argument, or what it names, is."""
    try:
        data = sys.stdin.buffer.read() if text == _STDIN else text.encode()
        return data.decode() if string else decode_value(data)
    except UnicodeError:
        fail("VALUE: it is no UTF-8")
    except JsonValueError as error:
        fail(f"VALUE: {error}; --string stores text as it is")
