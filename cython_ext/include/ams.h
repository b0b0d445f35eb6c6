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

static inline uint64_t low31(uint64_t x) { return x & 0x7fffffff; }
static inline uint64_t low30(uint64_t x) { return x & 0x3fffffff; }
static inline uint64_t fold61(uint64_t x) { return (x & MERSENNE61) + (x >> 61); } /* <= p + 7 */

/* low + 2^31 middle + 2^62 high modulo p, not yet below p: 2^62 is 2, and middle = m 2^30 + n is m + 2^31 n.
 * No sum wraps: of three products of numbers <= p + 7 (limbs < 2^31 and <= 2^30), low < 3 2^62, middle <= 6 2^61,
 * high <= 3 2^60, so the sum below is at most 2^61 + 6 + 2^61 + 2^34 + 6 2^60 < 2^63.4. */
static inline uint64_t fold122(uint64_t low, uint64_t middle, uint64_t high) {
    return fold61(fold61(low) + (low30(middle) << 31) + (middle >> 30) + 2 * high);
}

static inline uint64_t multiply61(uint64_t x, uint64_t y) {
    const uint64_t x0 = low31(x), x1 = x >> 31, y0 = low31(y), y1 = y >> 31;
    return fold122(x0 * y0, x0 * y1 + x1 * y0, x1 * y1);
}

/* a x^3 + b x^2 + c x + d mod p for a row's coefficients a, b, c, d < p, from the powers of x, each <= p + 7. */
static inline uint64_t cubic61(const uint64_t *row, uint64_t x, uint64_t xx, uint64_t xxx) {
    const uint64_t a0 = low31(row[0]), a1 = row[0] >> 31, b0 = low31(row[1]), b1 = row[1] >> 31;
    const uint64_t c0 = low31(row[2]), c1 = row[2] >> 31;
    const uint64_t u0 = low31(xxx), u1 = xxx >> 31, v0 = low31(xx), v1 = xx >> 31, w0 = low31(x), w1 = x >> 31;
    const uint64_t value = fold61(row[3] + fold122(
        a0 * u0 + b0 * v0 + c0 * w0,
        a0 * u1 + a1 * u0 + b0 * v1 + b1 * v0 + c0 * w1 + c1 * w0,
        a1 * u1 + b1 * v1 + c1 * w1));
    return value >= MERSENNE61 ? value - MERSENNE61 : value;
}

/* The value's lowest bit is the sign; the 60 above, as a fraction of 2^60, select one of width <= 2^32 buckets. */
static inline uint64_t ams_bucket(uint64_t value, uint64_t width) {
    return ((value >> 31) * width + ((low30(value >> 1) * width) >> 30)) >> 30;
}

static inline int64_t ams_signed(uint64_t value, int64_t count) { /* -count = (count ^ -1) + 1 */
    const int64_t negative = (int64_t)(value & 1);
    return (count ^ -negative) + negative;
}

static inline void ams_add(
    int64_t *counters, const uint64_t *rows, int64_t depth, uint64_t width, uint64_t hash, int64_t count) {
    const uint64_t x = fold61(hash), xx = multiply61(x, x), xxx = multiply61(xx, x);
    for (int64_t r = 0; r < depth; r++) {
        const uint64_t value = cubic61(rows + 4 * r, x, xx, xxx);
        counters[r * width + ams_bucket(value, width)] += ams_signed(value, count);
    }
}

/* Where every row has the items: the counters' indices (row by row, AMS_CHUNK apart), and the values with the signs. */
SKETCHES_CLONES
static void ams_locate(
    const uint64_t *rows, int64_t depth, uint64_t width, const uint64_t *hashes, int64_t n, uint64_t *at,
    uint64_t *values) {
    uint64_t x[AMS_CHUNK], xx[AMS_CHUNK], xxx[AMS_CHUNK];
    for (int64_t i = 0; i < n; i++) {
        x[i] = fold61(hashes[i]);
        xx[i] = multiply61(x[i], x[i]);
        xxx[i] = multiply61(xx[i], x[i]);
    }
    for (int64_t r = 0; r < depth; r++) {
        const uint64_t row[4] = {rows[4 * r], rows[4 * r + 1], rows[4 * r + 2], rows[4 * r + 3]};
        for (int64_t i = 0; i < n; i++) {
            const uint64_t value = cubic61(row, x[i], xx[i], xxx[i]);
            at[AMS_CHUNK * r + i] = r * width + ams_bucket(value, width);
            values[AMS_CHUNK * r + i] = value;
        }
    }
}

/* `counts` may be NULL: one each. */
static void ams_add_all(
    int64_t *counters, const uint64_t *rows, int64_t depth, uint64_t width, const uint64_t *hashes,
    const int64_t *counts, int64_t n) {
    uint64_t at[AMS_MAX_DEPTH * AMS_CHUNK], values[AMS_MAX_DEPTH * AMS_CHUNK];
    for (int64_t done = 0; done < n; done += AMS_CHUNK) {
        const int64_t size = n - done < AMS_CHUNK ? n - done : AMS_CHUNK;
        ams_locate(rows, depth, width, hashes + done, size, at, values);
        for (int64_t r = 0; r < depth; r++)
            for (int64_t i = 0, j = AMS_CHUNK * r; i < size; i++, j++)
                counters[at[j]] += ams_signed(values[j], counts ? counts[done + i] : 1);
    }
}

/* The median over an odd number of rows of every item's signed counters. Each is inserted into a sorted list by
 * exchanges that compile to conditional moves: where it belongs is not predictable. */
static void ams_median_all(
    const int64_t *counters, const uint64_t *rows, int64_t depth, uint64_t width, const uint64_t *hashes, int64_t *out,
    int64_t n) {
    uint64_t at[AMS_MAX_DEPTH * AMS_CHUNK], values[AMS_MAX_DEPTH * AMS_CHUNK];
    int64_t sorted[AMS_MAX_DEPTH];
    for (int64_t done = 0; done < n; done += AMS_CHUNK) {
        const int64_t size = n - done < AMS_CHUNK ? n - done : AMS_CHUNK;
        ams_locate(rows, depth, width, hashes + done, size, at, values);
        for (int64_t i = 0; i < size; i++) {
            for (int64_t r = 0; r < depth; r++) {
                int64_t count = ams_signed(values[AMS_CHUNK * r + i], counters[at[AMS_CHUNK * r + i]]);
                for (int64_t j = 0; j < r; j++) {
                    const int64_t here = sorted[j];
                    sorted[j] = count < here ? count : here;
                    count = count < here ? here : count;
                }
                sorted[r] = count;
            }
            out[done + i] = sorted[depth / 2];
        }
    }
}

#endif
