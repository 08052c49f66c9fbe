"""Atoms: values made on demand by factories, and what each keeps for itself.

    Tag, tag          typed keys
    DataStore         values under tags, private to one atom
    Atom, atom        a factory and what it depends on
    Scope             resolves atoms, and cleans up behind them

Start at `Scope`.
"""

from latency_kv.atoms.data_store import DataStore
from latency_kv.atoms.decorator import AtomDecorator, atom
from latency_kv.atoms.factories import Atom
from latency_kv.atoms.scope import AtomContext, Scope
from latency_kv.atoms.tags import Tag, tag

__all__ = [
    "Atom",
    "AtomContext",
    "AtomDecorator",
    "DataStore",
    "Scope",
    "Tag",
    "atom",
    "tag",
]
