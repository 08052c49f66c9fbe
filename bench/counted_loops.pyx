# cython: language_level=3, binding=False
"""The loops of C that are counted, and the mark between what counts and what does not.

instructions.py compiles it outside the package, as an author compiles an operator; it
knows the store's .pxd and nothing else of it.  Start with `mark`.
"""

from latency_kv cimport Cursor, InMemoryStore, cursor_next

cdef enum:
    SIZE = 16            # bytes of a key, and of a value


cdef extern from *:
    """
    /* callgrind closes a part of its counts wherever this is called. */
    #if defined(__GNUC__) || defined(__clang__)
    __attribute__((noinline))
    #endif
    void latency_kv_mark(void) { __asm__ volatile("" : : : "memory"); }

    /* What passes here may be any pointer, and any memory may have changed: so no
       compiler lifts a lookup out of its loop, or leaves it out. */
    #define opaque(pointer) __asm__ volatile("" : "+r"(pointer) : : "memory")
    """
    void latency_kv_mark() noexcept nogil
    void opaque(const char* pointer) noexcept nogil


def mark():
    latency_kv_mark()


def find_all(InMemoryStore store not None, bytes keys not None):
    """Find the keys of a block, and return the size of all values."""
    cdef const char* key = keys
    cdef const char* value
    cdef Py_ssize_t value_size = 0
    cdef Py_ssize_t total = 0
    cdef Py_ssize_t count = len(keys) // SIZE
    with nogil:
        for _ in range(count):
            opaque(key)
            value = store.find(key, SIZE, &value_size)
            if value != NULL:
                opaque(value)
                total += value_size
            key += SIZE
    return total


def put_all(InMemoryStore store not None, bytes keys not None, bytes values not None):
    """Put the keys of a block, each with the value that stands there in the other."""
    cdef const char* key = keys
    cdef const char* value = values
    for _ in range(len(keys) // SIZE):
        store.c_put(key, SIZE, value, SIZE)
        key += SIZE
        value += SIZE


def delete_all(InMemoryStore store not None, bytes keys not None):
    """Delete the keys of a block."""
    cdef const char* key = keys
    for _ in range(len(keys) // SIZE):
        store.c_delete(key, SIZE)
        key += SIZE


def scan_all(InMemoryStore store not None, Py_ssize_t count):
    """Walk over so many entries from the first on, and return the size of their values.
    """
    cdef Cursor cursor
    cdef Py_ssize_t total = 0
    store.open_range(&cursor, NULL, 0, NULL, 0)
    try:
        with nogil:
            while count and cursor_next(&cursor):
                total += cursor.value_size
                count -= 1
    finally:
        store.close_cursor(&cursor)
    return total
