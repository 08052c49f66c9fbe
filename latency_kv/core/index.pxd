"""Index: a B+tree over the table's entries, in key order; what scans walk.

It is built in bulk at the first ordered access.  From then on changes wait in a small
buffer, and the next ordered access, or the put that fills it, merges them.

Invariants
    1. The nodes with the pending changes applied in order are the table.
    2. All leaves lie on one level.
    3. A node that anyone else can see is never written.  Writers come from the root: a
       node that is counted once, below nodes that are, is theirs alone; where one is
       shared its copy counts the children once more, and so on down.

Losing the index loses nothing: where memory fails in the middle of a change, it is
dropped, and built again at the next ordered access.

Knows nodes and the table.  Touches no Python object, raises nothing.
"""

from libc.string cimport memcpy
from latency_kv.core.arena cimport arena_allocate, arena_free
from latency_kv.core.entry cimport Entry, entry_key, entry_new, entry_release
from latency_kv.core.machine cimport NODE_CAPACITY, prefetch
from latency_kv.core.node cimport (
    HEIGHT_MAX, NODE_HEADER, branch_search, node_ask, node_children, node_delete,
    node_insert, node_keys, node_move, node_rebase, node_search, node_size,
    node_tighten, node_words,
)
from latency_kv.core.table cimport (
    DONE, KIND_BRANCH, KIND_LEAF, NO_MEMORY, PENDING_MAX, Index, Node, Status, Table,
    shared_release,
)

cdef enum:
    MERGE_BELOW = NODE_CAPACITY >> 2    # a node with fewer cells looks for company
    MERGE_MAX = NODE_CAPACITY - (NODE_CAPACITY >> 2)    # what two become one within


cdef inline Node* node_new(Table* table, int level) noexcept nogil:
    cdef Node* node = <Node*>arena_allocate(table.arena, node_size(level))
    if node != NULL:
        node.head.stamp = 0
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
    if node.head.refs == 1:
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
    table.arena.debt += <size_t>node.head.used << (level != 0)
    shared_release(table.arena, &node.head)
    return copy


cdef inline Status node_split_insert(
    Table* table, Node* node, size_t position, Entry* key, Node* child,
    Node** right, Entry** separator,
) noexcept nogil:
    """Cut a full node in two and put the cell where it belongs.

    A cell that goes behind the last starts a node of its own, so that ascending keys
    leave full nodes behind them.
    """
    cdef size_t middle = NODE_CAPACITY >> 1
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
    """Put an entry, counted once more, below a writable link, in place of its key's.

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
    node_ask(node_children(node)[position])
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


cdef inline void branch_forget(
    Table* table, Node* node, size_t position
) noexcept nogil:
    """Take out a child that is gone; its separator goes with it."""
    cdef Entry** keys = node_keys(node)
    # Without the first child the second becomes the first, and needs no separator.
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
    node_ask(node_children(node)[position])
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
    """Remember, counting the entry once more, that it came or went; merge when full."""
    cdef Index* index = &table.index
    if not index.built:
        return
    entry.refs += 1
    index.pending[index.pending_count] = entry
    index.removed[index.pending_count] = removed
    index.pending_count += 1
    if index.pending_count == PENDING_MAX:
        index_merge(table)
