"""Imported: what the user names as MODULE:NAME, from the current folder or installed.

Knows nothing of what it is for.  Start at `imported`.
"""

import os
import sys
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from latency_kv.cli.screen import fail


def imported(spec: str) -> Any:
    """Return what MODULE:NAME is; leaves the program where there is no such thing.

    Importing runs the module.  The current folder stays the first place to import from,
    for what the module imports when it is called.
    """
    module_name, colon, name = spec.partition(":")
    if not (module_name and colon and name):
        fail(f"--with {spec}: MODULE:NAME is wanted, such as checks:is_sound")
    try:
        here = os.getcwd()
    except OSError as error:
        fail(f"--with {spec}: there is no current folder: {error.strerror}")
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        value: Any = import_module(module_name)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - what a stranger raises
        fail(f"--with {spec}: {_reason(error, module_name, here)}")
    for part in name.split("."):
        if not hasattr(value, part):
            near = get_close_matches(part, dir(value), 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            fail(f"--with {spec}: there is no {part} in {module_name}{hint}")
        value = getattr(value, part)
    return value


def _reason(error: BaseException, module_name: str, here: str) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name in {
        module_name,
        module_name.partition(".")[0],
    }:
        return f"there is no module {error.name} in {here}, nor installed"
    return f"importing {module_name} raised {error!r}"
