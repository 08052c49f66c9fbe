"""Doctests: every example in a docstring of the package does what it shows."""

import doctest
import importlib

import pytest

from fresh import TESTS

PACKAGE = TESTS.parent / "latency_kv"
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    for suffix in ("py", "pyx")
    for path in PACKAGE.rglob(f"*.{suffix}")
    if path.stem not in {"__main__", "__init__", "operator"}
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_hold(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0


def test_examples_are_found() -> None:
    """The core's too, whose functions are no functions to Python."""
    counts = {
        name: doctest.testmod(importlib.import_module(name)).attempted
        for name in ("latency_kv.core.store", "latency_kv.typed.keys")
    }
    assert all(counts.values()), counts
