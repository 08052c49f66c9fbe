"""Image: a snapshot as one run of bytes, searched where it lies; format version 1.

    header          magic, checksum, version, flags, stamp, count, sizes; 128 bytes
    key offsets     count + 1 signed 64-bit integers
    keys            one behind the other, ascending
    value offsets   count + 1
    values

Little-endian, each section at a multiple of 64.  docs/snapshot-format.md draws it byte
by byte.  The checksum is XXH64 with seed 0 (Collet, "xxHash fast digest algorithm") of
all that follows it.

Invariants, asserted by image_verify
    1. Count and sizes say where each section lies, the image ends with the last, and
       all between sections is zero.
    2. Offsets start at 0, never descend and end at their section's size.
    3. Keys ascend strictly.

An image may be a mapped file that somebody changes: so every access bounds its offsets
anew.  Then an answer can be wrong, but nothing outside is read.

Knows bytes and sizes.  Touches no Python object, raises nothing.
"""

from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcmp, memcpy, memset
from latency_kv.core.entry cimport KEY_SIZE_MAX, VALUE_SIZE_MAX, compare_bytes
from latency_kv.core.hash cimport rotate
from latency_kv.core.machine cimport (
    little_endian32, little_endian64, store_little_endian64,
)

cdef extern from *:
    """
    #define LATENCY_KV_MAGIC "\\x89LKVS\\r\\n\\x1a"
    """
    const char* MAGIC "LATENCY_KV_MAGIC"
    # The algorithm's own constants.
    uint64_t PRIME_1 "0x9E3779B185EBCA87ull"
    uint64_t PRIME_2 "0xC2B2AE3D27D4EB4Full"
    uint64_t PRIME_3 "0x165667B19E3779F9ull"
    uint64_t PRIME_4 "0x85EBCA77C2B2AE63ull"
    uint64_t PRIME_5 "0x27D4EB2F165667C5ull"
    enum:
        MAGIC_SIZE "(sizeof LATENCY_KV_MAGIC - 1)"

cdef enum:
    FORMAT_VERSION = 1
    HEADER_SIZE = 128
    ALIGNMENT = 64           # of sections: a cache line, and what Arrow recommends
    OFFSET_SIZE = 8

    CHECKSUM_AT = 8
    CHECKED_AT = 16          # where the bytes under the checksum begin
    VERSION_AT = 16          # 4 bytes, and as many of flags
    STAMP_AT = 24
    COUNT_AT = 32            # from here on, equal content gives equal bytes
    SIZE_AT = 40
    SECTIONS_AT = 48         # offset and size of each section
    SECTION_COUNT = 4
    RESERVED_AT = 112

cdef enum Fault:
    SOUND
    TOO_SHORT
    NO_IMAGE
    OTHER_VERSION
    OTHER_SIZE
    MISPLACED
    DAMAGED
    BAD_PADDING
    BAD_OFFSETS
    LONG_KEY
    LONG_VALUE
    UNORDERED

cdef struct Image:
    const char* data             # NULL for none; belongs to the snapshot
    size_t size
    size_t count
    const char* key_offsets
    const char* keys
    size_t keys_size
    const char* value_offsets
    const char* values
    size_t values_size


cdef inline size_t aligned(size_t offset) noexcept nogil:
    return (offset + ALIGNMENT - 1) & ~<size_t>(ALIGNMENT - 1)


cdef inline void image_place(
    Image* image, const char* data, size_t count, size_t keys_size, size_t values_size
) noexcept nogil:
    """Say where the sections of an image with these sizes lie, and how long it is."""
    cdef size_t offset = HEADER_SIZE
    image.data = data
    image.count = count
    image.keys_size = keys_size
    image.values_size = values_size
    image.key_offsets = data + offset
    offset = aligned(offset + (count + 1) * OFFSET_SIZE)
    image.keys = data + offset
    offset = aligned(offset + keys_size)
    image.value_offsets = data + offset
    offset = aligned(offset + (count + 1) * OFFSET_SIZE)
    image.values = data + offset
    image.size = offset + values_size


cdef inline uint64_t checksum_round(uint64_t state, uint64_t word) noexcept nogil:
    return rotate(state + word * PRIME_2, 31) * PRIME_1


