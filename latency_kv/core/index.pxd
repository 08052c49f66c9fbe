"""Index: a B+tree over the table's entries, in key order; what scans walk.

    branch   words | - | w1 | w2 |      separators: copies of a key that is above all of the
             keys  | - | s1 | s2 |      left and not above any of the right
             child | * | *  | *  |
    leaf     words | w0 | w1 | w2 | ...      the 8 key bytes behind the node's common prefix,
             keys  | e* | e* | e* | ...      big-endian: they order as the keys do

All keys of a node share their first `skip` bytes, so that words tell keys apart even where
every key starts alike, and most comparisons touch no key.  The index is built in bulk at
the first ordered access.  From then on changes wait in a small buffer, and the next ordered
access, or the put that fills it, merges them.

Invariants
    1. Keys ascend strictly; a branch's separator i is above every key of child i - 1 and
       not above any of child i.
    2. Each cell owns one count of its entry, a separator being an entry without a value; each
       child is counted once by its parent.
    3. Words are those of the keys at `skip`, and all keys of a node share `skip` bytes.
    4. The index with its pending changes applied in order is the table.
    5. A node that anyone else can see is never written.

Losing the index loses nothing: where memory fails in the middle of a change, it is dropped,
and built again at the next ordered access.
"""

from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport qsort
from libc.string cimport memcmp, memcpy, memmove
from latency_kv.core.arena cimport Arena, arena_allocate, arena_free
from latency_kv.core.entry cimport (
    Entry, compare_bytes, entry_key, entry_new, entry_release,
)
from latency_kv.core.machine cimport (
    CHUNKS, NODE_CAPACITY, SLOT_MASK, big_endian64, likely, lowest_bit, match, prefetch,
)
from latency_kv.core.page cimport EMPTY, Page, slot_entry
from latency_kv.core.table cimport (
    DONE, KIND_BRANCH, KIND_LEAF, NO_MEMORY, PENDING_MAX, Index, Node, Status, Table, Walk,
    shared_release, walk_next_page,
)

cdef enum:
    NODE_HEADER = 64
    BULK_FILL = NODE_CAPACITY - NODE_CAPACITY // 8   # leaves room for the first insertions
    MERGE_BELOW = NODE_CAPACITY // 4                 # a node with fewer cells looks for company
    MERGE_MAX = NODE_CAPACITY - NODE_CAPACITY // 4   # and two that fit into this become one
    HEIGHT_MAX = 32
    RADIX_MIN = 48       # fewer cells are sorted by insertion
    SORT_DEPTH_MAX = 64  # levels of equal words, before sorting falls back to comparisons

cdef struct Cell:
    uint64_t word
    Entry* entry


cdef inline uint64_t* node_words(Node* node) noexcept nogil:
    return <uint64_t*>(<char*>node + NODE_HEADER)


cdef inline Entry** node_keys(Node* node) noexcept nogil:
    return <Entry**>(<char*>node + NODE_HEADER + NODE_CAPACITY * 8)


cdef inline Node** node_children(Node* node) noexcept nogil:
    return <Node**>(<char*>node + NODE_HEADER + NODE_CAPACITY * 16)


cdef inline size_t node_size(int level) noexcept nogil:
    return NODE_HEADER + NODE_CAPACITY * <size_t>(24 if level else 16)


cdef inline bint node_writable(const Table* table, const Node* node) noexcept nogil:
    return node.head.refs == 1 and (
        table.family.members == 1 and table.family.scans == 0
        or node.head.stamp == table.family.node_clock
    )


cdef inline uint64_t key_word(const char* key, size_t key_size, size_t skip) noexcept nogil:
    """Eight key bytes from skip on, as a number that orders as they do; zeroes behind."""
    cdef uint64_t word = 0
    cdef size_t index
    if likely(key_size >= skip + 8):
        return big_endian64(key + skip)
    for index in range(8):
        word <<= 8
        if skip + index < key_size:
            word |= <uint8_t>key[skip + index]
    return word


