"""Main: python -m facet_host, the story of an evening that a host does not survive.

Runs three plugins that know one another by facets alone, in a process that is killed
amid the evening, and again in a new one that restores one snapshot. Ends with whether
everything was as told, held against the checkpoints.
"""

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import anyio
from rich.console import Console

from facet_host.lives import LifeError
from facet_host.report import show_act, show_claims
from facet_host.story import ACTS, Act, Stage


def main(arguments: Sequence[str] | None = None) -> None:
    """Tell the story as the command line asks for it."""
    parser = ArgumentParser(
        "python -m facet_host", description=__doc__.split("\n\n")[1]
    )
    parser.add_argument(
        "--state",
        type=Path,
        metavar="DIR",
        required=True,
        help="keep the checkpoints in this directory, new or empty",
    )
    parser.add_argument(
        "--backend",
        choices=("asyncio", "trio"),
        default="asyncio",
        help="what runs it (%(default)s)",
    )
    options = parser.parse_args(arguments)
    folder = options.state
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        parser.error(f"--state must be a new or an empty directory: {folder}")
    if find_spec(options.backend) is None:
        parser.error(f"--backend {options.backend} must be installed first")
    stage = Stage(folder, options.backend)
    try:
        is_as_told = anyio.run(
            tell, Console(highlight=False), stage, backend=options.backend
        )
    except LifeError as error:
        sys.exit(f"The story breaks off: {error}")
    if not is_as_told:
        sys.exit("Something is not as told.")


async def tell(console: Console, stage: Stage) -> bool:
    """Play and show all acts; return whether every claim holds."""
    acts: list[Act] = []
    for number, play in enumerate(ACTS, 1):
        acts.append(await play(stage))
        show_act(console, number, play.__doc__ or "", acts[-1])
    return show_claims(console, acts)


if __name__ == "__main__":
    main()
