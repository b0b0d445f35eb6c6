/* Registers of FlajoletMartin: how hashes change them, how they merge and what they tell; and tokens.
 *
 * A hash chooses one of m = 2^p registers by bits t … t + p - 1, and by its leading zeros and its low t bits s the
 * update value k = zeros * 2^t + s + 1. A register holds the largest update value u so far above a window of d bits: bit
 * d - i is set if u - i was seen too. PCSA has a bitmap of all values instead, bit k - 1. A token is 26 bits of the hash
 * and its leading zeros, which is all that any register asks for.
 *
 * Functions take t and d as arguments, and are inlined into one loop for each kind, where both are constants. */
#ifndef SKETCHES_FLAJOLET_MARTIN_H
#define SKETCHES_FLAJOLET_MARTIN_H

#include "simd.h"

enum { PCSA, HLL, ULL, ELL }; /* the kinds' numbers */
#define TOKEN_BITS 26         /* bits of the hash in a token, above the 6 bits that hold its leading zeros */
#define FM_CHUNK 1024         /* hashes that are split into registers and values at once */

SKETCHES_INLINE uint64_t ones(int n) { return ((uint64_t)1 << n) - 1; }

SKETCHES_INLINE int trailing_zeros64(uint64_t x) { return 63 - leading_zeros64(x & -x); }

SKETCHES_INLINE uint32_t update_value(uint64_t h, int p, int t) {
    return (uint32_t)(leading_zeros64(h | ones(p + t)) << t) + (uint32_t)(h & ones(t)) + 1;
}

SKETCHES_INLINE uint32_t token_of(uint64_t h) {
    return (uint32_t)((h & ones(TOKEN_BITS)) << 6) | (uint32_t)leading_zeros64(h | ones(TOKEN_BITS));
}

/* A hash with this token; it makes the same update as the token's own. */
SKETCHES_INLINE uint64_t hash_of(uint32_t token) {
    const int zeros = token & 63;
    return (zeros < 64 - TOKEN_BITS ? (uint64_t)1 << (63 - zeros) : 0) | token >> 6;
}

/* Registers of 32 bits where the window has 24, of 8 bits elsewhere. */
SKETCHES_INLINE uint32_t get(const void *registers, int64_t i, int d) {
    return d == 24 ? ((const uint32_t *)registers)[i] : ((const uint8_t *)registers)[i];
}

SKETCHES_INLINE void set(void *registers, int64_t i, int d, uint32_t value) {
    if (d == 24) ((uint32_t *)registers)[i] = value;
    else ((uint8_t *)registers)[i] = (uint8_t)value;
}

/* What a register has seen, as the window of a value that lies `distance` above its own. */
SKETCHES_INLINE uint32_t seen_below(uint32_t r, uint32_t distance, int d) {
    /* The window with its leader: bit d - i is u - i for i >= 0. Seen from u + distance, bit d - i is u + distance - i. */
    const uint32_t seen = (uint32_t)((1U << d) | (r & ones(d)));
    return distance > (uint32_t)d || r >> d == 0 ? 0 : (uint32_t)(seen >> distance & ones(d));
}

SKETCHES_INLINE uint32_t merged(uint32_t x, uint32_t y, int d) {
    const uint32_t high = x >> d < y >> d ? y : x, low = x ^ y ^ high;
    return high | seen_below(low, (high >> d) - (low >> d), d);
}

/* The window's bit for a value that lies so far below the leader: none for the leader's own, and none out of reach. */
SKETCHES_INLINE uint32_t window_bit(uint32_t below, int d) {
    return (1U << d >> (below < 31 ? below : 31)) & (uint32_t)ones(d);
}

SKETCHES_INLINE uint32_t updated(uint32_t r, uint32_t k, int d) {
    const uint32_t u = r >> d;
    return k > u ? k << d | seen_below(r, k - u, d) : r | window_bit(u - k, d);
}

/* Most hashes change nothing, and which do cannot be predicted. So they are told apart without branches and without
 * stores, which repeated items would make wait for each other. Writes the places and values of those that change their
 * register as it is, and returns how many; n <= FM_CHUNK. */
SKETCHES_INLINE int64_t find_changes(
    const void *registers, int p, int t, int d, const uint64_t *hashes, int64_t n, uint32_t *place, uint32_t *value) {
    uint32_t changes[FM_CHUNK];
    int64_t found = 0;
    for (int64_t i = 0; i < n; i++) {
        place[i] = (uint32_t)(hashes[i] >> t & ones(p));
        value[i] = update_value(hashes[i], p, t);
    }
    for (int64_t i = 0; i < n; i++) {
        const uint32_t r = get(registers, place[i], d), u = r >> d;
        changes[i] = (value[i] > u) | ((window_bit(u - value[i], d) & ~r) != 0);
    }
    for (int64_t i = 0; i < n; i++) {
        place[found] = place[i];
        value[found] = value[i];
        found += changes[i];
    }
    return found;
}

