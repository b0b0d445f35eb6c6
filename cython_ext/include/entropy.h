/* Sums of counts times stable random numbers; sketches/core/skewed_stable.py has the mathematics and makes the tables. */
#ifndef SKETCHES_ENTROPY_H
#define SKETCHES_ENTROPY_H

#include <string.h>

#include "hash.h"
#include "simd.h"

#define ENTROPY_BINS 4096 /* addressed by 12 of 32 bits; the other 20 say where in the bin */
#define ENTROPY_ZOOMS 5   /* tables of the angle, each for a 64th of the interval before it */
#define ENTROPY_LANES 64  /* sums at a time */
#define ENTROPY_GROUP 1024 /* items at a time */

typedef struct {
    int32_t angle[ENTROPY_BINS + 1]; /* the first 64 are not used: `zoomed` is for them */
    int32_t wait[ENTROPY_BINS + 1];
    int64_t zoomed[ENTROPY_ZOOMS - 1][ENTROPY_BINS + 1];
} entropy_tables;

typedef struct { /* a 128-bit integer: high * 2^64 + low */
    uint64_t low;
    int64_t high;
} entropy_sum;

typedef struct { /* distinct hashes, each with its count */
    uint64_t hashes[ENTROPY_GROUP];
    int64_t counts[ENTROPY_GROUP];
    int64_t size;
} entropy_group;

SKETCHES_INLINE int64_t between(int64_t left, int64_t right, int64_t part) {
    return left + (((right - left) * part + (1 << 19)) >> 20);
}

/* The angle's part of R where u = a / 2^32 is below 1/64. The bins' ends differ by less than 2^36 wherever `part` is not
 * zero: only in the last table, whose bins are no wider than a step of a, they differ by more. */
static int64_t steep_angle(const entropy_tables *tables, uint64_t a) {
    int zoom = 0;
    while (a < (uint64_t)1 << 26 && zoom < ENTROPY_ZOOMS - 1) {
        a <<= 6;
        zoom++;
    }
    const int64_t *table = tables->zoomed[zoom - 1];
    return between(table[a >> 20], table[(a >> 20) + 1], a & 0xfffff);
}

/* Item h's 64 random bits for sum j: a sequence of SplitMix64's kind that begins at h. */
SKETCHES_INLINE uint64_t entropy_bits(uint64_t h, uint64_t j) { return mix64(h + (j + 1) * 0x9e3779b97f4a7c15ULL); }

SKETCHES_INLINE int64_t entropy_wait(const entropy_tables *tables, uint32_t b) {
    return between(tables->wait[b >> 20], tables->wait[(b >> 20) + 1], b & 0xfffff);
}

/* The random numbers R of one item for the sums from `first` on. */
static void entropy_draw(const entropy_tables *tables, uint64_t h, uint64_t first, int64_t *out) {
    for (uint64_t i = 0; i < ENTROPY_LANES; i++) {
        const uint64_t x = entropy_bits(h, first + i), a = x >> 32;
        out[i] = entropy_wait(tables, (uint32_t)x)
               + (a < (uint64_t)1 << 26 ? steep_angle(tables, a)
                                        : between(tables->angle[a >> 20], tables->angle[(a >> 20) + 1], a & 0xfffff));
    }
}

#ifdef SKETCHES_AVX512
#define ENTROPY_AVX512 __attribute__((target("avx512f,avx512dq")))

