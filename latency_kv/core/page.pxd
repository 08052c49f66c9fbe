"""Page: a fixed number of slots found by hash; the unit of copy-on-write.

    header   | stamp, refs, used, depth |                          a cache line
    chunk    | 14 control bytes | hosted | overflow | 14 slots |   two of them, 8 times

    control  | 0x4f | EMPTY | 0x12 |   one byte a slot: 8 bits of hash, or EMPTY
    slots    | h,e* |       | h,e* |   the hash's top 16 bits over an entry's address

A probe starts in the chunk that the hash names and goes on by an odd step while the
chunk's overflow says that entries passed it by.  So nothing marks a deleted entry:
removing one lowers the overflow of the chunks it had passed.  (After Bronson and Shi,
"Open-sourcing F14 for faster, more memory-efficient hash tables", 2019.)

Invariants
    1. At most PAGE_CAPACITY slots are used, so an insertion always meets an EMPTY one.
    2. A chunk's overflow is the number of entries that passed it, full, on their way;
       its hosted the number of its entries that have another home.  So a probe ends at
       the first chunk with overflow 0, after CHUNKS steps at the latest.
    3. Each used slot owns one count of its entry.
    4. All entries agree in the top `level` bits of their hashes.
    5. A page that anyone else can see is never written.

Knows entries and hashes.  Touches no Python object, raises nothing.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memcpy, memset
from latency_kv.core.arena cimport Arena, Shared, arena_allocate
from latency_kv.core.entry cimport Entry, entry_key, same_bytes
from latency_kv.core.hash cimport HashKey, hash_bytes, hash_within
from latency_kv.core.machine cimport (
    CHUNKS, SLOT_MASK, likely, lowest_bit, match, prefetch,
)

cdef enum:
    EMPTY = 0
    LINE_SLOTS = 16       # slots are numbered with a stride of 16 from chunk to chunk
    HASH_SHIFT = 48       # where a slot's 16 bits of hash start; addresses end below
    ABSENT = -1
    SECOND_LINE = 6       # the first slot in it
    # A probe that meets so many entries with its tag and another key is no accident: of
    # 96 random entries 0.4 are expected.
    STRANGERS_MAX = 12
    # Nor is a chunk that so many entries passed by: a page holds 12 a chunk.
    OVERFLOW_MAX = 40

cdef struct Chunk:
    uint8_t control[14]
    uint8_t hosted
    uint8_t overflow
    uint64_t slots[14]

cdef struct Page:
    Shared head
    uint8_t padding[40]
    Chunk chunks[CHUNKS]


cdef inline uint8_t hash_tag(uint64_t hash) noexcept nogil:
    cdef uint8_t tag = <uint8_t>hash_within(hash)
    return <uint8_t>(tag + (tag == EMPTY))


cdef inline uint32_t hash_home(uint64_t hash) noexcept nogil:
    return (hash_within(hash) >> 8) & (CHUNKS - 1)


cdef inline uint32_t hash_step(uint64_t hash) noexcept nogil:
    return (hash_within(hash) >> 12) | 1


cdef inline Entry* slot_entry(uint64_t slot) noexcept nogil:
    return <Entry*><uintptr_t>(slot & ((<uint64_t>1 << HASH_SHIFT) - 1))


cdef inline uint64_t slot_of(Entry* entry, uint64_t hash) noexcept nogil:
    return <uint64_t><uintptr_t>entry | (hash >> HASH_SHIFT << HASH_SHIFT)


cdef inline uint64_t* page_slot(Page* page, int place) noexcept nogil:
    return &page.chunks[place >> 4].slots[place & (LINE_SLOTS - 1)]


cdef inline Entry* page_find(
    const Page* page, uint64_t hash, const char* key, size_t key_size
) noexcept nogil:
    """The entry of key, borrowed, or NULL."""
    cdef uint8_t tag = hash_tag(hash)
    cdef uint32_t index = hash_home(hash), bits
    cdef int _step
    cdef const Chunk* chunk
    cdef uint64_t slot
    cdef Entry* entry
    for _step in range(CHUNKS):
        chunk = &page.chunks[index]
        # Most slots lie in the chunk's second line: ask for it beside the first.
        prefetch(&chunk.slots[SECOND_LINE])
        bits = match(chunk.control, tag)
        while bits:
            slot = chunk.slots[lowest_bit(bits)]
            entry = slot_entry(slot)
            if likely(
                (slot ^ hash) >> HASH_SHIFT == 0 and entry.key_size == key_size
                and same_bytes(entry_key(entry), key, key_size)
            ):
                return entry
            bits &= bits - 1
        if likely(chunk.overflow == 0):
            return NULL
        index = (index + hash_step(hash)) & (CHUNKS - 1)
    return NULL


cdef inline int page_locate(
    const Page* page, uint64_t hash, const char* key, size_t key_size, bint* crafted
) noexcept nogil:
    """The place of key, valid in a copy of the page too, or ABSENT.

    Sets crafted when the probe was longer than chance allows.
    """
    cdef uint8_t tag = hash_tag(hash)
    cdef uint32_t home = hash_home(hash), index = home, bits, place
    cdef uint32_t strangers = 0
    cdef int _step
    cdef const Chunk* chunk
    cdef Entry* entry
    for _step in range(CHUNKS):
        chunk = &page.chunks[index]
        prefetch(&chunk.slots[SECOND_LINE])
        bits = match(chunk.control, tag)
        while bits:
            place = lowest_bit(bits)
            entry = slot_entry(chunk.slots[place])
            if likely(
                (chunk.slots[place] ^ hash) >> HASH_SHIFT == 0
                and entry.key_size == key_size
                and same_bytes(entry_key(entry), key, key_size)
            ):
                return <int>(index * LINE_SLOTS + place)
            strangers += 1
            bits &= bits - 1
        if likely(chunk.overflow == 0):
            break
        index = (index + hash_step(hash)) & (CHUNKS - 1)
    if strangers > STRANGERS_MAX or page.chunks[home].overflow > OVERFLOW_MAX:
        crafted[0] = True
    return ABSENT


cdef inline bint page_crowded(const Page* page, uint64_t hash) noexcept nogil:
    """Whether so many entries have this hash's home, or its tag there, as by no chance.

    What page_locate sees on its way, for entries that are known to be absent.
    """
    cdef const Chunk* chunk = &page.chunks[hash_home(hash)]
    cdef uint32_t bits = match(chunk.control, hash_tag(hash))
    cdef uint32_t strangers = 0
    while bits:
        strangers += 1
        bits &= bits - 1
    return strangers > STRANGERS_MAX or chunk.overflow > OVERFLOW_MAX


cdef inline void page_insert(Page* page, uint64_t hash, uint64_t slot) noexcept nogil:
    """Give a slot's entry, absent so far, to a page with room."""
    cdef uint32_t home = hash_home(hash), index = home, bits, place
    cdef Chunk* chunk = &page.chunks[index]
    bits = match(chunk.control, EMPTY)
    while not bits:
        chunk.overflow += 1
        index = (index + hash_step(hash)) & (CHUNKS - 1)
        chunk = &page.chunks[index]
        bits = match(chunk.control, EMPTY)
    place = lowest_bit(bits)
    chunk.control[place] = hash_tag(hash)
    chunk.slots[place] = slot
    chunk.hosted += index != home
    page.head.used += 1


