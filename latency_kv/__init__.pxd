"""The cimport front door: what an operator of your own needs."""

from latency_kv.core.cursor cimport Cursor, cursor_next
from latency_kv.core.snapshot cimport StateSnapshot
from latency_kv.core.store cimport InMemoryStore
