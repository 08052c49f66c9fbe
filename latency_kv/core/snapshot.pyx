"""StateSnapshot: a store as it was at one moment, frozen and readable.

It holds the directory and the index of its moment; the store copies what it goes on to
write.  Reads are ByteReader's.
"""

import collections.abc
import datetime
import time

cimport cython
from cpython.mem cimport PyMem_RawFree

from latency_kv.core.bulk cimport Cell, index_build, index_gather
from latency_kv.core.reader cimport ByteReader, reader_get
from latency_kv.core.table cimport Status, Table

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


@cython.final
@cython.collection_type("mapping")
cdef class StateSnapshot(ByteReader):
    """A store's entries as they were when `InMemoryStore.snapshot` was called.

    Taking one costs the same for any size.  Reads need no lock against the writers of
    the store.

    by key      `get` and ByteReader's reads
    in order    ByteReader's scans
    itself      `timestamp_ns`, `created_at`, `version`

    >>> from latency_kv import InMemoryStore
    >>> store = InMemoryStore({b"a": b"1"})
    >>> moment = store.snapshot()
    >>> store.put(b"a", b"2")
    >>> moment.get(b"a"), store.get(b"a")
    (b'1', b'2')
    """

    def __init__(self, *args, **kwargs):
        raise TypeError("a StateSnapshot is made by InMemoryStore.snapshot()")

    def get(self, key, default=None):
        """Return the value of key as bytes, or default.  O(1)."""
        return reader_get(self, key, default)

    @property
    def created_at(self):
        """The moment of the snapshot, in UTC, to the microsecond."""
        return _EPOCH + datetime.timedelta(microseconds=self.timestamp_ns // 1000)

    @property
    def version(self):
        """The version of the snapshot format, 1."""
        return 1

    cdef int order(self) except -1:
        """Build the index of a snapshot whose store had none; sorts without the GIL."""
        cdef Cell* cells
        cdef Status status
        if self.table.index.built:
            return 0
        with nogil:
            cells = index_gather(&self.table)
        if cells == NULL:
            raise MemoryError("no memory to build the index of a snapshot")
        if self.table.index.built:
            # Another thread was faster.
            PyMem_RawFree(cells)
            return 0
        status = index_build(&self.table, cells)
        PyMem_RawFree(cells)
        if status:
            raise MemoryError("no memory to build the index of a snapshot")
        return 0


cdef StateSnapshot snapshot_of(Table* table):
    """A snapshot of a table as it is now."""
    cdef StateSnapshot snapshot = StateSnapshot.__new__(StateSnapshot)
    snapshot.timestamp_ns = time.time_ns()
    snapshot.adopt(table)
    return snapshot


collections.abc.Mapping.register(StateSnapshot)
