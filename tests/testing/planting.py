"""Planting: providers with one defect each, and the rules that have to see it.

A defect is a small subclass of a provider in memory, marked with the tests of the
contract that are to fail on it. Start at `seen_by`.
"""

import gc
import warnings
from collections.abc import Callable, Iterator
from inspect import getmembers, isclass
from types import ModuleType
from typing import Any, TypeVar

import anyio
import pytest

K = TypeVar("K", bound=type)

# Of a contract that waits for what a defect keeps from happening.
PATIENCE_S = 0.2

# What a failing test raises: its own, pytest's, and those of a task group.
FAULTS = (Exception, BaseExceptionGroup, pytest.fail.Exception)


def seen_by(*rules: Callable[..., Any]) -> Callable[[K], K]:
    """Mark a provider with the tests of its contract that must fail on it."""

    def mark(kind: K) -> K:
        kind.seen_by = rules  # type: ignore[attr-defined]
        return kind

    return mark


def defects_of(module: ModuleType) -> Iterator[tuple[type, str]]:
    """Each provider of the module that has a defect, with the name of each rule."""
    for _, kind in getmembers(module, isclass):
        for rule in vars(kind).get("seen_by", ()):
            yield kind, rule.__name__


def rules_of(contract: type) -> set[str]:
    return {name for name in dir(contract) if name.startswith("test_")}


def sees(contract: Any, kind: type, rule: str) -> bool:
    """Tell whether a rule of a contract fails on a provider of this kind.

    What a defect leaves unawaited or open is cleared away here: no later test hears of
    it.
    """
    contract.kind = kind
    contract.patience_s = PATIENCE_S
    # Whatever is older is not looked through: that takes longer than all the rest.
    gc.freeze()
    try:
        with warnings.catch_warnings(action="ignore"):
            seen = fails(contract, rule)
            gc.collect()
    finally:
        gc.unfreeze()
    return seen


def fails(contract: Any, rule: str) -> bool:
    async def play() -> None:
        await getattr(contract, rule)(contract.made())

    try:
        anyio.run(play)
    except pytest.skip.Exception:
        return False
    except FAULTS:
        return True
    return False
