/* A matrix of small integers (weights, as numbers of entries of a codebook, 0 for zero) as bits: see mixing.h.
 *
 * A weight is a series of choices: zero or not; its sign; how many bits its magnitude has, one after the other; the bits
 * below the highest one. Each is predicted from eight contexts: all of its kind, its row, its column, and what stands
 * next to it in the row (before it, and `lag` and 2 lag before it: the row above in images that the columns are the
 * pixels of, the same place of the last kernel in convolutions), in the columns next to it, in the rows above. Magnitudes
 * are compared with their mean, so that sparse and dense weights share the contexts.
 *
 * Rows that are all zero are flags, as are columns that nothing is expected of. */
#ifndef SKETCHES_WEIGHT_CODE_H
#define SKETCHES_WEIGHT_CODE_H

#include <stddef.h>
#include "mixing.h"

enum {
    NODES = 128,            /* choices: zero, sign, 15 numbers of bits, 7 times 15 for the bits below the highest one */
    SIGN = 1,
    FIRST_LENGTH = 2,
    MOST_LENGTH = 15,
    FIRST_BELOW = FIRST_LENGTH + MOST_LENGTH,
    COLUMN_NODES = 8,       /* the first ones are counted for each column, too */
    MOST_LAG = 4096,
    PHASES = 64, BANDS = 256,
    NEAR = 8                /* the most that is far above or below the mean, in half octaves */
};

typedef struct {
    int64_t rows, columns, lag;
    int zero;               /* whether a weight can be 0 */
    int quick;              /* whether two contexts must do */
    int32_t least, most;    /* of all weights */
    const uint8_t *live;    /* the columns that are expected to hold more than zeros; or NULL for all */
} weight_shape;

/* Contexts of one weight, and the places they take in tables of counters. */

enum { LOCAL = 81, BY_COLUMN = 16 * 9, BY_SUM = 256, SIGNS = 17 * 17 };

typedef struct {
    weight_shape shape;
    range_coder coder;
    int shift;              /* magnitudes are seen without so many of their lowest bits */
    counter all[NODES], row[NODES], spare[NODES], row_flags[2], column_flag;
    counter local[LOCAL * NODES], phase[PHASES * NODES], band[BANDS * NODES], by_sign[2 * 16 * NODES], signs[5 * SIGNS];
    counter by_column[2 * BY_COLUMN * NODES], by_sum[2 * BY_SUM * NODES]; /* the second half: of negative weights, if quick */
    mixer by_odds[NODES * 16], by_near[NODES * 16];
    counter *columns;       /* COLUMN_NODES for each column */
    int8_t *seen;           /* the last three rows, with room for 2 lag + 2 on both sides */
    int32_t *means;         /* of magnitudes, per column, times 256; the same room */
    int32_t *balances;      /* of signs, per column, the positive ones less the negative ones */
    uint8_t *skipped;       /* columns that hold only zeros, as was expected */
    int8_t *own, *around;   /* how far each column's mean and that of its neighbours are above the mean's, in quarters */
    uint8_t *phases, *bands; /* contexts of each column's place */
    int64_t room, stride;
    int64_t sum, count;     /* of magnitudes, of the last rows */
    void *memory;
} weight_model;

/* log2(x + 1) in quarters, linear between powers of two. */
SKETCHES_INLINE int quarters(uint32_t x) {
    const int bits = 63 - leading_zeros64(x + 1);
    return 4 * bits + (int)(((uint64_t)(x + 1) << 2 >> bits) & 3);
}

/* A difference of two, in halves of an octave, from 0 for four octaves less to 15. */
SKETCHES_INLINE int level_of(int difference) {
    const int level = (difference >> 1) + 8;
    return level < 0 ? 0 : level > 15 ? 15 : level;
}

SKETCHES_INLINE int clipped(int x, int most) { return x < -most ? -most : x > most ? most : x; }
SKETCHES_INLINE int size_of(int x) { return x < 0 ? -x : x; }
SKETCHES_INLINE int sign_of(int x) { return (x > 0) - (x < 0); }

static void start_counters(counter *c, int64_t n) { for (int64_t i = 0; i < n; i++) c[i] = NEW_COUNTER; }

