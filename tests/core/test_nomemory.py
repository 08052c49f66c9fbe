"""Failed allocations: at every point of every method, MemoryError or success.

Either leaves a valid store that equals the model. The sweep itself is starve.py, in an
interpreter of its own, since it breaks the allocator; to repeat one call of it:

    python -c "from core.starve import starve; starve('shared', 'put_many')"
"""

import pytest

from fresh import call_fresh

pytest.importorskip("_testcapi")


@pytest.mark.parametrize("bench", ["plain", "indexed", "shared"])
def test_store_survives_every_failed_allocation(bench: str) -> None:
    print(call_fresh("core.starve:starve_all", bench))


def test_making_a_store_survives_every_failed_allocation() -> None:
    print(call_fresh("core.starve:starve_making"))
