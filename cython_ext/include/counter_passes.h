/* Passes over all counters of counter_rows.h: reading and writing their values, merging. */
#ifndef SKETCHES_COUNTER_PASSES_H
#define SKETCHES_COUNTER_PASSES_H

#include "counter_rows.h"

enum {
    COUNTER_CHUNK = 512, /* values at once: 4 KiB */
    MERGE_CHUNK = 2048,  /* cells at once, mostly of 1 or 2 bytes */
    MERGE_FEW = 128      /* where some do not fit */
};

/* WITH_CELL(bytes, BODY) runs BODY with `cell`, the integer type of so many bytes. */
#define WITH_CELL(bytes, BODY)                                                                                         \
    switch (bytes) {                                                                                                   \
    case 1: { typedef int8_t cell; BODY break; }                                                                       \
    case 2: { typedef int16_t cell; BODY break; }                                                                      \
    case 4: { typedef int32_t cell; BODY break; }                                                                      \
    default: { typedef int64_t cell; BODY }                                                                            \
    }

/* Integers of so many bytes as they are; gives them or-ed. */
SKETCHES_CLONES
static int64_t integers_read(const void *integers, int bytes, int shift, int64_t *out, int64_t n) {
    int64_t any = 0;
    WITH_CELL(bytes, {
        const cell *from = (const cell *)integers;
        for (int64_t i = 0; i < n; i++) {
            out[i] = (int64_t)from[i] >> shift;
            any |= from[i];
        }
    })
    return any;
}

SKETCHES_CLONES
static void integers_write(const int64_t *values, int64_t times, void *out, int bytes, int64_t n) {
    WITH_CELL(bytes, {
        cell *to = (cell *)out;
        for (int64_t i = 0; i < n; i++) to[i] = (cell)(values[i] * times);
    })
}

/* How many values do not fit [-limit, limit). */
SKETCHES_CLONES
static int64_t count_outside(const int64_t *values, int64_t limit, int64_t n) {
    int64_t outside = 0;
    for (int64_t i = 0; i < n; i++) outside += values[i] >= limit || values[i] < -limit;
    return outside;
}

/* The values of n <= COUNTER_CHUNK counters from `start` on. */
static void counters_read(const counter_rows *c, int64_t start, int64_t *out, int64_t n) {
    const char *cells = (const char *)c->cells + start * c->bytes;
    if (integers_read(cells, c->bytes, c->bytes < 8, out, n) & 1 && c->bytes < 8)
        for (int64_t i = 0; i < n; i++)
            if (cell_get(cells, c->bytes, i) & 1) out[i] += counter_find(c, start + i)->value;
}

/* Sets counters that are 0. There must be room for the rests. */
static void counters_write(counter_rows *c, int64_t start, const int64_t *values, int64_t n) {
    if (c->bytes == 8 || !count_outside(values, (int64_t)1 << (8 * c->bytes - 2), n))
        integers_write(values, c->bytes < 8 ? 2 : 1, (char *)c->cells + start * c->bytes, c->bytes, n);
    else
        for (int64_t i = 0; i < n; i++) counter_add(c, start + i, values[i]);
}

/* Makes a copy whose cells are so wide that none has a rest; 0 if there is no memory. */
static int counters_copy_plain(counter_rows *plain, const counter_rows *c) {
    int64_t values[COUNTER_CHUNK];
    int bytes = c->bytes;
    for (const counter_rest *rest = c->rests; rest < c->rests + c->slots; rest++)
        while (rest->cell && !counter_fits(bytes, counter_value(c, c->bytes, rest->cell - 1))) bytes *= 2;
    if (!counter_rows_make(plain, c->size, bytes, 0)) return 0;
    for (int64_t start = 0; start < c->size; start += COUNTER_CHUNK) {
        const int64_t left = c->size - start, n = left < COUNTER_CHUNK ? left : COUNTER_CHUNK;
        counters_read(c, start, values, n);
        counters_write(plain, start, values, n);
    }
    return 1;
}

/* Sums are made without sign, where they may wrap: that shows in the highest bit of those of both that differ from it. */
#define ADD_CELLS(narrow, wide, unsigned_wide, steps)                                                                  \
    {                                                                                                                  \
        const wide *x = (const wide *)mine;                                                                            \
        const narrow *y = (const narrow *)theirs;                                                                      \
        unsigned_wide any = 0;                                                                                         \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            const unsigned_wide more = (unsigned_wide)(wide)(steps), sum = (unsigned_wide)((unsigned_wide)x[i] + more); \
            ((wide *)out)[i] = (wide)sum;                                                                              \
            any |= (unsigned_wide)(((unsigned_wide)x[i] ^ sum) & (more ^ sum));                                        \
        }                                                                                                              \
        return (wide)any < 0;                                                                                          \
    }

