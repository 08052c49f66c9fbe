"""ByteReader and Scan: reading a table by key and in order, for stores and snapshots.

Knows how objects become bytes and bytes objects; the rooms below know the table.  Start
with `ByteReader.get`, then `Scan`.
"""

import _thread
import collections.abc
import os
import sys
import time

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.tuple cimport PyTuple_Pack
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memset

from latency_kv.core.arena cimport Arena
from latency_kv.core.bulk cimport index_order
from latency_kv.core.cursor cimport Cursor, cursor_close, cursor_open, cursor_step
from latency_kv.core.entry cimport (
    INLINE_MAX, KEY_SIZE_MAX, Entry, Py_XDECREF, compare_bytes, entry_key,
    entry_key_bytes, entry_memory, entry_new, entry_release, entry_value,
    entry_value_bytes, keep, refill,
)
from latency_kv.core.hash cimport HashKey, hash_bytes
from latency_kv.core.machine cimport (
    BUILD_NAME, CHUNKS, PAGE_CAPACITY, SEGMENT_BITS, SEGMENT_PAGES, SLOT_MASK,
    little_endian64, lowest_bit, match, prefetch,
)
from latency_kv.core.node cimport (
    common_size, key_word, node_children, node_keys, node_size, node_words,
)
from latency_kv.core.page cimport (
    EMPTY, SECOND_LINE, Chunk, Page, hash_home, hash_step, hash_tag, page_find,
    slot_entry,
)
from latency_kv.core.sharing cimport (
    RECLAIM_BUDGET, reclaim, table_release, table_share,
)
from latency_kv.core.span cimport Span, span_bytes, span_drop, span_none, span_take
from latency_kv.core.table cimport (
    Node, Segment, Table, Walk, family_leave, family_new, root_size, segment_of,
    table_find, table_page, table_start, walk_next_page,
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

cdef enum:
    # Lookups that get_many keeps in flight; measured cores follow some twenty misses.
    BATCH = 32

# Outlives every store: entries may be held by whoever is destroyed last.
cdef Arena ARENA
memset(&ARENA, 0, sizeof(ARENA))


cdef int layout_1() noexcept nogil:
    return 1


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


cdef HashKey SECRET = draw_secret()

# Kept here, where they outlive the modules that they come from.
cdef object START_THREAD = _thread.start_new_thread
cdef object IS_FINALIZING = sys.is_finalizing

# Whether a thread of sweep() is running.
cdef bint SWEEPING = False
# Long enough to leave the GIL to others, short enough for a million entries a second.
_SWEEP_PAUSE = 50e-6


def sweep():
    """Release what waits to be released, a little at a time, until nothing does.

    Writers do that as they go; this is the thread for the time when nobody writes.
    """
    global SWEEPING
    try:
        while ARENA.dead != NULL:
            reclaim(&ARENA, RECLAIM_BUDGET)
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
        # Whatever becomes of it, a reader has a table to read.
        self.table.arena = &ARENA
        self.table.hash = SECRET
        self.table.family = family_new()
        if self.table.family == NULL:
            raise MemoryError
        if table_start(&self.table):
            family_leave(self.table.family)
            self.table.family = NULL
            raise MemoryError

    def __init__(self, *args, **kwargs):
        raise TypeError(
            "ByteReader is what InMemoryStore and StateSnapshot share: use them"
        )

    def __dealloc__(self):
        if self.table.family != NULL:
            table_release(&self.table)
            wake_sweeper()
        Py_XDECREF(self.spare[0])
        Py_XDECREF(self.spare[1])

    cdef int order(self) except -1:
        if index_order(&self.table):
            raise MemoryError("no memory to build the index; nothing has changed")
        return 0

    cdef void adopt(self, Table* source) noexcept:
        """See what source sees, instead of what this reader saw."""
        cdef Table old = self.table
        table_share(source, &self.table)
        table_release(&old)
        wake_sweeper()

    cdef object read(self, object key, object default):
        """The value of a key that is any object with a buffer, or default."""
        cdef Span span
        cdef Entry* entry
        span_take(&span, key, "key")
        try:
            entry = table_find(&self.table, span.data, span.size)
            return default if entry == NULL else entry_value_bytes(entry)
        finally:
            span_drop(&span)

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
        found = table_find(&self.table, span.data, span.size) != NULL
        span_drop(&span)
        return found

    def get_many(self, keys):
        """Return the values of keys as a list, None where there is no entry.

        O(1) a key; looks up several at a time, so that their cache misses overlap.
        """
        cdef list wanted = []
        cdef Py_ssize_t count, start, index, size
        cdef list values
        cdef uint64_t hashes[BATCH]
        cdef Page* pages[BATCH]
        cdef Chunk* chunk
        cdef Entry* entries[BATCH]
        cdef Entry* entry
        cdef bytes key
        # No comprehension: Cython 3.3's drops a reference too many when memory ends.
        for source in keys:
            wanted.append(span_bytes(source, "key"))
        count = len(wanted)
        values = [None] * count
        for start in range(0, count, BATCH):
            size = min(count - start, BATCH)
            for index in range(size):
                key = <bytes>wanted[start + index]
                hashes[index] = hash_bytes(
                    &self.table.hash, PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key)
                )
                pages[index] = table_page(&self.table, hashes[index])
                chunk = &pages[index].chunks[hash_home(hashes[index])]
                prefetch(chunk)
                prefetch(&chunk.slots[SECOND_LINE])
            for index in range(size):
                entries[index] = _first_match(pages[index], hashes[index])
                prefetch(entries[index])
            for index in range(size):
                key = <bytes>wanted[start + index]
                entry = page_find(
                    pages[index], hashes[index],
                    PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key),
                )
                if entry != NULL:
                    values[start + index] = entry_value_bytes(entry)
        return values

    def __len__(self):
        return self.table.entry_count

    def __bool__(self):
        return self.table.entry_count != 0

    def is_empty(self):
        """Return whether there are no entries."""
        return self.table.entry_count == 0

    def size_bytes(self):
        """Return the sum of the sizes of all keys and values, in bytes.  O(1)."""
        return self.table.key_bytes + self.table.value_bytes

    def memory_bytes(self):
        """Return the memory in bytes that entries, pages and index take.  O(1).

        What is shared with a snapshot or a copy is counted by each.
        """
        cdef Table* table = &self.table
        cdef size_t size = table.entry_memory + table.index.node_bytes
        size += table.page_count * sizeof(Page) + table.segment_count * sizeof(Segment)
        if table.root != NULL:
            size += root_size(table.root.head.level)
        return size + <size_t>type(self).__basicsize__

    def __sizeof__(self):
        return self.memory_bytes()

    def __repr__(self):
        return (
            f"<{type(self).__name__} of {self.table.entry_count:,} entries, "
            f"{self.size_bytes():,} bytes>"
        )

    __hash__ = None

    def __eq__(self, other):
        if isinstance(other, ByteReader):
            return _same_entries(&self.table, &(<ByteReader>other).table)
        if isinstance(other, collections.abc.Mapping):
            return len(other) == len(self) and _as_dict(&self.table) == dict(other)
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
        """Assert the invariants of pages, directory and index, for tests and debugging.

        O(n log n).  Raises AssertionError, which names what is broken.
        """
        _check_directory(&self.table)
        _check_pages(&self.table)
        if self.table.index.built:
            _check_index(self)