cdef inline uint64_t checksum_bytes(const char* data, size_t size) noexcept nogil:
    """XXH64 with seed 0."""
    cdef const char* end = data + size
    cdef uint64_t state, first, second, third, fourth
    if size >= 32:
        first = PRIME_1 + PRIME_2
        second = PRIME_2
        third = 0
        fourth = 0 - PRIME_1
        while end - data >= 32:
            first = checksum_round(first, little_endian64(data))
            second = checksum_round(second, little_endian64(data + 8))
            third = checksum_round(third, little_endian64(data + 16))
            fourth = checksum_round(fourth, little_endian64(data + 24))
            data += 32
        state = (
            rotate(first, 1) + rotate(second, 7) + rotate(third, 12)
            + rotate(fourth, 18)
        )
        state = (state ^ checksum_round(0, first)) * PRIME_1 + PRIME_4
        state = (state ^ checksum_round(0, second)) * PRIME_1 + PRIME_4
        state = (state ^ checksum_round(0, third)) * PRIME_1 + PRIME_4
        state = (state ^ checksum_round(0, fourth)) * PRIME_1 + PRIME_4
    else:
        state = PRIME_5
    state += size
    while end - data >= 8:
        state ^= checksum_round(0, little_endian64(data))
        state = rotate(state, 27) * PRIME_1 + PRIME_4
        data += 8
    if end - data >= 4:
        state ^= little_endian32(data) * PRIME_1
        state = rotate(state, 23) * PRIME_2 + PRIME_3
        data += 4
    while data < end:
        state ^= <uint8_t>data[0] * PRIME_5
        state = rotate(state, 11) * PRIME_1
        data += 1
    state = (state ^ (state >> 33)) * PRIME_2
    state = (state ^ (state >> 29)) * PRIME_3
    return state ^ (state >> 32)


cdef inline uint64_t image_checksum(const Image* image) noexcept nogil:
    return checksum_bytes(image.data + CHECKED_AT, image.size - CHECKED_AT)


cdef inline size_t section_offset(const Image* image, int section) noexcept nogil:
    if section == 0:
        return image.key_offsets - image.data
    if section == 1:
        return image.keys - image.data
    if section == 2:
        return image.value_offsets - image.data
    return image.values - image.data


cdef inline size_t section_size(const Image* image, int section) noexcept nogil:
    if section == 1:
        return image.keys_size
    if section == 3:
        return image.values_size
    return (image.count + 1) * OFFSET_SIZE


cdef inline size_t section_end(const Image* image, int section) noexcept nogil:
    return section_offset(image, section) + section_size(image, section)


cdef inline void image_write_header(
    const Image* image, char* data, uint64_t stamp
) noexcept nogil:
    """Write all of the header but the checksum, and the zeroes between sections."""
    cdef int section
    cdef size_t end = HEADER_SIZE, start
    memset(data, 0, HEADER_SIZE)
    memcpy(data, MAGIC, MAGIC_SIZE)
    data[VERSION_AT] = FORMAT_VERSION
    store_little_endian64(data + STAMP_AT, stamp)
    store_little_endian64(data + COUNT_AT, image.count)
    store_little_endian64(data + SIZE_AT, image.size)
    for section in range(SECTION_COUNT):
        start = section_offset(image, section)
        memset(data + end, 0, start - end)
        end = section_end(image, section)
        store_little_endian64(data + SECTIONS_AT + 16 * section, start)
        store_little_endian64(data + SECTIONS_AT + 16 * section + 8, end - start)


cdef inline void image_write_checksum(const Image* image, char* data) noexcept nogil:
    store_little_endian64(data + CHECKSUM_AT, image_checksum(image))


cdef inline uint64_t image_word(const char* data, size_t offset) noexcept nogil:
    return little_endian64(data + offset)


cdef inline bint all_zero(const char* data, const char* end) noexcept nogil:
    while data < end:
        if data[0]:
            return False
        data += 1
    return True


cdef inline Fault image_read_header(
    Image* image, const char* data, size_t size
) noexcept nogil:
    """Find the sections of an image of size bytes; nothing in them is looked at."""
    cdef uint64_t count, keys_size, values_size
    cdef int section
    image.data = NULL
    image.count = 0
    if size < HEADER_SIZE:
        return TOO_SHORT
    if memcmp(data, MAGIC, MAGIC_SIZE):
        return NO_IMAGE
    # Version and flags in one: version 1 has no flags.
    if image_word(data, VERSION_AT) != FORMAT_VERSION:
        return OTHER_VERSION
    if image_word(data, SIZE_AT) != size:
        return OTHER_SIZE
    count = image_word(data, COUNT_AT)
    keys_size = image_word(data, SECTIONS_AT + 24)
    values_size = image_word(data, SECTIONS_AT + 56)
    # Each is bounded by size before they are added up, so nothing overflows.
    if count >= size >> 4 or keys_size > size or values_size > size:
        return MISPLACED
    image_place(image, data, count, keys_size, values_size)
    if image.size != size:
        return MISPLACED
    for section in range(SECTION_COUNT):
        if (
            image_word(data, SECTIONS_AT + 16 * section)
            != section_offset(image, section)
            or image_word(data, SECTIONS_AT + 16 * section + 8)
            != section_size(image, section)
        ):
            return MISPLACED
    return SOUND


