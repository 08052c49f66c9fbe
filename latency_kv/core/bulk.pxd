"""Bulk: all entries of a table sorted, and the index built over them in one go.

Sorting goes by the keys' words: eight bytes a pass of radix sort, then the next eight
where those are equal.  Building goes leaves first, then level by level.

Knows the index and the walk over a table.  Sorting needs no GIL on a table that nobody
writes; building does.
"""

from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport qsort
from libc.string cimport memcpy
from latency_kv.core.entry cimport (
    Entry, compare_bytes, entry_key, entry_new, entry_release,
)
from latency_kv.core.index cimport index_merge, node_free, node_new
from latency_kv.core.machine cimport (
    CHUNKS, NODE_CAPACITY, SLOT_MASK, lowest_bit, match, prefetch,
)
from latency_kv.core.node cimport (
    key_word, node_children, node_keys, node_tighten, node_words,
)
from latency_kv.core.page cimport EMPTY, Page, slot_entry
from latency_kv.core.table cimport (
    DONE, NO_MEMORY, Index, Node, Status, Table, Walk, shared_release, walk_next_page,
)

cdef enum:
    BULK_FILL = NODE_CAPACITY - (NODE_CAPACITY >> 3)   # room for the first insertions
    RADIX_MIN = 48       # fewer cells are sorted by insertion
    SORT_DEPTH_MAX = 64  # levels of equal words; beyond, sorting compares whole keys

cdef struct Cell:
    uint64_t word
    Entry* entry

ctypedef int (*Comparison)(const void*, const void*) noexcept nogil


cdef inline uint64_t cell_word(const Cell* cell, size_t skip) noexcept nogil:
    return key_word(entry_key(cell.entry), cell.entry.key_size, skip)


cdef inline int compare_cells(const void* a, const void* b) noexcept nogil:
    cdef const Entry* first = (<const Cell*>a).entry
    cdef const Entry* second = (<const Cell*>b).entry
    return compare_bytes(
        entry_key(first), first.key_size, entry_key(second), second.key_size
    )


cdef inline void radix_sort(Cell* cells, Cell* spare, size_t count) noexcept nogil:
    """Order cells by word, a byte a pass from the lowest, skipping what all share."""
    cdef size_t starts[256]
    cdef size_t index, total, size
    cdef int shift
    cdef Cell* source = cells
    cdef Cell* target = spare
    cdef Cell* other
    cdef uint64_t differs = 0
    for index in range(1, count):
        differs |= cells[index].word ^ cells[0].word
    for shift in range(0, 64, 8):
        if not differs >> shift & 0xFF:
            continue
        for index in range(256):
            starts[index] = 0
        for index in range(count):
            starts[source[index].word >> shift & 0xFF] += 1
        total = 0
        for index in range(256):
            size = starts[index]
            starts[index] = total
            total += size
        for index in range(count):
            total = source[index].word >> shift & 0xFF
            target[starts[total]] = source[index]
            starts[total] += 1
        other = source
        source = target
        target = other
    if source != cells:
        memcpy(cells, source, count * sizeof(Cell))


cdef inline void insertion_sort(Cell* cells, size_t count) noexcept nogil:
    cdef size_t index, place
    cdef Cell cell
    for index in range(1, count):
        cell = cells[index]
        place = index
        while place and (
            cell.word < cells[place - 1].word
            or cell.word == cells[place - 1].word
            and compare_cells(&cell, &cells[place - 1]) < 0
        ):
            cells[place] = cells[place - 1]
            place -= 1
        cells[place] = cell


cdef inline void sort_cells(
    Cell* cells, Cell* spare, size_t count, size_t skip, int depth
) noexcept nogil:
    """Order cells by key; all keys share skip bytes, and the words are those behind."""
    cdef size_t start = 0, stop, index, ended
    cdef Cell cell
    if count < RADIX_MIN:
        insertion_sort(cells, count)
        return
    if depth > SORT_DEPTH_MAX:
        qsort(cells, count, sizeof(Cell), <Comparison>compare_cells)
        return
    radix_sort(cells, spare, count)
    while start < count:
        stop = start + 1
        while stop < count and cells[stop].word == cells[start].word:
            stop += 1
        if stop - start > 1:
            # Keys that end inside this word come first, by size: at most nine of them.
            ended = start
            for index in range(start, stop):
                if cells[index].entry.key_size <= skip + 8:
                    cell = cells[index]
                    cells[index] = cells[ended]
                    cells[ended] = cell
                    ended += 1
            insertion_sort(cells + start, ended - start)
            for index in range(ended, stop):
                if index + 8 < stop:
                    prefetch(cells[index + 8].entry)
                cells[index].word = cell_word(&cells[index], skip + 8)
            sort_cells(cells + ended, spare, stop - ended, skip + 8, depth + 1)
        start = stop


