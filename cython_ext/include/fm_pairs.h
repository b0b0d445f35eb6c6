/* What two FlajoletMartin sketches of the same kind and precision have seen, register by register. */
#ifndef SKETCHES_FM_PAIRS_H
#define SKETCHES_FM_PAIRS_H

#include "flajolet_martin.h"

enum { UNSEEN, KNOWN, UNKNOWN }; /* what a register knows of a value: KNOWN that it was seen */

SKETCHES_INLINE int knowledge(uint32_t r, int k, int d) {
    const int below = (int)(r >> d) - k; /* the leader has bit d as if it were in the window */
    return below < 0 ? UNSEEN : below > d ? UNKNOWN : below == 0 || (r >> (d - below) & 1);
}

/* Add to pairs[9 k + 3 a + b] how many registers know a of value k in the first sketch and b in the second. Pairs of which
 * neither is known are left out; so are those above both leaders, none[u] of which have u as the larger one. */
SKETCHES_INLINE void read_pair(
    const void *first, const void *second, int64_t m, int d, int64_t *pairs, int64_t *none) {
    for (int64_t i = 0; i < m; i++) {
        const uint32_t r = get(first, i, d), s = get(second, i, d);
        const int u = (int)(r >> d), v = (int)(s >> d), low = (u < v ? u : v) - d;
        const int high = u > v ? u : v;
        for (int k = low > 1 ? low : 1; k <= high; k++) pairs[9 * k + 3 * knowledge(r, k, d) + knowledge(s, k, d)]++;
        none[high]++;
    }
}

static void read_pairs(
    const void *first, const void *second, int kind, int64_t m, int most, int64_t *pairs, int64_t *none) {
    if (kind == ELL) read_pair(first, second, m, 24, pairs, none);
    else if (kind == ULL) read_pair(first, second, m, 2, pairs, none);
    else if (kind == HLL) read_pair(first, second, m, 0, pairs, none);
    else for (int64_t i = 0; i < m; i++) {
        const uint64_t r = ((const uint64_t *)first)[i], s = ((const uint64_t *)second)[i];
        for (int k = 1; k <= most; k++) pairs[9 * k + 3 * (r >> (k - 1) & 1) + (s >> (k - 1) & 1)]++;
    }
}

#endif
