"""ByteReader and Scan: reading a table by key and in order, for stores and snapshots.

Knows how objects become bytes and bytes objects; the rooms below know the table.  Start
with `ByteReader.get`, then `Scan`.
"""

import _thread
import collections.abc
import os
import reprlib
import sys
import time

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.tuple cimport PyTuple_Pack
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcmp, memcpy, memset

from latency_kv.core.arena cimport Arena
from latency_kv.core.batch cimport BATCH, find_batch
from latency_kv.core.bulk cimport index_order
from latency_kv.core.check cimport (
    check_directory, check_index, check_pages, require,
)
from latency_kv.core.cursor cimport Cursor, cursor_close, cursor_next, cursor_open
from latency_kv.core.entry cimport (
    INLINE_MAX, KEY_SIZE_MAX, Entry, Py_XDECREF, entry_key, entry_key_bytes,
    entry_new, entry_object, entry_release, entry_value, entry_value_bytes, keep,
    refill,
)
from latency_kv.core.hash cimport HashKey
from latency_kv.core.image cimport (
    COUNT_AT, SOUND, Image, image_find, image_key, image_value, image_verify,
)
from latency_kv.core.machine cimport (
    BUILD_NAME, CHUNKS, SLOT_MASK, little_endian64, lowest_bit, match,
)
from latency_kv.core.page cimport EMPTY, Page, slot_entry
from latency_kv.core.rows cimport Rows, rows_drop, rows_match, rows_none, rows_take
from latency_kv.core.sharing cimport (
    RECLAIM_BUDGET, reclaim, table_release, table_share,
)
from latency_kv.core.span cimport (
    Span, counted, span_bytes, span_drop, span_none, span_take,
)
from latency_kv.core.table cimport (
    Segment, Table, Walk, family_new, root_size, table_find,
    table_start, walk_next_page,
)
from latency_kv.core.views import EntriesView, KeysView, ValuesView

cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(PyObject* o) noexcept nogil
    PyObject* PyTuple_GET_ITEM(PyObject* pair, Py_ssize_t index) noexcept nogil
    void PyTuple_SET_ITEM(
        PyObject* pair, Py_ssize_t index, PyObject* part
    ) noexcept nogil

BUILD = BUILD_NAME.decode()

cdef enum Part:
    KEYS
    VALUES
    ENTRIES

# Outlives every store: entries may be held by whoever is destroyed last.
cdef Arena ARENA
memset(&ARENA, 0, sizeof(ARENA))


cdef int layout_4() noexcept nogil:
    return 4


cdef extern from *:
    """
    #ifndef LATENCY_KV_SEEDED
    #define LATENCY_KV_SEEDED 0
    #endif
    """
    bint SEEDED "LATENCY_KV_SEEDED"      # a test build whose secrets its tests know


cdef HashKey draw_secret():
    """The secret words of this process; stores and snapshots carry them along."""
    cdef bytes drawn = bytes(range(1, 41)) if SEEDED else os.urandom(40)
    cdef HashKey secret
    secret.first = little_endian64(PyBytes_AS_STRING(drawn))
    secret.second = little_endian64(PyBytes_AS_STRING(drawn) + 8)
    secret.third = little_endian64(PyBytes_AS_STRING(drawn) + 32) | 1
    secret.strong_first = little_endian64(PyBytes_AS_STRING(drawn) + 16)
    secret.strong_second = little_endian64(PyBytes_AS_STRING(drawn) + 24)
    secret.strong = False
    return secret


cdef Table start_empty():
    """A table without entries, which all readers begin with."""
    cdef Table table
    memset(&table, 0, sizeof(table))
    table.arena = &ARENA
    table.hash = draw_secret()
    table.family = family_new()
    if table.family == NULL or table_start(&table):
        raise MemoryError
    return table


cdef Table NOTHING = start_empty()

# Kept here, where they outlive the modules that they come from.
cdef object START_THREAD = _thread.start_new_thread
cdef object IS_FINALIZING = sys.is_finalizing

# Whether a thread of sweep() is running.
cdef bint SWEEPING = False
# What a sweep releases while it holds the GIL, and how long it leaves it to others: a
# million entries in a second, where nobody writes.
cdef enum:
    SWEEP_BUDGET = 8 * RECLAIM_BUDGET
_SWEEP_PAUSE = 50e-6


