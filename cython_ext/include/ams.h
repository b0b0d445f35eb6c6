/* Fast-AMS: every row maps an item to one bucket and one sign by a polynomial of degree 3 over the integers modulo the
 * prime p = 2^61 - 1, which is 4-wise independent.
 *
 * Modulo p, 2^61 is 1: a number's bits from 61 up may be added to those below. The sum is not yet the remainder but
 * smaller, so such folding can wait until a product would not fit. Products are made of limbs of 31 and 30 bits: the
 * loops then need no 128-bit numbers, and compilers turn them into vector instructions on every processor. */
#ifndef SKETCHES_AMS_H
#define SKETCHES_AMS_H

#include "counter_rows.h"

#define MERSENNE61 0x1fffffffffffffffULL
#define AMS_MAX_DEPTH 15
#define AMS_CHUNK 128 /* items whose buckets are found before their counters are touched; COUNTER_SOME at most */
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

/* An item's place in a row: the bucket, and twice the sign, which is what a count of 1 adds to a cell. */
typedef struct {
    uint32_t column;
    int32_t step;
} ams_place;

static inline ams_place ams_place61(uint64_t value, uint64_t width) {
    const ams_place place = {(uint32_t)ams_bucket(value, width), 2 - 4 * (int32_t)(value & 1)};
    return place;
}

static inline int64_t ams_signed(ams_place place, int64_t count) { return (place.step >> 1) * count; }

typedef struct {
    counter_rows *rows;
    int64_t depth;
    uint64_t width;
    uint64_t coefficients[AMS_MAX_DEPTH][4]; /* of x^3, x^2, x and 1 */
    uint64_t limbs[AMS_MAX_DEPTH][14];       /* and cut as ams_ifma.h needs them */
} ams_table;

/* Sets a row's coefficients: of x^3, x^2, x and 1. */
static void ams_set_row(ams_table *table, int64_t r, const uint64_t *coefficients) {
    const uint64_t low52 = ((uint64_t)1 << 52) - 1;
    for (int i = 0; i < 4; i++) {
        const uint64_t c = coefficients[i], turned = (c << 32 & MERSENNE61) | c >> 29; /* 2^32 c mod p */
        uint64_t *limbs = table->limbs[r] + 4 * (i < 3 ? 2 - i : 3); /* x first, 1 last */
        table->coefficients[r][i] = c;
        limbs[0] = c & low52;
        limbs[1] = c >> 52;
        if (i == 3) break;
        limbs[2] = turned & low52;
        limbs[3] = turned >> 52;
    }
}

/* The places of n items, row by row, AMS_CHUNK apart. */
SKETCHES_CLONES
static void ams_locate(const ams_table *table, const uint64_t *hashes, ams_place *places, int64_t n) {
    const uint64_t width = table->width;
    uint64_t x[AMS_CHUNK], xx[AMS_CHUNK], xxx[AMS_CHUNK];
    for (int64_t i = 0; i < n; i++) {
        x[i] = fold61(hashes[i]);
        xx[i] = multiply61_limbs(x[i], x[i]);
        xxx[i] = multiply61_limbs(xx[i], x[i]);
    }
    for (int64_t r = 0; r < table->depth; r++) {
        const uint64_t row[4] = {
            table->coefficients[r][0], table->coefficients[r][1], table->coefficients[r][2], table->coefficients[r][3]};
        for (int64_t i = 0; i < n; i++)
            places[AMS_CHUNK * r + i] = ams_place61(value61_limbs(row, x[i], xx[i], xxx[i]), width);
    }
}

typedef struct {
    int64_t cells[AMS_LANES * AMS_MAX_DEPTH], counts[AMS_LANES * AMS_MAX_DEPTH];
    int64_t size;
} ams_pending;

SKETCHES_OWN static void ams_postpone(ams_pending *pending, int64_t cell, ams_place place, int64_t count) {
    pending->cells[pending->size] = cell + place.column;
    pending->counts[pending->size++] = ams_signed(place, count);
}