cdef inline Entry* _first_match(const Page* page, uint64_t hash) noexcept nogil:
    """The entry that a lookup will most likely read."""
    cdef const Chunk* chunk = &page.chunks[hash_home(hash)]
    cdef uint32_t bits = match(chunk.control, hash_tag(hash))
    return slot_entry(chunk.slots[lowest_bit(bits)]) if bits else NULL


cdef dict _as_dict(const Table* table):
    cdef dict entries = {}
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
    return entries


cdef bint _same_entries(const Table* table, const Table* other) noexcept:
    cdef Walk walk
    cdef Page* page
    cdef Entry* entry
    cdef Entry* twin
    cdef uint32_t bits
    cdef int chunk
    if (
        table.entry_count != other.entry_count or table.key_bytes != other.key_bytes
        or table.value_bytes != other.value_bytes
    ):
        return False
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
        cdef Entry* entry
        cdef bytes key
        if self.part != ENTRIES:
            if not self.advance():
                raise StopIteration
            if self.part == KEYS:
                key = entry_key_bytes(self.cursor.entry)
            else:
                key = entry_value_bytes(self.cursor.entry)
            self.unread = False
            return key
        # The pair first: making one can run the collector, and with it code that uses
        # or closes this very scan.
        if self.pair is None or Py_REFCNT(<PyObject*>self.pair) != 1:
            self.pair = PyTuple_Pack(2, <PyObject*>None, <PyObject*>None)
        if not self.advance():
            self.pair = None
            keep(&self.key, None)
            keep(&self.value, None)
            raise StopIteration
        entry = self.cursor.entry
        if not refill(self.key, entry_key(entry), entry.key_size):
            keep(&self.key, entry_key_bytes(entry))
        if entry.value_size > INLINE_MAX or not refill(
            self.value, entry_value(entry), entry.value_size
        ):
            keep(&self.value, entry_value_bytes(entry))
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
        if self.remaining == 0 or not cursor_step(&self.cursor):
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