def sweep():
    """Release what waits to be released, a little at a time, until nothing does.

    Writers do that as they go; this is the thread for the time when nobody writes.
    """
    global SWEEPING
    try:
        while ARENA.dead != NULL:
            reclaim(&ARENA, SWEEP_BUDGET)
            time.sleep(_SWEEP_PAUSE)
    finally:
        SWEEPING = False


cdef void wake_sweeper() noexcept:
    """Start sweeping unless little is left, or the interpreter is at its end."""
    global SWEEPING
    if ARENA.dead != NULL:
        reclaim(&ARENA, RECLAIM_BUDGET)
    if ARENA.dead == NULL or SWEEPING or IS_FINALIZING():
        return
    SWEEPING = True
    try:
        START_THREAD(sweep, ())
    except (MemoryError, RuntimeError):
        SWEEPING = False


def _after_fork():
    global SWEEPING
    SWEEPING = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


cdef void finish(Cursor* cursor) noexcept:
    """Close a cursor; what it was the last to hold is released."""
    cursor_close(cursor)
    wake_sweeper()


cdef Entry* successor(const char* prefix, Py_ssize_t size) except? NULL:
    """A counted entry whose key is above all keys with this prefix; NULL if none is.

    The caller checks that the prefix is not longer than a key can be.
    """
    cdef Entry* entry
    while size and <uint8_t>prefix[size - 1] == 0xFF:
        size -= 1
    if size == 0:
        return NULL
    entry = entry_new(&ARENA, prefix, size, NULL, 0, NULL)
    if entry == NULL:
        raise MemoryError
    (<uint8_t*>entry_key(entry))[size - 1] += 1
    return entry


