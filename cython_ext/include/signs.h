/* Which numbers are above zero, a bit each, the first in the highest bit of the first byte (as numpy.packbits). */
#ifndef SKETCHES_SIGNS_H
#define SKETCHES_SIGNS_H

#include <stdint.h>
#include <string.h>

#include "simd.h"

/* Eight bytes, 0 or 1, to bits: byte i, at 2^(8 i), times 2^(63 - 9 i) is bit 63 - i, and no other product is above 55. */
static inline uint8_t eight_bits(const uint8_t *on) {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    unsigned bits = 0;
    for (int i = 0; i < 8; i++) bits = bits << 1 | on[i];
    return (uint8_t)bits;
#else
    uint64_t word;
    memcpy(&word, on, 8);
    return (uint8_t)(word * 0x8040201008040201u >> 56);
#endif
}

enum { SIGNS = 64 }; /* at a time */

#define DEFINE_SIGNS(TYPE)                                                                                              \
    SKETCHES_CLONES                                                                                                     \
    static void TYPE##_signs(const TYPE *restrict x, int64_t n, uint8_t *restrict bits) {                               \
        uint8_t on[SIGNS];                                                                                              \
        int64_t i = 0;                                                                                                  \
        for (; i + SIGNS <= n; i += SIGNS) {                                                                            \
            for (int j = 0; j < SIGNS; j++) on[j] = x[i + j] > 0;                                                       \
            for (int j = 0; j < SIGNS / 8; j++) *bits++ = eight_bits(on + 8 * j);                                       \
        }                                                                                                               \
        for (; i < n; i += 8, bits++) {                                                                                 \
            *bits = 0;                                                                                                  \
            for (int j = 0; j < 8 && i + j < n; j++) *bits |= (uint8_t)((x[i + j] > 0) << (7 - j));                     \
        }                                                                                                               \
    }

DEFINE_SIGNS(float)
DEFINE_SIGNS(double)

#endif
