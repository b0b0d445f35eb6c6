/* The probability that an item changes FlajoletMartin's registers, exactly: in units of 2^-64, all are integers. */
#ifndef SKETCHES_FM_MARTINGALE_H
#define SKETCHES_FM_MARTINGALE_H

#include "flajolet_martin.h"

typedef struct {
    double estimate; /* of the distinct items */
    double variance; /* of the estimate */
    uint64_t chance; /* that an item changes the state, times 2^64; 0 stands for 1, or for 0 when nothing can change */
} martingale;

/* A state that changes with probability c is changed by one new item in 1/c, on average: so each change adds 1/c, and
 * (1/c)(1/c - 1), the variance of how many it takes (D. Ting, "Streamed approximate counting of distinct elements", KDD
 * 2014). The product is rounded before it is added, on processors too that could do both at once. */
static void count_change(martingale *s, uint64_t lost) {
    const double items = s->chance ? 18446744073709551616.0 / (double)s->chance : 1.0;
    volatile const double variance = items * (items - 1);
    s->estimate += items;
    s->variance += variance;
    s->chance -= lost;
}

/* Of the 2^(64 - p) of a register, what belongs to value k, and to all values with so many zeros or more. */
SKETCHES_INLINE uint64_t value_share(int k, int p, int t) {
    const int bits = t + 1 + ((k - 1) >> t);
    return bits < 64 - p ? (uint64_t)1 << (64 - p - bits) : 1;
}

SKETCHES_INLINE uint64_t zeros_share(int zeros, int p, int t) {
    return zeros <= 64 - p - t ? (uint64_t)1 << (64 - p - zeros) : 0;
}

/* What belongs to values that would change the register: those above the largest, and those missing from the window. */
SKETCHES_INLINE uint64_t open_share(uint32_t r, int p, int t, int d) {
    const int u = (int)(r >> d), zeros = (u - 1) >> t;
    if (u == 0) return zeros_share(0, p, t);
    uint64_t share = zeros_share(zeros + 1, p, t) + (uint64_t)(((zeros + 1) << t) - u) * value_share(u, p, t);
    for (int k = u - d > 1 ? u - d : 1; k < u; k++)
        if (!(r >> (d - u + k) & 1)) share += value_share(k, p, t);
    return share;
}

static uint64_t pcsa_open_share(uint64_t r, int p) {
    uint64_t share = zeros_share(0, p, 0);
    for (; r; r &= r - 1) share -= value_share(trailing_zeros64(r) + 1, p, 0);
    return share;
}

static uint64_t registers_chance(const void *registers, int kind, int p) {
    const int t = kind == ELL ? 2 : 0, d = kind == ELL ? 24 : kind == ULL ? 2 : 0;
    uint64_t chance = 0;
    for (int64_t i = 0; i < (int64_t)1 << p; i++)
        chance += kind == PCSA ? pcsa_open_share(((const uint64_t *)registers)[i], p) : open_share(get(registers, i, d), p, t, d);
    return chance;
}

/* A token is as a value of one of 2^26 bitmaps. */
static uint64_t token_share(uint32_t token) { return value_share((int)(token & 63) + 1, TOKEN_BITS, 0); }

/* Insert a hash, and count the change if it makes one. */
static void insert_counted(martingale *s, void *registers, int kind, int p, uint64_t h) {
    if (kind == PCSA) {
        const uint32_t k = update_value(h, p, 0);
        uint64_t *r = (uint64_t *)registers + (h & ones(p));
        if (*r >> (k - 1) & 1) return;
        *r |= (uint64_t)1 << (k - 1);
        count_change(s, value_share((int)k, p, 0));
        return;
    }
    const int t = kind == ELL ? 2 : 0, d = kind == ELL ? 24 : kind == ULL ? 2 : 0;
    const int64_t place = (int64_t)(h >> t & ones(p));
    const uint32_t before = get(registers, place, d), after = updated(before, update_value(h, p, t), d);
    if (after == before) return;
    set(registers, place, d, after);
    count_change(s, open_share(before, p, t, d) - open_share(after, p, t, d));
}

#endif