cdef class ByteReader:
    """What stores and snapshots have in common: reads by key and in key order.

    Not made directly.  Keys are bytes or any object with a contiguous buffer; TypeError
    otherwise.  Iteration and scans are in bytewise key order and point-in-time: they
    see the entries as they were when the scan was created.

    by key      `reader[key]`, `contains`, `in`, `get_many`
    in order    `prefix_scan`, `prefix_keys`, `range_scan`, `range_keys`, `iter`,
                `reversed`
    one entry   `first`, `last`, `floor`, `ceiling`
    views       `keys`, `values`, `items`
    the whole   `len`, `is_empty`, `size_bytes`, `memory_bytes`, `==`, `check`

    The first ordered access builds the index, O(n), unless the store is kept ordered;
    from then on opening a scan costs O(log n).

    >>> from latency_kv import InMemoryStore
    >>> store = InMemoryStore({b"a/1": b"x", b"a/2": b"y", b"b/1": b"z"})
    >>> list(store.prefix_scan(b"a/", reverse=True))
    [(b'a/2', b'y'), (b'a/1', b'x')]
    >>> list(store.range_keys(b"a/2", b"b/2"))
    [b'a/2', b'b/1']
    >>> store.floor(b"a/9")
    (b'a/2', b'y')
    """

    def __cinit__(self):
        # Whatever becomes of it, a reader has a table to read; nothing here can fail,
        # or a snapshot would be finalized before its attributes are there.
        table_share(&NOTHING, &self.table)

    def __init__(self, *args, **kwargs):
        raise TypeError(
            "ByteReader is what InMemoryStore and StateSnapshot share: use them"
        )

    def __dealloc__(self):
        table_release(&self.table)
        wake_sweeper()
        Py_XDECREF(self.spare[0])
        Py_XDECREF(self.spare[1])

    cdef int order(self) except -1:
        if index_order(&self.table):
            raise MemoryError("no memory to build the index; nothing has changed")
        return 0

    cdef void adopt(self, Table* source) noexcept:
        """See what source, of another reader, sees instead of what this one saw."""
        table_release(&self.table)
        table_share(source, &self.table)
        wake_sweeper()

    cdef object read(self, object key, object default):
        """The value of a key that is any object with a buffer, or default."""
        cdef Span span
        cdef Entry* entry
        span_take(&span, key, "key")
        try:
            entry = table_find(&self.table, span.data, span.size)
            if entry == NULL:
                return self.read_image(span.data, span.size, default)
            return entry_value_bytes(entry)
        finally:
            span_drop(&span)

    cdef object read_image(self, const char* key, size_t key_size, object default):
        """What a lookup answers that found nothing in the table."""
        cdef Py_ssize_t size
        cdef const char* value = image_find(&self.image, key, key_size, &size)
        return default if value == NULL else value[:size]

    def __getitem__(self, key):
        value = reader_get(self, key, None)
        if value is None:
            raise KeyError(key)
        return value

    def contains(self, key):
        """Return whether there is an entry of key.  O(1)."""
        return key in self

    def __contains__(self, key):
        cdef Span span
        cdef bint found
        span_take(&span, key, "key")
        found = self.c_contains(span.data, span.size)
        span_drop(&span)
        return found

    def get_many(self, keys):
        """Return the values of keys as a list, None where there is no entry.

        O(1) a key; looks up several at a time, so that their cache misses overlap.
        """
        cdef list wanted = []
        cdef Py_ssize_t count, start = 0, index, size
        cdef list values
        cdef const char* parts[BATCH]
        cdef Py_ssize_t sizes[BATCH]
        cdef Entry* entries[BATCH]
        cdef bytes key
        # No comprehension: Cython 3.3's drops a reference too many when memory ends.
        for source in keys:
            wanted.append(span_bytes(source, "key"))
        count = len(wanted)
        values = [None] * count
        while start < count:
            size = min(count - start, BATCH)
            for index in range(size):
                key = <bytes>wanted[start + index]
                parts[index] = PyBytes_AS_STRING(key)
                sizes[index] = PyBytes_GET_SIZE(key)
            find_batch(&self.table, parts, sizes, size, entries)
            for index in range(size):
                if entries[index] != NULL:
                    values[start + index] = entry_value_bytes(entries[index])
                elif self.image.count:
                    values[start + index] = self.read_image(
                        parts[index], sizes[index], None
                    )
            start += BATCH
        return values

    def get_array(self, keys, values, found=None):
        """Copy the values of an array of keys into one of values; return how many.

        Each has a row for each key, all of one size: a contiguous buffer whose first
        dimension counts them, such as numpy's uint8 of (1000, 16), or 1,000 of uint64.
        Rows without an entry stay as they are; `found`, of a byte a row, is set to 1 or
        0.  Big-endian integers (">u8") are in the order of the store.

        O(1) a row, without an object for it, and their cache misses overlap.
        ValueError if the arrays do not fit together, or for a value that is no row in
        size; those before it have been copied.
        """
        cdef Rows key_rows, value_rows, found_rows
        rows_none(&key_rows)
        rows_none(&value_rows)
        rows_none(&found_rows)
        try:
            rows_take(&key_rows, keys, "keys", False)
            rows_take(&value_rows, values, "values", True)
            rows_match(&value_rows, &key_rows, "values", "keys")
            if found is not None:
                rows_take(&found_rows, found, "found", True)
                rows_match(&found_rows, &key_rows, "found", "keys")
                if found_rows.size != 1:
                    raise ValueError(
                        f"found has rows of {found_rows.size:,} bytes, and not of one"
                    )
            return _read_rows(self, &key_rows, &value_rows, &found_rows)
        finally:
            rows_drop(&found_rows)
            rows_drop(&value_rows)
            rows_drop(&key_rows)

    def __len__(self):
        return self.table.entry_count + self.image.count

    def __bool__(self):
        return self.table.entry_count + self.image.count != 0

    def is_empty(self):
        """Return whether there are no entries."""
        return self.table.entry_count + self.image.count == 0

    def size_bytes(self):
        """Return the sum of the sizes of all keys and values, in bytes.  O(1)."""
        return (
            self.table.key_bytes + self.table.value_bytes
            + self.image.keys_size + self.image.values_size
        )

    def memory_bytes(self):
        """Return the memory in bytes that entries, pages, index and image take.  O(1).

        What is shared with a snapshot or a copy is counted by each.
        """
        cdef Table* table = &self.table
        cdef size_t size = table.entry_memory + table.index.node_bytes
        size += table.page_count * sizeof(Page) + table.segment_count * sizeof(Segment)
        if table.root != NULL:
            size += root_size(table.root.head.level)
        return size + self.image.size + <size_t>type(self).__basicsize__

    def __sizeof__(self):
        return self.memory_bytes()

    def __repr__(self):
        entries = "1 entry" if len(self) == 1 else f"{len(self):,} entries"
        size = counted(self.size_bytes(), "byte")
        return f"<{type(self).__name__} of {entries}, {size}>"

    __hash__ = None

    def __eq__(self, other):
        if isinstance(other, ByteReader):
            return _same_entries(self, other)
        if isinstance(other, collections.abc.Mapping):
            return len(other) == len(self) and _as_dict(self) == dict(other)
        return NotImplemented

    cdef int open_prefix(
        self, Cursor* cursor, const char* prefix, Py_ssize_t prefix_size,
        bint reverse=False,
    ) except -1:
        cdef Entry* stop
        cdef const char* stop_key = NULL
        cdef Py_ssize_t stop_size = 0
        if prefix_size > KEY_SIZE_MAX:
            # No key is as long: an empty range.
            return self.open_range(cursor, b"", 0, b"", 0, reverse)
        stop = successor(prefix, prefix_size)
        if stop != NULL:
            stop_key = entry_key(stop)
            stop_size = stop.key_size
        try:
            return self.open_range(
                cursor, prefix if prefix_size else NULL, prefix_size,
                stop_key, stop_size, reverse,
            )
        finally:
            if stop != NULL:
                entry_release(&ARENA, stop)

    cdef int open_range(
        self, Cursor* cursor, const char* start, Py_ssize_t start_size,
        const char* stop, Py_ssize_t stop_size, bint reverse=False,
    ) except -1:
        cursor.arena = NULL
        # A bound longer than any key orders like its first bytes.
        start_size = min(start_size, <Py_ssize_t>KEY_SIZE_MAX + 1)
        stop_size = min(stop_size, <Py_ssize_t>KEY_SIZE_MAX + 1)
        self.order()
        if cursor_open(
            cursor, &self.table, start, start_size, stop, stop_size, reverse
        ):
            raise MemoryError("no memory to open a scan")
        return 0

    cdef void close_cursor(self, Cursor* cursor) noexcept:
        finish(cursor)

    def prefix_scan(self, prefix=b"", *, reverse=False, limit=None):
        """Iterate over (key, value) of all keys that start with prefix, in key order.

        reverse starts at the highest key; limit is the number of entries at most, None
        for all.  The scan sees the entries as they are now; opening it costs O(log n).
        Raises ValueError for a negative limit.
        """
        return _scan_prefix(self, ENTRIES, prefix, reverse, limit)

    def prefix_keys(self, prefix=b"", *, reverse=False, limit=None):
        """Iterate over all keys that start with prefix, as prefix_scan does."""
        return _scan_prefix(self, KEYS, prefix, reverse, limit)

    def range_scan(self, start=None, stop=None, *, reverse=False, limit=None):
        """Iterate over (key, value) of all keys in [start, stop), in key order.

        None is an open end; an inverted range is empty.  reverse, limit and cost are
        those of prefix_scan.
        """
        return _scan_range(self, ENTRIES, start, stop, reverse, limit)

    def range_keys(self, start=None, stop=None, *, reverse=False, limit=None):
        """Iterate over all keys in [start, stop), as range_scan does."""
        return _scan_range(self, KEYS, start, stop, reverse, limit)

    def first(self, prefix=b""):
        """Return the lowest (key, value) whose key starts with prefix, or None.

        O(log n).
        """
        return next(_scan_prefix(self, ENTRIES, prefix, False, 1), None)

    def last(self, prefix=b""):
        """Return the highest (key, value) whose key starts with prefix, or None.

        O(log n).
        """
        return next(_scan_prefix(self, ENTRIES, prefix, True, 1), None)

    def ceiling(self, key):
        """Return the lowest (key, value) whose key is not below key, or None.

        O(log n).
        """
        return next(_scan_range(self, ENTRIES, key, None, False, 1), None)

    def floor(self, key):
        """Return the highest (key, value) whose key is not above key, or None.

        O(log n).
        """
        # The lowest key above key is key and a zero byte.
        above = span_bytes(key, "key") + b"\0"
        return next(_scan_range(self, ENTRIES, None, above, True, 1), None)

    def __iter__(self):
        return _scan_prefix(self, KEYS, b"", False, None)

    def __reversed__(self):
        return _scan_prefix(self, KEYS, b"", True, None)

    def keys(self):
        """Return a set-like view of the keys; each iteration is a scan."""
        return KeysView(self)

    def values(self):
        """Return a view of the values, in key order; `in` compares them all."""
        return ValuesView(self)

    def items(self):
        """Return a set-like view of the (key, value) pairs, in key order."""
        return EntriesView(self)

    def _scan_values(self, reverse=False):
        return _scan_prefix(self, VALUES, b"", reverse, None)

    def check(self):
        """Assert all that is promised of the inside, for tests and debugging.

        The invariants of pages, directory, index and image.  O(n log n).  Raises
        AssertionError, which names what is broken.
        """
        cdef size_t at
        check_directory(&self.table)
        check_pages(&self.table)
        if self.table.index.built:
            self.order()
            check_index(&self.table)
        if self.image.data != NULL:
            require(image_verify(&self.image, &at) == SOUND, "the image is sound")