cdef inline size_t common_size(const Entry* a, const Entry* b) noexcept nogil:
    """How many leading bytes two keys share."""
    cdef size_t size = a.key_size if a.key_size < b.key_size else b.key_size, index = 0
    cdef const char* first = entry_key(a)
    cdef const char* second = entry_key(b)
    while index + 8 <= size and memcmp(first + index, second + index, 8) == 0:
        index += 8
    while index < size and first[index] == second[index]:
        index += 1
    return index


cdef inline Node* node_new(Table* table, int level) noexcept nogil:
    cdef Node* node = <Node*>arena_allocate(table.arena, node_size(level))
    if node != NULL:
        node.head.stamp = table.family.node_clock
        node.head.refs = 1
        node.head.used = 0
        node.head.level = <unsigned char>level
        node.head.kind = KIND_BRANCH if level else KIND_LEAF
        node.skip = 0
        table.index.node_bytes += node_size(level)
    return node


cdef inline void node_free(Table* table, Node* node) noexcept nogil:
    """Free a node whose cells were moved elsewhere."""
    table.index.node_bytes -= node_size(node.head.level)
    arena_free(table.arena, node, node_size(node.head.level))


cdef inline Node* node_own(Table* table, Node** link) noexcept nogil:
    """The node behind a writable link, writable, or NULL without memory."""
    cdef Node* node = link[0]
    cdef Node* copy
    cdef Entry** keys
    cdef size_t index, level = node.head.level
    if node_writable(table, node):
        return node
    copy = node_new(table, <int>level)
    if copy == NULL:
        return NULL
    table.index.node_bytes -= node_size(<int>level)
    keys = node_keys(node)
    for index in range(level != 0, node.head.used):
        prefetch(keys[index])
    copy.head.used = node.head.used
    copy.skip = node.skip
    memcpy(node_words(copy), node_words(node), node_size(<int>level) - NODE_HEADER)
    for index in range(level != 0, node.head.used):
        keys[index].refs += 1
    if level:
        for index in range(node.head.used):
            node_children(node)[index].head.refs += 1
    link[0] = copy
    table.copies += 1
    shared_release(table.arena, &node.head)
    return copy


cdef inline void node_rebase(Node* node, size_t skip) noexcept nogil:
    """Write the words anew for another common prefix."""
    cdef Entry** keys = node_keys(node)
    cdef size_t index
    for index in range(node.head.level != 0, node.head.used):
        node_words(node)[index] = key_word(
            entry_key(keys[index]), keys[index].key_size, skip
        )
    node.skip = <uint32_t>skip


cdef inline void node_tighten(Node* node) noexcept nogil:
    """Set skip to the whole common prefix, after a node was cut or joined."""
    cdef size_t first = node.head.level != 0, skip = 0
    if node.head.used > first + 1:
        skip = common_size(node_keys(node)[first], node_keys(node)[node.head.used - 1])
    node_rebase(node, skip)


cdef inline size_t words_below(
    const uint64_t* words, size_t start, size_t stop, uint64_t word
) noexcept nogil:
    """The first position in [start, stop) whose word is not below word."""
    cdef size_t half, count = stop - start
    while count > 1:
        half = count >> 1
        start += half if words[start + half - 1] < word else 0
        count -= half
    return start + (count == 1 and words[start] < word)


cdef inline size_t node_search(
    Node* node, const char* key, size_t key_size, bint* equal
) noexcept nogil:
    """The first cell whose key is not below key, and whether it is equal."""
    cdef size_t start = node.head.level != 0, stop = node.head.used, middle
    cdef Entry** keys = node_keys(node)
    cdef Entry* entry
    cdef const uint64_t* words = node_words(node)
    cdef uint64_t word
    cdef int order
    equal[0] = False
    if start >= stop:
        return stop
    if node.skip:
        entry = keys[stop - 1]
        order = memcmp(
            key, entry_key(entry), key_size if key_size < node.skip else node.skip
        )
        if order > 0:
            return stop
        if order < 0 or key_size < node.skip:
            return start
    word = key_word(key, key_size, node.skip)
    start = words_below(words, start, stop, word)
    if start == stop or words[start] != word:
        return start
    if word != ~<uint64_t>0:
        stop = words_below(words, start, stop, word + 1)
    while start < stop:
        middle = (start + stop) >> 1
        entry = keys[middle]
        order = compare_bytes(entry_key(entry), entry.key_size, key, key_size)
        if order == 0:
            equal[0] = True
            return middle
        if order < 0:
            start = middle + 1
        else:
            stop = middle
    return start


