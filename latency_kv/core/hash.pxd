"""Hash: 64 bits from a key's bytes, under a secret.

    fast     fold(a ^ first, b ^ second) ^ (a + b) * third over the key's words; fold
             is a 128-bit product with its halves folded, its operands masked by secrets
    strong   SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF"), to
             which a store that was sent crafted keys changes once

A hash's top bits choose the page; `hash_within` makes those that place an entry in it.
Neither leaves the process.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from latency_kv.core.machine cimport SPREAD, fold, little_endian64, load32, load64

cdef struct HashKey:
    uint64_t first           # the secret words of the fast hash
    uint64_t second
    uint64_t third           # odd
    uint64_t strong_first    # the key of SipHash
    uint64_t strong_second
    bint strong


cdef inline uint64_t rotate(uint64_t word, int bits) noexcept nogil:
    return (word << bits) | (word >> (64 - bits))


cdef inline void sip_round(uint64_t* v) noexcept nogil:
    v[0] += v[1]
    v[1] = rotate(v[1], 13) ^ v[0]
    v[0] = rotate(v[0], 32)
    v[2] += v[3]
    v[3] = rotate(v[3], 16) ^ v[2]
    v[0] += v[3]
    v[3] = rotate(v[3], 21) ^ v[0]
    v[2] += v[1]
    v[1] = rotate(v[1], 17) ^ v[2]
    v[2] = rotate(v[2], 32)


cdef inline uint64_t hash_strong(
    const HashKey* key, const char* data, size_t size
) noexcept nogil:
    cdef uint64_t v[4]
    cdef uint64_t word
    cdef size_t offset = 0, shift
    v[0] = key.strong_first ^ <uint64_t>0x736F6D6570736575
    v[1] = key.strong_second ^ <uint64_t>0x646F72616E646F6D
    v[2] = key.strong_first ^ <uint64_t>0x6C7967656E657261
    v[3] = key.strong_second ^ <uint64_t>0x7465646279746573
    while offset + 8 <= size:
        word = little_endian64(data + offset)
        v[3] ^= word
        sip_round(v)
        v[0] ^= word
        offset += 8
    word = <uint64_t>size << 56
    shift = 0
    while offset < size:
        word |= <uint64_t>(<uint8_t>data[offset]) << shift
        shift += 8
        offset += 1
    v[3] ^= word
    sip_round(v)
    v[0] ^= word
    v[2] ^= 0xFF
    sip_round(v)
    sip_round(v)
    sip_round(v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


cdef inline uint64_t hash_words(
    const HashKey* key, uint64_t a, uint64_t b, uint64_t mask
) noexcept nogil:
    """The last step of the fast hash.

    Where one word counts and the other stands still, as in keys that operators build,
    a folded product is an arithmetic progression, and one in a hundred of those falls
    upon few pages.  A second progression beside it, which costs no time as the products
    run side by side, makes that one in a million.
    """
    return fold(a ^ key.first, b ^ mask) ^ (a + b) * key.third


cdef inline uint64_t hash_long(
    const HashKey* key, const char* data, size_t size
) noexcept nogil:
    """The fast hash of more than 16 bytes: two words a step, the last overlapping."""
    cdef uint64_t state = key.second ^ size
    cdef const char* last = data + size - 16
    while data < last:
        state = fold(load64(data) ^ key.first, load64(data + 8) ^ state)
        data += 16
    return hash_words(key, load64(last), load64(last + 8), state)


cdef inline uint32_t hash_within(uint64_t hash) noexcept nogil:
    """The bits that place an entry within its page.

    One product leaves the hashes of counting keys an arithmetic progression, in which
    keys that agree at the top often agree at the bottom.  The shift breaks that; both
    steps run while the page's address is being read.
    """
    return <uint32_t>(((hash ^ (hash >> 32)) * SPREAD) >> 32)


cdef inline uint64_t hash_bytes(
    const HashKey* key, const char* data, size_t size
) noexcept nogil:
    cdef uint64_t a, b
    if key.strong:
        return hash_strong(key, data, size)
    if size > 16:
        return hash_long(key, data, size)
    if size >= 8:
        a = load64(data)
        b = load64(data + size - 8)
    elif size >= 4:
        a = load32(data)
        b = load32(data + size - 4)
    elif size:
        a = (<uint8_t>data[0]) | <uint64_t>(<uint8_t>data[size >> 1]) << 8
        b = <uint8_t>data[size - 1]
    else:
        a = b = 0
    # Keys of different sizes can load the same words.
    return hash_words(key, a, b, key.second ^ size * SPREAD)
