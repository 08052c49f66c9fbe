"""Plugins: what a plugin host hands to its plugins.

    StateManager         state_manager: a document store, as one plugin sees it
    ObjectPluginState    object_state: a plugin's values by reference, compiled
    StoredPluginState    stored_state: a plugin's values in a store that all share

Start at `StateManager`.
"""

from latency_kv.plugins.object_state import ObjectPluginState
from latency_kv.plugins.state_manager import StateManager
from latency_kv.plugins.stored_state import PLUGIN_KEYS, StoredPluginState

__all__ = ["PLUGIN_KEYS", "ObjectPluginState", "StateManager", "StoredPluginState"]
