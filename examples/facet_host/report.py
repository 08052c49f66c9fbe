"""Report: the acts as they are told, and the claims at the end.

Knows the terminal, no plugin and no store.  Start at `show_act`.
"""

from collections.abc import Iterable
from inspect import cleandoc

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from facet_host.story import Act


def show_act(console: Console, number: int, words: str, act: Act) -> None:
    """Print what happened, then each part under its title."""
    title, _, rest = cleandoc(words).partition("\n\n")
    console.print(Text(f"\n{number}. {title}", style="bold"))
    if rest:
        console.print(Text(rest.replace("\n", " ")))
    for part, lines in act.parts.items():
        console.print(Text(f"\n{part}"))
        for line in lines:
            console.print(Padding(Text(line, "dim"), (0, 0, 0, 2), expand=False))


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
