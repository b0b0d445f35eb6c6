/* Float32 numbers to the bins of a relative error of 2^-8, without computing anything: sign, exponent and seven bits of
 * the mantissa, the first 16 bits of the number (its head), are its bin. Only numbers below 2^-126, which have no leading
 * 1, need finer bins; zeros, infinities and NaN have heads of their own or share those of such numbers.
 *
 * Four counters a head, taken in turn: where numbers repeat, a counter need not be stored before it is read again. Those
 * of the usual heads, 16 bytes each, stay in the nearest cache. */
#ifndef SKETCHES_HEADS_H
#define SKETCHES_HEADS_H

#include <stdint.h>
#include <string.h>

#include "bins.h"
#include "simd.h"

enum {
    HEADS = 1 << 16,
    TURNS = 4,
    HEAD_BITS = 7, /* of the mantissa */
    SMALLEST = 1 << HEAD_BITS, /* the head of 2^-126 */
    INFINITE = 255 << HEAD_BITS, /* of infinity */
    BIAS = (1023 - 127) << HEAD_BITS, /* what a float64's key exceeds a head by */
    SKIPPED = 8, /* heads that are looked at together: two lines of the cache */
    AHEAD = 512 /* numbers that are fetched early: stores to the counters keep the processor from doing so itself */
};
static const int64_t HELD = (int64_t)1 << 33; /* numbers that overflow no counter: half of what four count, for odd ends */

typedef struct {
    uint32_t turns[HEADS][TURNS];
} head_counters;

static inline uint16_t head_of(const float *x) {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    const int half = 0;
#else
    const int half = 2;
#endif
    uint16_t head;
    memcpy(&head, (const char *)x + half, 2); /* not of a word of 32 bits: half the instructions */
    return head;
}

/* Count numbers, at most HELD between two gatherings. */
static void count_heads(head_counters *restrict counters, const float *restrict x, int64_t n) {
    int64_t i = 0;
    for (; i + TURNS <= n; i += TURNS) {
        PREFETCH(x + i + AHEAD);
        UNROLL
        for (int turn = 0; turn < TURNS; turn++) counters->turns[head_of(x + i + turn)][turn]++;
    }
    for (int turn = 0; i < n; i++, turn++) counters->turns[head_of(x + i)][turn]++;
}

SKETCHES_INLINE int64_t count_of(const uint32_t *turns) {
    int64_t sum = 0;
    for (int turn = 0; turn < TURNS; turn++) sum += turns[turn];
    return sum;
}

/* Copy numbers below 2^-126 that are not 0, `most` of them at most; returns how many. */
static int64_t copy_smallest(const float *x, int64_t n, float *found, int64_t most) {
    int64_t count = 0;
    for (int64_t i = 0; i < n && count < most; i++)
        if ((head_of(x + i) & (HEADS / 2 - 1)) < SMALLEST && x[i] != 0) found[count++] = x[i];
    return count;
}

/* Whether none of SKIPPED heads was counted. */
SKETCHES_INLINE int none_counted(const uint32_t (*turns)[TURNS]) {
    uint64_t words[SKIPPED * TURNS / 2], any = 0;
    memcpy(words, turns, sizeof words);
    for (int i = 0; i < SKIPPED * TURNS / 2; i++) any |= words[i];
    return !any;
}

typedef struct {
    int first[2], last[2]; /* of numbers above zero, and below */
} head_range;

/* How many numbers were counted with an octave's heads. */
SKETCHES_CLONES
static int64_t octave_count(const uint32_t *turns) {
    int64_t sum = 0;
    for (int i = 0; i < SMALLEST * TURNS; i++) sum += turns[i];
    return sum;
}

/* Find the heads from SMALLEST to INFINITE that were counted, in whole octaves, with the n numbers since the last
 * gathering, none of which is larger than `most`. From there down it looks until all are found: what lies below, mostly
 * the larger part of the counters, need not be read. */
static head_range find_heads(const head_counters *counters, float most, int64_t n) {
    head_range range = {{0, 0}, {0, 0}};
    for (int head = 0; head < HEADS; head += HEADS / 2) /* those that have no leading 1, and infinities and NaN */
        n -= octave_count(counters->turns[head]) + octave_count(counters->turns[head + INFINITE]);
    int head = head_of(&most) & -SMALLEST;
    for (head = head < INFINITE ? head : INFINITE - SMALLEST; n > 0 && head; head -= SMALLEST)
        for (int sign = 0; sign < 2; sign++) {
            const int64_t found = octave_count(counters->turns[sign * (HEADS / 2) + head]);
            if (!found) continue;
            n -= found;
            range.first[sign] = head;
            if (!range.last[sign]) range.last[sign] = head + SMALLEST;
        }
    return range;
}

/* Find what was counted, of n numbers between two; widen the window's keys (not its indices) to it. */
static head_range widen_to_heads(bin_window *w, const head_counters *counters, double minimum, double maximum,
                                 int64_t n) {
    const head_range range = find_heads(counters, (float)(-minimum > maximum ? -minimum : maximum), n);
    double ends[4];
    int count = 0;
    for (int sign = 0; sign < 2; sign++) {
        if (!range.last[sign]) continue;
        for (int end = 0; end < 2; end++) {
            const uint32_t head = sign * (HEADS / 2) + (end ? range.last[sign] - 1 : range.first[sign]);
            const uint32_t bits = head << 16;
            float number;
            memcpy(&number, &bits, 4);
            ends[count++] = number;
        }
    }
    widen_window(w, ends, count, HEAD_BITS);
    return range;
}

/* Add the counters to a table whose window includes them, and begin anew; returns how many numbers these were. */
SKETCHES_CLONES
static int64_t gather_heads(int64_t *table, const bin_window *w, head_counters *counters, const head_range *range) {
    int64_t sum = 0;
    for (int sign = 0; sign < 2; sign++) {
        uint32_t (*turns)[TURNS] = counters->turns + (sign ? HEADS / 2 : 0);
        const int first = range->first[sign], last = range->last[sign], step = sign ? -1 : 1;
        const int64_t start = sign ? w->negative_high + 1 : w->zero + 1 - w->positive_low;
        for (int head = first; head < last; head += SKIPPED) {
            if (none_counted(turns + head)) continue;
            for (int i = head; i < head + SKIPPED; i++) {
                const int64_t n = count_of(turns[i]);
                if (n) table[start + step * (int64_t)(i + BIAS)] += n;
                sum += n;
            }
            memset(turns + head, 0, sizeof turns[0] * SKIPPED);
        }
        memset(turns, 0, sizeof turns[0] * SMALLEST);
        memset(turns + INFINITE, 0, sizeof turns[0] * (HEADS / 2 - INFINITE));
    }
    return sum;
}

#endif
