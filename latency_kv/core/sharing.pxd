"""Sharing: one table seen from several places, and what becomes of what nobody sees.

Sharing costs the same for any size: the other side counts the directory and the index,
and the family's clock ticks.  Letting go is queued: the dead wait in the arena, a stack
threaded through themselves, and later writes release a few of their children each, so
that dropping a snapshot of millions never stops anyone.

Knows all that is counted: pages, segments, roots, nodes and entries.
"""

from libc.stdint cimport int64_t, uint32_t
from latency_kv.core.arena cimport Arena, Shared, arena_free
from latency_kv.core.entry cimport entry_release
from latency_kv.core.index cimport index_drop, index_merge
from latency_kv.core.machine cimport (
    CHUNKS, SEGMENT_BITS, SEGMENT_PAGES, SLOT_MASK, lowest_bit, match, prefetch,
)
from latency_kv.core.node cimport node_children, node_keys, node_size
from latency_kv.core.page cimport EMPTY, Chunk, Page, slot_entry
from latency_kv.core.table cimport (
    KIND_BRANCH, KIND_LEAF, KIND_PAGE, KIND_ROOT, KIND_SEGMENT, Node, Root, Segment,
    Table, family_leave, root_size, segment_of, shared_release, table_top,
)

cdef enum:
    # Children that one change releases, beside as many as its copies counted once more:
    # about a microsecond's work, and more than it leaves behind, so the queue shrinks.
    RECLAIM_BUDGET = 64


cdef inline void table_share(Table* source, Table* target) noexcept nogil:
    """Make target see what source sees."""
    # What is pending is counted by the source alone.
    index_merge(source)
    target[0] = source[0]
    table_top(source).refs += 1
    if source.index.root != NULL:
        source.index.root.head.refs += 1
    source.family.members += 1
    source.family.clock += 1


cdef inline void table_release(Table* table) noexcept nogil:
    """Let go of all that a table counts."""
    index_drop(table)
    shared_release(table.arena, table_top(table))
    family_leave(table.family)


cdef inline int reclaim_page(Arena* arena, Page* page) noexcept nogil:
    """Release a chunk's entries; returns how many there were."""
    cdef Chunk* chunk = &page.chunks[page.head.stamp]
    cdef uint32_t occupied = ~match(chunk.control, EMPTY) & SLOT_MASK, bits = occupied
    cdef int count = 0
    while bits:
        prefetch(slot_entry(chunk.slots[lowest_bit(bits)]))
        bits &= bits - 1
    bits = occupied
    while bits:
        entry_release(arena, slot_entry(chunk.slots[lowest_bit(bits)]))
        bits &= bits - 1
        count += 1
    page.head.stamp += 1
    return count


cdef inline size_t dead_children(const Shared* dead) noexcept nogil:
    """How many steps releasing the children takes."""
    if dead.kind == KIND_PAGE:
        return CHUNKS
    if dead.kind == KIND_SEGMENT:
        return SEGMENT_PAGES
    if dead.kind == KIND_ROOT:
        return <size_t>1 << dead.level
    return dead.used


cdef inline size_t dead_size(const Shared* dead) noexcept nogil:
    if dead.kind == KIND_PAGE:
        return sizeof(Page)
    if dead.kind == KIND_SEGMENT:
        return sizeof(Segment)
    if dead.kind == KIND_ROOT:
        return root_size(dead.level)
    return node_size(dead.level)


cdef inline void reclaim_child(Arena* arena, Shared* dead) noexcept nogil:
    """Release a segment's page, a root's segment or a node's cell; the next in line."""
    cdef size_t index = dead.stamp, ahead = index + 8
    cdef Segment* segment
    cdef Node* node
    cdef Page* page
    if dead.kind == KIND_SEGMENT:
        page = (<Segment*>dead).pages[index]
        if ahead < SEGMENT_PAGES:
            prefetch((<Segment*>dead).pages[ahead])
        # The slots that share a page count once.
        dead.stamp += <size_t>1 << (dead.level + SEGMENT_BITS - page.head.level)
        shared_release(arena, &page.head)
    elif dead.kind == KIND_ROOT:
        segment = segment_of((<Root*>dead).slots[index])
        dead.stamp += <size_t>1 << (dead.level - segment.head.level)
        shared_release(arena, &segment.head)
    else:
        node = <Node*>dead
        dead.stamp += 1
        if ahead < dead.used:
            prefetch(node_keys(node)[ahead])
        if dead.kind == KIND_LEAF or index:
            entry_release(arena, node_keys(node)[index])
        if dead.kind == KIND_BRANCH:
            shared_release(arena, &node_children(node)[index].head)


cdef inline void reclaim(Arena* arena, int64_t budget) noexcept nogil:
    """Release about so many children of the dead, with the GIL held; allocates nothing.

    A child that dies is pushed before its parent, and released first.
    """
    cdef Shared* dead
    while budget > 0 and arena.dead != NULL:
        dead = arena.dead
        budget -= 1
        if dead.stamp == dead_children(dead):
            arena.dead = dead.next
            arena_free(arena, dead, dead_size(dead))
        elif dead.kind == KIND_PAGE:
            budget -= reclaim_page(arena, <Page*>dead)
        else:
            reclaim_child(arena, dead)


cdef inline void settle(Arena* arena, size_t changes) noexcept nogil:
    """Pay for so many changes, and for what they copied, by reclaiming."""
    if arena.dead != NULL:
        reclaim(arena, <int64_t>(changes * RECLAIM_BUDGET + arena.debt))
    arena.debt = 0
