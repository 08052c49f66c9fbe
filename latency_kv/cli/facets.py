"""Facets: `latency-kv facets`, the catalog as a table.

    a terminal    in columns, with what a status means below
    a pipe        facet, status, module, providers, notes between tabs
    --markdown    as README has it, with what a status means below

What there is to tell comes from `latency_kv.facets.catalog`.  Start at `facets`.
"""

import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from latency_kv.cli.app import VerbCommand, new_app
from latency_kv.cli.screen import Screen, fail, verb
from latency_kv.facets.catalog import CATALOG, STATUSES, CatalogEntry, FacetStatus

app = new_app()

_STYLES: dict[FacetStatus, str] = {"Active": "green", "Awaiting Adoption": "yellow"}

_NONE = "none yet"


class FacetScreen(Screen):
    """Standard output, for the catalog."""

    def catalog(self) -> None:
        """Write it in columns, its texts wrapped where the terminal is too narrow."""
        table = Table(box=None, pad_edge=False, header_style=self._look("bold"))
        # Names are kept whole, as they are to be typed.
        table.add_column("FACET", no_wrap=True)
        table.add_column("STATUS")
        table.add_column("PROVIDERS HERE", no_wrap=True)
        table.add_column("NOTES", overflow="fold")
        for entry in CATALOG:
            table.add_row(
                Text(entry.name, self._look("cyan")),
                self._status(entry.status),
                "\n".join(map(_last, entry.providers)) or _NONE,
                entry.notes,
            )
        self._wrapped(table)
        for status, meaning in STATUSES.items():
            self._wrapped(Text.assemble("\n", self._status(status), ": ", meaning))

    def _wrapped(self, shown: Table | Text) -> None:
        self._console.print(shown, soft_wrap=False)

    def _status(self, status: FacetStatus) -> Text:
        return Text(status, self._look(_STYLES[status]))

    def _look(self, style: str) -> str:
        return style if self._styled else ""


@app.command(cls=VerbCommand, epilog="Example: latency-kv facets --json | jq .facet")
@verb
def facets(
    markdown: Annotated[
        bool, typer.Option("--markdown", help="The table of the README.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="A JSON object a line.")] = False,
) -> int:
    """Tell what plugins can meet through, how mature it is, and who provides it.

    Import a facet from latency_kv.facets.  In a pipe: fields between tabs.
    """
    screen = FacetScreen()
    if markdown and json:
        fail("--markdown goes without --json")
    if markdown:
        sys.stdout.writelines(f"{line}\n" for line in markdown_lines())
    elif json:
        for entry in CATALOG:
            screen.json(_facts(entry))
    elif screen.terminal:
        screen.catalog()
    else:
        sys.stdout.writelines("\t".join(_fields(entry)) + "\n" for entry in CATALOG)
    return 0


def markdown_lines() -> Iterator[str]:
    """Yield the catalog as README has it, links from the project's root included."""
    yield "| facet | module | status | providers here | notes |"
    yield "|---|---|---|---|---|"
    for entry in CATALOG:
        name = _last(entry.module)
        cells = [
            f"`{entry.name}`",
            _link(f"{name}.py", entry.module),
            f"**{entry.status}**" if entry.status == "Active" else entry.status,
            ", ".join(map(_provider_link, entry.providers)) or _NONE,
            entry.notes,
        ]
        yield f"| {' | '.join(cells)} |"
    for status, meaning in STATUSES.items():
        yield ""
        yield f"{status}: {meaning}."


def _facts(entry: CatalogEntry) -> dict[str, Any]:
    return {
        "facet": entry.name,
        "status": entry.status,
        "module": entry.module,
        "providers": entry.providers,
        "notes": entry.notes,
    }


def _fields(entry: CatalogEntry) -> list[str]:
    providers = ",".join(entry.providers)
    return [entry.name, entry.status, entry.module, providers, entry.notes]


def _provider_link(provider: str) -> str:
    module, _, name = provider.rpartition(".")
    return _link(f"`{name}`", module)


def _link(text: str, module: str) -> str:
    return f"[{text}]({module.replace('.', '/')}.py)"


def _last(dotted: str) -> str:
    return dotted.rpartition(".")[2]
