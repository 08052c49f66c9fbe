"""Store copy: `latency-kv store copy`, from any store into any other.

First the two are compared, so that a copy that would overwrite something is refused
before anything is written; then it is made.  Start at `copy`.
"""

from typing import Annotated

import typer

from latency_kv.cli.copying import Copying
from latency_kv.cli.screen import count_text, note, verb, working
from latency_kv.cli.store_access import StoreAccess, run
from latency_kv.cli.store_terms import (
    Namespace,
    Place,
    Raw,
    brief,
    lasting,
    named,
    present,
)

_UNIT = "entries"


@verb
def copy(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="The URL of a store to read.")
    ],
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="The URL of a store to write.")
    ],
    prefix: Annotated[
        str,
        typer.Option(
            metavar="PREFIX", help="Only keys that begin so.", show_default=False
        ),
    ] = "",
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Overwrite values of the target that differ."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only count: nothing is written.")
    ] = False,
    namespace: Namespace = None,
    to_namespace: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The target's namespace.  [that of --namespace, else of its URL]",
            show_default=False,
        ),
    ] = None,
    raw: Raw = False,
) -> int:
    """Copy entries from one store into another.

    What is there and equal is left as it is, so a copy that was interrupted is made
    again and goes on.  Values that differ are a reason to refuse, before anything is
    written, unless --replace is given.  Expiry times are not copied: what is copied
    stays until it is deleted.  Nothing is deleted.  Copy while nobody writes: what
    others write meanwhile may be left out or overwritten.  Status 1: refused, or
    --dry-run tells that it would be.
    """
    begin = named(prefix, raw=raw, what="--prefix")
    origin = present(lasting(source, namespace))
    place = lasting(target, namespace if to_namespace is None else to_namespace)
    # Whatever opens a store that is not there makes it, and a folder for it.
    opened = Place("memory:") if dry_run and place.is_missing else place
    reading, writing = StoreAccess(origin), StoreAccess(opened)
    copying = Copying(reading, writing, begin, replace=replace)
    wanted = 0

    async def main() -> None:
        nonlocal wanted
        async with reading, writing:
            with working("comparing", unit=_UNIT) as progress:
                await copying.compare(progress)
            if not (dry_run or (copying.different and not replace)):
                wanted = copying.written
            if wanted:
                with working("copying", copying.total, _UNIT) as progress:
                    await copying.copy(progress)

    def so_far() -> str:
        if not wanted:
            return "nothing was copied"
        return (
            f"copied {copying.written:,} of {_entries(wanted)} for certain: the same "
            "command goes on from there"
        )

    run(main, so_far)
    if not copying.total:
        note(f"nothing to do: {origin} has no keys{' that begin so' if begin else ''}")
    elif copying.different and not (wanted or replace):
        note(f"{place}: {_refusal(copying)}")
        return 1
    else:
        done = "would copy" if dry_run else "copied"
        note(f"{done} {_summary(copying, origin, place, replace=replace)}")
    return 1 if copying.different and not replace else 0


def _refusal(copying: Copying) -> str:
    such = ", ".join(map(brief, copying.examples))
    return (
        f"other values are there under {copying.different:,} of "
        f"{count_text(copying.total, 'key')}, such as {such}: nothing was copied; "
        "--replace overwrites them"
    )


def _summary(copying: Copying, origin: Place, place: Place, *, replace: bool) -> str:
    replaced = copying.different if replace else 0
    text = (
        f"{copying.written:,} of {_entries(copying.total)} from {origin} to {place}: "
        f"{copying.new:,} new, {replaced:,} replaced, {copying.equal:,} equal already"
    )
    if copying.different > replaced:
        text += f", {copying.different:,} left as others wrote them meanwhile"
    return f"{text}; expiry times are not copied"


def _entries(count: int) -> str:
    return count_text(count, "entry", "entries")
