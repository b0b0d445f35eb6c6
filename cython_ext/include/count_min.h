/* Loops of Count-Min over hashes: `depth` rows of `width` counters, one a row for every hash.
 *
 * Row r takes column mulhi64(hash * odd[r], width). The columns of a block of hashes are found first, by vector
 * instructions; then its counters are touched, item by item. */
#ifndef SKETCHES_COUNT_MIN_H
#define SKETCHES_COUNT_MIN_H

#include "counter_rows.h"

enum {
    COUNT_MIN_MAX_DEPTH = 16,
    COUNT_MIN_BLOCK = 64,       /* items a block: many enough to bring their counters from memory meanwhile */
    COUNT_MIN_FEW = 8,          /* items for which a block does not pay */
    COUNT_MIN_NEAR = 1 << 20    /* bytes of counters that a second cache may hold */
};

typedef struct {
    counter_rows *rows;
    int64_t depth;
    uint64_t width;
    uint64_t odd[COUNT_MIN_MAX_DEPTH]; /* one odd multiplier a row */
    int64_t slow;                      /* raises that met rests since the cells widened */
    int has_signs;                     /* whether counts may have been negative; told with a question */
} count_min_table;

/* What is done to the counters of an item. */
typedef enum {
    COUNT_MIN_ADD,
    COUNT_MIN_RAISE, /* conservatively: each counter only as far as the new estimate */
    COUNT_MIN_READ
} count_min_step;

/* An item's columns in two rows. */
typedef struct {
    uint32_t column[2];
} count_min_place;

/* For width <= 2^32, the high half of x * width is made of two products that fit:
 * (high * width + (low * width >> 32)) >> 32. */
SKETCHES_CLONES
static void count_min_locate(
    const uint64_t *hashes, uint64_t odd0, uint64_t odd1, uint64_t width, count_min_place *at, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        const uint64_t x = hashes[i] * odd0, y = hashes[i] * odd1;
        at[i].column[0] = (uint32_t)(((x >> 32) * width + ((x & 0xffffffff) * width >> 32)) >> 32);
        at[i].column[1] = (uint32_t)(((y >> 32) * width + ((y & 0xffffffff) * width >> 32)) >> 32);
    }
}

/* Finds the columns in rows 2 p and 2 p + 1, from p COUNT_MIN_BLOCK on. Counters outside the near caches are brought
 * into the second one: the first has few places for lines on their way. */
static void count_min_find(const count_min_table *table, const uint64_t *hashes, count_min_place *at, int64_t n) {
    const int64_t stride = (int64_t)table->width * table->rows->bytes;
    const int far = stride * table->depth > COUNT_MIN_NEAR, bytes = table->rows->bytes;
    for (int64_t row = 0; row < table->depth; row += 2, at += COUNT_MIN_BLOCK) {
        const int64_t below = row + 1 < table->depth ? row + 1 : row; /* a last row without one below is found twice */
        const char *first = (const char *)table->rows->cells + row * stride;
        const char *second = (const char *)table->rows->cells + below * stride;
        count_min_locate(hashes, table->odd[row], table->odd[below], table->width, at, n);
        for (int64_t i = 0; far && i < n; i++) {
            PREFETCH_FAR(first + at[i].column[0] * (uint64_t)bytes);
            PREFETCH_FAR(second + at[i].column[1] * (uint64_t)bytes);
        }
    }
}

SKETCHES_INLINE int64_t count_min_column(const count_min_place *at, int64_t row) {
    return at[row / 2 * COUNT_MIN_BLOCK].column[row % 2];
}

/* Adds to the cells of some items, from `i` on; stops at one of which a cell cannot take its count, and gives which. */
SKETCHES_INLINE int64_t count_min_add(
    char *cells, const int bytes, const int64_t depth, int64_t stride, const count_min_place *at, const int64_t *counts,
    int64_t i, int64_t n) {
    for (; i < n; i++) {
        const int64_t count = counts ? counts[i] : 1, step = cell_step(bytes, count);
        int64_t row = 0;
        if (!counter_fits_signed(bytes, count)) return i; /* so the step can be taken back */
        for (; row < depth; row++)
            if (!cell_add(cells + row * stride, bytes, count_min_column(at + i, row), step)) break;
        if (row == depth) continue;
        while (row--) cell_add(cells + row * stride, bytes, count_min_column(at + i, row), -step);
        return i;
    }
    return n;
}

