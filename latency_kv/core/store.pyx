"""InMemoryStore: the byte store; what writes to a table, on top of what reads it.

Every method takes its buffers, integers and iterables first, then looks up and changes
without running Python code, and lets go of buffers last.  Whatever raises leaves the
store as it was.  Start with `InMemoryStore.write`, the path of every put.
"""

import collections.abc

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_RawFree, PyMem_RawRealloc
from cpython.number cimport PyNumber_Index
from cpython.object cimport PyObject
from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t, uint8_t, uint64_t
from libc.string cimport memcmp

from latency_kv.core.arena cimport Arena
from latency_kv.core.cursor cimport Cursor, cursor_close, cursor_step
from latency_kv.core.entry cimport (
    INLINE_MAX, Entry, entry_key, entry_new, entry_release, entry_value,
    entry_value_bytes,
)
from latency_kv.core.hash cimport hash_bytes
from latency_kv.core.image cimport Fault
from latency_kv.core.index cimport index_note
from latency_kv.core.machine cimport PAGE_CAPACITY, little_endian64, prefetch
from latency_kv.core.page cimport (
    ABSENT, Page, hash_home, page_insert, page_locate, page_remove, page_slot, slot_of,
)
from latency_kv.core.reader cimport ByteReader, reader_get, wake_sweeper
from latency_kv.core.sharing cimport settle, table_release
from latency_kv.core.snapshot cimport StateSnapshot, snapshot_of
from latency_kv.core.rows cimport Rows, rows_drop, rows_match, rows_none, rows_take
from latency_kv.core.span cimport (
    Span, check_key_size, check_value_size, counted, span_bytes, span_drop, span_none,
    span_take, value_bytes,
)
from latency_kv.core.stats import StoreStats
from latency_kv.core.table cimport (
    CRAFTED, DONE, NO_MEMORY, Status, Table, family_leave, family_new, table_assign,
    table_count, table_find, table_page, table_place, table_put, table_rekey,
    table_remove, table_start,
)
from latency_kv.core.transfer cimport table_load

from latency_kv.errors import SnapshotCorruptError

cdef object _MISSING = object()

cdef enum:
    COUNTER_SIZE = 8     # increment's values: signed, little-endian
    PUT_AHEAD = 8        # entries whose pages put_many asks for before their turn
    CHANGES_MIN = 16


