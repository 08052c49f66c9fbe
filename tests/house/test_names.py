"""Names: one name, one meaning, wherever in the package it is public.

The four stores have a name each, and of what once existed twice there is one. Start at
`homes_of`.
"""

import importlib
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

import latency_kv
from fresh import TESTS
from latency_kv.facets import decision_handler, logger, stores

PACKAGE = TESTS.parent / "latency_kv"

# In a module's own words what is public; those of compiled modules too.
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(
        ".__init__"
    )
    for suffix in ("py", "pyx")
    for path in PACKAGE.rglob(f"*.{suffix}")
    if "__all__" in path.read_text() and path.stem != "__main__"
)

STORES = {
    "ByteStateStore": ["put", "prefix_scan", "range_scan", "snapshot", "restore"],
    "DocumentStateStore": ["save", "load", "migrate", "restore", "list_backups"],
    "PluginStateStore": ["get", "set", "delete", "has"],
    "StateStore": ["get", "set", "delete", "has", "keys"],
}

# What plugins' contexts hand out and facets speak of: once two things of one name.
ONCE = {"Logger": logger, "DecisionResult": decision_handler, "StateStore": stores}


def homes_of() -> dict[str, dict[int, list[str]]]:
    """name -> identity of what it means -> the modules where it is public."""
    homes: defaultdict[str, defaultdict[int, list[str]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        for name in module.__all__:
            homes[name][id(getattr(module, name))].append(module_name)
    return {name: dict(meanings) for name, meanings in homes.items()}


def defined(name: str) -> list[Path]:
    """The sources of the package that define a class, or assign to a name, so called."""
    pattern = re.compile(
        rf"^(?:cdef )?(?:class {name}\b|{name}(?::[^=\n]*)? = )", re.MULTILINE
    )
    return [
        path
        for suffix in ("py", "pyx", "pxd")
        for path in PACKAGE.rglob(f"*.{suffix}")
        if pattern.search(path.read_text())
    ]


def test_no_public_name_means_two_things() -> None:
    # A limit, in capitals, is that of the module that it stands in.
    twice = {
        name: [*meanings.values()]
        for name, meanings in homes_of().items()
        if len(meanings) > 1 and not name.isupper()
    }
    assert not twice


def test_a_public_name_means_what_it_is_called() -> None:
    """A class or function that is public under another name than its own is two names."""
    renamed = []
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        for name in module.__all__:
            value: Any = getattr(module, name)
            own = getattr(value, "__name__", name)
            inside = getattr(value, "__module__", "").startswith("latency_kv")
            if inside and own != name:
                renamed.append(f"{module_name}.{name} is {own}")
    assert not renamed


def test_no_room_lends_a_name_that_one_of_its_modules_has() -> None:
    """`from latency_kv.room import name` would depend on what was imported before."""
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        folder = Path(module.__file__ or "")
        if folder.stem == "__init__":
            inner = {path.stem for path in folder.parent.iterdir()}
            assert not inner & set(module.__all__), module_name


def test_front_door_s_state_store_is_the_facet() -> None:
    from latency_kv import StateStore

    assert StateStore is stores.StateStore
    assert StateStore.__module__ == "latency_kv.facets.stores"


@pytest.mark.parametrize("name", STORES)
def test_store_has_one_name_everywhere(name: str) -> None:
    store = getattr(latency_kv, name)
    assert store.__name__ == name and store is getattr(stores, name)
    assert store is getattr(importlib.import_module("latency_kv.facets"), name)
    assert all(hasattr(store, member) for member in STORES[name])
    assert defined(name) == [PACKAGE / "facets/stores.py"]
    assert len(homes_of()[name]) == 1


def test_four_stores_are_four() -> None:
    assert len({id(getattr(latency_kv, name)) for name in STORES}) == len(STORES)


@pytest.mark.parametrize("name", ONCE)
def test_what_existed_twice_exists_once(name: str) -> None:
    home = ONCE[name]
    assert defined(name) == [PACKAGE.parent / f"{home.__name__.replace('.', '/')}.py"]
    assert getattr(importlib.import_module("latency_kv.facets"), name) is (
        getattr(home, name)
    )
