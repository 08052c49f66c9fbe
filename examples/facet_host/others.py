"""Others: plugins that this host cannot load, by what their manifests say alone.

Manifests as a file would have them.  Start at `Stranger`.
"""

from typing import Any

from latency_kv import PluginContext
from latency_kv.plugins import PluginManifest

# Nobody has a seat plan here.
LOUNGE: dict[str, Any] = {
    "id": "lounge",
    "version": "0.3.0",
    "name": "Lounge",
    "requires": [{"facet": "DelayBook"}, {"facet": "SeatPlan"}],
}

# Each would have to be loaded before the other.
CREWS: dict[str, Any] = {
    "id": "crews",
    "version": "1.0.0",
    "name": "Crews",
    "provides": [{"facet": "CrewList"}],
    "requires": [{"facet": "FleetList"}],
}
FLEET: dict[str, Any] = {
    "id": "fleet",
    "version": "1.0.0",
    "name": "Fleet",
    "provides": [{"facet": "FleetList"}],
    "requires": [{"facet": "CrewList"}],
}

# No manifest: four things are wrong with it.
PARKING: dict[str, Any] = {
    "id": "parking",
    "version": "2",
    "name": "",
    "provides": [{"facet": "CarPark", "priority": -1}],
    "needs": ["GateBoard"],
}


class Stranger:
    """A plugin whose code must not run."""

    def __init__(self, mapping: dict[str, Any]) -> None:
        self.manifest = PluginManifest.from_mapping(mapping)

    def activate(self, ctx: PluginContext) -> None:
        """Fail: nobody can have bound what it requires."""
        raise AssertionError(f"{ctx.plugin_name} was activated")
