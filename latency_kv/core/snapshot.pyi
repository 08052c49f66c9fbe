"""Types of the compiled module."""

from datetime import datetime
from typing import Any, final

from latency_kv.core.reader import ByteReader

@final
class StateSnapshot(ByteReader):
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...
    @property
    def timestamp_ns(self) -> int: ...
    @property
    def created_at(self) -> datetime: ...
    @property
    def version(self) -> int: ...