/* Adds n <= AMS_LANES items to a row, whose first cell's number is `cell`; what a cell cannot take is pending. */
SKETCHES_INLINE void ams_touch(
    void *row, int bytes, int64_t cell, const ams_place *places, const int64_t *counts, int64_t n,
    ams_pending *pending) {
    UNROLL
    for (int64_t i = 0; i < n; i++) {
        const int64_t one = bytes == 8 ? places[i].step >> 1 : places[i].step, step = one * (counts ? counts[i] : 1);
        if (UNLIKELY((counts && !counter_fits_signed(bytes, counts[i])) ||
                     !cell_add(row, bytes, places[i].column, step)))
            ams_postpone(pending, cell, places[i], counts ? counts[i] : 1);
    }
}

/* Takes back what ams_touch added to all rows, backwards: so each cell passes through what it was. */
static void ams_take_back(
    const ams_table *table, const ams_place *places, int64_t stride, const int64_t *counts, int64_t n,
    ams_pending *pending) {
    const int bytes = table->rows->bytes;
    for (int64_t r = table->depth; r--;)
        for (int64_t i = n; i--;) {
            const ams_place place = places[r * stride + i];
            const int64_t at = r * (int64_t)table->width + place.column;
            const int64_t last = pending->size - 1, count = ams_signed(place, counts ? counts[i] : 1);
            if (last >= 0 && pending->cells[last] == at && pending->counts[last] == count) pending->size--;
            else cell_add(table->rows->cells, bytes, at, -cell_step(bytes, count));
        }
}

/* Adds what is pending of some items: COUNTERS_READY, COUNTERS_WIDER or, with nothing of them left, COUNTERS_FULL. */
static int ams_settle(
    const ams_table *table, const ams_place *places, int64_t stride, const int64_t *counts, int64_t n,
    ams_pending *pending) {
    const int found = counter_add_all(table->rows, pending->cells, pending->counts, pending->size, 0);
    if (found == COUNTERS_FULL) ams_take_back(table, places, stride, counts, n, pending);
    pending->size = 0;
    return found;
}

#ifdef SKETCHES_AVX512
#include "ams_ifma.h"
#endif

/* Items one by one; gives how many before memory was short. */
static int64_t ams_add_each(const ams_table *table, const uint64_t *hashes, const int64_t *counts, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        const uint64_t x = fold61(hashes[i]), xx = multiply61(x, x), xxx = multiply61(xx, x);
        int64_t cells[AMS_MAX_DEPTH], steps[AMS_MAX_DEPTH];
        for (int64_t r = 0; r < table->depth; r++) {
            const ams_place place = ams_place61(value61(table->coefficients[r], x, xx, xxx), table->width);
            cells[r] = r * (int64_t)table->width + place.column;
            steps[r] = ams_signed(place, counts ? counts[i] : 1);
        }
        if (counter_add_all(table->rows, cells, steps, table->depth, 1) == COUNTERS_FULL) return i;
    }
    return n;
}

/* Adds items whose places were found; gives how many before the cells widened or memory was short. */
SKETCHES_INLINE int64_t ams_add_found(
    const ams_table *table, int bytes, const ams_place *places, const int64_t *counts, int64_t n) {
    const int64_t width = (int64_t)table->width;
    ams_pending pending;
    pending.size = 0;
    for (int64_t i = 0; i < n; i += AMS_LANES) {
        const int64_t size = n - i < AMS_LANES ? n - i : AMS_LANES, *some = counts ? counts + i : 0;
        char *row = (char *)table->rows->cells;
        for (int64_t r = 0; r < table->depth; r++, row += width * bytes)
            ams_touch(row, bytes, r * width, places + AMS_CHUNK * r + i, some, size, &pending);
        if (!pending.size) continue;
        const int found = ams_settle(table, places + i, AMS_CHUNK, some, size, &pending);
        if (found != COUNTERS_READY) return found == COUNTERS_WIDER ? i + size : i;
    }
    return n;
}