/* NULL if there is no memory. */
static weight_model *make_weight_model(const weight_shape *shape) {
    weight_model *m = malloc(sizeof *m);
    if (m == NULL) return NULL;
    memset(m, 0, sizeof *m);
    m->shape = *shape;
    const int32_t extreme = size_of(shape->least) > size_of(shape->most) ? size_of(shape->least) : size_of(shape->most);
    while (extreme >> m->shift > 127) m->shift++;
    const int64_t columns = shape->columns;
    m->room = 2 * shape->lag + 2;
    m->stride = columns + 2 * m->room;
    const size_t bytes = (size_t)(columns * COLUMN_NODES * 4 + m->stride * (4 + 4 + 3) + 5 * columns);
    uint8_t *memory = m->memory = calloc(bytes, 1);
    if (memory == NULL) {
        free(m);
        return NULL;
    }
    m->columns = (counter *)memory;
    m->means = (int32_t *)(memory += columns * COLUMN_NODES * 4) + m->room;
    m->balances = (int32_t *)(memory += m->stride * 4) + m->room;
    m->seen = (int8_t *)(memory += m->stride * 4) + m->room;
    m->skipped = (memory += m->stride * 3);
    m->own = (int8_t *)(memory += columns);
    m->around = (int8_t *)(memory += columns);
    m->phases = (memory += columns);
    m->bands = memory + columns;
    const int64_t lag = shape->lag, bands = (columns + lag - 1) / lag;
    for (int64_t c = 0; c < columns; c++) {
        m->phases[c] = (uint8_t)(lag <= PHASES ? c % lag : c % lag * PHASES / lag);
        m->bands[c] = (uint8_t)(bands <= BANDS ? c / lag : c / lag * BANDS / bands);
    }
    start_counters(m->columns, columns * COLUMN_NODES);
    start_counters(m->all, offsetof(weight_model, by_odds) / sizeof(counter) - offsetof(weight_model, all) / sizeof(counter));
    start_mixers(m->by_odds, NODES * 16 * 2, MIX_ONE / INPUTS);
    return m;
}

static void free_weight_model(weight_model *m) {
    free(m->memory);
    free(m);
}

/* `all` keeps the longest memory: rows and columns begin with it. */
static const uint16_t MOST_COUNTS[INPUTS] = {1023, 255, 255, 255, 255, 255, 255, 255};

/* One weight's contexts: tables of counters, of which the last two do where it must be quick, and mixers. */
typedef struct {
    counter *counters[INPUTS];
    mixer *by_odds, *by_near;
} context;

SKETCHES_INLINE int choose(weight_model *m, const context *x, int node, int bit, const int quick, const int reading) {
    if (quick) return paired_bit(&m->coder, x->counters[INPUTS - 2] + node, x->counters[INPUTS - 1] + node, bit, reading);
    return mixed_bit(
        &m->coder, x->counters, node, x->by_odds + 16 * node, x->by_near + 16 * node, MOST_COUNTS, bit, reading);
}

/* Number of bits below the highest one, unary; then these bits, the first three by what stands before them. */
SKETCHES_INLINE uint32_t code_magnitude(weight_model *m, context *x, uint32_t value, const int quick, const int reading) {
    int length = 0;
    for (; length < MOST_LENGTH; length++) {
        const int node = FIRST_LENGTH + length;
        if (node == COLUMN_NODES) x->counters[2] = m->spare;
        if (!choose(m, x, node, value >> (length + 1) != 0, quick, reading)) break;
    }
    x->counters[2] = m->spare;
    uint32_t result = 1;
    for (int i = 0; i < length; i++) {
        const int rest = length - i - 1;
        if (i == 3) {
            const uint32_t below = (uint32_t)range_raw(&m->coder, value & ((2u << rest) - 1), rest + 1, reading);
            return result << (rest + 1) | below;
        }
        const int node = FIRST_BELOW + 7 * (length - 1) - 1 + (int)result;
        result = result << 1 | (uint32_t)choose(m, x, node, value >> rest & 1, quick, reading);
    }
    return result;
}

/* What a row's contexts need to know of the rows before it. */
static void look_around(weight_model *m, int64_t mean) {
    const int64_t lag = m->shape.lag;
    const int middle = quarters((uint32_t)mean);
    for (int64_t c = 0; c < m->shape.columns; c++) {
        const int32_t *at = m->means + c;
        const int32_t pooled = (2 * at[0] + at[-1] + at[1] + at[-lag] + at[lag]) * 43 >> 8;
        m->own[c] = (int8_t)(quarters((uint32_t)at[0]) - middle);
        m->around[c] = (int8_t)(quarters((uint32_t)pooled) - middle);
    }
}

