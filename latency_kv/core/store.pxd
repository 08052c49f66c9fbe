"""InMemoryStore at C level: writes for operators; ByteReader has reads and cursors."""

cimport cython
from cpython.object cimport PyObject
from latency_kv.core.cursor cimport Cursor
from latency_kv.core.entry cimport Entry
from latency_kv.core.reader cimport ByteReader
from latency_kv.core.snapshot cimport StateSnapshot
from latency_kv.core.span cimport Span


cdef struct Change:
    Entry* entry       # counted: what was put, or in a deletion what was taken out
    Entry* replaced    # counted: what a put took the place of, or NULL


@cython.final
cdef class InMemoryStore(ByteReader):
    cdef bint ordered

    # All of these with the GIL; each ends the life of the pointers that find returned.

    # Copy key and value in.  Raises ValueError for sizes above the limits, MemoryError;
    # then nothing has changed.  The value may be what find returned.
    cdef int c_put(
        self, const char* key, Py_ssize_t key_size,
        const char* value, Py_ssize_t value_size,
    ) except -1

    # 1 if there was an entry, 0 if not.
    cdef int c_delete(self, const char* key, Py_ssize_t key_size) except -1

    # Delete all keys in [start, stop), NULL for an open end; returns their number.
    cdef Py_ssize_t c_delete_range(
        self, const char* start, Py_ssize_t start_size,
        const char* stop, Py_ssize_t stop_size,
    ) except -1

    cdef int begin(self) except -1
    cdef int rekey(self) except -1
    cdef int load(self, StateSnapshot snapshot) except -1
    cdef int write(
        self, const char* key, Py_ssize_t key_size,
        const char* value, Py_ssize_t value_size, PyObject* large,
    ) except -1
    cdef int put_span(self, Span* key, Span* value, object source) except -1
    cdef int put_object(self, object key, object value) except -1
    cdef int assign(self, object key, object value) except -1
    cdef int remove(self, object key) except -1
    cdef void undo(self, Change* changes, Py_ssize_t count, bint removal) noexcept
    cdef int put_changes(self, Change* changes, Py_ssize_t count) except -1
    cdef object remove_changes(self, Change* changes, Py_ssize_t count)
    cdef object delete_cursor(self, Cursor* cursor)
