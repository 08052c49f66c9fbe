"""Cursor: one walk through the index as it was when the walk began, up or down.

    cdef Cursor cursor
    store.open_range(&cursor, start, start_size, stop, stop_size)      with the GIL
    try:
        with nogil:
            while cursor_next(&cursor):
                ...  cursor.key, cursor.key_size, cursor.value, cursor.value_size
    finally:
        store.close_cursor(&cursor)                                    with the GIL

The pointers of a step stay valid until the cursor is closed, whatever is written
meanwhile and whatever becomes of the store: the cursor counts the root, and with it all
below, or holds the image.  A cursor that is not closed leaks.

Knows nodes and images.  Steps need no GIL; opening and closing do.
"""

from cpython.mem cimport PyMem_RawFree
from cpython.object cimport PyObject
from latency_kv.core.arena cimport Arena
from latency_kv.core.entry cimport (
    Entry, Py_DECREF_raw, Py_INCREF_raw, entry_key, entry_new, entry_release,
    entry_value,
)
from latency_kv.core.image cimport Image, image_bound, image_key, image_value
from latency_kv.core.machine cimport prefetch
from latency_kv.core.node cimport (
    HEIGHT_MAX, branch_search, node_ask, node_children, node_keys, node_search,
)
from latency_kv.core.table cimport (
    DONE, NO_MEMORY, Family, Node, Status, Table, shared_release,
)

cdef enum:
    # Entries asked for ahead of the step that reads them: it halves the time of a scan
    # through a store that does not fit the cache.
    AHEAD = 16
    ENTRY_TAIL = 40      # where an entry of 16-byte key and value ends

cdef struct Cursor:
    const char* key             # the step's entry; its pointers belong to the cursor
    Py_ssize_t key_size
    const char* value
    Py_ssize_t value_size
    Entry* entry                # NULL when the walk is through an image
    Arena* arena                # NULL when not open
    Family* family              # counts this cursor among its scans
    Node* root                  # counted; NULL when there is nothing to walk
    Entry* bound                # counted; where the walk ends, or NULL
    bint reverse
    int height                  # level of the root
    int position[HEIGHT_MAX]    # of the path's node at each level
    Node* path[HEIGHT_MAX]
    int stop                    # where the leaf's part ends; in reverse, its start
    PyObject* owner             # counted; keeps the image, if there is one
    Image image
    size_t image_start          # the entries of the image that are still to come
    size_t image_stop


cdef inline void ask_entry(const Entry* entry) noexcept nogil:
    """Ask for an entry's first two lines: half of the small ones cross a border."""
    prefetch(entry)
    prefetch(<const char*>entry + ENTRY_TAIL)


cdef inline void ask_next_leaf(Cursor* cursor) noexcept nogil:
    """Ask for the leaf behind this one, where it has the same parent."""
    cdef int position
    if cursor.height:
        position = cursor.position[1] + (-1 if cursor.reverse else 1)
        if 0 <= position < cursor.path[1].head.used:
            node_ask(node_children(cursor.path[1])[position])


cdef inline void cursor_limit(Cursor* cursor) noexcept nogil:
    """Find how far the walk goes in the leaf that it has entered."""
    cdef Node* leaf = cursor.path[0]
    cdef Entry* bound = cursor.bound
    cdef bint equal
    cdef int index, start
    cdef Entry** keys = node_keys(leaf)
    cursor.stop = 0 if cursor.reverse else leaf.head.used
    if bound != NULL:
        cursor.stop = <int>node_search(leaf, entry_key(bound), bound.key_size, &equal)
    start = cursor.position[0]
    if cursor.reverse:
        for index in range(start, max(start - AHEAD, cursor.stop - 1), -1):
            ask_entry(keys[index])
    else:
        for index in range(start, min(start + AHEAD, cursor.stop)):
            ask_entry(keys[index])


cdef inline void cursor_descend(Cursor* cursor, int level) noexcept nogil:
    """Go down from the path's node at level to the first leaf below, or the last."""
    cdef Node* node
    while level:
        node = node_children(cursor.path[level])[cursor.position[level]]
        node_ask(node)
        level -= 1
        cursor.path[level] = node
        cursor.position[level] = node.head.used - 1 if cursor.reverse else 0


cdef inline bint cursor_next_leaf(Cursor* cursor) noexcept nogil:
    cdef int level = 1
    while level <= cursor.height:
        if cursor.reverse:
            if cursor.position[level] > 0:
                cursor.position[level] -= 1
                break
        elif cursor.position[level] + 1 < cursor.path[level].head.used:
            cursor.position[level] += 1
            break
        level += 1
    if level > cursor.height:
        return False
    cursor_descend(cursor, level)
    cursor_limit(cursor)
    return True


cdef inline bint cursor_step_image(Cursor* cursor) noexcept nogil:
    cdef size_t index = cursor.image_start, size
    if cursor.image_start >= cursor.image_stop:
        return False
    if cursor.reverse:
        cursor.image_stop -= 1
        index = cursor.image_stop
    else:
        cursor.image_start += 1
    cursor.key = image_key(&cursor.image, index, &size)
    cursor.key_size = <Py_ssize_t>size
    cursor.value = image_value(&cursor.image, index, &size)
    cursor.value_size = <Py_ssize_t>size
    return True