@cython.final
@cython.collection_type("mapping")
cdef class InMemoryStore(ByteReader):
    """InMemoryStore(mapping_or_pairs=(), *, ordered=False)\n--\n
    A mapping from bytes to bytes with ordered scans and O(1) snapshots.

    Keys and values are bytes or any object with a contiguous buffer, and are copied in;
    bytes values above 1 KiB are held by reference.  Under the GIL every call is atomic,
    and one that raises changes nothing.  ordered=True builds the index at once rather
    than at the first ordered access.  Reading and changing an entry cost O(1); with an
    index, changes cost O(log n).

    one entry       `get`, `put`, `delete`, `pop`, `popitem`, `setdefault`,
                    `store[key]`, `del store[key]`
    in one step     `put_if_absent`, `compare_and_swap`, `increment`, `compute`
    many entries    `put_many`, `update`, `|`, `delete_many`, `delete_prefix`,
                    `delete_range`
    the whole       `clear`, `snapshot`, `restore`, `copy`, `stats`
    reads           ByteReader's: scans, `first`, `floor`, `get_many`, views, sizes

    >>> store = InMemoryStore({b"b": b"2", b"a": b"1"})
    >>> before = store.snapshot()
    >>> store.put(b"c", b"3")
    >>> store.delete(b"a")
    True
    >>> list(store.prefix_scan())
    [(b'b', b'2'), (b'c', b'3')]
    >>> list(before)
    [b'a', b'b']
    >>> store.restore(before)
    >>> store == before
    True
    """

    def __cinit__(self):
        self.begin()

    def __init__(self, mapping_or_pairs=(), *, ordered=False):
        self.ordered = ordered
        self.put_many(mapping_or_pairs)
        if ordered:
            self.order()

    def get(self, key, default=None):
        """Return the value of key as bytes, or default.  O(1)."""
        return reader_get(self, key, default)

    cdef int rekey(self) except -1:
        if table_rekey(&self.table):
            raise MemoryError(
                "no memory to change to the strong hash; nothing has changed"
            )
        return 0

    cdef int write(
        self, const char* key, Py_ssize_t key_size,
        const char* value, Py_ssize_t value_size, PyObject* large,
    ) except -1:
        """Put an entry; large is the bytes object of a value above INLINE_MAX."""
        cdef Table* table = &self.table
        cdef uint64_t hash = hash_bytes(&table.hash, key, key_size)
        cdef bint crafted = False
        cdef int place
        cdef Entry* entry
        cdef Entry* replaced
        cdef Status status
        cdef Page* page = table_page(table, hash)
        prefetch(page)
        place = page_locate(page, hash, key, key_size, &crafted)
        if place != ABSENT and table_assign(table, hash, place, value, value_size):
            settle(table.arena, 1)
            return 0
        entry = entry_new(table.arena, key, key_size, value, value_size, large)
        if entry == NULL:
            raise MemoryError
        status = CRAFTED
        if not crafted or table.hash.strong:
            status = table_place(table, hash, place, entry, &replaced)
        if status == CRAFTED:
            try:
                self.rekey()
            except MemoryError:
                entry_release(table.arena, entry)
                raise
            status = table_put(table, entry, &replaced)
        if status:
            entry_release(table.arena, entry)
            raise MemoryError
        index_note(table, entry, False)
        if replaced != NULL:
            entry_release(table.arena, replaced)
        settle(table.arena, 1)
        return 0

    cdef int c_put(
        self, const char* key, Py_ssize_t key_size,
        const char* value, Py_ssize_t value_size,
    ) except -1:
        cdef bytes large
        check_key_size(key_size)
        if value_size <= INLINE_MAX:
            return self.write(key, key_size, value, value_size, NULL)
        check_value_size(value_size)
        large = value[:value_size]
        return self.write(key, key_size, value, value_size, <PyObject*>large)

    cdef int c_delete(self, const char* key, Py_ssize_t key_size) except -1:
        cdef Table* table = &self.table
        cdef uint64_t hash = hash_bytes(&table.hash, key, key_size)
        cdef Entry* removed
        if table_remove(table, hash, key, key_size, &removed):
            raise MemoryError
        if removed == NULL:
            return 0
        index_note(table, removed, True)
        entry_release(table.arena, removed)
        settle(table.arena, 1)
        return 1

    cdef int put_span(self, Span* key, Span* value, object source) except -1:
        """Put an entry; source is the object that value points into."""
        if value.size > INLINE_MAX and PyBytes_CheckExact(source):
            check_key_size(key.size)
            check_value_size(value.size)
            return self.write(
                key.data, key.size, value.data, value.size, <PyObject*>source
            )
        return self.c_put(key.data, key.size, value.data, value.size)

    cdef int put_object(self, object key, object value) except -1:
        cdef Span key_span, value_span
        span_none(&key_span)
        span_none(&value_span)
        try:
            span_take(&key_span, key, "key")
            span_take(&value_span, value, "value")
            return self.put_span(&key_span, &value_span, value)
        finally:
            span_drop(&value_span)
            span_drop(&key_span)

    cdef inline int assign(self, object key, object value) except -1:
        if (
            PyBytes_CheckExact(key) and PyBytes_CheckExact(value)
            and PyBytes_GET_SIZE(value) <= INLINE_MAX
        ):
            check_key_size(PyBytes_GET_SIZE(key))
            return self.write(
                PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key),
                PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value), NULL,
            )
        return self.put_object(key, value)

    def put(self, key, value):
        """Copy key and value in, overwriting, without a pause that grows.

        Raises TypeError without a buffer, ValueError for a key above 65,535 bytes or a
        value above 2**31 - 1.
        """
        self.assign(key, value)

    def __setitem__(self, key, value):
        self.assign(key, value)

    cdef int remove(self, object key) except -1:
        """Delete an entry: whether there was one."""
        cdef Span span
        if PyBytes_CheckExact(key):
            return self.c_delete(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key))
        span_take(&span, key, "key")
        try:
            return self.c_delete(span.data, span.size)
        finally:
            span_drop(&span)

    def delete(self, key):
        """Delete the entry of key; return whether there was one."""
        return self.remove(key) == 1

    def __delitem__(self, key):
        if not self.remove(key):
            raise KeyError(key)

    def pop(self, key, default=_MISSING):
        """Delete the entry of key and return its value.

        Without an entry returns default, or raises KeyError if none is given.
        """
        cdef Span span
        cdef Entry* entry
        span_take(&span, key, "key")
        try:
            entry = table_find(&self.table, span.data, span.size)
            if entry != NULL:
                # First, for there may be no memory for it.
                value = entry_value_bytes(entry)
                self.c_delete(span.data, span.size)
                return value
        finally:
            span_drop(&span)
        if default is _MISSING:
            raise KeyError(key)
        return default

    def popitem(self):
        """Delete the lowest key and return its (key, value).  O(log n).

        Raises KeyError on an empty store.
        """
        entry = self.first()
        if entry is None:
            raise KeyError("popitem of an empty store")
        del self[entry[0]]
        return entry

    def setdefault(self, key, default):
        """Return the value of key, putting default first if there is none."""
        cdef Span key_span, value_span
        cdef Entry* entry
        cdef bytes value = value_bytes(default)
        span_take(&value_span, value, "value")
        span_take(&key_span, key, "key")
        try:
            entry = table_find(&self.table, key_span.data, key_span.size)
            if entry != NULL:
                return entry_value_bytes(entry)
            self.put_span(&key_span, &value_span, value)
            return value
        finally:
            span_drop(&key_span)

    def put_if_absent(self, key, value):
        """Put an entry unless there is one of key; return whether it was put."""
        return self.compare_and_swap(key, None, value)

    def compare_and_swap(self, key, expected, new):
        """Change the value of key if it is expected; return whether it was.

        None stands for no entry: as expected, it puts only where there is none; as new,
        it deletes.

        >>> store = InMemoryStore()
        >>> store.compare_and_swap(b"owner", None, b"me")
        True
        >>> store.compare_and_swap(b"owner", b"you", None)
        False
        """
        cdef Span key_span, expected_span, new_span
        cdef Entry* entry
        span_none(&key_span)
        span_none(&expected_span)
        span_none(&new_span)
        try:
            span_take(&key_span, key, "key")
            if expected is not None:
                span_take(&expected_span, expected, "value")
            if new is not None:
                span_take(&new_span, new, "value")
            entry = table_find(&self.table, key_span.data, key_span.size)
            if expected is None or entry == NULL:
                if expected is not None or entry != NULL:
                    return False
            elif expected_span.size != <Py_ssize_t>entry.value_size or memcmp(
                expected_span.data, entry_value(entry), entry.value_size
            ):
                return False
            if new is not None:
                self.put_span(&key_span, &new_span, new)
            elif entry != NULL:
                self.c_delete(key_span.data, key_span.size)
            return True
        finally:
            span_drop(&new_span)
            span_drop(&expected_span)
            span_drop(&key_span)

    def increment(self, key, delta=1):
        """Add delta to a counter, 0 if there is none, and return its new value.

        A counter is a signed 64-bit little-endian integer.  Raises ValueError for a
        value of another size, OverflowError beyond 64 bits.
        """
        cdef int64_t step = PyNumber_Index(delta)
        cdef int64_t total = 0
        cdef uint8_t counter[COUNTER_SIZE]
        cdef Span span
        cdef Entry* entry
        cdef int index
        cdef object answer
        span_take(&span, key, "key")
        try:
            entry = table_find(&self.table, span.data, span.size)
            if entry != NULL:
                if entry.value_size != COUNTER_SIZE:
                    raise ValueError(
                        f"the value has {counted(entry.value_size, 'byte')} and is no "
                        f"counter: one has {COUNTER_SIZE}, a signed little-endian "
                        "integer"
                    )
                total = <int64_t>little_endian64(entry_value(entry))
            if (
                step > 0 and total > INT64_MAX - step
                or step < 0 and total < INT64_MIN - step
            ):
                raise OverflowError(
                    f"{total} and {step} add up to more than 64 bits: the counter stays"
                )
            total += step
            for index in range(COUNTER_SIZE):
                counter[index] = <uint8_t>(<uint64_t>total >> (8 * index))
            # The answer first: without memory for it, nothing may have changed.
            answer = total
            self.c_put(span.data, span.size, <char*>counter, COUNTER_SIZE)
            return answer
        finally:
            span_drop(&span)

    def compute(self, key, f):
        """Put what f makes of the value of key, or of None; return it.

        None from f deletes the entry.  If f raises, nothing changes.  f may use the
        store: the key is looked up again afterwards.
        """
        cdef bytes own = span_bytes(key, "key")
        value = f(self.get(own))
        if value is None:
            self.delete(own)
            return None
        value = value_bytes(value)
        self.put_object(own, value)
        return value

    cdef void undo(self, Change* changes, Py_ssize_t count, bint removal) noexcept:
        """Take back the first count changes, last first.  Their pages are writable."""
        cdef Table* table = &self.table
        cdef Entry* entry
        cdef Page* page
        cdef uint64_t hash
        cdef bint crafted
        cdef int place
        while count:
            count -= 1
            entry = changes[count].entry
            if entry == NULL:
                continue
            hash = hash_bytes(&table.hash, entry_key(entry), entry.key_size)
            page = table_page(table, hash)
            if removal:
                page_insert(page, hash, slot_of(entry, hash))
                entry.refs += 1
                table_count(table, entry, 1)
                continue
            place = page_locate(page, hash, entry_key(entry), entry.key_size, &crafted)
            table_count(table, entry, -1)
            if changes[count].replaced == NULL:
                page_remove(page, hash, place)
            else:
                page_slot(page, place)[0] = slot_of(changes[count].replaced, hash)
                table_count(table, changes[count].replaced, 1)

    cdef int put_changes(self, Change* changes, Py_ssize_t count) except -1:
        """Put all entries or none; on success their counts are the table's."""
        cdef Table* table = &self.table
        cdef Py_ssize_t index
        cdef Entry* ahead
        cdef Status status
        cdef uint64_t hash
        for index in range(count):
            if index + PUT_AHEAD < count:
                ahead = changes[index + PUT_AHEAD].entry
                hash = hash_bytes(&table.hash, entry_key(ahead), ahead.key_size)
                prefetch(table_page(table, hash))
                prefetch(&table_page(table, hash).chunks[hash_home(hash)])
            status = table_put(table, changes[index].entry, &changes[index].replaced)
            if status == CRAFTED:
                status = table_rekey(table)
                if status == DONE:
                    status = table_put(
                        table, changes[index].entry, &changes[index].replaced
                    )
            if status:
                self.undo(changes, index, False)
                raise MemoryError(
                    "no memory to put these entries; nothing has changed"
                )
        for index in range(count):
            index_note(table, changes[index].entry, False)
            if changes[index].replaced != NULL:
                entry_release(table.arena, changes[index].replaced)
        settle(table.arena, count)
        return 0

    cdef object remove_changes(self, Change* changes, Py_ssize_t count):
        """Delete all entries or none, and give up their counts; return their number."""
        cdef Table* table = &self.table
        cdef Py_ssize_t index, done = 0, removed_count = 0
        cdef Entry* entry
        cdef Entry* removed
        cdef Status status = DONE
        cdef object answer
        for index in range(count):
            entry = changes[index].entry
            status = table_remove(
                table, hash_bytes(&table.hash, entry_key(entry), entry.key_size),
                entry_key(entry), entry.key_size, &removed,
            )
            if status:
                break
            # From here on the change counts what was taken out: NULL if its key was
            # named twice.
            changes[index].entry = removed
            removed_count += removed != NULL
            entry_release(table.arena, entry)
            done += 1
        if status == DONE:
            try:
                answer = removed_count
            except MemoryError:
                status = NO_MEMORY
        if status != DONE:
            # Before anything is raised: that may run the collector, and others' code.
            self.undo(changes, done, True)
            raise MemoryError("no memory to delete these entries; nothing has changed")
        for index in range(count):
            entry = changes[index].entry
            if entry != NULL:
                index_note(table, entry, True)
                entry_release(table.arena, entry)
                changes[index].entry = NULL
        settle(table.arena, count)
        return answer

    def put_many(self, entries):
        """Put all entries of a mapping or of an iterable of (key, value).

        If it raises, none is put.
        """
        cdef _Changes changes = changes_in(self.table.arena)
        cdef bint is_read = False
        if isinstance(entries, collections.abc.Mapping):
            entries = entries.items()
        elif hasattr(entries, "keys"):
            keys = entries.keys()
            entries = zip(keys, map(entries.__getitem__, keys))
        # No except, which costs the good path something.
        try:
            changes.read(entries)
            is_read = True
        finally:
            if not is_read:
                check_entries(entries, changes.count)
        self.put_changes(changes.changes, changes.count)
        # The counts are the table's now.
        changes.count = 0

    def put_array(self, keys, values):
        """Put the rows of an array of values under those of an array of keys.

        Arrays as `get_array` has them; of two rows of one key the last wins.  If it
        raises, none is put.
        """
        cdef _Changes changes = changes_in(self.table.arena)
        cdef Rows key_rows, value_rows
        cdef Span key, value
        cdef Py_ssize_t row
        span_none(&key)
        span_none(&value)
        rows_none(&key_rows)
        rows_none(&value_rows)
        try:
            rows_take(&key_rows, keys, "keys", False)
            rows_take(&value_rows, values, "values", False)
            rows_match(&value_rows, &key_rows, "values", "keys")
            key.size, value.size = key_rows.size, value_rows.size
            for row in range(key_rows.count):
                key.data = key_rows.data + row * key.size
                value.data = value_rows.data + row * value.size
                changes.add(&key, &value, None)
        finally:
            rows_drop(&value_rows)
            rows_drop(&key_rows)
        self.put_changes(changes.changes, changes.count)
        # The counts are the table's now.
        changes.count = 0

    def update(self, other=(), /):
        """Put all entries: the mapping's name for put_many."""
        self.put_many(other)

    def delete_many(self, keys):
        """Delete the entries of all keys; return how many there were.

        If it raises, none is deleted.
        """
        cdef _Changes changes = changes_in(self.table.arena)
        cdef list wanted = []
        cdef Entry* entry
        cdef bytes key
        for source in keys:
            wanted.append(span_bytes(source, "key"))
        for key in wanted:
            entry = table_find(
                &self.table, PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key)
            )
            if entry != NULL:
                changes.hold(entry)
        return self.remove_changes(changes.changes, changes.count)

    cdef object delete_cursor(self, Cursor* cursor):
        """Delete what a cursor walks over, and close it."""
        cdef _Changes changes
        try:
            changes = changes_in(self.table.arena)
            while cursor_step(cursor):
                changes.hold(cursor.entry)
        finally:
            cursor_close(cursor)
        return self.remove_changes(changes.changes, changes.count)

    cdef Py_ssize_t c_delete_range(
        self, const char* start, Py_ssize_t start_size,
        const char* stop, Py_ssize_t stop_size,
    ) except -1:
        cdef Cursor cursor
        self.open_range(&cursor, start, start_size, stop, stop_size)
        return self.delete_cursor(&cursor)

    def delete_prefix(self, prefix):
        """Delete all keys that start with prefix; return how many there were.

        Finding the first costs O(log n).  If it raises, none is deleted.
        """
        cdef Cursor cursor
        cdef Span span
        span_take(&span, prefix, "prefix")
        try:
            self.open_prefix(&cursor, span.data, span.size)
            return self.delete_cursor(&cursor)
        finally:
            span_drop(&span)

    def delete_range(self, start=None, stop=None):
        """Delete all keys in [start, stop); return how many there were.

        None is an open end; cost and failure are those of delete_prefix.
        """
        cdef Span low, high
        cdef Cursor cursor
        span_none(&low)
        span_none(&high)
        try:
            if start is not None:
                span_take(&low, start, "key")
            if stop is not None:
                span_take(&high, stop, "key")
            self.open_range(&cursor, low.data, low.size, high.data, high.size)
            return self.delete_cursor(&cursor)
        finally:
            span_drop(&high)
            span_drop(&low)

    cdef int begin(self) except -1:
        """Have a new table of its own instead of what it has."""
        cdef Table fresh = self.table
        fresh.family = family_new()
        if fresh.family == NULL:
            raise MemoryError
        if table_start(&fresh):
            family_leave(fresh.family)
            raise MemoryError
        fresh.index.root = NULL
        fresh.index.pending_count = 0
        fresh.index.node_bytes = 0
        table_release(&self.table)
        self.table = fresh
        wake_sweeper()
        return 0

    def clear(self):
        """Delete everything.  O(1): memory comes back with later writes."""
        self.begin()

    def snapshot(self):
        """Return a StateSnapshot of the store as it is now.  O(1).

        Later writes copy what the snapshot holds before they change it, page by page.
        """
        return snapshot_of(&self.table)

    cdef int load(self, StateSnapshot snapshot) except -1:
        """Replace everything with the entries of a snapshot's image."""
        cdef Table old = self.table
        cdef Table fresh = self.table
        cdef Fault fault
        cdef Status status
        fresh.family = family_new()
        if fresh.family == NULL:
            raise MemoryError
        fresh.index.root = NULL
        fresh.index.built = False
        fresh.index.pending_count = 0
        fresh.index.node_bytes = 0
        status = table_load(&fresh, &snapshot.image, self.ordered, &fault)
        if status:
            family_leave(fresh.family)
            if fault:
                raise SnapshotCorruptError(
                    "the file was changed while it was read; the store was not"
                )
            raise MemoryError("no memory to restore a snapshot; nothing has changed")
        self.table = fresh
        table_release(&old)
        wake_sweeper()
        return 0

    def restore(self, snapshot):
        """Replace everything with what a snapshot holds.

        O(1), or O(n) for one that reads an image, and then in memory of its own.  The
        snapshot stays as it is.  An ordered store sorts one without an index first, in
        O(n).  If it raises, nothing has changed.
        """
        cdef StateSnapshot moment
        if type(snapshot) is not StateSnapshot:
            raise TypeError(
                f"a store takes a StateSnapshot, not {type(snapshot).__name__}: "
                "StateSnapshot.open(path) reads a file, store.snapshot() makes one"
            )
        moment = <StateSnapshot>snapshot
        if moment.image.data != NULL:
            self.load(moment)
            return
        if self.ordered:
            moment.order()
        self.adopt(&moment.table)

    @staticmethod
    def from_snapshot(snapshot, *, ordered=False):
        """Return a store with what a snapshot holds; cost and errors are restore's."""
        cdef InMemoryStore store = InMemoryStore.__new__(InMemoryStore)
        store.ordered = ordered
        store.restore(snapshot)
        return store

    def copy(self):
        """Return an independent store with the same entries.  O(1)."""
        cdef InMemoryStore other = InMemoryStore.__new__(InMemoryStore)
        other.ordered = self.ordered
        other.adopt(&self.table)
        return other

    __copy__ = copy

    def __deepcopy__(self, memo):
        return self.copy()

    def __reduce_ex__(self, protocol):
        return _unpickled, (self.snapshot(), self.ordered)

    def __or__(self, other):
        if not isinstance(other, collections.abc.Mapping):
            return NotImplemented
        union = self.copy()
        union.put_many(other)
        return union

    def __ror__(self, other):
        if not isinstance(other, collections.abc.Mapping):
            return NotImplemented
        union = InMemoryStore(other)
        union.put_many(self)
        return union

    def __ior__(self, other):
        self.put_many(other)
        return self

    def stats(self):
        """Return the StoreStats: counts and sizes of what the store is made of."""
        cdef Table* table = &self.table
        return StoreStats(
            entries=table.entry_count,
            size_bytes=self.size_bytes(),
            memory_bytes=self.memory_bytes(),
            pages=table.page_count,
            segments=table.segment_count,
            page_fill=table.entry_count / <double>(table.page_count * PAGE_CAPACITY),
            splits=table.splits,
            copies=table.copies,
            hash="strong" if table.hash.strong else "fast",
            indexed=table.index.built,
            index_height=(
                0 if table.index.root == NULL else table.index.root.head.level + 1
            ),
            index_bytes=table.index.node_bytes,
            index_pending=table.index.pending_count,
            index_merges=table.index.merges,
            index_builds=table.index.rebuilds,
            holders=table.family.members - 1,
            open_scans=table.family.scans,
        )


