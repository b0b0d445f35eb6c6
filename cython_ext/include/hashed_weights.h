/* From the hashes of positions to stored values and signs: the bucket is mulhi(hash, size), the sign the lowest bit.
 *
 * The high half of a product of 64 bits is nothing that vectors have. With size < 2^32 and h = hi 2^32 + lo, it is
 * (hi size + (lo size >> 32)) >> 32: two products of 32 bits, whose sum stays below 2^64. */
#ifndef SKETCHES_HASHED_WEIGHTS_H
#define SKETCHES_HASHED_WEIGHTS_H

#include "simd.h"
#include <string.h>

SKETCHES_INLINE uint64_t bucket_of(uint64_t h, uint64_t size) {
    return ((h >> 32) * size + ((h & 0xFFFFFFFF) * size >> 32)) >> 32;
}

SKETCHES_CLONES
static void small_buckets(const uint64_t *hashes, uint64_t size, int64_t *buckets, int64_t n) {
    for (int64_t i = 0; i < n; i++) buckets[i] = (int64_t)bucket_of(hashes[i], size);
}

static void buckets_of(const uint64_t *hashes, uint64_t size, int64_t *buckets, int64_t n) {
    if (size >> 32) for (int64_t i = 0; i < n; i++) buckets[i] = (int64_t)mulhi64(hashes[i], size);
    else small_buckets(hashes, size, buckets, n);
}

/* Values with the sign bit flipped where the hash is odd: an exact product with -1. */
SKETCHES_CLONES
static void gather_floats(const float *values, const uint64_t *hashes, const int64_t *buckets, float *out, int64_t n) {
    const uint32_t *from = (const uint32_t *)values;
    uint32_t *to = (uint32_t *)out;
    for (int64_t i = 0; i < n; i++) to[i] = from[buckets[i]] ^ ((uint32_t)hashes[i] << 31);
}

SKETCHES_CLONES
static void gather_doubles(
    const double *values, const uint64_t *hashes, const int64_t *buckets, double *out, int64_t n) {
    const uint64_t *from = (const uint64_t *)values;
    uint64_t *to = (uint64_t *)out;
    for (int64_t i = 0; i < n; i++) to[i] = from[buckets[i]] ^ (hashes[i] << 63);
}

/* Add numbers, signed, to the sums of their buckets; no branch on the sign, which nothing could predict. */
SKETCHES_INLINE double signed_by(double x, uint64_t h) {
    uint64_t bits;
    memcpy(&bits, &x, 8);
    bits ^= h << 63;
    memcpy(&x, &bits, 8);
    return x;
}

static inline void scatter_floats(
    const float *dense, const uint64_t *hashes, const int64_t *buckets, double *sums, int64_t n) {
    for (int64_t i = 0; i < n; i++) sums[buckets[i]] += signed_by(dense[i], hashes[i]);
}

static inline void scatter_doubles(
    const double *dense, const uint64_t *hashes, const int64_t *buckets, double *sums, int64_t n) {
    for (int64_t i = 0; i < n; i++) sums[buckets[i]] += signed_by(dense[i], hashes[i]);
}

#endif