cdef int _assert(bint holds, str message) except -1:
    if not holds:
        raise AssertionError(message)
    return 0


cdef int _check_directory(const Table* table) except -1:
    """Invariants 1 and 2 of the table room."""
    cdef size_t slots = 1, number, segments = 0, run, index, pages = 0
    cdef Segment* segment
    cdef Segment* last = NULL
    cdef Page* page
    if table.root != NULL:
        _assert(table.root.head.refs >= 1, "the root is counted")
        _assert(table.root_shift == 64 - table.root.head.level, "the root's shift")
        slots = <size_t>1 << table.root.head.level
    for number in range(slots):
        segment = segment_of(
            table.first if table.root == NULL else table.root.slots[number]
        )
        if segment == last:
            continue
        last = segment
        segments += 1
        run = slots >> segment.head.level
        _assert(run >= 1 and number % run == 0, "a segment's range is aligned")
        for index in range(number, number + run if table.root != NULL else 0):
            _assert(segment_of(table.root.slots[index]) == segment, "a segment's range")
        _assert(segment.head.refs >= 1, "a segment is counted")
        index = 0
        while index < SEGMENT_PAGES:
            page = segment.pages[index]
            pages += 1
            _assert(
                segment.head.level <= page.head.level
                <= segment.head.level + SEGMENT_BITS, "a page's depth"
            )
            run = <size_t>1 << (segment.head.level + SEGMENT_BITS - page.head.level)
            _assert(index % run == 0, "a page's range is aligned")
            for index in range(index, index + run):
                _assert(segment.pages[index] == page, "a page's range")
            index += 1
    _assert(segments == table.segment_count, "segment_count")
    _assert(pages == table.page_count, "page_count")
    return 0


