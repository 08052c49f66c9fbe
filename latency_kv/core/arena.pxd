"""Arena: memory for entries, pages and nodes, in slabs cut into blocks of one size.

    region   | slab | slab | slab | ...        one request to the system, aligned inside
    slab     | header | block | block | ...    a block finds its slab by an address mask

Blocks of up to BLOCK_MAX bytes come from slabs; larger ones straight from the system.
Blocks of more than FINE_MAX bytes are aligned to cache lines.

Invariants
    1. A slab is in its class's list of slabs with room, or full, or among the empty.
    2. A slab's used blocks, free list and untouched tail add up to its capacity.
    3. Freeing a block allocates nothing.

There is one arena a process, reached by pointer, and it is used with the GIL held.
Knows sizes and addresses, nothing of what is stored in them.
"""

from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from libc.stdint cimport uint32_t, uintptr_t
from latency_kv.core.machine cimport SLAB_SIZE, SLABS_PER_REGION, poison, unpoison

cdef enum:
    LINE = 64            # a cache line; also the size of a slab's header
    LINE_SHIFT = 6
    FINE_STEP = 16       # up to FINE_MAX bytes, classes lie so far apart; a line above
    FINE_SHIFT = 4
    FINE_MAX = 256
    BLOCK_MAX = 3072
    FINE_CLASSES = 16    # FINE_MAX / FINE_STEP
    CLASSES = 60         # and (BLOCK_MAX - FINE_MAX) / LINE

cdef struct Region:
    void* address        # what the system gave; the slabs in it are aligned
    uint32_t used        # slabs that hold blocks

cdef struct Slab:
    Slab* next
    Slab* previous
    Region* region
    void* free           # freed blocks, each holding the address of the next
    uint32_t tail        # offset of the space that was never used
    uint32_t used        # blocks handed out
    uint32_t block_size
    bint listed

# What the arena hands back to the rooms above when nobody holds it any more.
cdef struct Shared:
    unsigned long long stamp    # the family's clock at its making; of no use to nodes
    uint32_t refs
    unsigned short used         # children; of a dead object, those still to be released
    unsigned char level         # a page's or segment's depth, a node's height
    unsigned char kind
    Shared* next                # in the queue of the dead

cdef struct Arena:
    Slab* room[CLASSES]         # per class: slabs with room, the first is served from
    Slab* empty                 # slabs of no class
    uint32_t empty_count
    size_t region_count
    Shared* dead                # objects whose children are still to be released
    # Children that copies have counted once more since the last reclaiming: so many may
    # be left to release again.
    size_t debt


cdef inline size_t arena_class(size_t size) noexcept nogil:
    if size <= FINE_MAX:
        return ((size + FINE_STEP - 1) >> FINE_SHIFT) - (size != 0)
    return FINE_CLASSES + ((size - FINE_MAX - 1) >> LINE_SHIFT)


cdef inline size_t arena_block_size(size_t size) noexcept nogil:
    """What a block of size bytes really takes."""
    if size <= FINE_MAX:
        return (size + FINE_STEP - 1) & ~<size_t>(FINE_STEP - 1) if size else FINE_STEP
    return (size + LINE - 1) & ~<size_t>(LINE - 1)


cdef inline Slab* slab_of(void* block) noexcept nogil:
    return <Slab*>(<uintptr_t>block & ~<uintptr_t>(SLAB_SIZE - 1))


cdef inline void slab_link(Slab** head, Slab* slab) noexcept nogil:
    slab.previous = NULL
    slab.next = head[0]
    if slab.next != NULL:
        slab.next.previous = slab
    head[0] = slab


cdef inline void slab_unlink(Slab** head, Slab* slab) noexcept nogil:
    if slab.previous != NULL:
        slab.previous.next = slab.next
    else:
        head[0] = slab.next
    if slab.next != NULL:
        slab.next.previous = slab.previous


cdef inline size_t region_size() noexcept nogil:
    """The region's own record, and what aligning the first slab may cost."""
    return sizeof(Region) + (SLABS_PER_REGION + 1) * <size_t>SLAB_SIZE


