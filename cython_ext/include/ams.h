/* Fast-AMS: every row maps an item to one bucket and one sign by a polynomial of degree 3 over the integers modulo the
 * prime p = 2^61 - 1, which is 4-wise independent.
 *
 * Modulo p, 2^61 is 1: a number's bits from 61 up may be added to those below. The sum is not yet the remainder but
 * smaller, so such folding can wait until a product would not fit. Products are made of limbs of 31 and 30 bits: the
 * loops then need no 128-bit numbers, and compilers turn them into vector instructions on every processor. */
#ifndef SKETCHES_AMS_H
#define SKETCHES_AMS_H

#include "simd.h"

#define MERSENNE61 0x1fffffffffffffffULL
#define AMS_MAX_DEPTH 15
#define AMS_CHUNK 128 /* items whose buckets are found before their counters are touched */
#define AMS_LANES 16  /* items that ams_ifma.h takes at once */

static inline uint64_t low31(uint64_t x) { return x & 0x7fffffff; }
static inline uint64_t low30(uint64_t x) { return x & 0x3fffffff; }
static inline uint64_t fold61(uint64_t x) { return (x & MERSENNE61) + (x >> 61); } /* <= p + 7 */

/* low + 2^31 middle + 2^62 high modulo p, not yet below p: 2^62 is 2, and middle = m 2^30 + n is m + 2^31 n.
 * No sum wraps: of three products of numbers <= p + 7 (limbs < 2^31 and <= 2^30), low < 3 2^62, middle <= 6 2^61,
 * high <= 3 2^60, so the sum below is at most 2^61 + 6 + 2^61 + 2^34 + 6 2^60 < 2^63.4. */
static inline uint64_t fold122(uint64_t low, uint64_t middle, uint64_t high) {
    return fold61(fold61(low) + (low30(middle) << 31) + (middle >> 30) + 2 * high);
}

static inline uint64_t multiply61_limbs(uint64_t x, uint64_t y) {
    const uint64_t x0 = low31(x), x1 = x >> 31, y0 = low31(y), y1 = y >> 31;
    return fold122(x0 * y0, x0 * y1 + x1 * y0, x1 * y1);
}

/* a x^3 + b x^2 + c x + d mod p for a row's coefficients a, b, c, d < p, from the powers of x, each <= p + 7. */
static inline uint64_t value61_limbs(const uint64_t *row, uint64_t x, uint64_t xx, uint64_t xxx) {
    const uint64_t a0 = low31(row[0]), a1 = row[0] >> 31, b0 = low31(row[1]), b1 = row[1] >> 31;
    const uint64_t c0 = low31(row[2]), c1 = row[2] >> 31;
    const uint64_t u0 = low31(xxx), u1 = xxx >> 31, v0 = low31(xx), v1 = xx >> 31, w0 = low31(x), w1 = x >> 31;
    const uint64_t value = fold61(row[3] + fold122(
        a0 * u0 + b0 * v0 + c0 * w0,
        a0 * u1 + a1 * u0 + b0 * v1 + b1 * v0 + c0 * w1 + c1 * w0,
        a1 * u1 + b1 * v1 + c1 * w1));
    return value >= MERSENNE61 ? value - MERSENNE61 : value;
}

/* The same in fewer instructions for one item at a time. A sum of three products is below 3 2^122 + 2^61, so that its
 * bits from 61 up are below 2^63. */
#ifdef __SIZEOF_INT128__
static inline uint64_t fold61_wide(unsigned __int128 x) {
    return fold61(((uint64_t)x & MERSENNE61) + (uint64_t)(x >> 61));
}

static inline uint64_t multiply61(uint64_t x, uint64_t y) { return fold61_wide((unsigned __int128)x * y); }

static inline uint64_t value61(const uint64_t *row, uint64_t x, uint64_t xx, uint64_t xxx) {
    const uint64_t value = fold61_wide(
        (unsigned __int128)row[0] * xxx + (unsigned __int128)row[1] * xx + (unsigned __int128)row[2] * x + row[3]);
    return value >= MERSENNE61 ? value - MERSENNE61 : value;
}
#else
#define multiply61 multiply61_limbs
#define value61 value61_limbs
#endif

/* The value's lowest bit is the sign; the 60 above, as a fraction of 2^60, select one of width <= 2^32 buckets. */
static inline uint64_t ams_bucket(uint64_t value, uint64_t width) {
    return ((value >> 31) * width + ((low30(value >> 1) * width) >> 30)) >> 30;
}

/* An item's place in a row: the bucket in the low half, the sign, 1 or -1, in the high half. */
static inline uint64_t ams_place61(uint64_t value, uint64_t width) {
    return ams_bucket(value, width) | (1 - 2 * (value & 1)) << 32;
}

static inline int64_t ams_sign(uint64_t place) { return (int32_t)(place >> 32); }

typedef struct {
    int64_t *counters;
    int64_t depth;
    uint64_t width;
    uint64_t rows[AMS_MAX_DEPTH][4];   /* four coefficients a row */
    uint64_t limbs[AMS_MAX_DEPTH][14]; /* and cut as ams_ifma.h needs them */
} ams_table;

#ifdef SKETCHES_AVX512
#include "ams_ifma.h"
#endif

