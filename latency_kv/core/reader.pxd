"""ByteReader: what can be read from a table; the floor under stores and snapshots.

From an operator of your own:

    from latency_kv cimport Cursor, InMemoryStore, cursor_next

A pointer that `find` returns is borrowed from the store and valid until its next write.
Without the GIL the caller keeps writers out; on a snapshot nothing is ever written, and
reads are safe at any time.
"""

cimport cython
from cpython.object cimport PyObject
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE
from latency_kv.core.batch cimport BATCH, find_batch
from latency_kv.core.cursor cimport Cursor
from latency_kv.core.entry cimport Entry, entry_value, entry_value_spared
from latency_kv.core.image cimport Image, image_find
from latency_kv.core.machine cimport NEVER
from latency_kv.core.table cimport Table, table_find

# Operators compile their own copy of the header rooms.  With any change of a layout or
# an invariant this number rises here and in reader.pyx, and an operator that was
# compiled against another one fails to import: the module has no function of that name.
cdef int layout_4() noexcept nogil

# Let a thread release what a dropped table leaves behind, if it is much; with the GIL.
cdef void wake_sweeper() noexcept


# Entries are in the table, or else in the image; so a lookup asks the one, then the
# other, and what is found in the table pays nothing.
cdef class ByteReader:
    cdef Table table
    cdef Image image
    cdef object __weakref__
    cdef PyObject* spare[2]      # counted: values that get has given, for it to reuse
    cdef int turn

    cdef inline const char* find(
        self, const char* key, Py_ssize_t key_size, Py_ssize_t* value_size
    ) noexcept nogil:
        """The value's bytes, borrowed, and their size; NULL without an entry.

        O(1); in an image O(log n).
        """
        cdef Entry* entry
        if NEVER:
            layout_4()
        entry = table_find(&self.table, key, key_size)
        if entry == NULL:
            return image_find(&self.image, key, key_size, value_size)
        value_size[0] = entry.value_size
        return entry_value(entry)

    cdef inline bint c_contains(
        self, const char* key, Py_ssize_t key_size
    ) noexcept nogil:
        """Whether there is an entry of key.  O(1); in an image O(log n)."""
        cdef Py_ssize_t value_size
        return self.find(key, key_size, &value_size) != NULL

    cdef inline Py_ssize_t find_many(
        self, const char* keys, Py_ssize_t key_size, Py_ssize_t count,
        const char** values, Py_ssize_t* value_sizes,
    ) noexcept nogil:
        """Find count keys of one size that lie side by side; how many there are.

        values receive what `find` returns, NULL without an entry.  The cache misses
        overlap: in a store larger than the caches a key takes a third of a find.
        """
        cdef const char* parts[BATCH]
        cdef Py_ssize_t sizes[BATCH]
        cdef Entry* entries[BATCH]
        cdef Py_ssize_t start = 0, index, found_count = 0
        cdef int size
        if NEVER:
            layout_4()
        for index in range(min(count, BATCH)):
            sizes[index] = key_size
        while start < count:
            size = <int>min(count - start, BATCH)
            for index in range(size):
                parts[index] = keys + (start + index) * key_size
            find_batch(&self.table, parts, sizes, size, entries)
            for index in range(size):
                if entries[index] != NULL:
                    values[start + index] = entry_value(entries[index])
                    value_sizes[start + index] = entries[index].value_size
                else:
                    values[start + index] = image_find(
                        &self.image, parts[index], key_size,
                        &value_sizes[start + index],
                    )
                found_count += values[start + index] != NULL
            start += BATCH
        return found_count

    # Bring the index up to date: O(1) but for the first ordered access, which sorts.
    cdef int order(self) except -1

    # Begin a walk over all keys that start with prefix, or over [start, stop), NULL for
    # an open end; with the GIL.  What is written while it is open, it does not see.
    # O(log n) once the index is built.
    cdef int open_prefix(
        self, Cursor* cursor, const char* prefix, Py_ssize_t prefix_size,
        bint reverse=*,
    ) except -1
    cdef int open_range(
        self, Cursor* cursor, const char* start, Py_ssize_t start_size,
        const char* stop, Py_ssize_t stop_size, bint reverse=*,
    ) except -1

    # End the walk, with the GIL; every cursor that was opened has to be closed.
    cdef void close_cursor(self, Cursor* cursor) noexcept

    cdef object read(self, object key, object default)
    cdef object read_image(self, const char* key, size_t key_size, object default)
    cdef void adopt(self, Table* source) noexcept


# The body of get.  The final classes define it each for itself: an interpreter that
# specialises calls does so only for methods of the object's own class.
cdef inline object reader_get(ByteReader reader, object key, object default):
    cdef Entry* entry
    if PyBytes_CheckExact(key):
        entry = table_find(&reader.table, PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key))
        if entry == NULL:
            return reader.read_image(
                PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key), default
            )
        # In turns: a loop holds the last value while it asks for the next.
        reader.turn ^= 1
        return entry_value_spared(entry, &reader.spare[reader.turn])
    return reader.read(key, default)


@cython.final
cdef class Scan:
    cdef Cursor cursor
    cdef Py_ssize_t remaining    # entries that the limit leaves; negative without one
    cdef int part
    cdef bint unread             # the cursor's entry has not been given yet
    cdef tuple pair              # given again when nobody else holds it, as zip does
    cdef PyObject* key           # counted: what the pair held before, written anew if
    cdef PyObject* value         # nobody else holds it: then a scan allocates nothing
    cdef bint advance(self) noexcept
