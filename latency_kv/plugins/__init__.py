"""Plugins: what a plugin host hands to its plugins.

    PluginManager        manager: loads plugins in the order of their dependencies
    PluginContext        context: what a plugin gets, and what its host does with it
    PluginManifest       manifest: what a plugin says of itself
    FacetRegistry        registry: which provider serves which facet
    Binder               binder: decides who serves whom
    StateManager         state_manager: a document store, as one plugin sees it
    ObjectPluginState    object_state: a plugin's values by reference, compiled
    StoredPluginState    stored_state: a plugin's values in a store that all share

Start at `PluginManager`.
"""

from latency_kv.plugins.binder import (
    Bindable,
    BindConfig,
    Binder,
    BindProblem,
    BindResult,
    Strategy,
)
from latency_kv.plugins.context import Activation, Binding, HostServices, PluginContext
from latency_kv.plugins.manager import Plugin, PluginManager
from latency_kv.plugins.manifest import FacetProvision, FacetRequirement, PluginManifest
from latency_kv.plugins.object_state import ObjectPluginState
from latency_kv.plugins.registry import FacetRegistry, Registration
from latency_kv.plugins.state_manager import StateManager
from latency_kv.plugins.stored_state import PLUGIN_KEYS, StoredPluginState

__all__ = [
    "PLUGIN_KEYS",
    "Activation",
    "BindConfig",
    "BindProblem",
    "BindResult",
    "Bindable",
    "Binder",
    "Binding",
    "FacetProvision",
    "FacetRegistry",
    "FacetRequirement",
    "HostServices",
    "ObjectPluginState",
    "Plugin",
    "PluginContext",
    "PluginManager",
    "PluginManifest",
    "Registration",
    "StateManager",
    "StoredPluginState",
    "Strategy",
]
