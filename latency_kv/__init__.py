"""latency_kv: an in-process key-value engine for operators that cannot wait.

Start with `InMemoryStore`; `TypedStore` puts typed values on top of it.
"""

from latency_kv.core.snapshot import StateSnapshot
from latency_kv.core.store import InMemoryStore