cdef inline bint image_part(
    const char* offsets, size_t index, size_t section_bytes,
    size_t* start, size_t* size,
) noexcept nogil:
    """Where an entry's key or value lies in its section; False if it does not."""
    cdef size_t begin = little_endian64(offsets + index * OFFSET_SIZE)
    cdef size_t end = little_endian64(offsets + (index + 1) * OFFSET_SIZE)
    if begin > end or end > section_bytes:
        start[0] = size[0] = 0
        return False
    start[0] = begin
    size[0] = end - begin
    return True


cdef inline const char* image_key(
    const Image* image, size_t index, size_t* size
) noexcept nogil:
    """An entry's key and its size."""
    cdef size_t start
    image_part(image.key_offsets, index, image.keys_size, &start, size)
    return image.keys + start


cdef inline const char* image_value(
    const Image* image, size_t index, size_t* size
) noexcept nogil:
    """An entry's value and its size."""
    cdef size_t start
    image_part(image.value_offsets, index, image.values_size, &start, size)
    return image.values + start


cdef inline Fault image_verify(const Image* image, size_t* at) noexcept nogil:
    """Check what the header did not tell: checksum, padding, offsets, keys.  O(n).

    at receives the number of the entry that is at fault, if one is.
    """
    cdef const char* key
    cdef const char* last = NULL
    cdef size_t index, start, size, last_size = 0, key_end = 0, value_end = 0
    cdef int section
    at[0] = 0
    if image_word(image.data, CHECKSUM_AT) != image_checksum(image):
        return DAMAGED
    if not all_zero(image.data + RESERVED_AT, image.data + HEADER_SIZE):
        return BAD_PADDING
    for section in range(SECTION_COUNT - 1):
        if not all_zero(
            image.data + section_end(image, section),
            image.data + section_offset(image, section + 1),
        ):
            return BAD_PADDING
    if image_word(image.key_offsets, 0) or image_word(image.value_offsets, 0):
        return BAD_OFFSETS
    for index in range(image.count):
        at[0] = index
        if not image_part(image.value_offsets, index, image.values_size, &start, &size):
            return BAD_OFFSETS
        if size > VALUE_SIZE_MAX:
            return LONG_VALUE
        value_end = start + size
        if not image_part(image.key_offsets, index, image.keys_size, &start, &size):
            return BAD_OFFSETS
        if size > KEY_SIZE_MAX:
            return LONG_KEY
        key_end = start + size
        key = image.keys + start
        if last != NULL and compare_bytes(last, last_size, key, size) >= 0:
            return UNORDERED
        last = key
        last_size = size
    if key_end != image.keys_size or value_end != image.values_size:
        return BAD_OFFSETS
    return SOUND


cdef inline size_t image_bound(
    const Image* image, const char* key, size_t key_size
) noexcept nogil:
    """The first entry whose key is not below key.  O(log n)."""
    cdef size_t low = 0, high = image.count, middle, size
    cdef const char* other
    while low < high:
        middle = (low + high) >> 1
        other = image_key(image, middle, &size)
        if compare_bytes(other, size, key, key_size) < 0:
            low = middle + 1
        else:
            high = middle
    return low


cdef inline const char* image_find(
    const Image* image, const char* key, size_t key_size, Py_ssize_t* value_size
) noexcept nogil:
    """The value of key and its size, or NULL; no image has no entries.  O(log n)."""
    cdef size_t index, size
    cdef const char* other
    if image.count == 0:
        return NULL
    index = image_bound(image, key, key_size)
    if index == image.count:
        return NULL
    other = image_key(image, index, &size)
    if compare_bytes(other, size, key, key_size):
        return NULL
    other = image_value(image, index, &size)
    value_size[0] = <Py_ssize_t>size
    return other
