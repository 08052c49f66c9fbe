"""Transfer: a table written as an image, and an image read into a table.

Writing walks the entries in key order, along the index or along cells sorted for the
occasion, and fills the four sections side by side.  It changes nothing that it walks
over, so it runs without the GIL while the store goes on.

Reading makes the entries in the image's order, so that later scans walk through memory
in one direction, and hands them out in the order of their hashes, a part of the table
at a time, so that pages are filled while they are in the cache.  Its memory beside the
table is 16 bytes an entry, 32 with an index.

Knows images and tables.  Reading needs the GIL.
"""

from cpython.exc cimport PyErr_Clear
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from cpython.object cimport PyObject
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy, memset
from latency_kv.core.bulk cimport Cell, index_build, index_gather
from latency_kv.core.cursor cimport (
    AHEAD, Cursor, ask_entry, cursor_close, cursor_open, cursor_step,
)
from latency_kv.core.entry cimport (
    INLINE_MAX, KEY_SIZE_MAX, VALUE_SIZE_MAX, Entry, Py_XDECREF, compare_bytes,
    entry_key, entry_new, entry_release, entry_value,
)
from latency_kv.core.hash cimport hash_bytes
from latency_kv.core.image cimport (
    BAD_OFFSETS, LONG_KEY, LONG_VALUE, OFFSET_SIZE, SOUND, UNORDERED, Fault, Image,
    image_key, image_part, image_value,
)
from latency_kv.core.machine cimport (
    PAGE_CAPACITY, load64, prefetch, store_little_endian64,
)
from latency_kv.core.page cimport Page, hash_home, page_crowded, page_insert, slot_of
from latency_kv.core.table cimport (
    CRAFTED, DONE, NO_MEMORY, Status, Table, shared_release, table_count, table_page,
    table_put, table_rekey, table_split_page, table_start, table_top,
)

cdef extern from "Python.h":
    PyObject* new_bytes "PyBytes_FromStringAndSize"(
        const char* data, Py_ssize_t size
    ) noexcept

cdef enum:
    # How full pages are on average at most: at three quarters few have to split.
    LOAD_FILL = PAGE_CAPACITY - (PAGE_CAPACITY >> 2)
    # Parts into which entries are dealt by hash: so many lines, being written to, and
    # where they lie, stay in the caches, and a part's pages do in a table of millions.
    PART_BITS_MAX = 9

cdef struct Encoder:
    Cell* cells          # sorted; NULL when the cursor walks the index
    Cursor cursor
    size_t done          # entries written
    size_t count
    char* key_offsets    # where the next entry goes, in each section
    char* keys
    char* value_offsets
    char* values
    uint64_t key_end
    uint64_t value_end


cdef inline void copy_bytes(
    char* target, const char* source, size_t size
) noexcept nogil:
    """Copy, without a call for the sizes that keys and small values have."""
    cdef uint64_t first, second
    if 8 <= size <= 16:
        first = load64(source)
        second = load64(source + size - 8)
        memcpy(target, &first, 8)
        memcpy(target + size - 8, &second, 8)
    else:
        memcpy(target, source, size)


cdef inline Status encoder_open(
    Encoder* encoder, Table* table, const Image* image, char* data
) noexcept nogil:
    """Begin to write a table's entries to the sections of an image; with the GIL."""
    memset(encoder, 0, sizeof(Encoder))
    encoder.count = table.entry_count
    encoder.key_offsets = data + (image.key_offsets - image.data)
    encoder.keys = data + (image.keys - image.data)
    encoder.value_offsets = data + (image.value_offsets - image.data)
    encoder.values = data + (image.values - image.data)
    store_little_endian64(encoder.key_offsets, 0)
    store_little_endian64(encoder.value_offsets, 0)
    if table.index.built:
        return cursor_open(&encoder.cursor, table, NULL, 0, NULL, 0, False)
    return DONE


cdef inline Status encoder_sort(Encoder* encoder, const Table* table) noexcept nogil:
    """Sort the entries of a table without an index; needs no GIL."""
    if encoder.cursor.arena != NULL:
        return DONE
    encoder.cells = index_gather(table)
    return NO_MEMORY if encoder.cells == NULL else DONE


