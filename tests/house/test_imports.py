"""Imports: who may see whom, as docs/design.md's floor plan has it.

A room imports from lower floors and from itself, by the full name of the module, and no
two modules import each other. Read from the sources, Cython's included, without
importing them. Start at `FLOORS`.
"""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TypeVar

import pytest

from fresh import TESTS

PACKAGE = TESTS.parent / "latency_kv"

FLOORS = {
    "errors": 0,
    "durable": 0,
    "endings": 0,
    "facets": 0,
    "json_values": 0,
    "core": 1,
    "typed": 2,
    "documents": 2,
    "atoms": 2,
    "checkpoints": 2,
    "providers": 3,
    "testing": 3,
    "plugins": 4,
    "cli": 5,
    "bench": 5,
    "__main__": 6,
}

# Each floor raises from the exception tree, its own floor too.
EVERYBODYS = "errors"

# From this floor on the package is used as its users do, by the front door too.
PROGRAMS = 5

# What the core, which is bytes in and bytes out, has no business with.
FORBIDDEN_IN_CORE = {
    "json",
    "asyncio",
    "anyio",
    "msgspec",
    "logging",
    "random",
}

CYTHON_IMPORT = re.compile(
    r"^[ ]*(?:from[ ]+([\w.]+)[ ]+c?import|c?import[ ]+([\w.]+))", re.MULTILINE
)

QUOTED = re.compile(r'""".*?"""', re.DOTALL)

SOURCES = sorted(
    path
    for suffix in ("py", "pyx", "pxd", "pyi")
    for path in PACKAGE.rglob(f"*.{suffix}")
)


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """The room that a module of the package is in; the package itself is the door."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "door"


def resolved(module: str, name: str) -> str:
    """What `from module import name` sees: a module of a room, or the module itself."""
    inner = PACKAGE.parent.joinpath(*module.split("."), name)
    exists = any(inner.with_suffix(suffix).exists() for suffix in (".py", ".pyx"))
    return f"{module}.{name}" if exists else module


def imports_of(path: Path) -> Iterator[str]:
    """The modules that a source names in its imports, those within functions too."""
    text = path.read_text()
    if path.suffix in (".pyx", ".pxd"):
        for match in CYTHON_IMPORT.finditer(QUOTED.sub("", text)):
            yield match[1] or match[2]
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from {resolved(module, alias.name) for alias in node.names}


named = pytest.mark.parametrize(
    "path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE))
)


@named
def test_room_is_on_the_floor_plan(path: Path) -> None:
    assert room_of(module_of(path)) in {*FLOORS, "door"}


@named
def test_room_imports_from_lower_floors_only(path: Path) -> None:
    room = room_of(module_of(path))
    if room == "door":
        return
    for imported in imports_of(path):
        assert not imported.startswith("."), f"relative: {imported}"
        if imported.split(".")[0] != "latency_kv":
            continue
        seen = room_of(imported)
        uses = FLOORS[room] >= PROGRAMS
        assert uses or seen != "door", "the front door is for users"
        assert seen in (room, "door", EVERYBODYS) or FLOORS[seen] < FLOORS[room], (
            imported
        )


@named
def test_import_names_the_module_and_not_the_room(path: Path) -> None:
    """A room's `__init__` is its door for users; inside, the full module is named."""
    if path.stem == "__init__":
        return
    for imported in imports_of(path):
        parts = imported.split(".")
        if parts[0] == "latency_kv" and len(parts) == 2:
            room = PACKAGE / parts[1]
            assert not (room / "__init__.py").exists(), imported


@named
def test_core_is_bytes_in_and_bytes_out(path: Path) -> None:
    if room_of(module_of(path)) == "core":
        assert not FORBIDDEN_IN_CORE & {name.split(".")[0] for name in imports_of(path)}


def test_no_modules_import_each_other() -> None:
    modules = {module_of(path) for path in SOURCES}
    graph: dict[str, set[str]] = {module: set() for module in modules}
    for path in SOURCES:
        module = module_of(path)
        graph[module] |= {name for name in imports_of(path) if name in modules}
        graph[module].discard(module)
    while graph:
        leaves = {module for module, seen in graph.items() if not seen}
        assert leaves, f"in a circle: {sorted(graph)}"
        graph = {
            module: seen - leaves
            for module, seen in graph.items()
            if module not in leaves
        }


def public_modules() -> list[str]:
    return sorted(
        module_of(path)
        for path in SOURCES
        if path.suffix == ".py"
        and path.stem != "__main__"
        and "__all__" in path.read_text()
    )


@pytest.mark.parametrize("name", public_modules())
def test_all_names_exist_and_nothing_public_is_missing(name: str) -> None:
    module = importlib.import_module(name)
    listed = module.__all__
    assert len(listed) == len(set(listed))
    for member in listed:
        assert getattr(module, member) is not None
    door = Path(module.__file__ or "").stem == "__init__"
    own = {
        member
        for member, value in vars(module).items()
        if not member.startswith("_") and not isinstance(value, ModuleType | TypeVar)
        # With the dot: one module's name may be the start of another's.
        if f"{getattr(value, '__module__', None)}.".startswith(
            "latency_kv." if door else f"{name}."
        )
    }
    assert own <= set(listed), "public, but not in __all__"


def test_front_door_has_all() -> None:
    assert "latency_kv" in public_modules()