#ifdef SKETCHES_AVX512
/* The same for ELL, sixteen hashes at a time. */
__attribute__((target("avx512f,avx512cd,popcnt")))
static int64_t ell_find_changes_avx512(
    const uint32_t *registers, int p, const uint64_t *hashes, int64_t n, uint32_t *place, uint32_t *value) {
    const __m512i index = _mm512_set1_epi64((long long)ones(p)), low = _mm512_set1_epi64((long long)ones(p + 2));
    const __m512i three = _mm512_set1_epi64(3), leader = _mm512_set1_epi32(1 << 24);
    const __m512i window = _mm512_set1_epi32((1 << 24) - 1), one = _mm512_set1_epi32(1);
    int64_t found = 0, i = 0;
    for (; i + 16 <= n; i += 16) {
        __m512i at = one, k = one;
        for (int half = 0; half < 2; half++) {
            const __m512i h = _mm512_loadu_si512(hashes + i + 8 * half);
            const __m512i zeros = _mm512_lzcnt_epi64(_mm512_or_si512(h, low));
            const __m512i v = _mm512_or_si512(_mm512_slli_epi64(zeros, 2), _mm512_and_si512(h, three));
            const __m256i a = _mm512_cvtepi64_epi32(_mm512_and_si512(_mm512_srli_epi64(h, 2), index));
            at = half ? _mm512_inserti64x4(at, a, 1) : _mm512_castsi256_si512(a);
            k = half ? _mm512_inserti64x4(k, _mm512_cvtepi64_epi32(v), 1) : _mm512_castsi256_si512(_mm512_cvtepi64_epi32(v));
        }
        k = _mm512_add_epi32(k, one);
        const __m512i r = _mm512_i32gather_epi32(at, registers, 4), u = _mm512_srli_epi32(r, 24);
        /* A shift by 32 or more, as where k > u, gives 0. */
        const __m512i bit = _mm512_and_si512(_mm512_srlv_epi32(leader, _mm512_sub_epi32(u, k)), window);
        const __mmask16 change = _mm512_cmpgt_epu32_mask(k, u) | _mm512_test_epi32_mask(_mm512_andnot_si512(r, bit), bit);
        _mm512_storeu_si512(place + found, _mm512_maskz_compress_epi32(change, at));
        _mm512_storeu_si512(value + found, _mm512_maskz_compress_epi32(change, k));
        found += __builtin_popcount(change);
    }
    return found + find_changes(registers, p, 2, 24, hashes + i, n - i, place + found, value + found);
}
#endif

SKETCHES_INLINE void apply_changes(void *registers, int d, const uint32_t *place, const uint32_t *value, int64_t n) {
    for (int64_t i = 0; i < n; i++) set(registers, place[i], d, updated(get(registers, place[i], d), value[i], d));
}

SKETCHES_INLINE void insert_registers(void *registers, int p, int t, int d, const uint64_t *hashes, int64_t n) {
    uint32_t place[FM_CHUNK], value[FM_CHUNK];
    for (int64_t done = 0; done < n; done += FM_CHUNK) {
        const int64_t size = n - done < FM_CHUNK ? n - done : FM_CHUNK;
        apply_changes(registers, d, place, value, find_changes(registers, p, t, d, hashes + done, size, place, value));
    }
}

SKETCHES_INLINE void merge_registers(void *mine, const void *theirs, int64_t m, int d) {
    for (int64_t i = 0; i < m; i++) set(mine, i, d, merged(get(mine, i, d), get(theirs, i, d), d));
}

SKETCHES_CLONES
static void pcsa_insert(uint64_t *registers, int p, const uint64_t *hashes, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        registers[hashes[i] & ones(p)] |= (uint64_t)1 << (update_value(hashes[i], p, 0) - 1);
}

SKETCHES_CLONES
static void hll_insert(void *registers, int p, const uint64_t *hashes, int64_t n) {
    insert_registers(registers, p, 0, 0, hashes, n);
}

SKETCHES_CLONES
static void ull_insert(void *registers, int p, const uint64_t *hashes, int64_t n) {
    insert_registers(registers, p, 0, 2, hashes, n);
}

