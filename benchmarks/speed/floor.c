/* The floor: what no sketch can avoid. Keys are hashed with the sketches' own hash, and each touches as many random
 * places of a table as the sketch does. Nothing is decided, validated or counted right. Built when the benchmark runs.
 *
 * Hashes come in blocks, so that the compiler can vectorise. Places may be fetched some items ahead into the second cache,
 * which pays where the table lies outside the caches; the benchmark tries both. */
#include "hash.h"

#define BLOCK 512
#define AHEAD 64

/* The least work that gives a place: some bits of the hash where the width, below 2^32, is a power of two. */
SKETCHES_INLINE uint64_t place(uint64_t hash, int row, uint64_t width, int power_of_two) {
    const uint64_t bits = rotate_left(hash, 13 * row);
    return power_of_two ? bits & (width - 1) : ((bits >> 32) * width) >> 32;
}

SKETCHES_INLINE uint64_t touch_rows(
    const uint64_t *hashes, int64_t n, uint64_t *table, uint64_t width, int power_of_two, int64_t stride, int rows,
    int write, int fetch) {
    uint64_t sum = 0;
    for (int64_t i = 0; i < n; i++) {
        if (fetch)
            for (int row = 0; row < rows; row++)
                PREFETCH_FAR(table + stride * (row * width + place(hashes[i + AHEAD], row, width, power_of_two)));
        for (int row = 0; row < rows; row++) {
            uint64_t *word = table + stride * (row * width + place(hashes[i], row, width, power_of_two));
            if (write) *word += 1;
            else sum += *word;
        }
    }
    return sum;
}

/* The arguments are constants in each call, so that the loops over rows are unrolled. */
static uint64_t touch(
    const uint64_t *hashes, int64_t n, uint64_t *table, uint64_t width, int64_t stride, int rows, int write,
    int fetch) {
    const int exact = (width & (width - 1)) == 0; /* a power of two */
#define CASE(r, w, f, e)                                                                                               \
    if (rows == r && write == w && fetch == f && exact == e)                                                            \
        return touch_rows(hashes, n, table, width, e, stride, r, w, f);
#define CASES(r) CASE(r, 0, 0, 0) CASE(r, 0, 1, 0) CASE(r, 1, 0, 0) CASE(r, 1, 1, 0)                                    \
    CASE(r, 0, 0, 1) CASE(r, 0, 1, 1) CASE(r, 1, 0, 1) CASE(r, 1, 1, 1)
    CASES(1) CASES(4) CASES(5)
    return 0;
}

/* `rows` places a key in a table of rows * width entries of `stride` words; 0 rows: hash only. */
uint64_t floor_integers(
    const uint64_t *keys, int64_t n, uint64_t *table, uint64_t width, int64_t stride, int rows, int write,
    int fetch) {
    uint64_t hashes[BLOCK + AHEAD] = {0}, sum = 0;
    for (int64_t start = 0; start < n; start += BLOCK) {
        const int64_t left = n - start, size = left < BLOCK ? left : BLOCK, more = left < BLOCK + AHEAD ? left : BLOCK + AHEAD;
        for (int64_t i = 0; i < more; i++) hashes[i] = mix64(keys[start + i]);
        fetch_integers((const int64_t *)keys + start + size, left - size < BLOCK ? left - size : BLOCK);
        if (rows) sum += touch(hashes, size, table, width, stride, rows, write, fetch);
        else for (int64_t i = 0; i < size; i++) sum += hashes[i];
    }
    return sum;
}

uint64_t floor_strings(
    const int32_t *ends, const uint8_t *bytes, int64_t n, uint64_t *table, uint64_t width, int64_t stride, int rows,
    int write, int fetch) {
    uint64_t hashes[BLOCK + AHEAD] = {0}, sum = 0;
    text_batch batch;
    for (int64_t start = 0; start < n; start += BLOCK) {
        const int64_t left = n - start, size = left < BLOCK ? left : BLOCK, more = left < BLOCK + AHEAD ? left : BLOCK + AHEAD;
        for (int64_t i = start ? AHEAD : 0; i < more; i += TEXTS) {
            const int64_t texts = more - i < TEXTS ? more - i : TEXTS;
            const int32_t *end = ends + start + i;
            begin_batch(&batch, 0, texts);
            for (int64_t j = 0; j < texts; j++, end++)
                batch_text(&batch, j, bytes + end[0], (uint64_t)(end[1] - end[0]), (uint64_t)end[0]);
            hash_batch(&batch, hashes + i, texts);
        }
        if (rows) sum += touch(hashes, size, table, width, stride, rows, write, fetch);
        else for (int64_t i = 0; i < size; i++) sum += hashes[i];
        memcpy(hashes, hashes + BLOCK, sizeof(uint64_t) * AHEAD); /* the next block's first */
    }
    return sum;
}

/* Numbers are not hashed: the top 16 bits of a float32 (sign, exponent, 7 of the mantissa) pick a counter. */
uint64_t floor_floats(const float *numbers, int64_t n, uint64_t *table) {
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, numbers + i, 4);
        table[bits >> 16] += 1;
    }
    return 0;
}