cdef Py_ssize_t _read_rows(
    ByteReader reader, Rows* keys, Rows* values, Rows* found
) except -1:
    """Copy the values of rows of keys; found may be rows of nothing."""
    cdef const char* parts[BATCH]
    cdef Py_ssize_t sizes[BATCH]
    cdef Py_ssize_t start = 0, index, row, size, found_count = 0
    while start < keys.count:
        size = min(keys.count - start, BATCH)
        found_count += reader.find_many(
            keys.data + start * keys.size, keys.size, size, parts, sizes
        )
        for index in range(size):
            row = start + index
            if found.data != NULL:
                found.data[row] = parts[index] != NULL
            if parts[index] == NULL:
                continue
            if sizes[index] != values.size:
                key = keys.data[row * keys.size:(row + 1) * keys.size]
                raise ValueError(
                    f"the value of key {reprlib.repr(key)}, row {row:,}, has "
                    f"{counted(sizes[index], 'byte')}, and a row of values "
                    f"{values.size:,}"
                )
            memcpy(values.data + row * values.size, parts[index], values.size)
        start += BATCH
    return found_count


cdef dict _as_dict(ByteReader reader):
    cdef dict entries = {}
    cdef const Table* table = &reader.table
    cdef const Image* image = &reader.image
    cdef const char* key
    cdef const char* value
    cdef size_t index, key_size, value_size
    cdef Walk walk
    cdef Page* page
    cdef Entry* entry
    cdef uint32_t bits
    cdef int chunk
    walk.root_index = 0
    walk.segment = NULL
    page = walk_next_page(table, &walk)
    while page != NULL:
        for chunk in range(CHUNKS):
            bits = ~match(page.chunks[chunk].control, EMPTY) & SLOT_MASK
            while bits:
                entry = slot_entry(page.chunks[chunk].slots[lowest_bit(bits)])
                bits &= bits - 1
                entries[entry_key_bytes(entry)] = entry_value_bytes(entry)
        page = walk_next_page(table, &walk)
    for index in range(image.count):
        key = image_key(image, index, &key_size)
        value = image_value(image, index, &value_size)
        entries[key[:key_size]] = value[:value_size]
    return entries


