"""Entry: a key and its value in one block, counted by those that hold it.

    | refs 4 | key size 4 | value size 4 | key bytes | value bytes     |
    | refs 4 | key size 4 | value size 4 | key bytes | bytes object* 8 |   large value

A value of more than INLINE_MAX bytes is a bytes object held by reference, so that it is
put and got without a copy.

Invariants
    1. Key and value size never change while more than one store or scan sees the entry.
    2. The entry owns one reference to its large value.

Counts change with the GIL held.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.object cimport PyObject
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcmp, memcpy
from latency_kv.core.arena cimport Arena, arena_allocate, arena_block_size, arena_free
from latency_kv.core.machine cimport big_endian64, load32, load64

cdef extern from "Python.h":
    void Py_INCREF_raw "Py_INCREF"(PyObject* o) noexcept nogil
    void Py_DECREF_raw "Py_DECREF"(PyObject* o) noexcept nogil
    void Py_INCREF_object "Py_INCREF"(object o) noexcept
    void Py_XDECREF(PyObject* o) noexcept
    char* bytes_data "PyBytes_AS_STRING"(PyObject* o) noexcept nogil

cdef extern from *:
    """
    /* Write other bytes into a bytes object that only the caller holds, if they fit. */
    static inline int
    latency_kv_refill(PyObject* o, const char* data, Py_ssize_t size) {
        /* Up to one byte, objects are CPython's own. */
        if (o == NULL || Py_REFCNT(o) != 1 || !PyBytes_CheckExact(o)
            || PyBytes_GET_SIZE(o) != size || size < 2) return 0;
        memcpy(PyBytes_AS_STRING(o), data, (size_t)size);
        _Py_COMP_DIAG_PUSH
        _Py_COMP_DIAG_IGNORE_DEPR_DECLS
        ((PyBytesObject*)o)->ob_shash = -1;
        _Py_COMP_DIAG_POP
        return 1;
    }
    """
    bint refill "latency_kv_refill"(
        PyObject* o, const char* data, Py_ssize_t size
    ) noexcept nogil

cdef enum:
    KEY_SIZE_MAX = 65535          # longer keys are digests that nobody has taken yet
    VALUE_SIZE_MAX = 2147483647   # and a value's size 31
    INLINE_MAX = 1024             # above, a copy costs more than a second cache miss
    ENTRY_HEADER = 12             # without the padding that C would put behind it

cdef struct Entry:
    uint32_t refs
    uint32_t key_size
    uint32_t value_size


cdef inline char* entry_key(const Entry* entry) noexcept nogil:
    return <char*>entry + ENTRY_HEADER


cdef inline PyObject* entry_object(const Entry* entry) noexcept nogil:
    """The bytes object of a large value, borrowed from the entry."""
    cdef PyObject* value
    memcpy(&value, <char*>entry + ENTRY_HEADER + entry.key_size, sizeof(value))
    return value


cdef inline const char* entry_value(const Entry* entry) noexcept nogil:
    """The value's bytes; valid as long as the entry is held."""
    if entry.value_size > INLINE_MAX:
        return bytes_data(entry_object(entry))
    return <const char*>entry + ENTRY_HEADER + entry.key_size


cdef inline size_t entry_size(size_t key_size, size_t value_size) noexcept nogil:
    if value_size > INLINE_MAX:
        value_size = sizeof(void*)
    return ENTRY_HEADER + key_size + value_size


cdef inline Entry* entry_new(
    Arena* arena, const char* key, size_t key_size,
    const char* value, size_t value_size, PyObject* large,
) noexcept nogil:
    """An entry with one count, or NULL; large is given when value_size > INLINE_MAX."""
    cdef Entry* entry = <Entry*>arena_allocate(arena, entry_size(key_size, value_size))
    cdef char* data
    if entry == NULL:
        return NULL
    entry.refs = 1
    entry.key_size = <uint32_t>key_size
    entry.value_size = <uint32_t>value_size
    data = entry_key(entry)
    if key_size:
        memcpy(data, key, key_size)
    if value_size > INLINE_MAX:
        Py_INCREF_raw(large)
        memcpy(data + key_size, &large, sizeof(large))
    elif value_size:
        memcpy(data + key_size, value, value_size)
    return entry


cdef inline size_t entry_memory(const Entry* entry) noexcept nogil:
    """Bytes that the entry takes, its large value included."""
    cdef size_t size = arena_block_size(entry_size(entry.key_size, entry.value_size))
    if entry.value_size > INLINE_MAX:
        size += entry.value_size
    return size


cdef inline void entry_free(Arena* arena, Entry* entry) noexcept nogil:
    if entry.value_size > INLINE_MAX:
        Py_DECREF_raw(entry_object(entry))
    arena_free(arena, entry, entry_size(entry.key_size, entry.value_size))


cdef inline void entry_release(Arena* arena, Entry* entry) noexcept nogil:
    entry.refs -= 1
    if entry.refs == 0:
        entry_free(arena, entry)


cdef inline bint same_bytes(const char* a, const char* b, size_t size) noexcept nogil:
    """Equality, without a call for the sizes that keys have."""
    if size > 32:
        return memcmp(a, b, size) == 0
    if size > 16:
        return not (
            (load64(a) ^ load64(b)) | (load64(a + 8) ^ load64(b + 8))
            | (load64(a + size - 16) ^ load64(b + size - 16))
            | (load64(a + size - 8) ^ load64(b + size - 8))
        )
    if size >= 8:
        return not (
            (load64(a) ^ load64(b)) | (load64(a + size - 8) ^ load64(b + size - 8))
        )
    if size >= 4:
        return not (
            (load32(a) ^ load32(b)) | (load32(a + size - 4) ^ load32(b + size - 4))
        )
    while size:
        size -= 1
        if a[size] != b[size]:
            return False
    return True


cdef inline int compare_bytes(
    const char* a, size_t a_size, const char* b, size_t b_size
) noexcept nogil:
    """Negative, zero or positive as a sorts before, with or after b."""
    cdef int order
    cdef uint64_t first, second
    if a_size >= 8 and b_size >= 8:
        # Most keys differ in their first word: that spares a call.
        first = big_endian64(a)
        second = big_endian64(b)
        if first != second:
            return -1 if first < second else 1
    order = memcmp(a, b, a_size if a_size < b_size else b_size)
    if order:
        return order
    return (a_size > b_size) - (a_size < b_size)


cdef inline bytes entry_key_bytes(const Entry* entry):
    return PyBytes_FromStringAndSize(entry_key(entry), entry.key_size)


cdef inline bytes entry_value_bytes(const Entry* entry):
    if entry.value_size > INLINE_MAX:
        return <bytes><object>entry_object(entry)
    return PyBytes_FromStringAndSize(
        <char*>entry + ENTRY_HEADER + entry.key_size, entry.value_size
    )


cdef inline void keep(PyObject** part, object fresh) noexcept:
    """Hold fresh, counted, instead of what part held."""
    cdef PyObject* old = part[0]
    Py_INCREF_object(fresh)
    part[0] = <PyObject*>fresh
    Py_XDECREF(old)


cdef inline object entry_value_spared(const Entry* entry, PyObject** spare):
    """The value, in the spare object if it fits and nobody else holds it any more.

    Most values that are read are dropped before the next but one: this spares them an
    allocation.
    """
    if entry.value_size > INLINE_MAX:
        return <object>entry_object(entry)
    cdef const char* data = <char*>entry + ENTRY_HEADER + entry.key_size
    if not refill(spare[0], data, entry.value_size):
        keep(spare, PyBytes_FromStringAndSize(data, entry.value_size))
    return <object>spare[0]
