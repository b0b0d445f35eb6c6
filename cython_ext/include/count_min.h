/* Loops of Count-Min over hashes: `depth` rows of `width` counters, one a row for every hash.
 *
 * Row r takes column mulhi64(hash * odd[r], width). The columns of a block of hashes are found first, by vector
 * instructions; then its counters are touched, item by item. */
#ifndef SKETCHES_COUNT_MIN_H
#define SKETCHES_COUNT_MIN_H

#include "simd.h"

enum {
    COUNT_MIN_MAX_DEPTH = 16,
    COUNT_MIN_BLOCK = 64,       /* items a block: many enough to bring their counters from memory meanwhile */
    COUNT_MIN_FEW = 8,          /* items for which a block does not pay */
    COUNT_MIN_NEAR = 1 << 20    /* bytes of counters that a second cache may hold */
};

typedef struct {
    int64_t *counters;
    int64_t depth;
    uint64_t width;
    uint64_t odd[COUNT_MIN_MAX_DEPTH]; /* one odd multiplier a row */
} count_min_table;

/* The columns in two rows: one in the low halves of `at`, the other in the high halves. For width <= 2^32, the high
 * half of x * width is made of two products that fit: (high * width + (low * width >> 32)) >> 32. */
SKETCHES_CLONES
static void count_min_locate(
    const uint64_t *hashes, uint64_t odd0, uint64_t odd1, uint64_t width, uint64_t *at, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        const uint64_t x = hashes[i] * odd0, y = hashes[i] * odd1;
        const uint64_t column0 = (x >> 32) * width + ((x & 0xffffffff) * width >> 32);
        const uint64_t column1 = (y >> 32) * width + ((y & 0xffffffff) * width >> 32);
        at[i] = column0 >> 32 | (column1 & 0xffffffff00000000ULL);
    }
}

/* Finds the columns in rows 2 p and 2 p + 1, from p COUNT_MIN_BLOCK on. Counters outside the near caches are brought
 * into the second one: the first has few places for lines on their way. */
static void count_min_find(const count_min_table *table, const uint64_t *hashes, uint64_t *at, int64_t n) {
    const int far = table->width * (uint64_t)table->depth * sizeof(int64_t) > COUNT_MIN_NEAR;
    for (int64_t row = 0; row < table->depth; row += 2, at += COUNT_MIN_BLOCK) {
        const int64_t below = row + 1 < table->depth ? row + 1 : row; /* a last row without one below is found twice */
        const int64_t *first = table->counters + row * table->width, *second = table->counters + below * table->width;
        count_min_locate(hashes, table->odd[row], table->odd[below], table->width, at, n);
        for (int64_t i = 0; far && i < n; i++) {
            PREFETCH_FAR(first + (uint32_t)at[i]);
            PREFETCH_FAR(second + (at[i] >> 32));
        }
    }
}

/* The steps below get a copy of the table that nothing else points to, and read all before they write: the compiler
 * cannot tell that counters are neither the table's fields nor columns. */
static inline void count_min_counters(
    const count_min_table *table, int64_t depth, const uint64_t *at, int64_t **counters) {
    for (int64_t row = 0; row < depth; row++) {
        const uint64_t columns = at[row / 2 * COUNT_MIN_BLOCK];
        counters[row] = table->counters + row * table->width + (row % 2 ? columns >> 32 : (uint32_t)columns);
    }
}

static inline void count_min_add(const count_min_table *table, int64_t depth, const uint64_t *at, int64_t count) {
    int64_t *counters[COUNT_MIN_MAX_DEPTH];
    count_min_counters(table, depth, at, counters);
    for (int64_t row = 0; row < depth; row++) *counters[row] += count;
}

static inline int64_t count_min_least(const count_min_table *table, int64_t depth, const uint64_t *at) {
    int64_t *counters[COUNT_MIN_MAX_DEPTH];
    int64_t least = INT64_MAX;
    count_min_counters(table, depth, at, counters);
    for (int64_t row = 0; row < depth; row++) least = *counters[row] < least ? *counters[row] : least;
    return least;
}

/* Raises each counter only as far as the new estimate. Which counters rise is not predictable: all are written. */
static inline void count_min_raise(const count_min_table *table, int64_t depth, const uint64_t *at, int64_t count) {
    int64_t *counters[COUNT_MIN_MAX_DEPTH];
    int64_t values[COUNT_MIN_MAX_DEPTH], target = INT64_MAX;
    count_min_counters(table, depth, at, counters);
    for (int64_t row = 0; row < depth; row++) {
        values[row] = *counters[row];
        target = values[row] < target ? values[row] : target;
    }
    target += count;
    for (int64_t row = 0; row < depth; row++) *counters[row] = values[row] < target ? target : values[row];
}

