"""StateSnapshot at C level: a ByteReader that never changes."""

cimport cython
from latency_kv.core.cursor cimport Cursor
from latency_kv.core.reader cimport ByteReader
from latency_kv.core.table cimport Table


@cython.final
cdef class StateSnapshot(ByteReader):
    cdef readonly long long timestamp_ns
    cdef object memory           # what the image's bytes belong to, or None
    cdef bytes encoded           # the image of a snapshot of a store, once asked for
    cdef object lock             # held by the thread that encodes it
    cdef unsigned long encoder   # that thread, or 0

    cdef bytes encode(self, object progress)
    cdef bytes encode_now(self, object progress)


cdef StateSnapshot snapshot_of(Table* table)
