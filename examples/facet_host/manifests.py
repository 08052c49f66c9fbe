"""Manifests: a plugin's manifest is a TOML file beside its module.

So whoever looks for what a plugin provides and requires reads no code, and a tool need
not import it.  Start at `manifest_beside`.
"""

import tomllib
from pathlib import Path

from latency_kv.plugins import PluginManifest


def manifest_beside(module_file: str) -> PluginManifest:
    """Read desk.toml for desk.py; PluginManifestError with all that is wrong."""
    with Path(module_file).with_suffix(".toml").open("rb") as file:
        return PluginManifest.from_mapping(tomllib.load(file))