/* After a row: the means of columns move by 1 / (rows + 4), those of the first one come from the mean of all. */
static void look_back(weight_model *m, const int8_t *row, int64_t rows, int64_t mean) {
    const int32_t share = 65536 / (int32_t)(rows < 250 ? rows + 5 : 255);
    for (int64_t c = 0; c < m->shape.columns; c++) {
        const int32_t old = rows ? m->means[c] : (int32_t)mean;
        m->means[c] = old + (((size_of(row[c]) << 8) - old) * share >> 16);
        m->balances[c] = clipped(m->balances[c] + sign_of(row[c]), 1000);
    }
}

SKETCHES_INLINE int third(int size, int low, int high) { return (size > low) + (size > high); }
SKETCHES_INLINE int sign_third(int x) { return x < 0 ? 1 : x > 0 ? 2 : 0; }
SKETCHES_INLINE int at_most(int x, int most) { return x < most ? x : most; }

/* A row that is not all zero; `place` is its number among those. Returns whether all weights are within bounds. */
SKETCHES_INLINE int code_row(weight_model *m, int32_t *levels, int64_t place, const int quick, const int reading) {
    const weight_shape *shape = &m->shape;
    const int64_t lag = shape->lag;
    int8_t *row = m->seen + place % 3 * m->stride;
    const int8_t *above = m->seen + (place + 2) % 3 * m->stride, *higher = m->seen + (place + 1) % 3 * m->stride;
    const int64_t mean = m->count ? (m->sum << 8) / m->count : 64;
    const int middle = quarters((uint32_t)mean), low = (int)(mean >> 9), high = mean * 3 >> 9 > 1 ? (int)(mean * 3 >> 9) : 1;
    memset(row - m->room, 0, (size_t)m->stride);
    for (int i = 0; i < NODES; i++) {
        const counter all = m->all[i], n = all & (COUNTS - 1);
        m->row[i] = (all & ~(counter)(COUNTS - 1)) | (n < 4 ? n : 4);
    }
    if (place) look_around(m, mean);
    int32_t row_mean = (int32_t)mean;
    int64_t sum = 0, count = 0;
    for (int64_t c = 0; c < shape->columns; c++) {
        if (m->skipped[c]) continue;
        const int8_t *at = row + c;
        const int a1 = at[-1], a2 = at[-2], b1 = at[-lag], b2 = at[-2 * lag], d1 = at[-lag - 1], d2 = at[1 - lag];
        const int m1 = size_of(a1), m2 = size_of(a2), n1 = size_of(b1), n2 = size_of(b2), k1 = size_of(d1), k2 = size_of(d2);
        const int near = (m1 > low) + (m2 > low) + (n1 > low) + (n2 > low) + (k1 > low) + (k2 > low)
            + (size_of(at[-lag - 2]) > low) + (size_of(at[2 - lag]) > low);
        const int beside = m1 + m2 + n1 + n2 + k1 + k2;
        const int by_sum = beside ? level_of(quarters((uint32_t)beside * 43) - middle) : 0;
        const int odds = level_of(m->around[c] + quarters((uint32_t)row_mean) - middle);
        context x;
        x.counters[6] = m->by_column + (level_of(m->own[c]) * 9 + near) * NODES;
        x.counters[7] = m->by_sum + (by_sum * 16 + (quick ? odds : level_of(m->around[c]))) * NODES;
        x.counters[2] = m->columns + c * COLUMN_NODES;
        if (!quick) {
            if (x.counters[2][SIGN] == NEW_COUNTER && x.counters[2][0] == NEW_COUNTER) /* begins like all others */
                for (int i = 0; i < COLUMN_NODES; i++) x.counters[2][i] = m->all[i] & ~(counter)(COUNTS - 1);
            const int up = (size_of(above[c]) > low) * 2 + (size_of(above[c - 1]) > low) + (size_of(above[c + 1]) > low)
                + (size_of(above[c - lag]) > low) + (size_of(above[c + lag]) > low) + (size_of(higher[c]) > low);
            const int local = third(m1, low, high) + 3 * third(n1, low, high)
                + 9 * at_most(third(k1, low, high) + third(k2, low, high), 2)
                + 27 * at_most(third(m2, low, high) + third(n2, low, high), 2);
            x.counters[0] = m->all;
            x.counters[1] = m->row;
            x.counters[3] = m->local + local * NODES;
            x.counters[4] = m->phase + m->phases[c] * NODES;
            x.counters[5] = m->band + m->bands[c] * NODES;
            x.by_odds = m->by_odds + odds;
            x.by_near = m->by_near + (at_most(near, 3) * 4 + at_most(up, 3));
        }
        int32_t level = reading ? 0 : levels[c];
        if (!shape->zero || choose(m, &x, 0, level != 0, quick, reading)) {
            const int32_t *balance = m->balances + c;
            const int votes = clipped(2 * (sign_of(a1) + sign_of(b1)) + sign_of(d1) + sign_of(d2) + sign_of(a2) + sign_of(b2), 8) + 8;
            const int pooled = clipped((6 * balance[0] + 3 * (balance[-1] + balance[1] + balance[-lag] + balance[lag])) / 4, 8) + 8;
            context s;
            s.counters[6] = m->signs + pooled * 17 + votes;
            s.counters[7] = x.counters[2] + SIGN;
            if (!quick) {
                const int upper = sign_third(above[c]) * 3 + sign_third(higher[c]), own = clipped(balance[0], 8) + 8;
                const int signs = sign_third(a1) + 3 * (sign_third(b1) + 3 * (sign_third(d2) + 3 * (sign_third(a2) + 3 * sign_third(d1))));
                s.counters[0] = m->all + SIGN;
                s.counters[1] = m->row + SIGN;
                s.counters[2] = m->signs + SIGNS + votes * 9 + upper;
                s.counters[3] = m->signs + 2 * SIGNS + signs;
                s.counters[4] = m->signs + 3 * SIGNS + pooled;
                s.counters[5] = m->signs + 4 * SIGNS + own * 9 + upper;
                s.by_odds = m->by_odds + SIGN * 16;
                s.by_near = m->by_near + SIGN * 16;
            }
            const int negative = choose(m, &s, 0, level < 0, quick, reading);
            if (!quick) x.counters[5] = m->by_sign + (negative * 16 + by_sum) * NODES;
            else if (negative) {
                x.counters[6] += BY_COLUMN * NODES;
                x.counters[7] += BY_SUM * NODES;
            }
            const int32_t size = (int32_t)code_magnitude(m, &x, (uint32_t)size_of(level), quick, reading);
            if (reading) {
                levels[c] = level = negative ? -size : size;
                if (level < shape->least || level > shape->most) return 0;
            }
            row[c] = (int8_t)(negative ? -(size >> m->shift) : size >> m->shift);
        }
        const int size = size_of(row[c]);
        row_mean += ((size << 8) - row_mean) >> 6;
        sum += size;
        count++;
    }
    m->sum += sum;
    m->count += count;
    look_back(m, row, place, m->count ? (m->sum << 8) / m->count : 0);
    return 1;
}