static inline int has_avx512dq(void) { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"); }

/* `between` for eight lanes: one load takes an entry, in the low half, and the next one. */
ENTROPY_AVX512
static inline __m512i between_avx512(const int32_t *table, __m512i x) {
    const __m512i pair = _mm512_i64gather_epi64(_mm512_srli_epi64(x, 20), table, 4);
    const __m512i step = _mm512_sub_epi32(_mm512_srli_epi64(pair, 32), pair);
    const __m512i rise = _mm512_mul_epi32(step, _mm512_and_si512(x, _mm512_set1_epi64(0xfffff)));
    const __m512i left = _mm512_srai_epi64(_mm512_slli_epi64(pair, 32), 32);
    return _mm512_add_epi64(left, _mm512_srai_epi64(_mm512_add_epi64(rise, _mm512_set1_epi64(1 << 19)), 20));
}

ENTROPY_AVX512
static void entropy_draw_avx512(const entropy_tables *tables, uint64_t h, uint64_t first, int64_t *out) {
    const __m512i golden = _mm512_set1_epi64((int64_t)0x9e3779b97f4a7c15ULL);
    const __m512i lane = _mm512_setr_epi64(1, 2, 3, 4, 5, 6, 7, 8);
    const __m512i c1 = _mm512_set1_epi64((int64_t)MIX_1), c2 = _mm512_set1_epi64((int64_t)MIX_2);
    __m512i state = _mm512_add_epi64(
        _mm512_set1_epi64((int64_t)h), _mm512_mullo_epi64(_mm512_add_epi64(_mm512_set1_epi64((int64_t)first), lane), golden));
    const __m512i stride = _mm512_slli_epi64(golden, 3);
    uint64_t steep = 0;
    for (int i = 0; i < ENTROPY_LANES; i += 8) {
        __m512i x = _mm512_xor_si512(state, _mm512_srli_epi64(state, 33));
        x = _mm512_mullo_epi64(x, c1);
        x = _mm512_mullo_epi64(_mm512_xor_si512(x, _mm512_srli_epi64(x, 33)), c2);
        x = _mm512_xor_si512(x, _mm512_srli_epi64(x, 33));
        const __m512i a = _mm512_srli_epi64(x, 32), b = _mm512_and_si512(x, _mm512_set1_epi64(0xffffffff));
        steep |= (uint64_t)_mm512_cmplt_epu64_mask(a, _mm512_set1_epi64(1 << 26)) << i;
        _mm512_storeu_si512(
            out + i, _mm512_add_epi64(between_avx512(tables->angle, a), between_avx512(tables->wait, b)));
        state = _mm512_add_epi64(state, stride);
    }
    for (; steep; steep &= steep - 1) { /* one lane in 64 */
        const int i = __builtin_ctzll(steep);
        const uint64_t x = entropy_bits(h, first + (uint64_t)i);
        out[i] = steep_angle(tables, x >> 32) + entropy_wait(tables, (uint32_t)x);
    }
}
#endif

SKETCHES_INLINE void sum_add(entropy_sum *sum, uint64_t low, int64_t high) {
    sum->low += low;
    sum->high = (int64_t)((uint64_t)sum->high + (uint64_t)high + (sum->low < low));
}

/* Adds x y, of two numbers of 63 bits and their signs. */
SKETCHES_INLINE void sum_add_product(entropy_sum *sum, int64_t x, int64_t y) {
    const uint64_t size = x < 0 ? -(uint64_t)x : (uint64_t)x, times = y < 0 ? -(uint64_t)y : (uint64_t)y;
    const uint64_t low = size * times, high = mulhi64(size, times);
    if ((x < 0) != (y < 0))
        sum_add(sum, -low, (int64_t)(~high + (low == 0)));
    else
        sum_add(sum, low, (int64_t)high);
}

/* Adds a group of items to sums [first, first + lanes). |R| < 2^50, so that 64 bits hold the sums of counts below 2^13;
 * they are emptied into the long ones before they have more, and larger counts go there at once. */
SKETCHES_CLONES
static void entropy_add_lanes(
    const entropy_tables *tables, const entropy_group *group, entropy_sum *sums, uint64_t first, int lanes) {
    int64_t drawn[ENTROPY_LANES], held[ENTROPY_LANES] = {0}, weight = 0;
    void (*draw)(const entropy_tables *, uint64_t, uint64_t, int64_t *) = entropy_draw;
#ifdef SKETCHES_AVX512
    if (has_avx512dq()) draw = entropy_draw_avx512;
#endif
    for (int64_t item = 0; item < group->size; item++) {
        const int64_t count = group->counts[item], size = count < 0 ? -count : count;
        draw(tables, group->hashes[item], first, drawn);
        if (size >= 1 << 13) {
            for (int i = 0; i < lanes; i++) sum_add_product(&sums[i], drawn[i], count);
            continue;
        }
        if ((weight += size) >= 1 << 13) {
            for (int i = 0; i < lanes; i++) sum_add(&sums[i], (uint64_t)held[i], held[i] >> 63);
            memset(held, 0, sizeof held);
            weight = size;
        }
        for (int i = 0; i < ENTROPY_LANES; i++) held[i] += drawn[i] * count;
    }
    for (int i = 0; i < lanes; i++) sum_add(&sums[i], (uint64_t)held[i], held[i] >> 63);
}

/* Finds the distinct hashes among at most ENTROPY_GROUP: an item costs far more to add than to find again. */
static void entropy_collect(entropy_group *group, const uint64_t *hashes, const int64_t *counts, int64_t n) {
    int16_t places[2 * ENTROPY_GROUP];
    memset(places, 0xff, sizeof places);
    group->size = 0;
    for (int64_t i = 0; i < n; i++) {
        uint64_t slot = hashes[i] % (2 * ENTROPY_GROUP);
        while (places[slot] >= 0 && group->hashes[places[slot]] != hashes[i]) slot = (slot + 1) % (2 * ENTROPY_GROUP);
        if (places[slot] < 0) {
            places[slot] = (int16_t)group->size;
            group->hashes[group->size] = hashes[i];
            group->counts[group->size++] = 0;
        }
        group->counts[places[slot]] += counts ? counts[i] : 1;
    }
}

static void entropy_add_all(
    const entropy_tables *tables, entropy_sum *sums, int64_t k, const uint64_t *hashes, const int64_t *counts, int64_t n) {
    entropy_group group;
    for (int64_t start = 0; start < n; start += ENTROPY_GROUP) {
        const int64_t size = n - start < ENTROPY_GROUP ? n - start : ENTROPY_GROUP;
        entropy_collect(&group, hashes + start, counts ? counts + start : NULL, size);
        for (int64_t first = 0; first < k; first += ENTROPY_LANES) {
            const int lanes = k - first < ENTROPY_LANES ? (int)(k - first) : ENTROPY_LANES;
            entropy_add_lanes(tables, &group, sums + first, (uint64_t)first, lanes);
        }
    }
}

#endif