cdef inline size_t branch_search(Node* node, const char* key, size_t key_size) noexcept nogil:
    """The child under which key belongs."""
    cdef bint equal
    cdef size_t position = node_search(node, key, key_size, &equal)
    return position if equal else position - 1


cdef inline void node_insert(
    Node* node, size_t position, Entry* key, Node* child
) noexcept nogil:
    """Put a cell, with its counts, into a node with room; a branch never at position 0."""
    cdef uint64_t* words = node_words(node)
    cdef Entry** keys = node_keys(node)
    cdef Node** children
    cdef size_t moved = node.head.used - position, first = node.head.level != 0, common
    if node.head.used <= first:
        node.skip = 0
    if node.skip:
        # All keys share skip bytes, so the new one need only be held against one of them.
        common = common_size(keys[node.head.used - 1], key)
        if common < node.skip:
            node_rebase(node, common)
    memmove(words + position + 1, words + position, moved * 8)
    memmove(keys + position + 1, keys + position, moved * 8)
    words[position] = key_word(entry_key(key), key.key_size, node.skip)
    keys[position] = key
    if first:
        children = node_children(node)
        memmove(children + position + 1, children + position, moved * 8)
        children[position] = child
    node.head.used += 1


cdef inline void node_delete(Node* node, size_t position) noexcept nogil:
    """Take out a cell whose counts were given up or moved."""
    cdef size_t moved = node.head.used - position - 1
    memmove(node_words(node) + position, node_words(node) + position + 1, moved * 8)
    memmove(node_keys(node) + position, node_keys(node) + position + 1, moved * 8)
    if node.head.level:
        memmove(
            node_children(node) + position, node_children(node) + position + 1, moved * 8
        )
    node.head.used -= 1


cdef inline void node_move(Node* target, Node* source, size_t start) noexcept nogil:
    """Append the cells of source from start on to target, and set target's prefix."""
    cdef size_t count = source.head.used - start, used = target.head.used
    memcpy(node_keys(target) + used, node_keys(source) + start, count * 8)
    if target.head.level:
        memcpy(node_children(target) + used, node_children(source) + start, count * 8)
    target.head.used += <unsigned short>count
    source.head.used = <unsigned short>start


cdef inline Status node_split_insert(
    Table* table, Node* node, size_t position, Entry* key, Node* child,
    Node** right, Entry** separator,
) noexcept nogil:
    """Cut a full node in two and put the cell where it belongs.

    A cell that goes behind the last starts a node of its own, so that ascending keys leave
    full nodes behind them.
    """
    cdef size_t middle = NODE_CAPACITY // 2
    cdef Entry* up
    cdef Entry** keys = node_keys(node)
    cdef int level = node.head.level
    cdef Node* other = node_new(table, level)
    if other == NULL:
        return NO_MEMORY
    if position == NODE_CAPACITY:
        middle = NODE_CAPACITY
        up = key
    else:
        up = keys[middle]
    if not level:
        # A key of its own: it may outlive the entry.
        up = entry_new(table.arena, entry_key(up), up.key_size, NULL, 0, NULL)
        if up == NULL:
            node_free(table, other)
            return NO_MEMORY
    if middle < NODE_CAPACITY:
        node_move(other, node, middle)
        if level:
            node_keys(other)[0] = NULL
        node_tighten(node)
        node_tighten(other)
        if position <= middle:
            node_insert(node, position, key, child)
        else:
            node_insert(other, position - middle, key, child)
    else:
        node_keys(other)[0] = NULL if level else key
        if level:
            node_children(other)[0] = child
        other.head.used = 1
        node_rebase(other, 0)
    right[0] = other
    separator[0] = up
    return DONE


