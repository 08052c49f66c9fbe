"""StateSnapshot at C level: a ByteReader that never changes."""

cimport cython
from latency_kv.core.reader cimport ByteReader
from latency_kv.core.table cimport Table


@cython.final
cdef class StateSnapshot(ByteReader):
    cdef readonly long long timestamp_ns


cdef StateSnapshot snapshot_of(Table* table)