/* Sets a row's coefficients: of x^3, x^2, x and 1. */
static void ams_set_row(ams_table *table, int64_t r, const uint64_t *coefficients) {
    const uint64_t low52 = ((uint64_t)1 << 52) - 1;
    for (int i = 0; i < 4; i++) {
        const uint64_t c = coefficients[i], turned = (c << 32 & MERSENNE61) | c >> 29; /* 2^32 c mod p */
        uint64_t *limbs = table->limbs[r] + 4 * (i < 3 ? 2 - i : 3); /* x first, 1 last */
        table->rows[r][i] = c;
        limbs[0] = c & low52;
        limbs[1] = c >> 52;
        if (i == 3) break;
        limbs[2] = turned & low52;
        limbs[3] = turned >> 52;
    }
}

static void ams_add(const ams_table *table, uint64_t hash, int64_t count) {
    const uint64_t x = fold61(hash), xx = multiply61(x, x), xxx = multiply61(xx, x);
    for (int64_t r = 0; r < table->depth; r++) {
        const uint64_t value = value61(table->rows[r], x, xx, xxx);
        const int64_t negative = (int64_t)(value & 1);
        table->counters[r * table->width + ams_bucket(value, table->width)] += (count ^ -negative) + negative;
    }
}

/* The places of n items, row by row, AMS_CHUNK apart. */
SKETCHES_CLONES
static void ams_locate(const ams_table *table, const uint64_t *hashes, uint64_t *places, int64_t n) {
    const uint64_t width = table->width;
    uint64_t x[AMS_CHUNK], xx[AMS_CHUNK], xxx[AMS_CHUNK];
    for (int64_t i = 0; i < n; i++) {
        x[i] = fold61(hashes[i]);
        xx[i] = multiply61_limbs(x[i], x[i]);
        xxx[i] = multiply61_limbs(xx[i], x[i]);
    }
    for (int64_t r = 0; r < table->depth; r++) {
        const uint64_t row[4] = {table->rows[r][0], table->rows[r][1], table->rows[r][2], table->rows[r][3]};
        for (int64_t i = 0; i < n; i++)
            places[AMS_CHUNK * r + i] = ams_place61(value61_limbs(row, x[i], xx[i], xxx[i]), width);
    }
}

/* `counts` may be NULL: one each. */
static void ams_add_all(const ams_table *table, const uint64_t *hashes, const int64_t *counts, int64_t n) {
    uint64_t places[AMS_MAX_DEPTH * AMS_CHUNK];
    int64_t done = 0;
#ifdef SKETCHES_AVX512
    if (n >= AMS_LANES && has_avx512_ifma()) {
        done = n - n % AMS_LANES;
        ams_add_ifma(table, hashes, counts, done);
    }
#endif
    if (n - done < AMS_LANES) /* too few for vectors */
        for (; done < n; done++) ams_add(table, hashes[done], counts ? counts[done] : 1);
    for (; done < n; done += AMS_CHUNK) {
        const int64_t size = n - done < AMS_CHUNK ? n - done : AMS_CHUNK;
        ams_locate(table, hashes + done, places, size);
        for (int64_t r = 0; r < table->depth; r++) {
            const uint64_t *at = places + AMS_CHUNK * r;
            int64_t *row = table->counters + r * table->width;
            for (int64_t i = 0; i < size; i++)
                row[(uint32_t)at[i]] += ams_sign(at[i]) * (counts ? counts[done + i] : 1);
        }
    }
}

/* The median over an odd number of rows of an item's signed counters. Each is inserted into a sorted list by exchanges
 * that compile to conditional moves: where it belongs is not predictable. */
static inline int64_t ams_median(const int64_t *row, uint64_t width, int64_t depth, const uint64_t *places) {
    int64_t sorted[AMS_MAX_DEPTH];
    for (int64_t r = 0; r < depth; r++, row += width, places += AMS_CHUNK) {
        int64_t count = ams_sign(*places) * row[(uint32_t)*places];
        for (int64_t j = 0; j < r; j++) {
            const int64_t here = sorted[j];
            sorted[j] = count < here ? count : here;
            count = count < here ? here : count;
        }
        sorted[r] = count;
    }
    return sorted[depth / 2];
}

static void ams_median_all(const ams_table *table, const uint64_t *hashes, int64_t *out, int64_t n) {
    uint64_t places[AMS_MAX_DEPTH * AMS_CHUNK];
    const int64_t depth = table->depth, *counters = table->counters;
    const uint64_t width = table->width;
    for (int64_t done = 0; done < n; done += AMS_CHUNK) {
        const int64_t size = n - done < AMS_CHUNK ? n - done : AMS_CHUNK;
#ifdef SKETCHES_AVX512
        if (size % AMS_LANES == 0 && has_avx512_ifma()) ams_locate_ifma(table, hashes + done, places, size);
        else
#endif
        ams_locate(table, hashes + done, places, size);
        if (depth == 5) /* the usual depth is a constant, so that the loops over rows are unrolled */
            for (int64_t i = 0; i < size; i++) out[done + i] = ams_median(counters, width, 5, places + i);
        else
            for (int64_t i = 0; i < size; i++) out[done + i] = ams_median(counters, width, depth, places + i);
    }
}

#endif