/* The same for raises. Which cells rise is not predictable: all are written. It stops at an item of which one has a rest
 * as well. */
SKETCHES_INLINE int64_t count_min_raise(
    char *cells, const int bytes, const int64_t depth, int64_t stride, const count_min_place *at, const int64_t *counts,
    int64_t i, int64_t n) {
    const int64_t limit = bytes < 8 ? (int64_t)1 << (8 * bytes - 1) : INT64_MAX; /* of a cell */
    for (; i < n; i++) {
        const int64_t count = counts ? counts[i] : 1;
        int64_t values[COUNT_MIN_MAX_DEPTH], target = INT64_MAX, flags = 0;
        for (int64_t row = 0; row < depth; row++) {
            values[row] = cell_get(cells + row * stride, bytes, count_min_column(at + i, row));
            target = values[row] < target ? values[row] : target;
            flags |= values[row];
        }
        target += cell_step(bytes, count);
        if (UNLIKELY(bytes < 8 && (flags & 1 || !counter_fits(bytes, count) || target >= limit))) return i;
        for (int64_t row = 0; row < depth; row++)
            cell_put(cells + row * stride, bytes, count_min_column(at + i, row),
                     values[row] < target ? target : values[row]);
    }
    return n;
}

/* Writes the least counter of each item, except of those whose rests are needed for that: their numbers go to `slow`.
 * Which they are is not predictable: there is no branch. Gives how many.
 *
 * Where no count was negative a counter with a rest exceeds all without, for their low parts end where its rest begins,
 * and no low part is negative: turned right by a bit, so that the flag comes first, cells compare as the counters do,
 * and rests are only needed where all counters have one. `signs` tells that counts were negative: then one is enough. */
SKETCHES_INLINE int64_t count_min_read(
    const char *cells, const int bytes, const int64_t depth, int64_t stride, const count_min_place *at, const int signs,
    int64_t *out, int64_t *slow, int64_t n) {
    int64_t flagged = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t least = INT64_MAX, flags = 0;
        uint64_t turned_least = UINT64_MAX;
        for (int64_t row = 0; row < depth; row++) {
            const int64_t cell = cell_get(cells + row * stride, bytes, count_min_column(at + i, row));
            const uint64_t turned = (uint64_t)cell >> 1 | (uint64_t)cell << 63;
            least = cell < least ? cell : least;
            turned_least = turned < turned_least ? turned : turned_least;
            flags |= cell;
        }
        out[i] = bytes == 8 ? least : signs ? least >> 1 : (int64_t)turned_least;
        slow[flagged] = i;
        flagged += bytes == 8 ? 0 : signs ? flags & 1 : (int64_t)(turned_least >> 63);
    }
    return flagged;
}

/* COUNT_MIN_CALL calls f with the bytes of a cell as a constant, and the usual depth likewise: loops are unrolled. */
#define COUNT_MIN_DEPTH(f, bytes, ...)                                                                                 \
    (table->depth == 4 ? f(cells, bytes, 4, stride * bytes, at, __VA_ARGS__)                                           \
                       : f(cells, bytes, table->depth, stride * bytes, at, __VA_ARGS__))
#define COUNT_MIN_CALL(f, ...)                                                                                         \
    char *const cells = (char *)table->rows->cells;                                                                    \
    const int64_t stride = (int64_t)table->width;                                                                      \
    switch (table->rows->bytes) {                                                                                      \
    case 1: return COUNT_MIN_DEPTH(f, 1, __VA_ARGS__);                                                                 \
    case 2: return COUNT_MIN_DEPTH(f, 2, __VA_ARGS__);                                                                 \
    case 4: return COUNT_MIN_DEPTH(f, 4, __VA_ARGS__);                                                                 \
    default: return COUNT_MIN_DEPTH(f, 8, __VA_ARGS__);                                                                \
    }

