"""State terms: the arguments and options that the verbs of `latency-kv state` share.

Start at `Directory` and `named`.
"""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from latency_kv.cli.app import whole_number
from latency_kv.cli.notation import TEXT
from latency_kv.cli.screen import SCREENFUL, fail

Directory: TypeAlias = Annotated[
    Path, typer.Argument(metavar="DIR", help="The folder that the state files are in.")
]
Plugin: TypeAlias = Annotated[
    str, typer.Argument(metavar="PLUGIN", help="A plugin's name, as list shows it.")
]
Limit: TypeAlias = Annotated[
    int | None,
    typer.Option(
        parser=whole_number(0),
        metavar="N",
        help=f"At most so many lines.  [{SCREENFUL} on a terminal, else all]",
        show_default=False,
    ),
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="A JSON object a line.")]


def named(text: str) -> str:
    r"""Return the name that `list` shows so; leaves the program if nothing is shown so.

    >>> named(r"a\x20b")
    'a b'
    """
    try:
        return TEXT.read(text).decode()
    except ValueError as error:
        reason = "it is no UTF-8" if isinstance(error, UnicodeError) else error
        fail(f"PLUGIN '{text}': {reason}")
