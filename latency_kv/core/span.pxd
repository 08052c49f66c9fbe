"""Span: the bytes of a caller's object, for the time of one call.

A call takes its spans first, then works without running Python code, and drops them
last: both ends may run the code of whoever wrote the object's buffer.
"""

from cpython.buffer cimport (
    PyBUF_SIMPLE, PyBuffer_Release, PyObject_CheckBuffer, PyObject_GetBuffer,
)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE
from latency_kv.core.entry cimport KEY_SIZE_MAX, VALUE_SIZE_MAX

cdef struct Span:
    const char* data
    Py_ssize_t size
    bint held            # a buffer is to be released
    Py_buffer view


cdef inline str counted(Py_ssize_t count, str noun):
    """A count for a message: 1 byte, 1,200 bytes."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


cdef inline int span_refuse(object source, str what) except -1:
    advice = ": encode it first, as in text.encode()" if isinstance(source, str) else ""
    raise TypeError(
        f"a {what} is bytes or has a contiguous buffer, "
        f"not {type(source).__name__}{advice}"
    )


cdef inline int span_take_buffer(Span* span, object source, str what) except -1:
    if not PyObject_CheckBuffer(source):
        span_refuse(source, what)
    PyObject_GetBuffer(source, &span.view, PyBUF_SIMPLE)
    # An empty buffer may have no address; everything below wants one.
    span.data = <const char*>span.view.buf if span.view.len else <const char*>span
    span.size = span.view.len
    span.held = True
    return 0


cdef inline int span_take(Span* span, object source, str what) except -1:
    """Point span at the bytes of source, which the caller keeps alive."""
    span.held = False
    if PyBytes_CheckExact(source):
        span.data = PyBytes_AS_STRING(source)
        span.size = PyBytes_GET_SIZE(source)
        return 0
    return span_take_buffer(span, source, what)


cdef inline void span_drop(Span* span) noexcept:
    if span.held:
        span.held = False
        PyBuffer_Release(&span.view)


cdef inline void span_none(Span* span) noexcept nogil:
    """A span that points nowhere yet, and can be dropped."""
    span.data = NULL
    span.size = 0
    span.held = False


cdef inline bytes span_bytes(object source, str what):
    """The bytes of source in an object of their own: source itself if it is bytes."""
    cdef Span span
    if PyBytes_CheckExact(source):
        return source
    span_take(&span, source, what)
    try:
        return span.data[:span.size]
    finally:
        span_drop(&span)


cdef inline bytes value_bytes(object source):
    """A value's bytes in an object of their own, refused before they are copied."""
    cdef Span span
    span_take(&span, source, "value")
    try:
        check_value_size(span.size)
        return source if PyBytes_CheckExact(source) else span.data[:span.size]
    finally:
        span_drop(&span)


cdef inline int check_key_size(Py_ssize_t size) except -1:
    if size > KEY_SIZE_MAX:
        raise ValueError(
            f"a key of {size:,} bytes is longer than the {KEY_SIZE_MAX:,} that a key "
            "may have: store a digest of it, or put the long part into the value"
        )
    return 0


cdef inline int check_value_size(Py_ssize_t size) except -1:
    if size > VALUE_SIZE_MAX:
        raise ValueError(
            f"a value of {size:,} bytes is longer than the {VALUE_SIZE_MAX:,} that a "
            "value may have: cut it into several entries"
        )
    return 0
