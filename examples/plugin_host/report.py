"""Report: the acts as they are told, and the claims at the end.

Knows the terminal, no plugin and no store.  Start at `show_act`.
"""

from collections.abc import Collection, Iterable
from inspect import cleandoc

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from plugin_host.disk import File
from plugin_host.story import Act


def show_act(
    console: Console, number: int, words: str, act: Act, before: Collection[File]
) -> None:
    """Print what happened, what the log said, and what is on disk.

    Files that were so before are named alone.
    """
    title, _, rest = cleandoc(words).partition("\n\n")
    console.print(Text(f"\n{number}. {title}", style="bold"))
    if rest:
        console.print(Text(rest.replace("\n", " ")))
    if act.log:
        console.print(Text("\nThe log"))
    for line in act.log:
        console.print(_indented(2, line, "dim"))
    console.print(Text("\nOn disk"))
    for file in act.files:
        damaged = file.version is None
        version = "damaged" if damaged else f"version {file.version}"
        head = f"{file.name:<28}{len(file.content):>5} bytes  {version}"
        if file in before:
            console.print(_indented(2, f"{head}, as before", "dim"))
        else:
            console.print(_indented(2, head, "red" if damaged else ""))
            console.print(_indented(6, file.text, "dim"))


def show_claims(console: Console, acts: Iterable[Act]) -> bool:
    """Print whether each claim holds; return whether all do."""
    claims = [claim for act in acts for claim in act.claims.items()]
    console.print(Text("\nChecked", style="bold"))
    for words, holds in claims:
        style = "green" if holds else "bold red"
        console.print(Text(f"  {'yes' if holds else 'NO '}  {words}", style=style))
    held = sum(holds for _, holds in claims)
    console.print(Text(f"{held} of {len(claims)} claims hold."))
    return held == len(claims)


def _indented(by: int, line: str, style: str) -> Padding:
    return Padding(Text(line, style=style), (0, 0, 0, by), expand=False)