static int64_t ams_add_chunk(const ams_table *table, const uint64_t *hashes, const int64_t *counts, int64_t n) {
    ams_place places[AMS_MAX_DEPTH * AMS_CHUNK];
    ams_locate(table, hashes, places, n);
    switch (table->rows->bytes) {
    case 1: return ams_add_found(table, 1, places, counts, n);
    case 2: return ams_add_found(table, 2, places, counts, n);
    case 4: return ams_add_found(table, 4, places, counts, n);
    default: return ams_add_found(table, 8, places, counts, n);
    }
}

/* Adds items and their counts (NULL: one each); gives how many before memory was short. */
static int64_t ams_put(const ams_table *table, const uint64_t *hashes, const int64_t *counts, int64_t n) {
    int64_t done = 0, some = 1;
    for (; done < n && some; done += some, hashes += some, counts += counts ? some : 0) {
        const int64_t left = n - done;
        if (left < AMS_LANES) some = ams_add_each(table, hashes, counts, left); /* too few for vectors */
#ifdef SKETCHES_AVX512
        else if (has_avx512_ifma()) some = ams_add_ifma(table, hashes, counts, left - left % AMS_LANES);
#endif
        else some = ams_add_chunk(table, hashes, counts, left < AMS_CHUNK ? left : AMS_CHUNK);
    }
    return done;
}

/* The median over an odd number of rows of n <= AMS_CHUNK items' signed counters, which lie row by row, AMS_CHUNK apart.
 * Each row is inserted into the sorted ones before it by exchanges that are vector instructions. */
SKETCHES_CLONES
static void ams_medians(int64_t *counts, int64_t depth, int64_t *out, int64_t n) {
    for (int64_t r = 1; r < depth; r++)
        for (int64_t j = 0; j < r; j++) {
            int64_t *const low = counts + AMS_CHUNK * j, *const high = counts + AMS_CHUNK * r;
            for (int64_t i = 0; i < n; i++) {
                const int64_t x = low[i], y = high[i];
                low[i] = x < y ? x : y;
                high[i] = x < y ? y : x;
            }
        }
    memcpy(out, counts + AMS_CHUNK * (depth / 2), (size_t)n * sizeof(int64_t));
}

/* The items' counters in a row whose first cell's number is `cell`, times their signs. */
static void ams_read(const ams_table *table, int64_t cell, const ams_place *places, int64_t *counts, int64_t n) {
    int64_t numbers[AMS_CHUNK];
    for (int64_t i = 0; i < n; i++) numbers[i] = cell + places[i].column;
    counter_values(table->rows, numbers, counts, n);
    for (int64_t i = 0; i < n; i++) counts[i] = ams_signed(places[i], counts[i]);
}

static void ams_ask(const ams_table *table, const uint64_t *hashes, int64_t *out, int64_t n) {
    ams_place places[AMS_MAX_DEPTH * AMS_CHUNK];
    int64_t counts[AMS_MAX_DEPTH * AMS_CHUNK];
    for (int64_t done = 0; done < n; done += AMS_CHUNK) {
        const int64_t size = n - done < AMS_CHUNK ? n - done : AMS_CHUNK;
#ifdef SKETCHES_AVX512
        if (size % AMS_LANES == 0 && has_avx512_ifma()) ams_locate_ifma(table, hashes + done, places, size);
        else
#endif
        ams_locate(table, hashes + done, places, size);
        for (int64_t r = 0; r < table->depth; r++)
            ams_read(table, r * (int64_t)table->width, places + AMS_CHUNK * r, counts + AMS_CHUNK * r, size);
        ams_medians(counts, table->depth, out + done, size);
    }
}

#endif