/* Adds some of their cells, without rests, to mine, which are as wide or wider; the sums go to `out`. Gives whether one
 * does not fit. What a cell stands for is added, so not the flag. */
SKETCHES_CLONES
static int cells_add(const void *mine, int bytes, const void *theirs, int their_bytes, void *out, int64_t n) {
    switch (16 * bytes + their_bytes) {
    case 0x11: ADD_CELLS(int8_t, int8_t, uint8_t, y[i] & ~1)
    case 0x21: ADD_CELLS(int8_t, int16_t, uint16_t, y[i] & ~1)
    case 0x22: ADD_CELLS(int16_t, int16_t, uint16_t, y[i] & ~1)
    case 0x41: ADD_CELLS(int8_t, int32_t, uint32_t, y[i] & ~1)
    case 0x42: ADD_CELLS(int16_t, int32_t, uint32_t, y[i] & ~1)
    case 0x44: ADD_CELLS(int32_t, int32_t, uint32_t, y[i] & ~1)
    case 0x81: ADD_CELLS(int8_t, int64_t, uint64_t, y[i] >> 1)
    case 0x82: ADD_CELLS(int16_t, int64_t, uint64_t, y[i] >> 1)
    case 0x84: ADD_CELLS(int32_t, int64_t, uint64_t, y[i] >> 1)
    default: ADD_CELLS(int64_t, int64_t, uint64_t, y[i])
    }
}

/* Adds their n cells from `start` on, without rests, to mine; 0, and nothing changes, if one does not fit. */
static int cells_merge(counter_rows *mine, const counter_rows *theirs, int64_t start, int64_t n, int64_t *sums) {
    char *own = (char *)mine->cells + start * mine->bytes;
    const char *cells = (const char *)theirs->cells + start * theirs->bytes;
    if (cells_add(own, mine->bytes, cells, theirs->bytes, sums, n) && mine->bytes < 8) return 0;
    memcpy(own, sums, (size_t)(n * mine->bytes));
    return 1;
}

/* How many rests their cells from `start` on, and all rests of theirs, add to mine at most. Few cells at a time: mostly
 * one of many does not fit. */
static int64_t counters_merge_rests(const counter_rows *mine, const counter_rows *theirs, int64_t start) {
    int64_t sums[MERGE_FEW], rests = 0;
    if (mine->bytes == 8) return 0;
    for (; start < mine->size; start += MERGE_FEW) {
        const int64_t left = mine->size - start, n = left < MERGE_FEW ? left : MERGE_FEW;
        const char *cells = (const char *)theirs->cells + start * theirs->bytes;
        if (cells_add((const char *)mine->cells + start * mine->bytes, mine->bytes, cells, theirs->bytes, sums, n))
            for (int64_t i = 0; i < n; i++)
                rests += counter_outgrows(mine, start + i, cell_get(cells, theirs->bytes, i) >> 1);
    }
    for (const counter_rest *rest = theirs->rests; rest < theirs->rests + theirs->slots; rest++)
        if (rest->cell) {
            const int64_t i = rest->cell - 1, low = cell_get(theirs->cells, theirs->bytes, i) >> 1;
            rests += counter_outgrows(mine, i, start > i ? rest->value : low + rest->value); /* low may be added */
        }
    return rests;
}