SKETCHES_CLONES
static void ell_insert_portable(void *registers, int p, const uint64_t *hashes, int64_t n) {
    insert_registers(registers, p, 2, 24, hashes, n);
}

static void ell_insert(void *registers, int p, const uint64_t *hashes, int64_t n) {
#ifdef SKETCHES_AVX512
    uint32_t place[FM_CHUNK], value[FM_CHUNK];
    if (has_avx512() && n >= 16) {
        for (int64_t done = 0; done < n; done += FM_CHUNK) {
            const int64_t size = n - done < FM_CHUNK ? n - done : FM_CHUNK;
            const int64_t found = ell_find_changes_avx512(registers, p, hashes + done, size, place, value);
            apply_changes(registers, 24, place, value, found);
        }
        return;
    }
#endif
    ell_insert_portable(registers, p, hashes, n);
}

static void insert_all(void *registers, int kind, int p, const uint64_t *hashes, int64_t n) {
    if (kind == ELL) ell_insert(registers, p, hashes, n);
    else if (kind == ULL) ull_insert(registers, p, hashes, n);
    else if (kind == HLL) hll_insert(registers, p, hashes, n);
    else pcsa_insert((uint64_t *)registers, p, hashes, n);
}

/* A single hash is not worth the call of a clone. */
static inline void insert_one(void *registers, int kind, int p, uint64_t h) {
    if (kind == PCSA) {
        ((uint64_t *)registers)[h & ones(p)] |= (uint64_t)1 << (update_value(h, p, 0) - 1);
        return;
    }
    const int t = kind == ELL ? 2 : 0, d = kind == ELL ? 24 : kind == ULL ? 2 : 0;
    const int64_t place = (int64_t)(h >> t & ones(p));
    set(registers, place, d, updated(get(registers, place, d), update_value(h, p, t), d));
}

SKETCHES_CLONES
static void pcsa_merge(uint64_t *mine, const uint64_t *theirs, int64_t m) {
    for (int64_t i = 0; i < m; i++) mine[i] |= theirs[i];
}

SKETCHES_CLONES
static void hll_merge(void *mine, const void *theirs, int64_t m) { merge_registers(mine, theirs, m, 0); }

SKETCHES_CLONES
static void ull_merge(void *mine, const void *theirs, int64_t m) { merge_registers(mine, theirs, m, 2); }

SKETCHES_CLONES
static void ell_merge_portable(void *mine, const void *theirs, int64_t m) { merge_registers(mine, theirs, m, 24); }

#ifdef SKETCHES_AVX512
/* The same, sixteen registers at a time; m is a multiple of 16. The larger of two registers has the larger leader, or the
 * same, and then `distance` is 0 and the windows are or-ed. A shift by more than 24 leaves nothing, one by 32 or more is 0. */
__attribute__((target("avx512f")))
static void ell_merge_avx512(uint32_t *mine, const uint32_t *theirs, int64_t m) {
    const __m512i leader = _mm512_set1_epi32(1 << 24), window = _mm512_set1_epi32((1 << 24) - 1);
    for (int64_t i = 0; i < m; i += 16) {
        const __m512i x = _mm512_loadu_si512(mine + i), y = _mm512_loadu_si512(theirs + i);
        const __m512i high = _mm512_max_epu32(x, y), low = _mm512_min_epu32(x, y);
        const __m512i distance = _mm512_sub_epi32(_mm512_srli_epi32(high, 24), _mm512_srli_epi32(low, 24));
        /* low & window | leader, and 0 where low has seen nothing */
        const __m512i seen = _mm512_maskz_ternarylogic_epi32(_mm512_test_epi32_mask(low, low), low, window, leader, 0xEA);
        /* high | seen >> distance & window */
        _mm512_storeu_si512(mine + i, _mm512_ternarylogic_epi32(high, _mm512_srlv_epi32(seen, distance), window, 0xF8));
    }
}
#endif

static void ell_merge(uint32_t *mine, const uint32_t *theirs, int64_t m) {
#ifdef SKETCHES_AVX512
    if (has_avx512()) {
        ell_merge_avx512(mine, theirs, m);
        return;
    }
#endif
    ell_merge_portable(mine, theirs, m);
}

enum {
    FM_NEAR = 14,      /* log2 of the bytes of registers that stay in the nearest cache while they meet all others */
    FM_STEP = 1 << 8,  /* bytes that are merged at once, */
    FM_AHEAD = 1 << 13 /* and asked for so far ahead: the processor does not foresee the step from sketch to sketch */
};

