"""Batch: many lookups side by side, so that their cache misses overlap.

A core waits for one miss as long as for twenty that it knows of.  Three rounds over a
batch: ask for the chunks, ask for the entries that most likely match, compare.

Knows pages and entries.  Start at `find_batch`.
"""

from libc.stdint cimport uint32_t, uint64_t

from latency_kv.core.entry cimport Entry
from latency_kv.core.hash cimport hash_bytes
from latency_kv.core.machine cimport lowest_bit, match, prefetch
from latency_kv.core.page cimport (
    SECOND_LINE, Chunk, Page, hash_home, hash_tag, page_find, slot_entry,
)
from latency_kv.core.table cimport Table, table_page

cdef enum:
    # Lookups in flight; measured cores follow some twenty misses.
    BATCH = 32


cdef inline Entry* first_match(const Page* page, uint64_t hash) noexcept nogil:
    """The entry that a lookup will most likely read."""
    cdef const Chunk* chunk = &page.chunks[hash_home(hash)]
    cdef uint32_t bits = match(chunk.control, hash_tag(hash))
    return slot_entry(chunk.slots[lowest_bit(bits)]) if bits else NULL


cdef inline void find_batch(
    const Table* table, const char** keys, const Py_ssize_t* sizes, int count,
    Entry** entries,
) noexcept nogil:
    """The entries of at most BATCH keys, borrowed, NULL where there is none."""
    cdef uint64_t hashes[BATCH]
    cdef Page* pages[BATCH]
    cdef Chunk* chunk
    cdef int index
    for index in range(count):
        hashes[index] = hash_bytes(&table.hash, keys[index], sizes[index])
        pages[index] = table_page(table, hashes[index])
        chunk = &pages[index].chunks[hash_home(hashes[index])]
        prefetch(chunk)
        prefetch(&chunk.slots[SECOND_LINE])
    for index in range(count):
        prefetch(first_match(pages[index], hashes[index]))
    for index in range(count):
        entries[index] = page_find(
            pages[index], hashes[index], keys[index], sizes[index]
        )
