"""Waiting: for what is given back a little later than it is let go.

Letting go of a large store or snapshot is queued and done in small steps, so that it
stops nobody; a test that measures memory has to wait for that. Start at `eventually`.
"""

import time
from collections.abc import Callable

# Far above the milliseconds that it takes, for loaded machines and sanitizers.
PATIENCE_S = 20.0
PAUSE_S = 0.002


def eventually(condition: Callable[[], bool]) -> bool:
    """Whether the condition comes true within PATIENCE_S."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(PAUSE_S)
    return True
