"""Main: python -m plugin_host, the story of a state directory in four acts.

Runs a small plugin host again and again on one directory: a plugin meets the state of
its own version 1, a document is damaged, settings are imported that no plugin can work
with. Shows what is on disk after each, and ends with whether everything was as told.
"""

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import anyio
from rich.console import Console

from plugin_host.report import show_act, show_claims
from plugin_host.story import ACTS, Act


def main(arguments: Sequence[str] | None = None) -> None:
    """Tell the story as the command line asks for it."""
    parser = ArgumentParser(
        "python -m plugin_host", description=__doc__.split("\n\n")[1]
    )
    parser.add_argument(
        "--state",
        type=Path,
        metavar="DIR",
        required=True,
        help="keep the state in this directory, new or empty",
    )
    parser.add_argument(
        "--backend",
        choices=("asyncio", "trio"),
        default="asyncio",
        help="what runs it (%(default)s)",
    )
    options = parser.parse_args(arguments)
    state = options.state
    if state.exists() and (not state.is_dir() or any(state.iterdir())):
        parser.error(f"--state must be a new or an empty directory: {state}")
    if find_spec(options.backend) is None:
        parser.error(f"--backend {options.backend} must be installed first")
    if not anyio.run(tell, Console(highlight=False), state, backend=options.backend):
        sys.exit("Something is not as told.")


async def tell(console: Console, state_dir: Path) -> bool:
    """Play and show all acts; return whether every claim holds."""
    acts: list[Act] = []
    for number, play in enumerate(ACTS, 1):
        act = await play(state_dir)
        before = acts[-1].files if acts else []
        show_act(console, number, play.__doc__ or "", act, before)
        acts.append(act)
    return show_claims(console, acts)


if __name__ == "__main__":
    main()