SKETCHES_OWN static int64_t count_min_add_ones(
    const count_min_table *table, const count_min_place *at, int64_t i, int64_t n) {
    COUNT_MIN_CALL(count_min_add, NULL, i, n)
}

SKETCHES_OWN static int64_t count_min_add_counts(
    const count_min_table *table, const count_min_place *at, const int64_t *counts, int64_t i, int64_t n) {
    COUNT_MIN_CALL(count_min_add, counts, i, n)
}

SKETCHES_OWN static int64_t count_min_raise_ones(
    const count_min_table *table, const count_min_place *at, int64_t i, int64_t n) {
    COUNT_MIN_CALL(count_min_raise, NULL, i, n)
}

SKETCHES_OWN static int64_t count_min_raise_counts(
    const count_min_table *table, const count_min_place *at, const int64_t *counts, int64_t i, int64_t n) {
    COUNT_MIN_CALL(count_min_raise, counts, i, n)
}

SKETCHES_OWN static int64_t count_min_read_counts(
    const count_min_table *table, const count_min_place *at, int64_t *out, int64_t *slow, int64_t n) {
    COUNT_MIN_CALL(count_min_read, 0, out, slow, n)
}

SKETCHES_OWN static int64_t count_min_read_signed(
    const count_min_table *table, const count_min_place *at, int64_t *out, int64_t *slow, int64_t n) {
    COUNT_MIN_CALL(count_min_read, 1, out, slow, n)
}

static int64_t count_min_least_slowly(const counter_rows *rows, int64_t depth, const int64_t *at) {
    int64_t least = INT64_MAX;
    for (int64_t row = 0; row < depth; row++) {
        const int64_t value = counter_value(rows, rows->bytes, at[row]);
        least = value < least ? value : least;
    }
    return least;
}

/* One item, whatever its counters need: COUNTERS_FULL (then nothing changes), COUNTERS_READY or COUNTERS_WIDER. */
static int count_min_slowly(count_min_table *table, int raise, const int64_t *at, int64_t count) {
    counter_rows *const rows = table->rows;
    const int64_t depth = table->depth, target = count_min_least_slowly(rows, depth, at) + count;
    int64_t counts[COUNT_MIN_MAX_DEPTH];
    for (int64_t row = 0; row < depth; row++) {
        const int64_t value = counter_value(rows, rows->bytes, at[row]);
        counts[row] = !raise ? count : value < target ? target - value : 0;
    }
    return counter_add_all(rows, at, counts, depth, 1);
}

SKETCHES_INLINE void count_min_cells(const count_min_table *table, const count_min_place *at, int64_t *cells) {
    for (int64_t row = 0; row < table->depth; row++)
        cells[row] = row * (int64_t)table->width + count_min_column(at, row);
}

/* Raises look up rests, adding does not. Once that has cost about as much as to widen all cells, they are widened (if
 * there is memory), so that rests are needed no more: whether they were. */
static int count_min_hurry(count_min_table *table) {
    if (++table->slow <= table->rows->size / 8) return 0;
    table->slow = 0;
    return table->rows->bytes < 8 && counter_widen(table->rows);
}

