"""Asserts: pytest explains those of the contracts too, where a failing one is shown.

Imported before any contract, since pytest rewrites a module when it is first imported.
"""

from pathlib import Path

try:
    import pytest
except ImportError as error:
    raise ImportError(
        "latency_kv.testing needs pytest: pip install 'latency-kv[testing]'"
    ) from error

pytest.register_assert_rewrite(
    *(
        f"latency_kv.testing.{path.stem}"
        for path in Path(__file__).parent.glob("[!_]*.py")
    )
)
