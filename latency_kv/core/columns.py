"""Columns: an image's sections as arrays of other libraries, without a copy.

numpy and pyarrow are asked for when they are needed.  Start at `columns_of`.
"""

from __future__ import annotations

import struct
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy

    Offsets = numpy.ndarray[tuple[int], numpy.dtype[numpy.int64]]
    Bytes = numpy.ndarray[tuple[int], numpy.dtype[numpy.uint8]]

__all__ = ["Columns", "arrow_table", "columns_of"]

# Offset and size of each section, in the header of docs/snapshot-format.md.
_SECTIONS = struct.Struct("<48x8Q")


class Columns(NamedTuple):
    """The sections of an image: entry i's key is keys[key_offsets[i]:key_offsets[i+1]].

    Offsets have the shape (n + 1,); the entries are in key order.
    """

    key_offsets: Offsets
    keys: Bytes
    value_offsets: Offsets
    values: Bytes


def columns_of(image: memoryview) -> Columns:
    """Return the sections of an image as read-only arrays that share its memory."""
    numpy = _needed("numpy", "numpy")
    key_offsets, keys, value_offsets, values = _sections(image)
    return Columns(
        numpy.frombuffer(key_offsets, "<i8"),
        numpy.frombuffer(keys, "u1"),
        numpy.frombuffer(value_offsets, "<i8"),
        numpy.frombuffer(values, "u1"),
    )


def arrow_table(image: memoryview) -> Any:
    """Return an Arrow table of key and value that shares the image's memory."""
    pyarrow = _needed("pyarrow", "arrow")
    parts = list(map(pyarrow.py_buffer, _sections(image)))
    count = parts[0].size // 8 - 1
    columns = [
        pyarrow.LargeBinaryArray.from_buffers(
            pyarrow.large_binary(), count, [None, offsets, content]
        )
        for offsets, content in (parts[:2], parts[2:])
    ]
    return pyarrow.Table.from_arrays(columns, names=["key", "value"])


def _sections(image: memoryview) -> list[memoryview]:
    fields = _SECTIONS.unpack_from(image)
    return [
        image[start : start + size]
        for start, size in zip(fields[::2], fields[1::2], strict=True)
    ]


def _needed(module: str, extra: str) -> Any:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"this needs {module}: pip install 'latency-kv[{extra}]'", name=module
        ) from error
