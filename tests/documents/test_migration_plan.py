"""Migration plan: each step once, in order, all of them there or none is listed.

Every set of a few migrations between every two versions. Start at
`test_plan_of_every_set_of_migrations`.
"""

import re
from collections import defaultdict
from itertools import chain, combinations
from typing import Any

import pytest

from latency_kv.documents.migrations import plan
from latency_kv.errors import StateMigrationError
from latency_kv.facets.stores import Migration

VERSIONS = range(7)


def migration_to(version: int) -> Migration:
    def migrate(data: Any, _: int) -> Any:
        return [*data, version]

    return migrate


MIGRATIONS = {version: migration_to(version) for version in VERSIONS}


def named(error: StateMigrationError) -> list[int]:
    """The versions that a message names, ranges written out."""
    _, _, missing = error.reason.partition(": ")
    numbers = re.findall(r"(\d+)(?: to (\d+))?(?:, |$)", missing)
    ranges = [range(int(first), int(last or first) + 1) for first, last in numbers]
    return list(chain.from_iterable(ranges))


@pytest.mark.parametrize("target", VERSIONS)
@pytest.mark.parametrize("version", VERSIONS)
def test_plan_of_every_set_of_migrations(version: int, target: int) -> None:
    needed = list(range(version + 1, target + 1))
    for size in range(len(VERSIONS) + 1):
        for present in combinations(VERSIONS, size):
            # Not in their order, which a mapping need not have.
            migrations = {step: MIGRATIONS[step] for step in reversed(present)}
            missing = [step for step in needed if step not in present]
            if missing:
                with pytest.raises(StateMigrationError) as caught:
                    plan("clock", version, target, migrations)
                assert named(caught.value) == missing
                assert caught.value.plugin_name == "clock"
            else:
                steps = plan("clock", version, target, migrations)
                assert steps == [(step, MIGRATIONS[step]) for step in needed]


def test_plan_of_a_far_target_names_what_is_missing() -> None:
    far = 10**18
    with pytest.raises(StateMigrationError) as caught:
        plan("clock", 0, far, {1: MIGRATIONS[1], 7: MIGRATIONS[2], far: MIGRATIONS[3]})
    assert str(caught.value) == (
        "plugin 'clock': from version 0 to 1000000000000000000, there is no migration "
        "for: 2 to 6, 8 to 999999999999999999"
    )


def test_plan_makes_up_no_migration() -> None:
    anything: defaultdict[int, Migration] = defaultdict(lambda: MIGRATIONS[1])
    with pytest.raises(StateMigrationError, match="no migration for: 1 to 2$"):
        plan("clock", 0, 2, anything)
    assert not anything


def test_plan_leaves_keys_aside_that_are_no_versions() -> None:
    migrations: Any = {"1": MIGRATIONS[2], 1: MIGRATIONS[1], None: MIGRATIONS[3]}
    assert plan("clock", 0, 1, migrations) == [(1, MIGRATIONS[1])]
