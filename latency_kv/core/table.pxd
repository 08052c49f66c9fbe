"""Table: pages found through an extendible directory that grows without a pause.

    root      | segment, shift | segment, shift | ...   by the top bits of a hash
    segment   | page | page | page | ...                by its next SEGMENT_BITS bits
    page      by the rest

A full page splits in two; a segment whose page is as deep as itself splits before; the
root, 8 bytes a segment, doubles before that.  So the largest piece that a put ever
copies is the root: a few KiB in a store of ten million entries.  A store of up to
SEGMENT_PAGES pages has no root, only its first segment.  (Fagin, Nievergelt, Pippenger
and Strong, "Extendible hashing", 1979; here the directory is a directory of segments.)

Sharing.  Snapshots and copies hold the root or the first segment, and counts are
transitive.  Stores and holders that may share form a family with one clock, which ticks
at every new holder.  Counts decide freeing, stamps decide writing, so that a put need
not ask root and segment:

Invariants
    1. A segment or page is written only by a store that is alone in its family, or that
       made it since the last tick (its stamp is the clock).  All else is copied first.
    2. A directory slot's page agrees with the slot in the top `level` bits; slots that
       share a page are adjacent and count once.  So do the root's slots and segments.
    3. An entry is changed in place only by a store that is alone in its family, without
       an open scan.
    4. entry_count, key_bytes, value_bytes and page_count are those of the pages.
    5. A failed call leaves the same entries; it may have split a page.

Knows pages.  Touches no Python object, raises nothing, answers with a Status.
"""

from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memmove
from latency_kv.core.arena cimport (
    Arena, Shared, arena_allocate, arena_block_size, arena_free,
)
from latency_kv.core.entry cimport (
    INLINE_MAX, Entry, entry_key, entry_memory, entry_size,
)
from latency_kv.core.hash cimport HashKey, hash_bytes
from latency_kv.core.machine cimport (
    CHUNKS, DEPTH_SLACK, PAGE_CAPACITY, SEGMENT_BITS, SEGMENT_PAGES, SLOT_MASK,
    lowest_bit, match, prefetch,
)
from latency_kv.core.page cimport (
    ABSENT, EMPTY, Page, page_copy, page_find, page_insert, page_locate, page_new,
    page_remove, page_slot, page_split, slot_entry, slot_of,
)

cdef enum Status:
    DONE
    NO_MEMORY
    CRAFTED              # the keys defeat the fast hash: re-key, then repeat

cdef enum Kind:
    KIND_PAGE
    KIND_SEGMENT
    KIND_ROOT
    KIND_LEAF
    KIND_BRANCH

cdef enum:
    SHIFT_MASK = 63      # a tagged segment carries its shift below its alignment
    # What SipHash cannot exceed with less than 2**40 entries; bounds a broken hash.
    DEPTH_MAX = 48
    PENDING_MAX = 16     # changes that wait for the index; bounds the pause of merging

cdef struct Family:
    uint64_t clock       # ticks at every snapshot, copy and restore
    size_t members       # stores and snapshots
    size_t scans         # open scans

cdef struct Segment:
    Shared head
    uint8_t padding[40]
    Page* pages[SEGMENT_PAGES]

cdef struct Root:
    Shared head          # level: the bits of hash that it consumes
    uintptr_t slots[1]   # 1 << level tagged segments

cdef struct Node:
    Shared head          # level: 0 for a leaf; used: cells
    uint32_t skip        # bytes that all keys in the node share, not part of the words
    uint8_t padding[36]
    uint64_t cells[1]    # words, then entries, then children: see the index room

cdef struct Index:
    Node* root           # NULL while there are no entries
    bint built
    int pending_count
    # The changes since the last merge, in order; each counts its entry.
    Entry* pending[PENDING_MAX]
    bint removed[PENDING_MAX]
    size_t node_bytes
    size_t merges
    size_t rebuilds

cdef struct Table:
    Arena* arena
    Family* family
    uintptr_t first      # the tagged first segment, when there is no root
    Root* root
    int root_shift
    HashKey hash
    size_t entry_count
    size_t key_bytes
    size_t value_bytes
    size_t entry_memory
    size_t page_count
    size_t segment_count
    size_t splits
    size_t copies        # pages, segments, roots and nodes copied before a write
    Index index


