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

#ifdef SKETCHES_AVX512
/* Comparisons give masks, whose first bit is the lowest: the bits of each byte are turned around. */
__attribute__((target("avx512f")))
static int64_t float_signs_avx512(const float *x, int64_t n, uint8_t *bits) {
    int64_t i = 0;
    for (; i + SIGNS <= n; i += SIGNS, bits += SIGNS / 8) {
        uint64_t word = 0;
        for (int j = 0; j < SIGNS; j += 16)
            word |= (uint64_t)_mm512_cmp_ps_mask(_mm512_loadu_ps(x + i + j), _mm512_setzero_ps(), _CMP_GT_OQ) << j;
        word = (word >> 1 & 0x5555555555555555u) | (word & 0x5555555555555555u) << 1;
        word = (word >> 2 & 0x3333333333333333u) | (word & 0x3333333333333333u) << 2;
        word = (word >> 4 & 0x0f0f0f0f0f0f0f0fu) | (word & 0x0f0f0f0f0f0f0f0fu) << 4;
        memcpy(bits, &word, 8);
    }
    return i;
}
#endif

/* Write the bits of some rows of numbers, each of which begins a byte; `step` bytes lie between rows. */
static void float_rows(const float *x, int64_t rows, int64_t size, uint8_t *bits, int64_t step) {
    int64_t done = 0;
    for (int64_t row = 0; row < rows; row++, x += size, bits += step) {
#ifdef SKETCHES_AVX512
        done = has_avx512() ? float_signs_avx512(x, size, bits) : 0;
#endif
        float_signs(x + done, size - done, bits + done / 8);
    }
}

static void double_rows(const double *x, int64_t rows, int64_t size, uint8_t *bits, int64_t step) {
    for (int64_t row = 0; row < rows; row++) double_signs(x + row * size, size, bits + row * step);
}

#endif
