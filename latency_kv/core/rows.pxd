"""Rows: a caller's array as rows of one size, for the time of one call.

An array is anything with a contiguous buffer of one or more dimensions: of numpy's, a
thousand by 16 bytes, or a thousand of uint64 or of `S16`.  The first dimension counts
the rows, and a row is what is left.

As with spans, a call takes its rows first and drops them last.  Start at `rows_take`.
"""

from cpython.buffer cimport (
    PyBUF_FORMAT, PyBUF_ND, PyBUF_WRITABLE, PyBuffer_Release, PyObject_CheckBuffer,
    PyObject_GetBuffer,
)
from cpython.exc cimport PyErr_Clear
from latency_kv.core.span cimport counted

cdef extern from "Python.h":
    # Its error is left where it is.
    int get_buffer "PyObject_GetBuffer" (
        object source, Py_buffer* view, int flags
    ) noexcept

cdef struct Rows:
    char* data
    Py_ssize_t count
    Py_ssize_t size      # of a row, in bytes
    bint held            # a buffer is to be released
    Py_buffer view


cdef inline bint names_objects(const char* format) noexcept nogil:
    """Whether a buffer's format has references in it; fields' names are in colons."""
    cdef bint within_name = False
    while format != NULL and format[0]:
        if format[0] == b":":
            within_name = not within_name
        elif format[0] == b"O" and not within_name:
            return True
        format += 1
    return False


cdef inline void rows_none(Rows* rows) noexcept nogil:
    """Rows of nothing, which can be dropped."""
    rows.data = NULL
    rows.count = rows.size = 0
    rows.held = False


cdef inline void rows_drop(Rows* rows) noexcept:
    if rows.held:
        rows.held = False
        PyBuffer_Release(&rows.view)


cdef inline int rows_refuse(object source, str what) except -1:
    advice = ""
    if isinstance(source, (list, tuple)):
        advice = f": numpy.asarray makes one of a {type(source).__name__}"
    raise TypeError(
        f"{what} is an array with a buffer, not {type(source).__name__}{advice}"
    )


cdef inline int rows_insist(Rows* rows, object source, str what, int flags) except -1:
    """Ask again for a buffer that was refused; the error names the array and a cure."""
    try:
        PyObject_GetBuffer(source, &rows.view, flags)
    except (BufferError, ValueError) as error:
        reason = f"{what} is an array to be read: {error}"
        advice = f"numpy.ascontiguousarray({what}) is a copy of the right form"
        if flags & PyBUF_WRITABLE:
            reason = f"{what} is an array to be written: {error}"
            advice = "hand over a new one, and copy from that"
        if "contiguous" in str(error):
            reason += f"; {advice}"
        raise type(error)(reason) from error
    return 0


cdef inline int rows_take(
    Rows* rows, object source, str what, bint written
) except -1:
    """Point rows at an array of the caller's; it is to be written if `written`."""
    cdef int dimension
    cdef int flags = PyBUF_ND | PyBUF_FORMAT
    if not PyObject_CheckBuffer(source):
        rows_refuse(source, what)
    if written:
        flags |= PyBUF_WRITABLE
    if get_buffer(source, &rows.view, flags):
        PyErr_Clear()
        rows_insist(rows, source, what, flags)
    rows.held = True
    # Bytes over references would be the end of the process.
    if names_objects(rows.view.format):
        raise TypeError(f"{what} is an array of objects: it has to be one of bytes")
    if rows.view.ndim == 0:
        raise TypeError(f"{what} is a single value, and no array of rows")
    rows.data = <char*>rows.view.buf
    rows.count = rows.view.shape[0]
    rows.size = rows.view.itemsize
    for dimension in range(1, rows.view.ndim):
        rows.size *= rows.view.shape[dimension]
    return 0


cdef inline int rows_match(Rows* rows, Rows* others, str what, str whose) except -1:
    """Refuse rows that are not as many as the others."""
    if rows.count != others.count:
        raise ValueError(
            f"{what} has {counted(rows.count, 'row')}, and {whose} {others.count:,}"
        )
    return 0
