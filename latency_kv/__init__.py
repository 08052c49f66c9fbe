"""latency_kv: an in-process key-value engine for operators that cannot wait.

Start with `InMemoryStore`; `TypedStore` puts typed values on top of it,
`FileSystemStateStore` keeps documents on disk, and `PluginManager` hosts plugins.  Only
the core is imported at once: the upper floors come when they are first asked for.
"""

from typing import TYPE_CHECKING, Any

try:
    from latency_kv.core.snapshot import StateSnapshot
    from latency_kv.core.store import InMemoryStore
except ModuleNotFoundError as error:
    if not (error.name or "").startswith("latency_kv.core."):
        raise
    raise ImportError(
        f"latency_kv is imported from its sources in {__path__[0]}, which are not "
        "compiled for this Python: start Python in another folder, or run "
        "`pip install -e .` beside them",
        name=error.name,
    ) from None

if TYPE_CHECKING:
    from latency_kv.atoms.data_store import DataStore
    from latency_kv.atoms.decorator import atom
    from latency_kv.atoms.scope import Scope
    from latency_kv.atoms.tags import Tag, tag
    from latency_kv.checkpoints.directory import CheckpointDirectory
    from latency_kv.documents.store import FileSystemStateStore
    from latency_kv.facets.stores import (
        ByteStateStore,
        DocumentStateStore,
        PluginStateStore,
        StateData,
        StateStore,
    )
    from latency_kv.plugins.context import PluginContext
    from latency_kv.plugins.manager import PluginManager
    from latency_kv.plugins.state_manager import StateManager
    from latency_kv.providers.state_stores import open_state_store
    from latency_kv.typed.store import TypedStore

__all__ = [
    "ByteStateStore",
    "CheckpointDirectory",
    "DataStore",
    "DocumentStateStore",
    "FileSystemStateStore",
    "InMemoryStore",
    "PluginContext",
    "PluginManager",
    "PluginStateStore",
    "Scope",
    "StateData",
    "StateManager",
    "StateSnapshot",
    "StateStore",
    "Tag",
    "TypedStore",
    "atom",
    "get_include",
    "open_state_store",
    "tag",
]

_LATER = {
    "ByteStateStore": "latency_kv.facets.stores",
    "CheckpointDirectory": "latency_kv.checkpoints.directory",
    "DataStore": "latency_kv.atoms.data_store",
    "DocumentStateStore": "latency_kv.facets.stores",
    "FileSystemStateStore": "latency_kv.documents.store",
    "PluginContext": "latency_kv.plugins.context",
    "PluginManager": "latency_kv.plugins.manager",
    "PluginStateStore": "latency_kv.facets.stores",
    "Scope": "latency_kv.atoms.scope",
    "StateData": "latency_kv.facets.stores",
    "StateManager": "latency_kv.plugins.state_manager",
    "StateStore": "latency_kv.facets.stores",
    "Tag": "latency_kv.atoms.tags",
    "TypedStore": "latency_kv.typed.store",
    "atom": "latency_kv.atoms.decorator",
    "open_state_store": "latency_kv.providers.state_stores",
    "tag": "latency_kv.atoms.tags",
}


def get_include() -> str:
    """Return the folder to compile operators with, for `include_dirs` and `cimport`."""
    from pathlib import Path

    return str(Path(__file__).parent.parent)


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_LATER[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