cdef inline Segment* segment_of(uintptr_t tagged) noexcept nogil:
    return <Segment*>(tagged & ~<uintptr_t>SHIFT_MASK)


cdef inline uintptr_t segment_tag(Segment* segment) noexcept nogil:
    return <uintptr_t>segment | <uintptr_t>(64 - SEGMENT_BITS - segment.head.level)


cdef inline uintptr_t table_segment(const Table* table, uint64_t hash) noexcept nogil:
    if table.root == NULL:
        return table.first
    return table.root.slots[hash >> table.root_shift]


cdef inline Page** table_slot(const Table* table, uint64_t hash) noexcept nogil:
    cdef uintptr_t tagged = table_segment(table, hash)
    return &segment_of(tagged).pages[
        hash >> (tagged & SHIFT_MASK) & (SEGMENT_PAGES - 1)
    ]


cdef inline Page* table_page(const Table* table, uint64_t hash) noexcept nogil:
    return table_slot(table, hash)[0]


cdef inline Entry* table_find(
    const Table* table, const char* key, size_t key_size
) noexcept nogil:
    """The entry of key, borrowed until the next write, or NULL."""
    cdef uint64_t hash = hash_bytes(&table.hash, key, key_size)
    return page_find(table_page(table, hash), hash, key, key_size)


cdef inline bint table_writable(
    const Table* table, const Shared* shared
) noexcept nogil:
    """Whether invariant 1 allows a write.

    What waits to be reclaimed may still count it: that is a holder too.
    """
    return shared.refs == 1 and (
        table.family.members == 1 or shared.stamp == table.family.clock
    )


cdef inline void shared_release(Arena* arena, Shared* shared) noexcept nogil:
    """Give up a count; what nobody holds joins the queue of the dead."""
    shared.refs -= 1
    if shared.refs == 0:
        shared.stamp = 0     # from now on: how many children were released
        shared.next = arena.dead
        arena.dead = shared


cdef inline size_t root_size(int bits) noexcept nogil:
    return sizeof(Root) + ((<size_t>1 << bits) - 1) * sizeof(uintptr_t)


cdef inline Segment* segment_new(Table* table, int depth) noexcept nogil:
    cdef Segment* segment = <Segment*>arena_allocate(table.arena, sizeof(Segment))
    if segment != NULL:
        segment.head.stamp = table.family.clock
        segment.head.refs = 1
        segment.head.used = 0
        segment.head.level = <unsigned char>depth
        segment.head.kind = KIND_SEGMENT
    return segment


cdef inline Root* root_new(Table* table, int bits) noexcept nogil:
    cdef Root* root = <Root*>arena_allocate(table.arena, root_size(bits))
    if root != NULL:
        root.head.stamp = table.family.clock
        root.head.refs = 1
        root.head.used = 0
        root.head.level = <unsigned char>bits
        root.head.kind = KIND_ROOT
    return root


cdef inline Status table_start(Table* table) noexcept nogil:
    """An empty directory for a table whose arena, family and hash are set."""
    cdef int index
    cdef Page* page = page_new(table.arena, table.family.clock, 0, KIND_PAGE)
    if page == NULL:
        return NO_MEMORY
    cdef Segment* segment = segment_new(table, 0)
    if segment == NULL:
        arena_free(table.arena, page, sizeof(Page))
        return NO_MEMORY
    for index in range(SEGMENT_PAGES):
        segment.pages[index] = page
    table.first = segment_tag(segment)
    table.root = NULL
    table.root_shift = 0
    table.entry_count = table.key_bytes = table.value_bytes = table.entry_memory = 0
    table.page_count = table.segment_count = 1
    return DONE


cdef inline Shared* table_top(Table* table) noexcept nogil:
    """What a holder of the table counts."""
    if table.root != NULL:
        return &table.root.head
    return &segment_of(table.first).head


cdef inline Root* table_own_root(Table* table) noexcept nogil:
    """The root, writable, or NULL without memory."""
    cdef Root* root = table.root
    cdef Root* copy
    cdef Segment* segment
    cdef Segment* last = NULL
    cdef size_t index
    if table_writable(table, &root.head):
        return root
    copy = root_new(table, root.head.level)
    if copy == NULL:
        return NULL
    for index in range(<size_t>1 << root.head.level):
        copy.slots[index] = root.slots[index]
        segment = segment_of(root.slots[index])
        if segment != last:
            segment.head.refs += 1
            last = segment
    table.root = copy
    table.copies += 1
    table.arena.debt += <size_t>1 << root.head.level
    shared_release(table.arena, &root.head)
    return copy