/* One block whose columns were found. Gives how many items before the cells widened or memory was short. */
static int64_t count_min_block(
    count_min_table *table, count_min_step step, const count_min_place *at, const int64_t *counts, int64_t *out,
    int64_t n) {
    int64_t cells[COUNT_MIN_MAX_DEPTH], slow[COUNT_MIN_BLOCK], i = 0;
    if (step == COUNT_MIN_READ) {
        int64_t flagged = table->has_signs ? count_min_read_signed(table, at, out, slow, n)
                                           : count_min_read_counts(table, at, out, slow, n);
        while (flagged--) {
            count_min_cells(table, at + slow[flagged], cells);
            out[slow[flagged]] = count_min_least_slowly(table->rows, table->depth, cells);
        }
        return n;
    }
    for (;; i++) {
        if (step == COUNT_MIN_RAISE)
            i = counts ? count_min_raise_counts(table, at, counts, i, n) : count_min_raise_ones(table, at, i, n);
        else i = counts ? count_min_add_counts(table, at, counts, i, n) : count_min_add_ones(table, at, i, n);
        if (i == n) return n;
        count_min_cells(table, at + i, cells);
        const int raise = step == COUNT_MIN_RAISE;
        const int found = count_min_slowly(table, raise, cells, counts ? counts[i] : 1);
        if (raise && found == COUNTERS_READY && count_min_hurry(table)) return i + 1;
        if (found != COUNTERS_READY) return i + (found == COUNTERS_WIDER);
    }
}

/* Does the step for items in blocks; while the counters of one are touched, those of the next are on their way from
 * memory. Gives how many before the cells widened or memory was short. */
static int64_t count_min_blocks(
    count_min_table *table, count_min_step step, const uint64_t *hashes, const int64_t *counts, int64_t *out,
    int64_t n) {
    count_min_place columns[2][COUNT_MIN_MAX_DEPTH / 2 * COUNT_MIN_BLOCK];
    int64_t size = n < COUNT_MIN_BLOCK ? n : COUNT_MIN_BLOCK;
    int turn = 0;
    count_min_find(table, hashes, columns[0], size);
    for (int64_t start = 0; start < n; turn ^= 1) {
        const int64_t stop = start + size, left = n - stop, next = left < COUNT_MIN_BLOCK ? left : COUNT_MIN_BLOCK;
        if (left) count_min_find(table, hashes + stop, columns[turn ^ 1], next);
        const int64_t done = count_min_block(
            table, step, columns[turn], counts ? counts + start : NULL, out ? out + start : NULL, size);
        if (done < size) return start + done;
        start = stop;
        size = next;
    }
    return n;
}

/* Few items, or columns that do not fit 32 bits, go one by one. */
static int64_t count_min_by_item(
    count_min_table *table, count_min_step step, const uint64_t *hashes, const int64_t *counts, int64_t *out,
    int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        int64_t cells[COUNT_MIN_MAX_DEPTH];
        for (int64_t row = 0; row < table->depth; row++)
            cells[row] = row * (int64_t)table->width + (int64_t)mulhi64(hashes[i] * table->odd[row], table->width);
        if (step == COUNT_MIN_READ) out[i] = count_min_least_slowly(table->rows, table->depth, cells);
        else if (!count_min_slowly(table, step == COUNT_MIN_RAISE, cells, counts ? counts[i] : 1)) return i;
    }
    return n;
}

static int64_t count_min_some(
    count_min_table *table, count_min_step step, const uint64_t *hashes, const int64_t *counts, int64_t *out,
    int64_t n) {
    if (n < COUNT_MIN_FEW || table->width > (uint64_t)1 << 32)
        return count_min_by_item(table, step, hashes, counts, out, n);
    return count_min_blocks(table, step, hashes, counts, out, n);
}

/* Puts items and their counts (NULL: one each) into the table; gives how many before memory was short. */
static int64_t count_min_put(
    count_min_table *table, int conservative, const uint64_t *hashes, const int64_t *counts, int64_t n) {
    const count_min_step step = conservative ? COUNT_MIN_RAISE : COUNT_MIN_ADD;
    int64_t done = 0, some = 1;
    for (; done < n && some; done += some, hashes += some, counts += counts ? some : 0)
        some = count_min_some(table, step, hashes, counts, NULL, n - done);
    return done;
}

/* `signs` tells that counts may have been negative. */
static void count_min_ask(count_min_table *table, int signs, const uint64_t *hashes, int64_t *out, int64_t n) {
    table->has_signs = signs;
    count_min_some(table, COUNT_MIN_READ, hashes, NULL, out, n);
}

#endif