cdef inline void encoder_run(Encoder* encoder, size_t stop) noexcept nogil:
    """Write entries until stop of them are; needs no GIL."""
    cdef Entry* entry
    while encoder.done < stop:
        if encoder.cells == NULL:
            if not cursor_step(&encoder.cursor):
                return
            entry = encoder.cursor.entry
        else:
            if encoder.done + AHEAD < encoder.count:
                ask_entry(encoder.cells[encoder.done + AHEAD].entry)
            entry = encoder.cells[encoder.done].entry
        encoder.done += 1
        copy_bytes(
            encoder.keys + encoder.key_end, entry_key(entry), entry.key_size
        )
        copy_bytes(
            encoder.values + encoder.value_end, entry_value(entry), entry.value_size
        )
        encoder.key_end += entry.key_size
        encoder.value_end += entry.value_size
        store_little_endian64(
            encoder.key_offsets + encoder.done * OFFSET_SIZE, encoder.key_end
        )
        store_little_endian64(
            encoder.value_offsets + encoder.done * OFFSET_SIZE, encoder.value_end
        )


cdef inline void encoder_close(Encoder* encoder) noexcept nogil:
    """Give back what the encoder held; with the GIL."""
    cursor_close(&encoder.cursor)
    PyMem_RawFree(encoder.cells)
    encoder.cells = NULL


cdef struct Placed:
    uint64_t hash
    Entry* entry         # counted; NULL once the table has it


cdef struct Loader:
    Table* table
    Placed* placed       # entries, dealt into parts by the top bits of their hashes
    Cell* cells          # the same in key order, borrowed; NULL without an index
    size_t ends[1 << PART_BITS_MAX]      # of what each part has so far
    size_t limits[1 << PART_BITS_MAX]    # of what it has room for
    int part_shift


cdef inline Status table_reserve(Table* table, int depth) noexcept nogil:
    """Split the pages of an empty table until there are 1 << depth of them."""
    cdef int level
    cdef uint64_t number
    cdef Status status
    for level in range(depth):
        for number in range(<uint64_t>1 << level):
            status = table_split_page(table, number << 1 << (63 - level))
            if status:
                return status
    return DONE


cdef inline Entry* entry_of_image(
    Table* table, const Image* image, size_t index, Fault* fault
) noexcept:
    """A new entry with one count, or NULL, and what is wrong with the image."""
    cdef size_t key_start, key_size, value_start, value_size
    cdef const char* value
    cdef Entry* entry
    cdef PyObject* large = NULL
    if not image_part(
        image.key_offsets, index, image.keys_size, &key_start, &key_size
    ) or not image_part(
        image.value_offsets, index, image.values_size, &value_start, &value_size
    ):
        fault[0] = BAD_OFFSETS
        return NULL
    if key_size > KEY_SIZE_MAX:
        fault[0] = LONG_KEY
        return NULL
    if value_size > VALUE_SIZE_MAX:
        fault[0] = LONG_VALUE
        return NULL
    value = image.values + value_start
    if value_size > INLINE_MAX:
        large = new_bytes(value, <Py_ssize_t>value_size)
        if large == NULL:
            PyErr_Clear()
            return NULL
    entry = entry_new(
        table.arena, image.keys + key_start, key_size, value, value_size, large
    )
    Py_XDECREF(large)
    return entry


cdef inline void loader_count_parts(Loader* loader, const Image* image) noexcept nogil:
    """Find where the room of each part begins and ends, one behind the other."""
    cdef size_t index, size, total = 0
    cdef uint64_t hash
    cdef const char* key
    cdef int part
    for index in range(image.count):
        key = image_key(image, index, &size)
        hash = hash_bytes(&loader.table.hash, key, size)
        loader.limits[hash >> 1 >> loader.part_shift] += 1
    for part in range(1 << PART_BITS_MAX):
        loader.ends[part] = total
        total += loader.limits[part]
        loader.limits[part] = total


