"""Types of the compiled operator, for readers and checkers; compiled.pyx has the code.

Start at `DelayOperator`; windows.Operator says what each member means.
"""

from typing import final

from flights.windows import Delays, RouteDelays
from latency_kv import InMemoryStore

@final
class DelayOperator:
    def __init__(self, store: InMemoryStore) -> None: ...
    @property
    def store(self) -> InMemoryStore: ...
    @property
    def total(self) -> Delays: ...
    @property
    def position(self) -> int: ...
    @property
    def open_window(self) -> int: ...
    @property
    def worst_routes(self) -> tuple[RouteDelays, ...]: ...
    def observe(
        self, at: int, route: bytes, carrier: bytes, delay: int | None, /
    ) -> Delays: ...
    def route_week(self, route: bytes, /) -> Delays: ...