cdef inline void root_fill(
    Table* table, uint64_t hash, Segment* segment
) noexcept nogil:
    """Point all slots of a segment's range at it; the root is writable."""
    cdef int depth = segment.head.level
    cdef size_t run = <size_t>1 << (table.root.head.level - depth)
    cdef size_t start = (hash >> table.root_shift) & ~(run - 1)
    cdef size_t index
    for index in range(start, start + run):
        table.root.slots[index] = segment_tag(segment)


cdef inline Segment* table_own_segment(Table* table, uint64_t hash) noexcept nogil:
    """The hash's segment, writable, or NULL without memory."""
    cdef Segment* segment = segment_of(table_segment(table, hash))
    cdef Segment* copy
    cdef Page* last = NULL
    cdef int index
    if table_writable(table, &segment.head):
        return segment
    if table.root != NULL and table_own_root(table) == NULL:
        return NULL
    copy = segment_new(table, segment.head.level)
    if copy == NULL:
        return NULL
    for index in range(SEGMENT_PAGES):
        prefetch(segment.pages[index])
    for index in range(SEGMENT_PAGES):
        copy.pages[index] = segment.pages[index]
        if segment.pages[index] != last:
            last = segment.pages[index]
            last.head.refs += 1
    if table.root == NULL:
        table.first = segment_tag(copy)
    else:
        root_fill(table, hash, copy)
    table.copies += 1
    table.arena.debt += SEGMENT_PAGES
    shared_release(table.arena, &segment.head)
    return copy


cdef inline void segment_fill(
    Segment* segment, uint64_t hash, Page* page
) noexcept nogil:
    """Point all slots of a page's range at it; the segment is writable."""
    cdef int below = segment.head.level + SEGMENT_BITS
    cdef size_t run = <size_t>1 << (below - page.head.level)
    cdef size_t start = (hash >> (64 - below)) & (SEGMENT_PAGES - 1) & ~(run - 1)
    cdef size_t index
    for index in range(start, start + run):
        segment.pages[index] = page


cdef inline Page* table_own_page(Table* table, uint64_t hash) noexcept nogil:
    """The hash's page, writable, or NULL without memory."""
    cdef Page* page = table_page(table, hash)
    cdef Page* copy
    cdef Segment* segment
    if table_writable(table, &page.head):
        return page
    segment = table_own_segment(table, hash)
    if segment == NULL:
        return NULL
    copy = page_copy(table.arena, page, table.family.clock)
    if copy == NULL:
        return NULL
    segment_fill(segment, hash, copy)
    table.copies += 1
    shared_release(table.arena, &page.head)
    return copy


cdef inline Status table_grow_root(Table* table) noexcept nogil:
    """Give the root one more bit; a table without one gets its first."""
    cdef int bits = 1 if table.root == NULL else table.root.head.level + 1
    cdef Root* root
    cdef Root* old = table.root
    cdef size_t index
    if old != NULL and table_own_root(table) == NULL:
        return NO_MEMORY
    old = table.root
    root = root_new(table, bits)
    if root == NULL:
        return NO_MEMORY
    for index in range(<size_t>1 << bits):
        root.slots[index] = table.first if old == NULL else old.slots[index >> 1]
    if old != NULL:
        arena_free(table.arena, old, root_size(old.head.level))
    table.root = root
    table.root_shift = 64 - bits
    return DONE


cdef inline Status table_split_segment(Table* table, uint64_t hash) noexcept nogil:
    cdef Segment* segment
    cdef Segment* low
    cdef Segment* high
    cdef int depth, index
    cdef uint64_t bit
    # From the top: copying a root or a segment counts what is below once more, and what
    # is to be taken apart must be counted once.
    if table.root != NULL and table_own_root(table) == NULL:
        return NO_MEMORY
    segment = table_own_segment(table, hash)
    if segment == NULL:
        return NO_MEMORY
    depth = segment.head.level
    if table.root == NULL or table.root.head.level == depth:
        if table_grow_root(table):
            return NO_MEMORY
    low = segment_new(table, depth + 1)
    high = segment_new(table, depth + 1)
    if low == NULL or high == NULL:
        if low != NULL:
            arena_free(table.arena, low, sizeof(Segment))
        if high != NULL:
            arena_free(table.arena, high, sizeof(Segment))
        return NO_MEMORY
    for index in range(SEGMENT_PAGES):
        low.pages[index] = segment.pages[index >> 1]
        high.pages[index] = segment.pages[(index + SEGMENT_PAGES) >> 1]
    bit = <uint64_t>1 << (63 - depth)
    root_fill(table, hash & ~bit, low)
    root_fill(table, hash | bit, high)
    table.segment_count += 1
    arena_free(table.arena, segment, sizeof(Segment))
    return DONE