cdef inline Entry* page_remove(Page* page, uint64_t hash, int place) noexcept nogil:
    """Take the entry at a place, with its count, out of the page."""
    cdef uint32_t home = hash_home(hash), index = home
    cdef uint32_t found = <uint32_t>place >> 4
    cdef Chunk* chunk = &page.chunks[found]
    chunk.control[place & (LINE_SLOTS - 1)] = EMPTY
    chunk.hosted -= found != home
    while index != found:
        page.chunks[index].overflow -= 1
        index = (index + hash_step(hash)) & (CHUNKS - 1)
    page.head.used -= 1
    return slot_entry(chunk.slots[place & (LINE_SLOTS - 1)])


cdef inline Page* page_new(
    Arena* arena, uint64_t stamp, int depth, int kind
) noexcept nogil:
    cdef Page* page = <Page*>arena_allocate(arena, sizeof(Page))
    cdef int index
    if page == NULL:
        return NULL
    page.head.stamp = stamp
    page.head.refs = 1
    page.head.used = 0
    page.head.level = <unsigned char>depth
    page.head.kind = <unsigned char>kind
    for index in range(CHUNKS):
        memset(&page.chunks[index], 0, LINE_SLOTS)
    return page


cdef inline Page* page_copy(
    Arena* arena, const Page* source, uint64_t stamp
) noexcept nogil:
    """The same page with a count of its own on every entry, or NULL."""
    cdef Page* page = <Page*>arena_allocate(arena, sizeof(Page))
    cdef uint32_t bits
    cdef int index
    if page == NULL:
        return NULL
    # Most entries are cold: ask for all of them before touching the first.
    for index in range(CHUNKS):
        bits = ~match(source.chunks[index].control, EMPTY) & SLOT_MASK
        while bits:
            prefetch(slot_entry(source.chunks[index].slots[lowest_bit(bits)]))
            bits &= bits - 1
    memcpy(page, source, sizeof(Page))
    arena.debt += source.head.used
    page.head.stamp = stamp
    page.head.refs = 1
    for index in range(CHUNKS):
        bits = ~match(page.chunks[index].control, EMPTY) & SLOT_MASK
        while bits:
            slot_entry(page.chunks[index].slots[lowest_bit(bits)]).refs += 1
            bits &= bits - 1
    return page


cdef inline void page_split(
    Page* page, const HashKey* key, Page* low, Page* high
) noexcept nogil:
    """Move the entries, with their counts, to two fresh pages of the next depth.

    Entries in their home chunk keep their place, and their slots tell their side
    without a look at the key.  Cost: about two nanoseconds an entry.
    """
    cdef int depth = page.head.level, index, wave
    cdef uint32_t bits, place
    cdef uint64_t slot, hash
    cdef Chunk* chunk
    cdef Chunk* target
    cdef Page* side
    cdef Entry* entry
    # First the chunks whose entries are all at home: a guest may take any slot left.
    for wave in range(2):
        for index in range(CHUNKS):
            chunk = &page.chunks[index]
            if (chunk.hosted != 0) != wave:
                continue
            bits = ~match(chunk.control, EMPTY) & SLOT_MASK
            while bits:
                place = lowest_bit(bits)
                bits &= bits - 1
                slot = chunk.slots[place]
                if wave or depth >= 64 - HASH_SHIFT:
                    entry = slot_entry(slot)
                    hash = hash_bytes(key, entry_key(entry), entry.key_size)
                    side = high if hash >> (63 - depth) & 1 else low
                    page_insert(side, hash, slot)
                    continue
                side = high if slot >> (63 - depth) & 1 else low
                target = &side.chunks[index]
                target.control[place] = chunk.control[place]
                target.slots[place] = slot
                side.head.used += 1
