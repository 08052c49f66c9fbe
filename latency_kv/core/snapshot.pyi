"""Types of the compiled module."""

from datetime import datetime
from typing import Any, TypeVar, final, overload

from typing_extensions import Buffer

from latency_kv.core.reader import ByteReader

_T = TypeVar("_T")

@final
class StateSnapshot(ByteReader):
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...
    @overload
    def get(self, key: Buffer, default: None = None) -> bytes | None: ...
    @overload
    def get(self, key: Buffer, default: _T) -> bytes | _T: ...
    @property
    def timestamp_ns(self) -> int: ...
    @property
    def created_at(self) -> datetime: ...
    @property
    def version(self) -> int: ...