/* Adds their counters to mine; or, if there is no memory, gives 0 and mine are as before. */
static int counters_merge(counter_rows *mine, const counter_rows *theirs) {
    int64_t sums[MERGE_CHUNK], start = 0;
    int room;
    while (mine->bytes < theirs->bytes)
        if (!counter_widen(mine)) return 0;
    for (; start < mine->size; start += MERGE_CHUNK) { /* mostly that is all */
        const int64_t left = mine->size - start;
        if (!cells_merge(mine, theirs, start, left < MERGE_CHUNK ? left : MERGE_CHUNK, sums)) break;
    }
    if (start < mine->size || theirs->used) {
        do room = counter_room(mine, counters_merge_rests(mine, theirs, start));
        while (room == COUNTERS_WIDER);
        if (room == COUNTERS_FULL) {
            for (int64_t i = 0; i < start && i < mine->size; i++) /* back to what they were, which takes no new rest */
                counter_add(mine, i, -(cell_get(theirs->cells, theirs->bytes, i) >> (theirs->bytes < 8)));
            return 0;
        }
    }
    for (; start < mine->size; start += MERGE_FEW) {
        const int64_t left = mine->size - start, n = left < MERGE_FEW ? left : MERGE_FEW;
        if (!cells_merge(mine, theirs, start, n, sums))
            for (int64_t i = start; i < start + n; i++)
                counter_add(mine, i, cell_get(theirs->cells, theirs->bytes, i) >> 1);
    }
    for (const counter_rest *rest = theirs->rests; rest < theirs->rests + theirs->slots; rest++)
        if (rest->cell) counter_add(mine, rest->cell - 1, rest->value);
    return 1;
}

/* Of how many counters the low part does not fit `bytes`, fewer than a cell has; those with a rest do not count. */
SKETCHES_CLONES
static int64_t cells_outside(const void *cells, int cell_bytes, int bytes, int64_t n) {
    int64_t outside = 0;
#define COUNT(type, unsigned_type)                                                                                     \
    for (int64_t start = 0; start < n; start += COUNTER_CHUNK) { /* so few that their number fits the type */           \
        const type *from = (const type *)cells + start;                                                                \
        const int64_t left = n - start, some = left < COUNTER_CHUNK ? left : COUNTER_CHUNK;                            \
        const unsigned_type half = (unsigned_type)((unsigned_type)1 << (8 * bytes - 1));                               \
        unsigned_type count = 0;                                                                                       \
        for (int64_t i = 0; i < some; i++) {                                                                           \
            const unsigned_type low = (unsigned_type)(from[i] >> flag);                                                \
            const int fits = (unsigned_type)(low + half) < (unsigned_type)(2 * half) || (flag & from[i]);              \
            count = (unsigned_type)(count + !fits);                                                                    \
        }                                                                                                              \
        outside += (int64_t)count;                                                                                     \
    }
    const int flag = cell_bytes < 8;
    switch (cell_bytes) {
    case 1: break;
    case 2: COUNT(int16_t, uint16_t) break;
    case 4: COUNT(int32_t, uint32_t) break;
    default: COUNT(int64_t, uint64_t)
    }
#undef COUNT
    return outside;
}

/* How many counters do not fit so many bytes in two's complement. */
static int64_t counters_outside(const counter_rows *c, int bytes) {
    int64_t outside = bytes < c->bytes ? cells_outside(c->cells, c->bytes, bytes, c->size) : 0;
    for (const counter_rest *rest = c->rests; rest < c->rests + c->slots; rest++)
        if (rest->cell) {
            const int64_t value = counter_value(c, c->bytes, rest->cell - 1), half = (int64_t)1 << (8 * bytes - 1);
            outside += value >= half || value < -half;
        }
    return outside;
}

/* The low parts of all cells, as integers of the same bytes. */
SKETCHES_CLONES
static void cells_lows(const void *cells, int bytes, void *out, int64_t n) {
    const int flag = bytes < 8;
    WITH_CELL(bytes, {
        const cell *from = (const cell *)cells;
        for (int64_t i = 0; i < n; i++) ((cell *)out)[i] = (cell)(from[i] >> flag);
    })
}

/* What is said of the counters of a row. */
typedef struct {
    uint64_t low, high; /* the sum of absolute values is low + 2^32 high */
    int64_t sum;        /* modulo 2^64 */
    int64_t least, most;
} row_facts;

SKETCHES_CLONES
static void row_survey(row_facts *facts, const int64_t *values, int64_t n) {
    uint64_t low = 0, high = 0, sum = 0;
    int64_t least = facts->least, most = facts->most;
    for (int64_t i = 0; i < n; i++) {
        const uint64_t value = (uint64_t)values[i], size = values[i] < 0 ? 0 - value : value;
        low += size & 0xffffffff;
        high += size >> 32;
        sum += value;
        least = values[i] < least ? values[i] : least;
        most = values[i] > most ? values[i] : most;
    }
    facts->low += low;
    facts->high += high;
    facts->sum = (int64_t)((uint64_t)facts->sum + sum);
    facts->least = least;
    facts->most = most;
}

#endif