cdef bint _same_entries(ByteReader reader, ByteReader other):
    if len(reader) != len(other) or reader.size_bytes() != other.size_bytes():
        return False
    if reader.image.count and other.image.count:
        # Equal content is equal bytes.
        return reader.image.size == other.image.size and memcmp(
            reader.image.data + COUNT_AT, other.image.data + COUNT_AT,
            reader.image.size - COUNT_AT,
        ) == 0
    if reader.image.count:
        return _same_as_image(&other.table, &reader.image)
    if other.image.count:
        return _same_as_image(&reader.table, &other.image)
    return _same_as_table(&reader.table, &other.table)


cdef bint _same_as_image(const Table* table, const Image* image) noexcept:
    """Whether a table has all entries of an image with as many."""
    cdef size_t index, key_size, value_size
    cdef const char* key
    cdef const char* value
    cdef Entry* entry
    for index in range(image.count):
        key = image_key(image, index, &key_size)
        value = image_value(image, index, &value_size)
        entry = table_find(table, key, key_size)
        if entry == NULL or entry.value_size != value_size or memcmp(
            entry_value(entry), value, value_size
        ):
            return False
    return True


cdef bint _same_as_table(const Table* table, const Table* other) noexcept:
    """Whether a table has all entries of another with as many."""
    cdef Walk walk
    cdef Page* page
    cdef Entry* entry
    cdef Entry* twin
    cdef uint32_t bits
    cdef int chunk
    walk.root_index = 0
    walk.segment = NULL
    page = walk_next_page(table, &walk)
    while page != NULL:
        for chunk in range(CHUNKS):
            bits = ~match(page.chunks[chunk].control, EMPTY) & SLOT_MASK
            while bits:
                entry = slot_entry(page.chunks[chunk].slots[lowest_bit(bits)])
                bits &= bits - 1
                twin = table_find(other, entry_key(entry), entry.key_size)
                if twin == entry:
                    continue
                if twin == NULL or twin.value_size != entry.value_size or memcmp(
                    entry_value(twin), entry_value(entry), entry.value_size
                ):
                    return False
        page = walk_next_page(table, &walk)
    return True


