"""Facets: the contracts between those who keep state and those who use it.

Protocols and frozen records, no behaviour.  Knows no other room of the package.  Start
at `stores`, which tells the four stores apart.
"""

from latency_kv.facets.stores import (
    ByteStateStore,
    DocumentStateStore,
    PluginStateStore,
    StateData,
    StateStore,
)

__all__ = [
    "ByteStateStore",
    "DocumentStateStore",
    "PluginStateStore",
    "StateData",
    "StateStore",
]