# Pickles name it, so it stays.
def _unpickled(snapshot, ordered):
    return InMemoryStore.from_snapshot(snapshot, ordered=ordered)


@cython.final
cdef class _Changes:
    """A growing list of changes that gives up their counts when it goes."""

    cdef Change* changes
    cdef Py_ssize_t count
    cdef Py_ssize_t capacity
    cdef Arena* arena

    def __dealloc__(self):
        cdef Py_ssize_t index
        for index in range(self.count):
            if self.changes[index].entry != NULL:
                entry_release(self.arena, self.changes[index].entry)
        PyMem_RawFree(self.changes)

    cdef int reserve(self) except -1:
        cdef Py_ssize_t capacity
        cdef Change* grown
        if self.count < self.capacity:
            return 0
        capacity = 2 * self.capacity + CHANGES_MIN
        grown = <Change*>PyMem_RawRealloc(self.changes, capacity * sizeof(Change))
        if grown == NULL:
            raise MemoryError
        self.changes = grown
        self.capacity = capacity
        return 0

    cdef int hold(self, Entry* entry) except -1:
        """Add an entry of the table, counted once more."""
        self.reserve()
        entry.refs += 1
        self.changes[self.count].entry = entry
        self.changes[self.count].replaced = NULL
        self.count += 1
        return 0

    cdef int read(self, object entries) except -1:
        """Add the entries of an iterable of (key, value)."""
        cdef Span key_span, value_span
        for key, value in entries:
            span_none(&key_span)
            span_none(&value_span)
            try:
                span_take(&key_span, key, "key")
                span_take(&value_span, value, "value")
                self.add(&key_span, &value_span, value)
            finally:
                span_drop(&value_span)
                span_drop(&key_span)
        return 0

    cdef int add(self, Span* key, Span* value, object source) except -1:
        """Add a new entry; source is the object that value points into."""
        cdef bytes large
        cdef Entry* entry
        check_key_size(key.size)
        check_value_size(value.size)
        self.reserve()
        large = None
        if value.size > INLINE_MAX:
            large = source if PyBytes_CheckExact(source) else value.data[:value.size]
        entry = entry_new(
            self.arena, key.data, key.size, value.data, value.size, <PyObject*>large
        )
        if entry == NULL:
            raise MemoryError
        self.changes[self.count].entry = entry
        self.changes[self.count].replaced = NULL
        self.count += 1
        return 0


cdef int check_entries(object entries, Py_ssize_t place) except -1:
    """Say so if what failed to be read, at this place, is no (key, value)."""
    cdef str wanted = "entries are a mapping or (key, value) pairs"
    if is_no_row(entries):
        raise TypeError(f"{wanted}, not {type(entries).__name__}")
    if type(entries) in (list, tuple) and place < len(entries):
        pair = entries[place]
        if is_no_row(pair):
            raise TypeError(f"{wanted}: entries[{place}] is {type(pair).__name__}")
        if isinstance(pair, (list, tuple)) and len(pair) != 2:
            parts = counted(len(pair), "part")
            raise ValueError(f"{wanted}: entries[{place}] has {parts}")
    return 0


cdef bint is_no_row(object source) except -1:
    """Whether it has no parts, or only bytes and characters."""
    kind = type(source)
    if issubclass(kind, (str, bytes, bytearray, memoryview)):
        return True
    return not (hasattr(kind, "__iter__") or hasattr(kind, "__getitem__"))


cdef _Changes changes_in(Arena* arena):
    cdef _Changes changes = _Changes.__new__(_Changes)
    changes.arena = arena
    return changes


collections.abc.MutableMapping.register(InMemoryStore)