cdef int _check_pages(const Table* table) except -1:
    """The invariants of the page room, and invariant 4 of the table's."""
    cdef Walk walk
    cdef Page* page
    cdef Chunk* chunk
    cdef Entry* entry
    cdef uint64_t hash
    cdef uint32_t bits, place, step
    cdef int number
    cdef int overflow[CHUNKS]
    cdef int hosted, used
    cdef size_t entries = 0, key_bytes = 0, value_bytes = 0, memory = 0
    walk.root_index = 0
    walk.segment = NULL
    page = walk_next_page(table, &walk)
    while page != NULL:
        used = 0
        _assert(page.head.refs >= 1, "a page is counted")
        for number in range(CHUNKS):
            overflow[number] = 0
        for number in range(CHUNKS):
            chunk = &page.chunks[number]
            hosted = 0
            bits = ~match(chunk.control, EMPTY) & SLOT_MASK
            while bits:
                place = lowest_bit(bits)
                bits &= bits - 1
                entry = slot_entry(chunk.slots[place])
                hash = hash_bytes(&table.hash, entry_key(entry), entry.key_size)
                _assert(entry.refs >= 1, "an entry is counted")
                _assert(chunk.slots[place] >> 48 == hash >> 48, "a slot's bits of hash")
                _assert(chunk.control[place] == hash_tag(hash), "a control byte")
                _assert(table_page(table, hash) == page, "an entry is in its page")
                _assert(
                    page_find(page, hash, entry_key(entry), entry.key_size) == entry,
                    "an entry is found, and there is one of a key"
                )
                step = hash_home(hash)
                hosted += <int>step != number
                while <int>step != number:
                    overflow[step] += 1
                    step = (step + hash_step(hash)) & (CHUNKS - 1)
                used += 1
                entries += 1
                key_bytes += entry.key_size
                value_bytes += entry.value_size
                memory += entry_memory(entry)
            _assert(hosted == chunk.hosted, "a chunk's hosted")
        for number in range(CHUNKS):
            chunk = &page.chunks[number]
            _assert(overflow[number] == chunk.overflow, "a chunk's overflow")
        _assert(used == page.head.used, "a page's used")
        _assert(used <= PAGE_CAPACITY, "a page has room")
        page = walk_next_page(table, &walk)
    _assert(entries == table.entry_count, "entry_count")
    _assert(key_bytes == table.key_bytes, "key_bytes")
    _assert(value_bytes == table.value_bytes, "value_bytes")
    _assert(memory == table.entry_memory, "entry_memory")
    return 0


cdef int _check_index(ByteReader reader) except -1:
    """The invariants of the index room."""
    cdef Table* table = &reader.table
    cdef size_t count = 0, memory = 0
    cdef Entry* last = NULL
    reader.order()
    if table.index.root != NULL:
        _check_node(table, table.index.root, NULL, NULL, &last, &count, &memory)
    _assert(count == table.entry_count, "the index has every entry")
    _assert(memory == table.index.node_bytes, "node_bytes")
    return 0


cdef int _check_node(
    Table* table, Node* node, Entry* low, Entry* high, Entry** last,
    size_t* count, size_t* memory,
) except -1:
    """Check a node whose keys are to be in [low, high)."""
    cdef size_t index, first = node.head.level != 0
    cdef Entry** keys = node_keys(node)
    cdef Entry* entry
    _assert(node.head.refs >= 1, "a node is counted")
    _assert(node.head.used >= 1, "a node has cells")
    memory[0] += node_size(node.head.level)
    for index in range(first, node.head.used):
        entry = keys[index]
        _assert(entry.refs >= 1, "a cell's entry is counted")
        _assert(
            entry.key_size >= node.skip
            and common_size(entry, keys[first]) >= node.skip,
            "a node's keys share skip bytes"
        )
        _assert(
            node_words(node)[index]
            == key_word(entry_key(entry), entry.key_size, node.skip), "a cell's word"
        )
        _assert(
            low == NULL or _key_order(low, entry) <= 0, "a key is not below its node"
        )
        _assert(
            high == NULL or _key_order(entry, high) < 0, "a key is below the next node"
        )
        if index > first:
            _assert(_key_order(keys[index - 1], entry) < 0, "keys ascend")
        if not node.head.level:
            _assert(
                last[0] == NULL or _key_order(last[0], entry) < 0, "leaves ascend"
            )
            _assert(
                table_find(table, entry_key(entry), entry.key_size) == entry,
                "the index holds the table's entries"
            )
            last[0] = entry
            count[0] += 1
    if node.head.level:
        for index in range(node.head.used):
            _assert(
                node_children(node)[index].head.level == node.head.level - 1,
                "leaves lie on one level"
            )
            _check_node(
                table, node_children(node)[index],
                keys[index] if index else low,
                keys[index + 1] if index + 1 < node.head.used else high,
                last, count, memory,
            )
    return 0


cdef int _key_order(const Entry* a, const Entry* b) noexcept:
    return compare_bytes(entry_key(a), a.key_size, entry_key(b), b.key_size)