/* Merge n sketches of 2^p registers each into one. */
static void merge_all(void *mine, const void *const *theirs, int64_t n, int kind, int p) {
    const int width = kind == PCSA ? 3 : kind == ELL ? 2 : 0; /* log2 of a register's bytes */
    const int part = p + width < FM_NEAR ? p + width : FM_NEAR;
    if (n == 0) return;
    for (int64_t start = 0; start >> (p + width) == 0; start += (int64_t)1 << part) {
        for (int64_t at = 0; at < FM_AHEAD && at >> part == 0; at += 64) PREFETCH_FAR((const char *)theirs[0] + start + at);
        for (int64_t i = 0; i < n; i++) {
            for (int64_t at = 0; at >> part == 0; at += FM_STEP) {
                const int64_t size = ((int64_t)1 << part < FM_STEP ? (int64_t)1 << part : FM_STEP) >> width;
                const int64_t ahead = at + FM_AHEAD, later = i + (ahead >> part);
                char *to = (char *)mine + start + at;
                const char *from = (const char *)theirs[i] + start + at;
                if (later < n) {
                    const char *next = (const char *)theirs[later] + start + (ahead & ones(part));
                    for (int64_t line = 0; line < size << width; line += 64) PREFETCH(next + line);
                }
                if (kind == ELL) ell_merge((uint32_t *)to, (const uint32_t *)from, size);
                else if (kind == ULL) ull_merge(to, from, size);
                else if (kind == HLL) hll_merge(to, from, size);
                else pcsa_merge((uint64_t *)to, (const uint64_t *)from, size);
            }
        }
    }
}

/* The smallest value that would change a register: the first one that is missing from its window, or u + 1. */
SKETCHES_INLINE int first_missing(const void *registers, int64_t i, int kind) {
    if (kind == PCSA) return trailing_zeros64(~((const uint64_t *)registers)[i]) + 1;
    const int d = kind == ELL ? 24 : kind == ULL ? 2 : 0;
    const uint32_t r = get(registers, i, d);
    const int u = (int)(r >> d);
    /* Bit d - u and those below it stand for 0 and less, which are no values. The leader's bit d ends the search. */
    const uint64_t missing = ~(uint64_t)r & ones(d) & ~ones(u <= d ? d - u + 1 : 0);
    return missing ? u - d + trailing_zeros64(missing) : u + 1;
}

/* Whether hashes can have left these registers: no value above `most`, no window bit for a value below 1. */
SKETCHES_INLINE int sound_registers(const void *registers, int64_t m, int d, uint32_t most) {
    uint32_t wrong = 0;
    for (int64_t i = 0; i < m; i++) {
        const uint32_t r = get(registers, i, d), u = r >> d, below = u <= (uint32_t)d ? (uint32_t)d + 1 - u : 0;
        wrong |= (u > most) | (r & (uint32_t)ones(d) & ((1u << below) - 1));
    }
    return !wrong;
}

SKETCHES_CLONES
static int sound_all(const void *registers, int kind, int64_t m, int most) {
    uint64_t wrong = 0;
    if (kind == ELL) return sound_registers(registers, m, 24, (uint32_t)most);
    if (kind == ULL) return sound_registers(registers, m, 2, (uint32_t)most);
    if (kind == HLL) return sound_registers(registers, m, 0, (uint32_t)most);
    for (int64_t i = 0; i < m; i++) wrong |= ((const uint64_t *)registers)[i] >> most;
    return !wrong;
}

SKETCHES_INLINE void count_bits(uint64_t bits, int64_t *seen, int64_t first) {
    for (; bits; bits &= bits - 1) seen[first + trailing_zeros64(bits)]++;
}

SKETCHES_INLINE void read_registers(const void *registers, int64_t m, int d, int64_t *tops, int64_t *seen) {
    /* Bit b stands for the value u - d + b; there are none below 1. */
    for (int64_t i = 0; i < m; i++) {
        const uint32_t r = get(registers, i, d), u = r >> d;
        tops[u]++;
        seen[u] += u > 0;
        count_bits(r & ones(d), seen, (int64_t)u - d);
    }
}

/* Count registers by their largest value (PCSA: all by 0), and those that saw each value. */
SKETCHES_CLONES
static void read_all(const void *registers, int kind, int64_t m, int64_t *tops, int64_t *seen) {
    if (kind == ELL) read_registers(registers, m, 24, tops, seen);
    else if (kind == ULL) read_registers(registers, m, 2, tops, seen);
    else if (kind == HLL) read_registers(registers, m, 0, tops, seen);
    else {
        tops[0] = m;
        for (int64_t i = 0; i < m; i++) count_bits(((const uint64_t *)registers)[i], seen, 1);
    }
}

#endif
