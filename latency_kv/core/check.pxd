"""Check: the numbered invariants of all rooms, asserted one by one.

For tests and debugging: every entry is looked at, and what does not hold is named.
Knows all rooms below the reader; raises AssertionError.
"""

from libc.stdint cimport uint32_t, uint64_t
from latency_kv.core.entry cimport Entry, compare_bytes, entry_key, entry_memory
from latency_kv.core.hash cimport hash_bytes
from latency_kv.core.machine cimport (
    CHUNKS, PAGE_CAPACITY, SEGMENT_BITS, SEGMENT_PAGES, SLOT_MASK, lowest_bit, match,
)
from latency_kv.core.node cimport (
    common_size, key_word, node_children, node_keys, node_size, node_words,
)
from latency_kv.core.page cimport (
    EMPTY, Chunk, Page, hash_home, hash_step, hash_tag, page_find, slot_entry,
)
from latency_kv.core.table cimport (
    Node, Segment, Table, Walk, segment_of, table_find, table_page, walk_next_page,
)


cdef inline int require(bint holds, str message) except -1:
    if not holds:
        raise AssertionError(message)
    return 0


cdef inline int check_directory(const Table* table) except -1:
    """Invariants 1 and 2 of the table room."""
    cdef size_t slots = 1, number, segments = 0, run, index, pages = 0
    cdef Segment* segment
    cdef Segment* last = NULL
    cdef Page* page
    if table.root != NULL:
        require(table.root.head.refs >= 1, "the root is counted")
        require(table.root_shift == 64 - table.root.head.level, "the root's shift")
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
        require(run >= 1 and number % run == 0, "a segment's range is aligned")
        for index in range(number, number + run if table.root != NULL else 0):
            require(segment_of(table.root.slots[index]) == segment, "a segment's range")
        require(segment.head.refs >= 1, "a segment is counted")
        index = 0
        while index < SEGMENT_PAGES:
            page = segment.pages[index]
            pages += 1
            require(
                segment.head.level <= page.head.level
                <= segment.head.level + SEGMENT_BITS, "a page's depth"
            )
            run = <size_t>1 << (segment.head.level + SEGMENT_BITS - page.head.level)
            require(index % run == 0, "a page's range is aligned")
            for index in range(index, index + run):
                require(segment.pages[index] == page, "a page's range")
            index += 1
    require(segments == table.segment_count, "segment_count")
    require(pages == table.page_count, "page_count")
    return 0


cdef inline int check_pages(const Table* table) except -1:
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
        require(page.head.refs >= 1, "a page is counted")
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
                require(entry.refs >= 1, "an entry is counted")
                require(chunk.slots[place] >> 48 == hash >> 48, "a slot's bits of hash")
                require(chunk.control[place] == hash_tag(hash), "a control byte")
                require(table_page(table, hash) == page, "an entry is in its page")
                require(
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
            require(hosted == chunk.hosted, "a chunk's hosted")
        for number in range(CHUNKS):
            chunk = &page.chunks[number]
            require(overflow[number] == chunk.overflow, "a chunk's overflow")
        require(used == page.head.used, "a page's used")
        require(used <= PAGE_CAPACITY, "a page has room")
        page = walk_next_page(table, &walk)
    require(entries == table.entry_count, "entry_count")
    require(key_bytes == table.key_bytes, "key_bytes")
    require(value_bytes == table.value_bytes, "value_bytes")
    require(memory == table.entry_memory, "entry_memory")
    return 0


cdef inline int check_index(Table* table) except -1:
    """The invariants of the node and index rooms, with no changes pending."""
    cdef size_t count = 0, memory = 0
    cdef Entry* last = NULL
    if table.index.root != NULL:
        check_node(table, table.index.root, NULL, NULL, &last, &count, &memory)
    require(count == table.entry_count, "the index has every entry")
    require(memory == table.index.node_bytes, "node_bytes")
    return 0


cdef inline int check_node(
    Table* table, Node* node, Entry* low, Entry* high, Entry** last,
    size_t* count, size_t* memory,
) except -1:
    """Check a node whose keys are to be in [low, high)."""
    cdef size_t index, first = node.head.level != 0
    cdef Entry** keys = node_keys(node)
    cdef Entry* entry
    require(node.head.refs >= 1, "a node is counted")
    require(node.head.used >= 1, "a node has cells")
    memory[0] += node_size(node.head.level)
    for index in range(first, node.head.used):
        entry = keys[index]
        require(entry.refs >= 1, "a cell's entry is counted")
        require(
            entry.key_size >= node.skip
            and common_size(entry, keys[first]) >= node.skip,
            "a node's keys share skip bytes"
        )
        require(
            node_words(node)[index]
            == key_word(entry_key(entry), entry.key_size, node.skip), "a cell's word"
        )
        require(
            low == NULL or key_order(low, entry) <= 0, "a key is not below its node"
        )
        require(
            high == NULL or key_order(entry, high) < 0, "a key is below the next node"
        )
        if index > first:
            require(key_order(keys[index - 1], entry) < 0, "keys ascend")
        if not node.head.level:
            require(
                last[0] == NULL or key_order(last[0], entry) < 0, "leaves ascend"
            )
            require(
                table_find(table, entry_key(entry), entry.key_size) == entry,
                "the index holds the table's entries"
            )
            last[0] = entry
            count[0] += 1
    if node.head.level:
        for index in range(node.head.used):
            require(
                node_children(node)[index].head.level == node.head.level - 1,
                "leaves lie on one level"
            )
            check_node(
                table, node_children(node)[index],
                keys[index] if index else low,
                keys[index + 1] if index + 1 < node.head.used else high,
                last, count, memory,
            )
    return 0


cdef inline int key_order(const Entry* a, const Entry* b) noexcept:
    return compare_bytes(entry_key(a), a.key_size, entry_key(b), b.key_size)