cdef inline Status table_split_page(Table* table, uint64_t hash) noexcept nogil:
    cdef Page* page = table_page(table, hash)
    cdef Page* low
    cdef Page* high
    cdef Segment* segment
    cdef int depth = page.head.level
    cdef uint64_t bit
    if not table.hash.strong:
        if table.page_count << DEPTH_SLACK >> depth == 0:
            return CRAFTED
    elif depth >= DEPTH_MAX:
        return NO_MEMORY
    segment = segment_of(table_segment(table, hash))
    if depth == segment.head.level + SEGMENT_BITS and table_split_segment(table, hash):
        return NO_MEMORY
    segment = table_own_segment(table, hash)
    if segment == NULL:
        return NO_MEMORY
    page = table_own_page(table, hash)
    if page == NULL:
        return NO_MEMORY
    low = page_new(table.arena, table.family.clock, depth + 1, KIND_PAGE)
    high = page_new(table.arena, table.family.clock, depth + 1, KIND_PAGE)
    if low == NULL or high == NULL:
        if low != NULL:
            arena_free(table.arena, low, sizeof(Page))
        if high != NULL:
            arena_free(table.arena, high, sizeof(Page))
        return NO_MEMORY
    page_split(page, &table.hash, low, high)
    bit = <uint64_t>1 << (63 - depth)
    segment_fill(segment, hash & ~bit, low)
    segment_fill(segment, hash | bit, high)
    table.page_count += 1
    table.splits += 1
    arena_free(table.arena, page, sizeof(Page))
    return DONE


cdef inline void table_count(Table* table, const Entry* entry, int sign) noexcept nogil:
    """Add an entry to the table's sums, or take it out."""
    if sign > 0:
        table.entry_count += 1
        table.key_bytes += entry.key_size
        table.value_bytes += entry.value_size
        table.entry_memory += entry_memory(entry)
    else:
        table.entry_count -= 1
        table.key_bytes -= entry.key_size
        table.value_bytes -= entry.value_size
        table.entry_memory -= entry_memory(entry)


cdef inline Status table_place(
    Table* table, uint64_t hash, int place, Entry* entry, Entry** replaced
) noexcept nogil:
    """Give an entry, with one count, to the place that page_locate named for its key.

    replaced receives the entry whose place it took, with its count, or NULL.
    """
    cdef Page* page
    cdef Status status
    cdef uint64_t* slot
    replaced[0] = NULL
    if place == ABSENT:
        while table_page(table, hash).head.used >= PAGE_CAPACITY:
            status = table_split_page(table, hash)
            if status != DONE:
                return status
    page = table_own_page(table, hash)
    if page == NULL:
        return NO_MEMORY
    if place == ABSENT:
        page_insert(page, hash, slot_of(entry, hash))
    else:
        slot = page_slot(page, place)
        replaced[0] = slot_entry(slot[0])
        table_count(table, replaced[0], -1)
        slot[0] = slot_of(entry, hash)
    table_count(table, entry, 1)
    return DONE


cdef inline Status table_put(
    Table* table, Entry* entry, Entry** replaced
) noexcept nogil:
    """Give an entry, with one count, to the table."""
    cdef uint64_t hash = hash_bytes(&table.hash, entry_key(entry), entry.key_size)
    cdef bint crafted = False
    cdef int place = page_locate(
        table_page(table, hash), hash, entry_key(entry), entry.key_size, &crafted
    )
    if crafted and not table.hash.strong:
        return CRAFTED
    return table_place(table, hash, place, entry, replaced)


