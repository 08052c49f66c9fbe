# cython: language_level=3, binding=False
"""The operator of the bench: calls from C, as an author of operators would write them.

Built outside the package by native.py.  Knows the store's .pxd and nothing else of it.
"""

from latency_kv cimport InMemoryStore


cdef extern from *:
    """
    /* What passes here may be any pointer, and any memory may have changed: so no
       compiler lifts a lookup out of its loop, or leaves it out. */
    #define opaque(pointer) __asm__ volatile("" : "+r"(pointer) : : "memory")
    #define consume(byte) __asm__ volatile("" : : "r"(byte))
    """
    void opaque(const char* pointer) noexcept nogil
    void consume(char byte) noexcept nogil


cdef class Idle:
    """The price of a call from Python: a method like the store's get, without work."""

    def get(self, key, default=None):
        return default


def find_all(
    InMemoryStore store not None,
    bytes keys not None,
    Py_ssize_t key_size,
    Py_ssize_t stride,
    Py_ssize_t count,
    bint read,
):
    """Find `count` keys, `stride` bytes apart, and return the size of all values.

    A stride of 0 asks for the first key every time.  Values are looked into if `read`.
    """
    cdef const char* key = keys
    cdef const char* value
    cdef Py_ssize_t value_size = 0
    cdef Py_ssize_t total = 0
    with nogil:
        for _ in range(count):
            opaque(key)
            value = store.find(key, key_size, &value_size)
            if value != NULL:
                opaque(value)
                if read:
                    consume(value[0])
                total += value_size
            key += stride
    return total