cdef inline bint cursor_step(Cursor* cursor) noexcept nogil:
    """Move to the next entry, cursor.entry; False at the end, and ever after.

    In an image, to its bytes.
    """
    cdef int position
    cdef Entry** keys
    if cursor.root == NULL:
        return cursor_step_image(cursor)
    while True:
        position = cursor.position[0]
        keys = node_keys(cursor.path[0])
        if cursor.reverse:
            if position >= cursor.stop:
                if position - AHEAD >= cursor.stop:
                    ask_entry(keys[position - AHEAD])
                elif position - AHEAD == -1:
                    ask_next_leaf(cursor)
                cursor.position[0] = position - 1
                break
            # A leaf that is cut short by the bound is the last one.
            if cursor.stop or not cursor_next_leaf(cursor):
                return False
        else:
            if position < cursor.stop:
                if position + AHEAD < cursor.stop:
                    ask_entry(keys[position + AHEAD])
                elif position + AHEAD == cursor.path[0].head.used:
                    ask_next_leaf(cursor)
                cursor.position[0] = position + 1
                break
            if cursor.stop < cursor.path[0].head.used or not cursor_next_leaf(cursor):
                return False
    cursor.entry = keys[position]
    return True


cdef inline bint cursor_next(Cursor* cursor) noexcept nogil:
    """Move to the next entry and show its bytes; False at the end, and ever after."""
    cdef Entry* entry
    if not cursor_step(cursor):
        return False
    entry = cursor.entry
    if entry == NULL:
        return True
    cursor.key = entry_key(entry)
    cursor.key_size = entry.key_size
    cursor.value = entry_value(entry)
    cursor.value_size = entry.value_size
    return True


cdef inline void cursor_seek(
    Cursor* cursor, const char* key, size_t key_size, bint open_end
) noexcept nogil:
    """Stand before the first entry not below key; in reverse, behind the last below."""
    cdef Node* node = cursor.root
    cdef int level = cursor.height
    cdef bint equal
    if open_end:
        cursor.path[level] = node
        cursor.position[level] = node.head.used - 1 if cursor.reverse else 0
        cursor_descend(cursor, level)
    else:
        while level:
            cursor.path[level] = node
            cursor.position[level] = <int>branch_search(node, key, key_size)
            node = node_children(node)[cursor.position[level]]
            node_ask(node)
            level -= 1
        cursor.path[0] = node
        cursor.position[0] = <int>node_search(node, key, key_size, &equal)
        cursor.position[0] -= cursor.reverse
    cursor_limit(cursor)


cdef inline Status cursor_open(
    Cursor* cursor, Table* table,
    const char* start, size_t start_size, const char* stop, size_t stop_size,
    bint reverse,
) noexcept nogil:
    """Begin a walk over [start, stop) of a table in order; NULL for an open end."""
    cdef const char* origin = stop if reverse else start
    cdef const char* bound = start if reverse else stop
    cdef size_t origin_size = stop_size if reverse else start_size
    cdef size_t bound_size = start_size if reverse else stop_size
    cursor.arena = table.arena
    cursor.family = table.family
    cursor.root = table.index.root
    cursor.bound = NULL
    cursor.reverse = reverse
    cursor.entry = NULL
    cursor.owner = NULL
    cursor.image_start = cursor.image_stop = 0
    cursor.family.scans += 1
    if cursor.root == NULL:
        return DONE
    if bound != NULL:
        cursor.bound = entry_new(table.arena, bound, bound_size, NULL, 0, NULL)
        if cursor.bound == NULL:
            cursor.root = NULL
            cursor_close(cursor)
            return NO_MEMORY
    cursor.root.head.refs += 1
    cursor.height = cursor.root.head.level
    cursor_seek(cursor, origin, origin_size, origin == NULL)
    return DONE


cdef inline void cursor_enter_image(
    Cursor* cursor, const Image* image, PyObject* owner,
    const char* start, size_t start_size, const char* stop, size_t stop_size,
) noexcept nogil:
    """Let an open cursor without nodes walk over [start, stop) of an image."""
    Py_INCREF_raw(owner)
    cursor.owner = owner
    cursor.image = image[0]
    cursor.image_stop = image.count
    if start != NULL:
        cursor.image_start = image_bound(image, start, start_size)
    if stop != NULL:
        cursor.image_stop = image_bound(image, stop, stop_size)


cdef inline void cursor_close(Cursor* cursor) noexcept nogil:
    """End the walk and give back what it held; closing twice does nothing more."""
    if cursor.arena == NULL:
        return
    if cursor.root != NULL:
        shared_release(cursor.arena, &cursor.root.head)
    if cursor.bound != NULL:
        entry_release(cursor.arena, cursor.bound)
    if cursor.owner != NULL:
        Py_DECREF_raw(cursor.owner)
    cursor.root = NULL
    cursor.bound = NULL
    cursor.owner = NULL
    cursor.image_start = cursor.image_stop = 0
    cursor.family.scans -= 1
    if cursor.family.scans + cursor.family.members == 0:
        PyMem_RawFree(cursor.family)
    cursor.arena = NULL
