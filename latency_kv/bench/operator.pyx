# cython: language_level=3, binding=False
"""The operator of the bench: calls from C, as an author of operators would write them.

Built outside the package by native.py.  Knows the store's .pxd and nothing else of it.

Keys and values are pieces of one size, side by side; a block of values that is shorter
than the keys is used again from its start.  `spans` is the address of as many int64 as
there are calls, for the ns of each, or 0: then no clock is read.
"""

from libc.stdint cimport int64_t
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec
from latency_kv cimport Cursor, InMemoryStore, cursor_next


cdef extern from *:
    """
    /* What passes here may be any pointer, and any memory may have changed: so no
       compiler lifts a lookup out of its loop, or leaves it out. */
    #define opaque(pointer) __asm__ volatile("" : "+r"(pointer) : : "memory")
    #define consume(byte) __asm__ volatile("" : : "r"(byte))
    """
    void opaque(const char* pointer) noexcept nogil
    void consume(char byte) noexcept nogil


cdef enum:
    # Keys that are found at once.
    AT_ONCE = 500


cdef class Idle:
    """The price of a call from Python: a method like the store's get, without work."""

    def get(self, key, default=None):
        return default


cdef inline int64_t now() noexcept nogil:
    cdef timespec time
    clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec * <int64_t>1_000_000_000 + time.tv_nsec


def find_all(
    InMemoryStore store not None,
    bytes keys not None,
    Py_ssize_t key_size,
    Py_ssize_t stride,
    Py_ssize_t count,
    bint read,
    size_t spans=0,
):
    """Find `count` keys, `stride` bytes apart, and return the size of all values.

    A stride of 0 asks for the first key every time.  Values are looked into if `read`.
    """
    cdef const char* key = keys
    cdef const char* value
    cdef Py_ssize_t value_size = 0
    cdef Py_ssize_t total = 0
    cdef Py_ssize_t index
    cdef int64_t begin = 0
    with nogil:
        for index in range(count):
            if spans:
                begin = now()
            opaque(key)
            value = store.find(key, key_size, &value_size)
            if value != NULL:
                opaque(value)
                if read:
                    consume(value[0])
                total += value_size
            if spans:
                (<int64_t*>spans)[index] = now() - begin
            key += stride
    return total


def find_many_all(
    InMemoryStore store not None,
    bytes keys not None,
    Py_ssize_t key_size,
    Py_ssize_t stride,
    Py_ssize_t count,
    bint read,
    size_t spans=0,
):
    """Find `count` keys side by side, AT_ONCE at a time, as `find_all` does."""
    cdef const char* key = keys
    cdef const char* values[AT_ONCE]
    cdef Py_ssize_t sizes[AT_ONCE]
    cdef Py_ssize_t start = 0, size, index, total = 0
    if stride != key_size or spans:
        raise ValueError("keys side by side are found, and none is timed alone")
    with nogil:
        while start < count:
            size = min(count - start, AT_ONCE)
            store.find_many(key + start * key_size, key_size, size, values, sizes)
            for index in range(size):
                if values[index] != NULL:
                    opaque(values[index])
                    if read:
                        consume(values[index][0])
                    total += sizes[index]
            start += AT_ONCE
    return total


def put_all(
    InMemoryStore store not None,
    bytes keys not None,
    Py_ssize_t key_size,
    bytes values not None,
    Py_ssize_t value_size,
    Py_ssize_t count,
    size_t spans,
):
    """Put `count` entries."""
    cdef const char* key = keys
    cdef const char* value = values
    cdef const char* end = value + (len(values) // value_size if value_size else 0) * (
        value_size
    )
    cdef Py_ssize_t index
    cdef int64_t begin = 0
    for index in range(count):
        if spans:
            begin = now()
        store.c_put(key, key_size, value, value_size)
        if spans:
            (<int64_t*>spans)[index] = now() - begin
        key += key_size
        value += value_size
        if value >= end:
            value = values


def delete_all(
    InMemoryStore store not None,
    bytes keys not None,
    Py_ssize_t key_size,
    Py_ssize_t count,
    size_t spans,
):
    """Delete `count` keys and return how many were there."""
    cdef const char* key = keys
    cdef Py_ssize_t deleted = 0
    cdef Py_ssize_t index
    cdef int64_t begin = 0
    for index in range(count):
        if spans:
            begin = now()
        deleted += store.c_delete(key, key_size)
        if spans:
            (<int64_t*>spans)[index] = now() - begin
        key += key_size
    return deleted


def scan_all(
    InMemoryStore store not None,
    bytes starts not None,
    Py_ssize_t start_size,
    bint is_prefix,
    Py_ssize_t limit,
    Py_ssize_t count,
    size_t spans,
):
    """Scan up to `limit` entries from each start on, and return how many they were.

    A start that is a prefix ends where its keys end.
    """
    cdef Cursor cursor
    cdef const char* start = starts
    cdef Py_ssize_t scanned = 0
    cdef Py_ssize_t index
    cdef Py_ssize_t left
    cdef int64_t begin = 0
    for index in range(count):
        if spans:
            begin = now()
        if is_prefix:
            store.open_prefix(&cursor, start, start_size)
        else:
            store.open_range(&cursor, start, start_size, NULL, 0)
        with nogil:
            left = limit
            while left and cursor_next(&cursor):
                opaque(cursor.value)
                left -= 1
        store.close_cursor(&cursor)
        if spans:
            (<int64_t*>spans)[index] = now() - begin
        scanned += limit - left
        start += start_size
    return scanned