cdef inline bint table_assign(
    Table* table, uint64_t hash, int place, const char* value, size_t value_size
) noexcept nogil:
    """Write a value over the one at a place, if it fits and nobody else sees it."""
    cdef Entry* entry
    cdef size_t size
    if table.family.members != 1 or table.family.scans != 0 or value_size > INLINE_MAX:
        return False
    entry = slot_entry(page_slot(table_page(table, hash), place)[0])
    if entry.value_size > INLINE_MAX:
        return False
    size = entry_size(entry.key_size, value_size)
    if arena_block_size(size) != arena_block_size(
        entry_size(entry.key_size, entry.value_size)
    ):
        return False
    table.value_bytes += value_size - entry.value_size
    memmove(entry_key(entry) + entry.key_size, value, value_size)
    entry.value_size = <uint32_t>value_size
    return True


cdef inline Status table_remove(
    Table* table, uint64_t hash, const char* key, size_t key_size, Entry** removed
) noexcept nogil:
    """Take the entry of key, with its count, out of the table.

    removed receives the entry, or NULL if there is none.
    """
    cdef bint crafted = False
    cdef Page* page = table_page(table, hash)
    cdef int place = page_locate(page, hash, key, key_size, &crafted)
    removed[0] = NULL
    if place == ABSENT:
        return DONE
    page = table_own_page(table, hash)
    if page == NULL:
        return NO_MEMORY
    removed[0] = page_remove(page, hash, place)
    table_count(table, removed[0], -1)
    return DONE


# Where a walk over all entries of a table stands.
cdef struct Walk:
    size_t root_index
    size_t page_index
    int place
    Page* page
    Segment* segment


cdef inline Page* walk_next_page(const Table* table, Walk* walk) noexcept nogil:
    """The next page of a walk that started from zeroes, each once, or NULL."""
    cdef size_t root_slots, run
    if walk.segment == NULL:
        walk.segment = segment_of(
            table.first if table.root == NULL else table.root.slots[0]
        )
        walk.page_index = 0
    if walk.page_index == SEGMENT_PAGES:
        root_slots = 1 if table.root == NULL else <size_t>1 << table.root.head.level
        if table.root == NULL:
            return NULL
        walk.root_index += (
            <size_t>1 << (table.root.head.level - walk.segment.head.level)
        )
        if walk.root_index >= root_slots:
            return NULL
        walk.segment = segment_of(table.root.slots[walk.root_index])
        walk.page_index = 0
    walk.page = walk.segment.pages[walk.page_index]
    run = <size_t>1 << (
        walk.segment.head.level + SEGMENT_BITS - walk.page.head.level
    )
    walk.page_index += run
    if walk.page_index < SEGMENT_PAGES:
        prefetch(walk.segment.pages[walk.page_index])
    return walk.page


cdef inline Status table_rekey(Table* table) noexcept nogil:
    """Change to the strong hash.

    A second directory over the same entries, published last.  Cost: O(n), once in a
    table's life.
    """
    cdef Table fresh = table[0]
    cdef Walk walk
    cdef Page* page
    cdef Entry* entry
    cdef Entry* replaced
    cdef uint32_t bits
    cdef int chunk
    fresh.hash.strong = True
    if table_start(&fresh):
        return NO_MEMORY
    walk.root_index = 0
    walk.segment = NULL
    page = walk_next_page(table, &walk)
    while page != NULL:
        for chunk in range(CHUNKS):
            bits = ~match(page.chunks[chunk].control, EMPTY) & SLOT_MASK
            while bits:
                entry = slot_entry(page.chunks[chunk].slots[lowest_bit(bits)])
                bits &= bits - 1
                if table_put(&fresh, entry, &replaced):
                    shared_release(table.arena, table_top(&fresh))
                    return NO_MEMORY
                entry.refs += 1
        page = walk_next_page(table, &walk)
    shared_release(table.arena, table_top(table))
    table[0] = fresh
    return DONE


cdef inline Family* family_new() noexcept nogil:
    cdef Family* family = <Family*>PyMem_RawMalloc(sizeof(Family))
    if family != NULL:
        family.clock = 1
        family.scans = 0
        family.members = 1
    return family


cdef inline void family_leave(Family* family) noexcept nogil:
    """For a store or a snapshot; a scan keeps its store or snapshot alive."""
    family.members -= 1
    if family.members + family.scans == 0:
        PyMem_RawFree(family)
