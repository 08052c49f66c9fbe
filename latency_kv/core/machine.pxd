"""Machine: what the rooms need of compiler and processor, and the build's constants.

The one verbatim C block of the core that knows compilers: 128-bit products, unaligned
loads, prefetching, pages given back to the system, and the three functions that probe
a group of control bytes at a time, with SSE2, with NEON, or a word at a time elsewhere.
Each has a form for gcc and clang, one for MSVC, and one in plain C.  `-D` options of
setup.py set the constants of a variant build.

Knows no structure of the store.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef extern from *:
    """
    #ifndef LATENCY_KV_MACHINE
    #define LATENCY_KV_MACHINE
    #include <stdint.h>
    #include <string.h>

    #if UINTPTR_MAX != UINT64_MAX
    #error "a slot keeps 16 bits of hash above an address: addresses have to be 64 bits"
    #endif

    /* A page of 8 chunks of 14 slots is 17 cache lines: copying one stays near a
       microsecond, and a million entries need some 15,000 pages. */
    #ifndef LATENCY_KV_CHUNKS
    #define LATENCY_KV_CHUNKS 8
    #endif
    #ifndef LATENCY_KV_CHUNK_SLOTS
    #define LATENCY_KV_CHUNK_SLOTS 14
    #endif
    /* Twelve slots of fourteen: above, probes leave their first chunk too often. */
    #ifndef LATENCY_KV_PAGE_CAPACITY
    #define LATENCY_KV_PAGE_CAPACITY 96
    #endif
    /* Random keys fill pages evenly: one so much deeper than average is no accident. */
    #ifndef LATENCY_KV_DEPTH_SLACK
    #define LATENCY_KV_DEPTH_SLACK 4
    #endif
    /* A segment of 256 pages is 33 cache lines, copied in a few microseconds. */
    #ifndef LATENCY_KV_SEGMENT_BITS
    #define LATENCY_KV_SEGMENT_BITS 8
    #endif
    #if LATENCY_KV_SEGMENT_BITS < 5
    #error "a smaller segment is not aligned enough for the shift in its address"
    #endif
    /* A node of 64 cells: half a kibibyte of words, searched in six steps. */
    #ifndef LATENCY_KV_NODE_CAPACITY
    #define LATENCY_KV_NODE_CAPACITY 64
    #endif
    /* 64 KiB slabs, 16 of them from the system at a time. */
    #ifndef LATENCY_KV_SLAB_BITS
    #define LATENCY_KV_SLAB_BITS 16
    #endif
    #ifndef LATENCY_KV_SLABS_PER_REGION
    #define LATENCY_KV_SLABS_PER_REGION 16
    #endif
    #ifndef LATENCY_KV_BUILD
    #define LATENCY_KV_BUILD "release"
    #endif
    /* A condition that the C compiler knows to be false and Cython does not. */
    #define LATENCY_KV_NEVER 0

    /* AddressSanitizer cannot see into slabs by itself: freed blocks are poisoned. */
    #if defined(__SANITIZE_ADDRESS__)
    #include <sanitizer/asan_interface.h>
    #define latency_kv_poison(p, n) __asan_poison_memory_region(p, n)
    #define latency_kv_unpoison(p, n) __asan_unpoison_memory_region(p, n)
    #else
    #define latency_kv_poison(p, n) ((void)(p))
    #define latency_kv_unpoison(p, n) ((void)(p))
    #endif

    #if defined(__GNUC__) || defined(__clang__)
    #define latency_kv_prefetch(p) __builtin_prefetch((const void*)(p))
    #define latency_kv_likely(x) __builtin_expect(!!(x), 1)
    #define latency_kv_lowest_bit(x) ((uint32_t)__builtin_ctz(x))
    #elif defined(_MSC_VER)
    #include <intrin.h>
    #if defined(_M_ARM64)
    #define latency_kv_prefetch(p) __prefetch((const void*)(p))
    #else
    #define latency_kv_prefetch(p) _mm_prefetch((const char*)(p), _MM_HINT_T0)
    #endif
    #define latency_kv_likely(x) (x)
    static inline uint32_t latency_kv_lowest_bit(uint32_t x) {
        unsigned long place; _BitScanForward(&place, x); return (uint32_t)place;
    }
    #else
    #define latency_kv_prefetch(p) ((void)(p))
    #define latency_kv_likely(x) (x)
    static inline uint32_t latency_kv_bit_count(uint32_t x) {
        uint32_t n = 0;
        for (; x; x &= x - 1) n++;
        return n;
    }
    static inline uint32_t latency_kv_lowest_bit(uint32_t x) {
        return latency_kv_bit_count((x & (0u - x)) - 1);
    }
    #endif

    /* The two halves of the 128-bit product, folded. */
    static inline uint64_t latency_kv_fold(uint64_t a, uint64_t b) {
    #if defined(__SIZEOF_INT128__)
        unsigned __int128 product = (unsigned __int128)a * b;
        return (uint64_t)product ^ (uint64_t)(product >> 64);
    #elif defined(_MSC_VER) && defined(_M_ARM64)
        return (a * b) ^ __umulh(a, b);
    #elif defined(_MSC_VER)
        uint64_t high, low = _umul128(a, b, &high);
        return low ^ high;
    #else
        uint64_t al = (uint32_t)a, ah = a >> 32, bl = (uint32_t)b, bh = b >> 32;
        uint64_t ll = al * bl, lh = al * bh, hl = ah * bl, hh = ah * bh;
        uint64_t middle = (ll >> 32) + (uint32_t)lh + (uint32_t)hl;
        uint64_t low = (middle << 32) | (uint32_t)ll;
        return low ^ (hh + (lh >> 32) + (hl >> 32) + (middle >> 32));
    #endif
    }

    static inline uint64_t latency_kv_load64(const char* p) {
        uint64_t word; memcpy(&word, p, 8); return word;
    }
    static inline uint32_t latency_kv_load32(const char* p) {
        uint32_t word; memcpy(&word, p, 4); return word;
    }
    static inline uint64_t latency_kv_swap64(uint64_t x) {
    #if defined(__GNUC__) || defined(__clang__)
        return __builtin_bswap64(x);
    #elif defined(_MSC_VER)
        return _byteswap_uint64(x);
    #else
        x = ((x & 0x00ff00ff00ff00ffull) << 8) | ((x >> 8) & 0x00ff00ff00ff00ffull);
        x = ((x & 0x0000ffff0000ffffull) << 16) | ((x >> 16) & 0x0000ffff0000ffffull);
        return (x << 32) | (x >> 32);
    #endif
    }
    #if !defined(__BYTE_ORDER__) && !defined(_MSC_VER)
    #error "the compiler does not tell its byte order by __BYTE_ORDER__"
    #elif defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    #define latency_kv_big_endian64(p) latency_kv_load64(p)
    #define latency_kv_little_endian64(p) latency_kv_swap64(latency_kv_load64(p))
    #define latency_kv_little_endian32(p) \\
        ((uint32_t)(latency_kv_swap64(latency_kv_load32(p)) >> 32))
    #else
    #define latency_kv_big_endian64(p) latency_kv_swap64(latency_kv_load64(p))
    #define latency_kv_little_endian64(p) latency_kv_load64(p)
    #define latency_kv_little_endian32(p) latency_kv_load32(p)
    #endif
    static inline void latency_kv_store_little_endian64(char* p, uint64_t word) {
        word = latency_kv_little_endian64((const char*)&word);
        memcpy(p, &word, 8);
    }

    /* The whole pages in there are zero from now on, and the system has them: what is
       left of freeing them takes no time.  A step at a time, since the system may lock
       all of the process's memory for one. */
    #if defined(__linux__)
    #include <sys/mman.h>
    #include <unistd.h>
    static inline void latency_kv_give_back(char* p, size_t n) {
        uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), step = (uintptr_t)8 << 20;
        uintptr_t start = ((uintptr_t)p + page - 1) & ~(page - 1);
        uintptr_t end = ((uintptr_t)p + n) & ~(page - 1);
        for (; start < end; start += step) {
            size_t size = end - start < step ? end - start : step;
            madvise((void*)start, size, MADV_DONTNEED);
        }
    }
    #else
    #define latency_kv_give_back(p, n) ((void)(p), (void)(n))
    #endif

    /* A bit for each of the first LATENCY_KV_CHUNK_SLOTS control bytes that is tag. */
    #define LATENCY_KV_SLOT_MASK ((1u << LATENCY_KV_CHUNK_SLOTS) - 1)
    #if (defined(__SSE2__) || defined(_M_X64)) && !defined(LATENCY_KV_PORTABLE)
    #include <emmintrin.h>
    static inline uint32_t latency_kv_match(const uint8_t* control, uint8_t tag) {
        __m128i group = _mm_load_si128((const __m128i*)control);
        __m128i equal = _mm_cmpeq_epi8(group, _mm_set1_epi8((char)tag));
        return (uint32_t)_mm_movemask_epi8(equal) & LATENCY_KV_SLOT_MASK;
    }
    #elif !defined(LATENCY_KV_PORTABLE) && \\
        (defined(__ARM_NEON) && defined(__aarch64__) || defined(_M_ARM64))
    #include <arm_neon.h>
    static inline uint32_t latency_kv_match(const uint8_t* control, uint8_t tag) {
        static const uint8_t weights[16] =
            {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
        uint8x16_t equal = vceqq_u8(vld1q_u8(control), vdupq_n_u8(tag));
        uint8x16_t bits = vandq_u8(equal, vld1q_u8(weights));
        uint32_t low = vaddv_u8(vget_low_u8(bits));
        uint32_t high = vaddv_u8(vget_high_u8(bits));
        return (low | (high << 8)) & LATENCY_KV_SLOT_MASK;
    }
    #else
    static inline uint32_t latency_kv_match_word(uint64_t word, uint64_t tags) {
        const uint64_t low = 0x7f7f7f7f7f7f7f7full;
        uint64_t x = word ^ tags;
        uint64_t zero = ~(((x & low) + low) | x | low);
        return (uint32_t)(((zero >> 7) * 0x0102040810204080ull) >> 56);
    }
    static inline uint32_t latency_kv_match(const uint8_t* control, uint8_t tag) {
        uint64_t tags = 0x0101010101010101ull * tag;
        const char* p = (const char*)control;
        uint32_t first = latency_kv_match_word(latency_kv_little_endian64(p), tags);
        uint32_t second =
            latency_kv_match_word(latency_kv_little_endian64(p + 8), tags);
        return (first | (second << 8)) & LATENCY_KV_SLOT_MASK;
    }
    #endif
    #endif
    """
    enum:
        CHUNKS "LATENCY_KV_CHUNKS"
        SLOT_MASK "LATENCY_KV_SLOT_MASK"
        PAGE_CAPACITY "LATENCY_KV_PAGE_CAPACITY"
        DEPTH_SLACK "LATENCY_KV_DEPTH_SLACK"
        SEGMENT_BITS "LATENCY_KV_SEGMENT_BITS"
        SEGMENT_PAGES "(1 << LATENCY_KV_SEGMENT_BITS)"
        NODE_CAPACITY "LATENCY_KV_NODE_CAPACITY"
        SLAB_SIZE "(1 << LATENCY_KV_SLAB_BITS)"
        SLABS_PER_REGION "LATENCY_KV_SLABS_PER_REGION"
        NEVER "LATENCY_KV_NEVER"
    uint64_t SPREAD "0x9E3779B97F4A7C15ull"      # odd, its bits without a pattern
    const char* BUILD_NAME "LATENCY_KV_BUILD"
    void poison "latency_kv_poison"(void* address, size_t size) noexcept nogil
    void unpoison "latency_kv_unpoison"(void* address, size_t size) noexcept nogil
    void prefetch "latency_kv_prefetch"(const void* address) noexcept nogil
    bint likely "latency_kv_likely"(bint condition) noexcept nogil
    uint32_t lowest_bit "latency_kv_lowest_bit"(uint32_t bits) noexcept nogil
    uint64_t fold "latency_kv_fold"(uint64_t a, uint64_t b) noexcept nogil
    uint64_t load64 "latency_kv_load64"(const char* address) noexcept nogil
    uint32_t load32 "latency_kv_load32"(const char* address) noexcept nogil
    uint64_t big_endian64 "latency_kv_big_endian64"(const char* address) noexcept nogil
    uint64_t little_endian64 "latency_kv_little_endian64"(
        const char* address
    ) noexcept nogil
    uint32_t little_endian32 "latency_kv_little_endian32"(
        const char* address
    ) noexcept nogil
    void store_little_endian64 "latency_kv_store_little_endian64"(
        char* address, uint64_t word
    ) noexcept nogil
    void give_back "latency_kv_give_back"(char* address, size_t size) noexcept nogil
    uint32_t match "latency_kv_match"(
        const uint8_t* control, uint8_t tag
    ) noexcept nogil
