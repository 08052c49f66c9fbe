"""Node: a sorted run of keys; leaf and branch of the index, and how to search them.

    branch   words | -  | w1 | w2 |   separators: copies of a key that is above all of
             keys  | -  | s1 | s2 |   the left and not above any of the right
             child | *  | *  | *  |
    leaf     words | w0 | w1 | w2 |   the 8 key bytes behind the node's common prefix,
             keys  | e* | e* | e* |   big-endian: they order as the keys do

All keys of a node share their first `skip` bytes, so that words tell keys apart even
where every key starts alike, and most comparisons touch no key.

Invariants
    1. Keys ascend strictly; a branch's separator i is above every key of child i - 1
       and not above any of child i.
    2. Each cell owns one count of its entry, a separator being an entry without a
       value; each child is counted once by its parent.
    3. Words are those of the keys at `skip`, and all keys of a node share `skip` bytes.

Knows entries.  Touches no Python object, raises nothing.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memmove
from latency_kv.core.entry cimport Entry, compare_bytes, entry_key
from latency_kv.core.machine cimport NODE_CAPACITY, big_endian64, likely, prefetch
from latency_kv.core.table cimport Node

cdef enum:
    NODE_HEADER = 64
    HEIGHT_MAX = 16      # of half-full nodes: more entries than there are addresses


cdef inline uint64_t* node_words(Node* node) noexcept nogil:
    return <uint64_t*>(<char*>node + NODE_HEADER)


cdef inline Entry** node_keys(Node* node) noexcept nogil:
    return <Entry**>(<char*>node + NODE_HEADER + NODE_CAPACITY * 8)


cdef inline Node** node_children(Node* node) noexcept nogil:
    return <Node**>(<char*>node + NODE_HEADER + NODE_CAPACITY * 16)


cdef inline size_t node_size(int level) noexcept nogil:
    return NODE_HEADER + NODE_CAPACITY * <size_t>(24 if level else 16)


cdef inline void node_ask(Node* node) noexcept nogil:
    """Ask for header, words and keys at once: searching takes them one by one."""
    cdef int line
    for line in range(1 + (NODE_CAPACITY >> 2)):
        prefetch(<char*>node + line * NODE_HEADER)


cdef inline uint64_t key_word(
    const char* key, size_t key_size, size_t skip
) noexcept nogil:
    """Eight key bytes from skip on, zeroes behind, as a number that orders as keys."""
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


cdef inline size_t branch_search(
    Node* node, const char* key, size_t key_size
) noexcept nogil:
    """The child under which key belongs."""
    cdef bint equal
    cdef size_t position = node_search(node, key, key_size, &equal)
    return position if equal else position - 1


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


cdef inline void node_insert(
    Node* node, size_t position, Entry* key, Node* child
) noexcept nogil:
    """Put a cell, with its counts, into a node with room; never a branch's first."""
    cdef uint64_t* words = node_words(node)
    cdef Entry** keys = node_keys(node)
    cdef Node** children
    cdef size_t moved = node.head.used - position, first = node.head.level != 0, common
    if node.head.used <= first:
        node.skip = 0
    if node.skip:
        # All keys share skip bytes: the new one need only be held against one of them.
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
    cdef uint64_t* words = node_words(node)
    cdef Entry** keys = node_keys(node)
    cdef Node** children
    cdef size_t moved = node.head.used - position - 1
    memmove(words + position, words + position + 1, moved * 8)
    memmove(keys + position, keys + position + 1, moved * 8)
    if node.head.level:
        children = node_children(node)
        memmove(children + position, children + position + 1, moved * 8)
    node.head.used -= 1


cdef inline void node_move(Node* target, Node* source, size_t start) noexcept nogil:
    """Append the cells of source from start on to target, and set target's prefix."""
    cdef size_t count = source.head.used - start, used = target.head.used
    memcpy(node_keys(target) + used, node_keys(source) + start, count * 8)
    if target.head.level:
        memcpy(node_children(target) + used, node_children(source) + start, count * 8)
    target.head.used += <unsigned short>count
    source.head.used = <unsigned short>start