cdef inline Status node_upsert(
    Table* table, Node** link, Entry* entry, Node** right, Entry** separator
) noexcept nogil:
    """Put an entry, counted once more, below a writable link; in place of one of its key.

    right receives the second half of the node where it had to be split, or NULL.
    """
    cdef Node* node = node_own(table, link)
    cdef Node* child_right = NULL
    cdef Entry* child_separator = NULL
    cdef Entry* old
    cdef size_t position
    cdef bint equal
    cdef Status status
    right[0] = NULL
    if node == NULL:
        return NO_MEMORY
    if node.head.level == 0:
        position = node_search(node, entry_key(entry), entry.key_size, &equal)
        if equal:
            old = node_keys(node)[position]
            node_keys(node)[position] = entry
            entry.refs += 1
            entry_release(table.arena, old)
            return DONE
        if node.head.used < NODE_CAPACITY:
            node_insert(node, position, entry, NULL)
        else:
            status = node_split_insert(
                table, node, position, entry, NULL, right, separator
            )
            if status:
                return status
        entry.refs += 1
        return DONE
    position = branch_search(node, entry_key(entry), entry.key_size)
    status = node_upsert(
        table, &node_children(node)[position], entry, &child_right, &child_separator
    )
    if status or child_right == NULL:
        return status
    if node.head.used < NODE_CAPACITY:
        node_insert(node, position + 1, child_separator, child_right)
        return DONE
    status = node_split_insert(
        table, node, position + 1, child_separator, child_right, right, separator
    )
    if status:
        shared_release(table.arena, &child_right.head)
        entry_release(table.arena, child_separator)
    return status


cdef inline void branch_forget(Table* table, Node* node, size_t position) noexcept nogil:
    """Take out a child that is gone; its separator goes with it."""
    cdef Entry** keys = node_keys(node)
    # Without its first child a branch's second becomes the first, and needs no separator.
    cdef size_t separator = position if position else 1
    if separator < node.head.used:
        entry_release(table.arena, keys[separator])
    node_delete(node, position)
    if position == 0 and node.head.used:
        keys[0] = NULL


cdef inline void branch_merge(Table* table, Node* node, size_t position) noexcept nogil:
    """Join child position + 1 to its left neighbour, if both fit and memory allows."""
    cdef Node** children = node_children(node)
    cdef Node* left
    cdef Node* right
    if position + 1 >= node.head.used:
        return
    left = children[position]
    right = children[position + 1]
    if left.head.used + right.head.used > MERGE_MAX:
        return
    left = node_own(table, &children[position])
    if left == NULL:
        return
    right = node_own(table, &children[position + 1])
    if right == NULL:
        return
    if left.head.level:
        node_keys(right)[0] = node_keys(node)[position + 1]
    else:
        entry_release(table.arena, node_keys(node)[position + 1])
    node_move(left, right, 0)
    node_tighten(left)
    node_free(table, right)
    node_delete(node, position + 1)


cdef inline Status node_remove(
    Table* table, Node** link, const char* key, size_t key_size
) noexcept nogil:
    """Take the entry of key out of the nodes below a writable link."""
    cdef Node* node = node_own(table, link)
    cdef Node* child
    cdef size_t position
    cdef bint equal
    cdef Status status
    if node == NULL:
        return NO_MEMORY
    if node.head.level == 0:
        position = node_search(node, key, key_size, &equal)
        if equal:
            entry_release(table.arena, node_keys(node)[position])
            node_delete(node, position)
        return DONE
    position = branch_search(node, key, key_size)
    status = node_remove(table, &node_children(node)[position], key, key_size)
    if status:
        return status
    child = node_children(node)[position]
    if child.head.used == 0:
        node_free(table, child)
        branch_forget(table, node, position)
    elif child.head.used < MERGE_BELOW:
        branch_merge(table, node, position)
        if position:
            branch_merge(table, node, position - 1)
    return DONE


cdef inline Status index_upsert(Table* table, Entry* entry) noexcept nogil:
    cdef Index* index = &table.index
    cdef Node* right = NULL
    cdef Node* root
    cdef Entry* separator = NULL
    cdef Status status
    if index.root == NULL:
        root = node_new(table, 0)
        if root == NULL:
            return NO_MEMORY
        node_insert(root, 0, entry, NULL)
        entry.refs += 1
        index.root = root
        return DONE
    status = node_upsert(table, &index.root, entry, &right, &separator)
    if status or right == NULL:
        return status
    root = NULL
    if index.root.head.level + 1 < HEIGHT_MAX:
        root = node_new(table, index.root.head.level + 1)
    if root == NULL:
        shared_release(table.arena, &right.head)
        entry_release(table.arena, separator)
        return NO_MEMORY
    node_keys(root)[0] = NULL
    node_words(root)[0] = 0
    node_children(root)[0] = index.root
    root.head.used = 1
    node_insert(root, 1, separator, right)
    index.root = root
    return DONE


