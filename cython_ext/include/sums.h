/* Exact sums of many int64. */
#ifndef SKETCHES_SUMS_H
#define SKETCHES_SUMS_H

#include <stdint.h>

#include "simd.h"

typedef struct {
    uint64_t high, low; /* the sum is high * 2^32 + low */
} size_sum;

/* The sum of the absolute values of up to 2^32 numbers: the two halves of their bits are added apart. */
SKETCHES_CLONES
static size_sum sum_sizes(const int64_t *x, int64_t n) {
    size_sum sum = {0, 0};
    for (int64_t i = 0; i < n; i++) {
        const uint64_t size = x[i] < 0 ? -(uint64_t)x[i] : (uint64_t)x[i];
        sum.high += size >> 32;
        sum.low += (uint32_t)size;
    }
    return sum;
}

#endif