cdef inline Cell* index_gather(const Table* table) noexcept nogil:
    """All entries in key order, borrowed, in memory to be freed by the caller; or NULL.

    Needs no GIL on a table that nobody writes.  Cost: O(n) for keys of bounded size.
    """
    cdef Cell* cells = <Cell*>PyMem_RawMalloc(
        2 * (table.entry_count + 1) * sizeof(Cell)
    )
    cdef Walk walk
    cdef Page* page
    cdef Entry* entry
    cdef uint32_t bits
    cdef size_t count = 0, index, done = 0, start
    cdef int chunk
    if cells == NULL:
        return NULL
    walk.root_index = 0
    walk.segment = NULL
    page = walk_next_page(table, &walk)
    while page != NULL:
        start = count
        for chunk in range(CHUNKS):
            bits = ~match(page.chunks[chunk].control, EMPTY) & SLOT_MASK
            while bits:
                entry = slot_entry(page.chunks[chunk].slots[lowest_bit(bits)])
                cells[count].entry = entry
                prefetch(entry)
                bits &= bits - 1
                count += 1
        # A page behind the prefetches, the keys are there to be read.
        for index in range(done, start):
            cells[index].word = cell_word(&cells[index], 0)
        done = start
        page = walk_next_page(table, &walk)
    for index in range(done, count):
        cells[index].word = cell_word(&cells[index], 0)
    sort_cells(cells, cells + table.entry_count, count, 0, 0)
    return cells


cdef inline Status layer_drop(
    Table* table, Node** layer, Entry** separators, size_t nodes, size_t keys
) noexcept nogil:
    """Give up a half-built layer."""
    cdef size_t number
    for number in range(nodes):
        shared_release(table.arena, &layer[number].head)
    for number in range(keys):
        if separators[number] != NULL:
            entry_release(table.arena, separators[number])
    PyMem_RawFree(layer)
    table.index.node_bytes = 0
    return NO_MEMORY


cdef inline Status index_build(Table* table, const Cell* cells) noexcept nogil:
    """Build the tree over sorted cells, leaves first, then level by level."""
    cdef Index* index = &table.index
    cdef size_t count = table.entry_count, nodes, position = 0, number, size, cell
    cdef size_t done
    cdef int level = 0
    cdef Node** layer
    cdef Entry** separators
    cdef Node* node
    cdef Entry* entry
    index.node_bytes = 0
    index.rebuilds += 1
    if count == 0:
        index.root = NULL
        index.built = True
        return DONE
    nodes = (count + BULK_FILL - 1) // BULK_FILL
    layer = <Node**>PyMem_RawMalloc(nodes * 2 * sizeof(void*))
    if layer == NULL:
        return NO_MEMORY
    separators = <Entry**>(layer + nodes)
    for number in range(nodes):
        node = node_new(table, 0)
        entry = NULL
        if node != NULL and number:
            entry = cells[position].entry
            entry = entry_new(
                table.arena, entry_key(entry), entry.key_size, NULL, 0, NULL
            )
        if node == NULL or (number and entry == NULL):
            if node != NULL:
                node_free(table, node)
            return layer_drop(table, layer, separators, number, number)
        size = (count - position + nodes - number - 1) // (nodes - number)
        for cell in range(size):
            node_keys(node)[cell] = cells[position].entry
            cells[position].entry.refs += 1
            position += 1
        node.head.used = <unsigned short>size
        node_tighten(node)
        layer[number] = node
        separators[number] = entry
    while nodes > 1:
        level += 1
        count = nodes
        nodes = (count + BULK_FILL - 1) // BULK_FILL
        position = 0
        for number in range(nodes):
            node = node_new(table, level)
            if node == NULL:
                # Parents made so far stand in front, orphans from position on.
                done = number
                for cell in range(position, count):
                    layer[done] = layer[cell]
                    separators[done] = separators[cell]
                    done += 1
                return layer_drop(table, layer, separators, done, done)
            size = (count - position + nodes - number - 1) // (nodes - number)
            entry = separators[position]
            for cell in range(size):
                node_keys(node)[cell] = separators[position]
                node_children(node)[cell] = layer[position]
                position += 1
            node_keys(node)[0] = NULL
            node_words(node)[0] = 0
            node.head.used = <unsigned short>size
            node_tighten(node)
            layer[number] = node
            separators[number] = entry
    index.root = layer[0]
    index.built = True
    PyMem_RawFree(layer)
    return DONE


cdef inline Status index_order(Table* table) noexcept nogil:
    """Bring the index up to date: what every ordered access does first."""
    cdef Cell* cells
    cdef Status status
    if table.index.built:
        if table.index.pending_count:
            index_merge(table)
        if table.index.built:
            return DONE
    cells = index_gather(table)
    if cells == NULL:
        return NO_MEMORY
    status = index_build(table, cells)
    PyMem_RawFree(cells)
    return status
