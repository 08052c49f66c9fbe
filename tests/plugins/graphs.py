"""Graphs: plugins at random, and who among them may serve whom.

In a graph of layers a plugin requires facets of lower layers alone, so there is no
circle; in any other graph there may be. Start at `graph`.
"""

import random
from collections.abc import Iterable

from latency_kv.plugins.manifest import FacetProvision, FacetRequirement, PluginManifest
from latency_kv.plugins.registry import FacetRegistry
from plugins.hosts import manifest

__all__ = ["HOSTS_OWN", "graph", "matches", "reach", "register_hosts_own"]

LAYERS = ["AB", "CD", "EF", "GH"]
FACETS = "".join(LAYERS)

# What the host provides: facet, qualifier, priority.
HOSTS_OWN: list[tuple[str, str | None, int]] = [
    ("A", None, 1),
    ("C", "host", 0),
    ("C", None, 2),
    ("F", "host", 1),
]

# A qualifier that nobody provides.
NOBODYS = "nobody"

MOST_PRIORITY = 2

# How many require only what somebody provides.
SERVED_RATE = 0.8


def register_hosts_own(registry: FacetRegistry) -> None:
    for facet, qualifier, priority in HOSTS_OWN:
        registry.register(facet, "host", qualifier, priority)


def graph(
    chance: random.Random, ids: Iterable[str], *, is_layered: bool
) -> list[PluginManifest]:
    """Manifests of these ids, to be registered in this order."""
    ids = [*ids]
    layer_of = {id: chance.randrange(len(LAYERS)) for id in ids}
    provided: dict[str, list[FacetProvision]] = {}
    for id in ids:
        facets = LAYERS[layer_of[id]] if is_layered else FACETS
        provided[id] = [
            FacetProvision(
                facet,
                chance.choice([None, f"{id} special"]),
                chance.randint(0, MOST_PRIORITY),
            )
            for facet in chance.sample(facets, chance.randint(0, 2))
        ]
    served = {facet for facet, *_ in HOSTS_OWN}
    served.update(each.facet for provisions in provided.values() for each in provisions)
    made = []
    for id in ids:
        below = "".join(LAYERS[: layer_of[id]]) if is_layered else FACETS
        if chance.random() < SERVED_RATE:
            below = "".join(facet for facet in below if facet in served)
        wanted = chance.sample(below, min(len(below), chance.randint(0, 3)))
        requires = [_requirement(chance, facet, provided) for facet in wanted]
        made.append(manifest(id, provided[id], requires))
    chance.shuffle(made)
    return made


def matches(
    giver: PluginManifest, provision: FacetProvision, requirement: FacetRequirement
) -> bool:
    """Whether the provision is of the facet, and of the qualifier if it matters."""
    return provision.facet == requirement.facet and requirement.qualifier in (
        None,
        giver.qualifier_of(provision),
    )


def reach(manifests: Iterable[PluginManifest], id: str) -> set[str]:
    """The plugin, and all that may have to do with serving it."""
    of = {each.id: each for each in manifests}
    found, left = set[str](), [id]
    while left:
        taker = of[left.pop()]
        if taker.id in found:
            continue
        found.add(taker.id)
        left += [
            giver.id
            for giver in of.values()
            for provision in giver.provides
            if any(matches(giver, provision, each) for each in taker.requires)
        ]
    return found


def _requirement(
    chance: random.Random, facet: str, provided: dict[str, list[FacetProvision]]
) -> FacetRequirement:
    qualifiers: list[str | None] = [
        each.qualifier or id
        for id, provisions in provided.items()
        for each in provisions
        if each.facet == facet
    ]
    qualifiers += [q for f, q, _ in HOSTS_OWN if f == facet and q is not None]
    if chance.random() < 0.1:
        qualifiers = [NOBODYS]
    is_any = not qualifiers or chance.random() < 0.6
    return FacetRequirement(
        facet,
        None if is_any else chance.choice(qualifiers),
        optional=chance.random() < 0.3,
    )