cdef inline Status index_remove(
    Table* table, const char* key, size_t key_size
) noexcept nogil:
    cdef Index* index = &table.index
    cdef Node* root
    cdef Status status
    if index.root == NULL:
        return DONE
    status = node_remove(table, &index.root, key, key_size)
    if status:
        return status
    # The path was owned on the way down, so the root is writable.
    while index.root.head.level and index.root.head.used == 1:
        root = index.root
        index.root = node_children(root)[0]
        node_free(table, root)
    if index.root.head.used == 0:
        node_free(table, index.root)
        index.root = NULL
    return DONE


cdef inline void index_drop(Table* table) noexcept nogil:
    """Forget the index and its pending changes; the next ordered access builds it."""
    cdef int position
    cdef Index* index = &table.index
    for position in range(index.pending_count):
        entry_release(table.arena, index.pending[position])
    index.pending_count = 0
    if index.root != NULL:
        shared_release(table.arena, &index.root.head)
    index.root = NULL
    index.built = False
    index.node_bytes = 0


cdef inline void index_merge(Table* table) noexcept nogil:
    """Apply the pending changes in order."""
    cdef Index* index = &table.index
    cdef Entry* entry
    cdef Status status
    cdef int position
    for position in range(index.pending_count):
        entry = index.pending[position]
        if index.removed[position]:
            status = index_remove(table, entry_key(entry), entry.key_size)
        else:
            status = index_upsert(table, entry)
        if status:
            index_drop(table)
            return
    for position in range(index.pending_count):
        entry_release(table.arena, index.pending[position])
    index.merges += index.pending_count != 0
    index.pending_count = 0


cdef inline void index_note(Table* table, Entry* entry, bint removed) noexcept nogil:
    """Remember that an entry came or went, counting it once more; merge when that is full."""
    cdef Index* index = &table.index
    if not index.built:
        return
    entry.refs += 1
    index.pending[index.pending_count] = entry
    index.removed[index.pending_count] = removed
    index.pending_count += 1
    if index.pending_count == PENDING_MAX:
        index_merge(table)


cdef inline uint64_t cell_word(const Cell* cell, size_t skip) noexcept nogil:
    return key_word(entry_key(cell.entry), cell.entry.key_size, skip)


cdef inline int compare_cells(const void* a, const void* b) noexcept nogil:
    cdef const Entry* first = (<const Cell*>a).entry
    cdef const Entry* second = (<const Cell*>b).entry
    return compare_bytes(
        entry_key(first), first.key_size, entry_key(second), second.key_size
    )


cdef inline void radix_sort(Cell* cells, Cell* spare, size_t count) noexcept nogil:
    """Order cells by word, a byte at a time from the lowest, skipping bytes all share."""
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
        qsort(cells, count, sizeof(Cell), <int (*)(const void*, const void*) noexcept nogil>compare_cells)
        return
    radix_sort(cells, spare, count)
    while start < count:
        stop = start + 1
        while stop < count and cells[stop].word == cells[start].word:
            stop += 1
        if stop - start > 1:
            # Keys that end inside this word come first, by size: there are at most nine.
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
                cells[count].entry = slot_entry(page.chunks[chunk].slots[lowest_bit(bits)])
                prefetch(cells[count].entry)
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


cdef inline Status index_build(Table* table, const Cell* cells) noexcept nogil:
    """Build the tree over sorted cells, leaves first, then level by level."""
    cdef Index* index = &table.index
    cdef size_t count = table.entry_count, nodes, position = 0, number, size, cell
    cdef size_t done = 0, first
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
            entry = entry_new(table.arena, entry_key(entry), entry.key_size, NULL, 0, NULL)
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
                # Parents made so far stand in front, children without one from position on.
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
