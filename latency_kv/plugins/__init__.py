"""Plugins: what a plugin host hands to its plugins.

    StateManager    state_manager: a document store, as one plugin sees it

Start at `StateManager`.
"""

from latency_kv.plugins.state_manager import StateManager

__all__ = ["StateManager"]
