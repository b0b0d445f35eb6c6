/* Registers of FlajoletMartin as they would be had they been fewer. */
#ifndef SKETCHES_FM_DOWNSIZE_H
#define SKETCHES_FM_DOWNSIZE_H

#include "flajolet_martin.h"

/* Merge 2^p registers into 2^q, q <= p. A register's number loses its p - q highest bits; in the hash they follow the bits
 * whose zeros are counted, so they are counted too if those are all zeros. That is so for the values above `last`, which
 * rise by 2^t for each zero that the number begins with. */
SKETCHES_INLINE void downsize_registers(void *to, int q, const void *from, int p, int t, int d) {
    const uint32_t last = (uint32_t)(64 - p - t) << t;
    for (int64_t i = 0; i < (int64_t)1 << p; i++) {
        const int64_t j = i & (int64_t)ones(q);
        const uint32_t r = get(from, i, d), u = r >> d, rise = (uint32_t)(leading_zeros64((uint64_t)i >> q) - 64 + p - q) << t;
        uint32_t into = get(to, j, d);
        if (u <= last) {
            into = merged(into, r, d);
        } else { /* one by one: bit d - b stands for u - b, bit d for u */
            for (int b = d; b >= 0; b--) {
                const uint32_t k = u - (uint32_t)b;
                if (b == 0 || (b < (int)u && r >> (d - b) & 1)) into = updated(into, k > last ? k + rise : k, d);
            }
        }
        set(to, j, d, into);
    }
}

static void pcsa_downsize(uint64_t *to, int q, const uint64_t *from, int p) {
    for (int64_t i = 0; i < (int64_t)1 << p; i++) {
        const uint64_t saturated = from[i] & (uint64_t)1 << (64 - p);
        const int rise = leading_zeros64((uint64_t)i >> q) - 64 + p - q;
        to[i & (int64_t)ones(q)] |= (from[i] ^ saturated) | saturated << rise;
    }
}

static void downsize_all(void *to, int q, const void *from, int p, int kind) {
    if (kind == ELL) downsize_registers(to, q, from, p, 2, 24);
    else if (kind == ULL) downsize_registers(to, q, from, p, 0, 2);
    else if (kind == HLL) downsize_registers(to, q, from, p, 0, 0);
    else pcsa_downsize((uint64_t *)to, q, (const uint64_t *)from, p);
}

#endif