cdef inline bint arena_add_region(Arena* arena) noexcept nogil:
    """True, or False when the system has no memory."""
    cdef int index
    cdef Slab* slab
    cdef uintptr_t first
    cdef void* address = PyMem_RawMalloc(region_size())
    if address == NULL:
        return False
    # The space before the first aligned slab holds the region's own record.
    first = <uintptr_t>address + sizeof(Region) + SLAB_SIZE - 1
    first &= ~<uintptr_t>(SLAB_SIZE - 1)
    cdef Region* region = <Region*>address
    region.address = address
    region.used = 0
    for index in range(SLABS_PER_REGION):
        slab = <Slab*>(first + (SLABS_PER_REGION - 1 - index) * <size_t>SLAB_SIZE)
        slab.region = region
        slab_link(&arena.empty, slab)
    arena.empty_count += SLABS_PER_REGION
    arena.region_count += 1
    return True


cdef inline Slab* arena_add_slab(
    Arena* arena, size_t size_class, size_t size
) noexcept nogil:
    cdef Slab* slab
    if arena.empty == NULL and not arena_add_region(arena):
        return NULL
    slab = arena.empty
    slab_unlink(&arena.empty, slab)
    arena.empty_count -= 1
    slab.region.used += 1
    slab.free = NULL
    slab.tail = LINE
    slab.used = 0
    slab.block_size = <uint32_t>size
    slab.listed = True
    slab_link(&arena.room[size_class], slab)
    poison(<char*>slab + LINE, SLAB_SIZE - LINE)
    return slab


cdef inline void* arena_allocate(Arena* arena, size_t size) noexcept nogil:
    """A block of at least size bytes, or NULL."""
    cdef size_t size_class
    cdef Slab* slab
    cdef void* block
    if size > BLOCK_MAX:
        return PyMem_RawMalloc(arena_block_size(size))
    size_class = arena_class(size)
    slab = arena.room[size_class]
    if slab == NULL:
        slab = arena_add_slab(arena, size_class, arena_block_size(size))
        if slab == NULL:
            return NULL
    block = slab.free
    if block != NULL:
        unpoison(block, slab.block_size)
        slab.free = (<void**>block)[0]
    else:
        block = <char*>slab + slab.tail
        unpoison(block, slab.block_size)
        slab.tail += slab.block_size
    slab.used += 1
    if slab.free == NULL and slab.tail + slab.block_size > SLAB_SIZE:
        slab_unlink(&arena.room[size_class], slab)
        slab.listed = False
    return block


cdef inline void arena_drop_slab(
    Arena* arena, size_t size_class, Slab* slab
) noexcept nogil:
    """Take back a slab without blocks, and its region when the arena can spare it."""
    cdef Region* region = slab.region
    cdef int index
    cdef uintptr_t first
    slab_unlink(&arena.room[size_class], slab)
    slab_link(&arena.empty, slab)
    arena.empty_count += 1
    region.used -= 1
    # One region's worth of empty slabs stays, so that a store that breathes does not
    # trade memory with the system at every breath.
    if region.used == 0 and arena.empty_count >= 2 * SLABS_PER_REGION:
        first = <uintptr_t>region.address + sizeof(Region) + SLAB_SIZE - 1
        first &= ~<uintptr_t>(SLAB_SIZE - 1)
        for index in range(SLABS_PER_REGION):
            slab_unlink(&arena.empty, <Slab*>(first + index * <size_t>SLAB_SIZE))
        arena.empty_count -= SLABS_PER_REGION
        arena.region_count -= 1
        unpoison(region.address, region_size())
        PyMem_RawFree(region.address)


cdef inline void arena_free(Arena* arena, void* block, size_t size) noexcept nogil:
    """Take back a block that was allocated with this size."""
    cdef Slab* slab
    cdef size_t size_class
    if size > BLOCK_MAX:
        PyMem_RawFree(block)
        return
    size_class = arena_class(size)
    slab = slab_of(block)
    (<void**>block)[0] = slab.free
    slab.free = block
    poison(block, slab.block_size)
    slab.used -= 1
    if not slab.listed:
        slab.listed = True
        slab_link(&arena.room[size_class], slab)
    elif slab.used == 0 and slab.next != slab.previous:
        # Not the class's last slab with room: that one stays.
        arena_drop_slab(arena, size_class, slab)
