/* Little-endian numbers at any address. */
#ifndef SKETCHES_WIRE_H
#define SKETCHES_WIRE_H

#include <stdint.h>
#include <string.h>

#include "simd.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define LITTLE64(x) __builtin_bswap64(x)
#define LITTLE32(x) __builtin_bswap32(x)
#else
#define LITTLE64(x) (x)
#define LITTLE32(x) (x)
#endif

SKETCHES_INLINE uint64_t read64(const uint8_t *p) {
    uint64_t x;
    memcpy(&x, p, 8);
    return LITTLE64(x);
}

SKETCHES_INLINE uint32_t read32(const uint8_t *p) {
    uint32_t x;
    memcpy(&x, p, 4);
    return LITTLE32(x);
}

SKETCHES_INLINE void write64(uint8_t *p, uint64_t x) {
    x = LITTLE64(x);
    memcpy(p, &x, 8);
}

SKETCHES_INLINE void write32(uint8_t *p, uint32_t x) {
    x = LITTLE32(x);
    memcpy(p, &x, 4);
}

SKETCHES_INLINE double read_double(const uint8_t *p) {
    const uint64_t bits = read64(p);
    double x;
    memcpy(&x, &bits, 8);
    return x;
}

SKETCHES_INLINE void write_double(uint8_t *p, double x) {
    uint64_t bits;
    memcpy(&bits, &x, 8);
    write64(p, bits);
}

/* The least and the largest of n signed (flip = 0) or unsigned (flip = 1 << 63: it moves them to the order of signed
 * ones) numbers; n is at least 1. */
SKETCHES_CLONES
static void find_range(const uint8_t *p, int64_t n, uint64_t flip, int64_t *least, int64_t *most) {
    int64_t low = (int64_t)(read64(p) ^ flip), high = low;
    for (int64_t i = 1; i < n; i++) {
        const int64_t x = (int64_t)(read64(p + 8 * i) ^ flip);
        low = x < low ? x : low;
        high = x > high ? x : high;
    }
    *least = (int64_t)((uint64_t)low ^ flip);
    *most = (int64_t)((uint64_t)high ^ flip);
}

#endif
