/* Loops of the Bloom filter over a block of hashes.
 *
 * Block layout: an item belongs to one block of 8 words (a cache line) and sets one bit in each. The block is the high
 * half of hash * blocks; the bits come from another product of the hash, six of its top bits a word.
 * Classic layout: `probes` bits anywhere, each from a new scrambling of the hash, so that they are independent. */
#ifndef SKETCHES_BLOOM_H
#define SKETCHES_BLOOM_H

#include "hash.h"

#define LANES 8
#define BLOOM_ODD 0x9e3779b97f4a7c15ULL /* 2^64 divided by the golden ratio */
#define BLOOM_AHEAD 16 /* items between the prefetch of a block and its use: about one trip to memory */

static inline uint64_t *block_of(uint64_t *words, uint64_t blocks, uint64_t hash) {
    return words + LANES * mulhi64(hash, blocks);
}

#ifdef __GNUC__ /* GCC and Clang: the eight lanes in one vector, which takes as many registers as it must */
typedef uint64_t lanes __attribute__((vector_size(64)));
typedef uint64_t half_lanes __attribute__((vector_size(32)));

#define LANE_BITS(hash)                                                                                               \
    (((lanes){0} + 1) << ((((lanes){0} + (hash) * BLOOM_ODD) >> (lanes){58, 52, 46, 40, 34, 28, 22, 16}) & 63))

static inline void block_add(uint64_t *block, uint64_t hash) { *(lanes *)block |= LANE_BITS(hash); }

static inline int block_has(const uint64_t *block, uint64_t hash) {
    const union { lanes all; half_lanes half[2]; } missing = {LANE_BITS(hash) & ~*(const lanes *)block};
    const half_lanes any = missing.half[0] | missing.half[1];
    return !(any[0] | any[1] | any[2] | any[3]);
}
#else
static inline uint64_t lane_bit(uint64_t hash, int lane) {
    return (uint64_t)1 << ((hash * BLOOM_ODD >> (58 - 6 * lane)) & 63);
}

static inline void block_add(uint64_t *block, uint64_t hash) {
    for (int lane = 0; lane < LANES; lane++) block[lane] |= lane_bit(hash, lane);
}

static inline int block_has(const uint64_t *block, uint64_t hash) {
    uint64_t missing = 0;
    for (int lane = 0; lane < LANES; lane++) missing |= lane_bit(hash, lane) & ~block[lane];
    return !missing;
}
#endif

static inline uint64_t probe_index(uint64_t hash, uint64_t probe, uint64_t bits) {
    return mulhi64(mix64(hash + probe * BLOOM_ODD), bits);
}

static inline void classic_add(uint64_t *words, uint64_t bits, int probes, uint64_t hash) {
    for (int probe = 1; probe <= probes; probe++) {
        uint64_t index = probe_index(hash, probe, bits);
        words[index >> 6] |= (uint64_t)1 << (index & 63);
    }
}

static inline int classic_has(const uint64_t *words, uint64_t bits, int probes, uint64_t hash) {
    for (int probe = 1; probe <= probes; probe++) {
        uint64_t index = probe_index(hash, probe, bits);
        if (!(words[index >> 6] >> (index & 63) & 1)) return 0;
    }
    return 1;
}

/* `counts` may be NULL: one each. An item counted 0 times was not seen. */
SKETCHES_CLONES
static void block_add_all(uint64_t *words, uint64_t blocks, const uint64_t *hashes, const int64_t *counts, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        if (i + BLOOM_AHEAD < n) PREFETCH(block_of(words, blocks, hashes[i + BLOOM_AHEAD]));
        if (!counts || counts[i]) block_add(block_of(words, blocks, hashes[i]), hashes[i]);
    }
}

SKETCHES_CLONES
static void block_has_all(uint64_t *words, uint64_t blocks, const uint64_t *hashes, uint8_t *out, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        if (i + BLOOM_AHEAD < n) PREFETCH(block_of(words, blocks, hashes[i + BLOOM_AHEAD]));
        out[i] = (uint8_t)block_has(block_of(words, blocks, hashes[i]), hashes[i]);
    }
}

/* No prefetching: the probes of an item do not wait for each other, and those of the next start meanwhile. */
static void classic_add_all(
    uint64_t *words, uint64_t bits, int probes, const uint64_t *hashes, const int64_t *counts, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (!counts || counts[i]) classic_add(words, bits, probes, hashes[i]);
}

static void classic_has_all(
    const uint64_t *words, uint64_t bits, int probes, const uint64_t *hashes, uint8_t *out, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = (uint8_t)classic_has(words, bits, probes, hashes[i]);
}

/* The number of ones: in pairs of bits, in nibbles, in bytes; the product's top byte is the sum of all bytes. */
static inline uint64_t count_ones(uint64_t x) {
    x -= (x >> 1) & 0x5555555555555555ULL;
    x = (x & 0x3333333333333333ULL) + ((x >> 2) & 0x3333333333333333ULL);
    x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
    return (x * 0x0101010101010101ULL) >> 56;
}

/* The sum over blocks of the product of the lanes' ones: divided by 64^8 = 2^48 and by the number of blocks, the
 * probability that an item's block has all its eight bits. A product is at most 2^48, an integer. */
SKETCHES_CLONES
static double sum_of_products(const uint64_t *words, uint64_t blocks) {
    double sum = 0;
    for (uint64_t i = 0; i < blocks; i++) {
        uint64_t product = 1;
        for (int lane = 0; lane < LANES; lane++) product *= count_ones(words[LANES * i + lane]);
        sum += (double)product;
    }
    return sum;
}

#endif