/* Codes (or reads) flags and rows. Returns whether all weights are within bounds. */
SKETCHES_INLINE int code_levels(weight_model *m, int32_t *levels, const int reading) {
    const weight_shape *shape = &m->shape;
    if (shape->live != NULL && shape->zero) {
        for (int64_t c = 0; c < shape->columns; c++) {
            if (shape->live[c]) continue;
            int any = 0;
            if (!reading) for (int64_t r = 0; r < shape->rows && !any; r++) any = levels[r * shape->columns + c] != 0;
            m->skipped[c] = !counted_bit(&m->coder, &m->column_flag, any, 255, reading);
        }
    }
    int64_t place = 0;
    for (int64_t r = 0, last = 0; r < shape->rows; r++, levels += shape->columns) {
        if (shape->zero) {
            int any = 0;
            if (!reading) for (int64_t c = 0; c < shape->columns && !any; c++) any = levels[c] != 0;
            last = counted_bit(&m->coder, m->row_flags + last, any, 255, reading);
            if (!last) continue;
        }
        const int sound = shape->quick ? code_row(m, levels, place, 1, reading) : code_row(m, levels, place, 0, reading);
        if (!sound) return 0;
        place++;
    }
    return 1;
}

/* Returns how many bytes stand at *bytes, to be freed; -1 if there is no memory. */
static int64_t encode_levels(const weight_shape *shape, const int32_t *levels, uint8_t **bytes) {
    weight_model *m = make_weight_model(shape);
    if (m == NULL) return -1;
    start_writing(&m->coder);
    code_levels(m, (int32_t *)levels, 0);
    finish_writing(&m->coder);
    const int64_t size = m->coder.failed ? -1 : m->coder.at;
    if (size < 0) free(m->coder.bytes);
    *bytes = size < 0 ? NULL : m->coder.bytes;
    free_weight_model(m);
    return size;
}

/* Levels that are zero so far. Returns whether these bytes are their code; -1 if there is no memory. */
static int decode_levels(const weight_shape *shape, int32_t *levels, const uint8_t *bytes, int64_t size) {
    weight_model *m = make_weight_model(shape);
    if (m == NULL) return -1;
    start_reading(&m->coder, bytes, size);
    const int sound = code_levels(m, levels, 1) && finished_reading(&m->coder);
    free_weight_model(m);
    return sound;
}

#endif