@cython.final
@cython.no_gc     # a pair of bytes closes no cycle
cdef class Scan:
    """An iterator over a table's entries, keys or values as they were at its creation.

    Holds what it can see until it is exhausted, closed or dropped.
    """

    def __init__(self, *args, **kwargs):
        raise TypeError("a Scan is made by the scan methods of a store or a snapshot")

    def __dealloc__(self):
        finish(&self.cursor)
        Py_XDECREF(self.key)
        Py_XDECREF(self.value)

    def close(self):
        """End the scan and let go of what it sees.  Closing twice does nothing more."""
        finish(&self.cursor)

    def __iter__(self):
        return self

    def __next__(self):
        cdef Cursor* cursor = &self.cursor
        cdef object part
        if self.part != ENTRIES:
            if not self.advance():
                raise StopIteration
            if self.part == KEYS:
                part = cursor.key[:cursor.key_size]
            else:
                part = cursor_value_bytes(cursor)
            self.unread = False
            return part
        # The pair first: making one can run the collector, and with it code that uses
        # or closes this very scan.
        if self.pair is None or Py_REFCNT(<PyObject*>self.pair) != 1:
            self.pair = PyTuple_Pack(2, <PyObject*>None, <PyObject*>None)
        if not self.advance():
            self.pair = None
            keep(&self.key, None)
            keep(&self.value, None)
            raise StopIteration
        if not refill(self.key, cursor.key, cursor.key_size):
            keep(&self.key, cursor.key[:cursor.key_size])
        if cursor.value_size > INLINE_MAX or not refill(
            self.value, cursor.value, cursor.value_size
        ):
            keep(&self.value, cursor_value_bytes(cursor))
        self.unread = False
        # What the pair held stays behind: when the next entry is asked for, a loop has
        # let go of it.
        pair_swap(<PyObject*>self.pair, 0, &self.key)
        pair_swap(<PyObject*>self.pair, 1, &self.value)
        return self.pair

    cdef inline bint advance(self) noexcept:
        """Move to the next entry, or stay at one that memory did not suffice for."""
        if self.unread and self.cursor.arena != NULL:
            return True
        if self.remaining == 0 or not cursor_next(&self.cursor):
            finish(&self.cursor)
            return False
        self.remaining -= 1
        self.unread = True
        return True


cdef inline void pair_swap(PyObject* pair, Py_ssize_t index, PyObject** part) noexcept:
    """Exchange a part of a pair that only its scan holds."""
    cdef PyObject* old = PyTuple_GET_ITEM(pair, index)
    PyTuple_SET_ITEM(pair, index, part[0])
    part[0] = old


cdef inline bytes cursor_value_bytes(const Cursor* cursor):
    """The value of a step: a large one is the very object that the entry holds."""
    if cursor.entry != NULL and cursor.value_size > INLINE_MAX:
        return <bytes><object>entry_object(cursor.entry)
    return cursor.value[:cursor.value_size]


cdef Py_ssize_t _limit_of(object limit) except -2:
    cdef Py_ssize_t count
    if limit is None:
        return -1
    count = limit
    if count < 0:
        raise ValueError(f"limit is the number of entries at most, not {count}")
    return count


cdef Scan _scan_prefix(
    ByteReader reader, int part, object prefix, bint reverse, object limit
):
    cdef Span span
    cdef Py_ssize_t count = _limit_of(limit)
    cdef Scan scan = Scan.__new__(Scan)
    scan.part = part
    scan.remaining = count
    span_take(&span, prefix, "prefix")
    try:
        reader.open_prefix(&scan.cursor, span.data, span.size, reverse)
    finally:
        span_drop(&span)
    return scan


cdef Scan _scan_range(
    ByteReader reader, int part, object start, object stop, bint reverse, object limit
):
    cdef Span low, high
    cdef Py_ssize_t count = _limit_of(limit)
    cdef Scan scan = Scan.__new__(Scan)
    scan.part = part
    scan.remaining = count
    span_none(&low)
    span_none(&high)
    try:
        if start is not None:
            span_take(&low, start, "key")
        if stop is not None:
            span_take(&high, stop, "key")
        reader.open_range(
            &scan.cursor, low.data, low.size, high.data, high.size, reverse
        )
    finally:
        span_drop(&high)
        span_drop(&low)
    return scan