/* Runs STEP for every item i of every block. While the counters of one block are touched, those of the next are on
 * their way from memory. The usual depth is a constant, so that the loops over rows are unrolled. */
#define COUNT_MIN_EACH(STEP)                                                                                           \
    {                                                                                                                  \
        uint64_t columns[2][COUNT_MIN_MAX_DEPTH / 2 * COUNT_MIN_BLOCK];                                                \
        const count_min_table own = *table;                                                                            \
        int64_t size = n < COUNT_MIN_BLOCK ? n : COUNT_MIN_BLOCK, left = n;                                            \
        int turn = 0;                                                                                                  \
        count_min_find(&own, hashes, columns[0], size);                                                                \
        for (int64_t start = 0; left; start += COUNT_MIN_BLOCK, turn ^= 1) {                                           \
            const uint64_t *at = columns[turn];                                                                        \
            const int64_t stop = start + size;                                                                         \
            left -= size;                                                                                              \
            size = left < COUNT_MIN_BLOCK ? left : COUNT_MIN_BLOCK;                                                    \
            if (left) count_min_find(&own, hashes + stop, columns[turn ^ 1], size);                                    \
            if (own.depth == 4) {                                                                                      \
                const int64_t depth = 4;                                                                               \
                for (int64_t i = start; i < stop; i++, at++) STEP;                                                     \
            } else {                                                                                                   \
                const int64_t depth = own.depth;                                                                       \
                for (int64_t i = start; i < stop; i++, at++) STEP;                                                     \
            }                                                                                                          \
        }                                                                                                              \
    }

/* Few items, or columns that do not fit 32 bits, go one by one. */
static inline int count_min_by_item(const count_min_table *table, int64_t n) {
    return n < COUNT_MIN_FEW || table->width > (uint64_t)1 << 32;
}

static inline int64_t count_min_estimate(const count_min_table *table, uint64_t hash) {
    const int64_t *row = table->counters;
    int64_t least = INT64_MAX;
    for (int64_t r = 0; r < table->depth; r++, row += table->width) {
        const int64_t value = row[mulhi64(hash * table->odd[r], table->width)];
        least = value < least ? value : least;
    }
    return least;
}

static inline void count_min_add_one(const count_min_table *table, uint64_t hash, int64_t count) {
    const int64_t depth = table->depth;
    const uint64_t width = table->width;
    int64_t *row = table->counters;
    for (int64_t r = 0; r < depth; r++, row += width) row[mulhi64(hash * table->odd[r], width)] += count;
}

static inline void count_min_raise_one(const count_min_table *table, uint64_t hash, int64_t count) {
    const int64_t target = count_min_estimate(table, hash) + count;
    int64_t *row = table->counters;
    for (int64_t r = 0; r < table->depth; r++, row += table->width) {
        int64_t *counter = row + mulhi64(hash * table->odd[r], table->width);
        if (*counter < target) *counter = target;
    }
}

/* `counts` may be NULL: one each. */
static void count_min_add_all(const count_min_table *table, const uint64_t *hashes, const int64_t *counts, int64_t n) {
    if (count_min_by_item(table, n)) {
        for (int64_t i = 0; i < n; i++) count_min_add_one(table, hashes[i], counts ? counts[i] : 1);
    } else if (counts) {
        COUNT_MIN_EACH(count_min_add(&own, depth, at, counts[i]))
    } else {
        COUNT_MIN_EACH(count_min_add(&own, depth, at, 1))
    }
}

static void count_min_raise_all(
    const count_min_table *table, const uint64_t *hashes, const int64_t *counts, int64_t n) {
    if (count_min_by_item(table, n)) {
        for (int64_t i = 0; i < n; i++) count_min_raise_one(table, hashes[i], counts ? counts[i] : 1);
    } else {
        COUNT_MIN_EACH(count_min_raise(&own, depth, at, counts ? counts[i] : 1))
    }
}

static void count_min_estimate_all(const count_min_table *table, const uint64_t *hashes, int64_t *out, int64_t n) {
    if (count_min_by_item(table, n)) {
        for (int64_t i = 0; i < n; i++) out[i] = count_min_estimate(table, hashes[i]);
    } else {
        COUNT_MIN_EACH(out[i] = count_min_least(&own, depth, at))
    }
}

#endif