cdef inline Status loader_make_entries(
    Loader* loader, const Image* image, Fault* fault
) noexcept:
    """Make all entries in key order and deal them into their parts."""
    cdef Table* table = loader.table
    cdef size_t index, part
    cdef uint64_t hash
    cdef Entry* entry
    cdef Entry* last = NULL
    cdef Placed* placed
    for index in range(image.count):
        entry = entry_of_image(table, image, index, fault)
        if entry == NULL:
            return NO_MEMORY
        # Of the copies, which nobody else can change.
        if last != NULL and compare_bytes(
            entry_key(last), last.key_size, entry_key(entry), entry.key_size
        ) >= 0:
            entry_release(table.arena, entry)
            fault[0] = UNORDERED
            return NO_MEMORY
        last = entry
        hash = hash_bytes(&table.hash, entry_key(entry), entry.key_size)
        part = hash >> 1 >> loader.part_shift
        # A file that changed since its keys were counted deals otherwise.
        if loader.ends[part] == loader.limits[part]:
            entry_release(table.arena, entry)
            fault[0] = UNORDERED
            return NO_MEMORY
        placed = &loader.placed[loader.ends[part]]
        loader.ends[part] += 1
        placed.hash = hash
        placed.entry = entry
        if loader.cells != NULL:
            loader.cells[index].entry = entry
        table_count(table, entry, 1)
    return DONE


cdef inline Status loader_fill_pages(Loader* loader, size_t count) noexcept nogil:
    """Hand the entries to the table, part by part; all keys differ."""
    cdef Table* table = loader.table
    cdef size_t index
    cdef uint64_t hash
    cdef Entry* entry
    cdef Entry* replaced
    cdef Page* page
    cdef Status status
    cdef bint strong = table.hash.strong
    for index in range(count):
        entry = loader.placed[index].entry
        hash = loader.placed[index].hash
        if index + AHEAD < count and table.hash.strong == strong:
            page = table_page(table, loader.placed[index + AHEAD].hash)
            prefetch(&page.chunks[hash_home(loader.placed[index + AHEAD].hash)])
        status = DONE
        page = table_page(table, hash)
        if table.hash.strong != strong:
            # Its hashes are others now.
            status = table_put(table, entry, &replaced)
        else:
            while page.head.used >= PAGE_CAPACITY and status == DONE:
                status = table_split_page(table, hash)
                page = table_page(table, hash)
            if status == DONE and not strong and page_crowded(page, hash):
                status = CRAFTED
            if status == DONE:
                page_insert(page, hash, slot_of(entry, hash))
            elif status == CRAFTED:
                # Counts anew what the table has by now.
                status = table_rekey(table)
                if status == DONE:
                    status = table_put(table, entry, &replaced)
        if status:
            return status
        loader.placed[index].entry = NULL
    return DONE


cdef inline void loader_drop(Loader* loader) noexcept nogil:
    """Let go of the entries that the table did not get."""
    cdef size_t index, begin = 0
    cdef int part
    for part in range(1 << PART_BITS_MAX):
        for index in range(begin, loader.ends[part]):
            if loader.placed[index].entry != NULL:
                entry_release(loader.table.arena, loader.placed[index].entry)
        begin = loader.limits[part]


cdef inline Status table_load(
    Table* table, const Image* image, bint ordered, Fault* fault
) noexcept:
    """Start a table, whose arena, family and hash are set, with an image's entries.

    All or nothing: without memory, or with a fault of the image, the table is as it was
    and owns nothing.  Cost: O(n).
    """
    cdef Loader loader
    cdef Status status
    cdef int depth = 0
    fault[0] = SOUND
    while image.count >> depth > LOAD_FILL:
        depth += 1
    loader.table = table
    # One bit less: a shift by all 64 is not defined.
    loader.part_shift = 63 - min(depth, PART_BITS_MAX)
    loader.cells = NULL
    memset(loader.ends, 0, sizeof(loader.ends))
    memset(loader.limits, 0, sizeof(loader.limits))
    if table_start(table):
        return NO_MEMORY
    status = table_reserve(table, depth)
    loader.placed = <Placed*>PyMem_RawMalloc((image.count + 1) * sizeof(Placed))
    if ordered:
        loader.cells = <Cell*>PyMem_RawMalloc((image.count + 1) * sizeof(Cell))
    if loader.placed == NULL or (ordered and loader.cells == NULL):
        status = NO_MEMORY
    if status == DONE:
        loader_count_parts(&loader, image)
        status = loader_make_entries(&loader, image, fault)
    if status == DONE:
        status = loader_fill_pages(&loader, image.count)
    if status == DONE and ordered:
        status = index_build(table, loader.cells)
    if status:
        loader_drop(&loader)
        shared_release(table.arena, table_top(table))
    PyMem_RawFree(loader.placed)
    PyMem_RawFree(loader.cells)
    return status
