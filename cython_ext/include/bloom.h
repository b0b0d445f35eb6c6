/* Loops of the Bloom filter over a block of hashes.
 *
 * Block layout: an item belongs to one block of 8 words (a cache line) and sets one bit in each. The block is the high
 * half of hash * blocks; the bits come from another product of the hash, six of its top bits a word.
 * Two lines: an item belongs to a block of the table's first half and, by another scrambling of the hash, to one of the
 * second half. In each it sets one bit in seven of the eight words; three bits of that product name the word left out.
 * Classic layout: `probes` bits anywhere, each from a new scrambling of the hash, so that they are independent. */
#ifndef SKETCHES_BLOOM_H
#define SKETCHES_BLOOM_H

#include "hash.h"

#define LANES 8
#define BLOOM_ODD 0x9e3779b97f4a7c15ULL /* 2^64 divided by the golden ratio */
#define ALL_LANES 0x0101010101010101ULL

#define GROUP 256      /* items whose places are computed before the first is visited; their arrays stay in L1 */
#define BLOOM_AHEAD 24 /* items between the prefetch of a place and its use: about one trip to memory */
#define FAR (1 << 16)  /* words, 512 KiB: the processor looks ahead far enough by itself to hide the trip to the L2 cache */

/* mulhi64 in products of 32 bits, which vectors have; for factors below 2^32 in two of them, the loop unswitched. */
static inline uint64_t scale(uint64_t a, uint64_t b) {
    const uint64_t a_low = (uint32_t)a, a_high = a >> 32, b_low = (uint32_t)b, b_high = b >> 32;
    const uint64_t middle = a_high * b_low + (a_low * b_low >> 32); /* at most (2^32 - 1)^2 + 2^32 - 2: no carry */
    if (!b_high) return middle >> 32;
    return a_high * b_high + (middle >> 32) + ((a_low * b_high + (uint32_t)middle) >> 32);
}

static inline uint64_t probe_hash(uint64_t hash, int probe) { return mix64(hash + (uint64_t)probe * BLOOM_ODD); }

/* How blocks are used. Items have `lines` of them; `blocks` is the number in which each is chosen: all, or a half. */
typedef struct {
    uint64_t *words;
    uint64_t blocks;
    int lines;
} block_table;

/* The hash that chooses an item's block and bits in a line. */
static inline uint64_t line_hash(uint64_t hash, int line) { return line ? probe_hash(hash, line) : hash; }

static inline uint64_t *block_of(const block_table *table, int line, uint64_t hash) {
    return table->words + LANES * ((uint64_t)line * table->blocks + mulhi64(hash, table->blocks));
}

/* The lane left out where there are two lines; else none, which is called LANES. */
static inline uint64_t lane_left_out(uint64_t lots, int lines) { return lines == 2 ? lots >> 13 & 7 : LANES; }

/* The bits of an item, from `lots` = hash * BLOOM_ODD: lane i is given the six bits below bit 64 - 6 i, lane `out` none.
 * lanes_seen: a byte for each lane, whose lowest bit says whether the item's bit is set, as it does for lane `out`; the
 * others are anything. */
#ifdef __GNUC__ /* GCC and Clang: the eight lanes in one vector, which takes as many registers as it must */
typedef uint64_t lanes __attribute__((vector_size(64)));
typedef uint8_t lane_bytes __attribute__((vector_size(8)));
#define BITS_OF(lots) (((lanes){0} + (lots)) >> (lanes){58, 52, 46, 40, 34, 28, 22, 16} & 63)
#define EQUAL_LANE(out) ((lanes)((lanes){0, 1, 2, 3, 4, 5, 6, 7} == (lanes){0} + (out))) /* all ones there, else 0 */

static inline void lanes_add(uint64_t *block, uint64_t lots, uint64_t out) {
    *(lanes *)block |= (((lanes){0} + 1) & ~EQUAL_LANE(out)) << BITS_OF(lots);
}

static inline uint64_t lanes_seen(const uint64_t *block, uint64_t lots, uint64_t out) {
    const lane_bytes seen =
        __builtin_convertvector(*(const lanes *)block >> BITS_OF(lots) | EQUAL_LANE(out), lane_bytes);
    uint64_t all;
    memcpy(&all, &seen, 8);
    return all;
}
#else
static inline void lanes_add(uint64_t *block, uint64_t lots, uint64_t out) {
    for (uint64_t lane = 0; lane < LANES; lane++)
        block[lane] |= (uint64_t)(lane != out) << (lots >> (58 - 6 * lane) & 63);
}

static inline uint64_t lanes_seen(const uint64_t *block, uint64_t lots, uint64_t out) {
    uint64_t all = 0;
    for (uint64_t lane = 0; lane < LANES; lane++)
        all |= (block[lane] >> (lots >> (58 - 6 * lane) & 63) & 1 | (lane == out)) << (8 * lane);
    return all;
}
#endif

/* In the following, `lines` is a constant to the compiler. */
SKETCHES_INLINE void lines_add(const block_table *table, int lines, uint64_t hash) {
    for (int line = 0; line < lines; line++) {
        const uint64_t h = line_hash(hash, line), lots = h * BLOOM_ODD;
        lanes_add(block_of(table, line, h), lots, lane_left_out(lots, lines));
    }
}

SKETCHES_INLINE int lines_have(const block_table *table, int lines, uint64_t hash) {
    for (int line = 0; line < lines; line++) {
        const uint64_t h = line_hash(hash, line), lots = h * BLOOM_ODD;
        const uint64_t seen = lanes_seen(block_of(table, line, h), lots, lane_left_out(lots, lines));
        if ((seen & ALL_LANES) != ALL_LANES) return 0;
    }
    return 1;
}

SKETCHES_CLONES
static void block_add(const block_table *table, uint64_t hash) {
    if (table->lines == 1) lines_add(table, 1, hash);
    else lines_add(table, 2, hash);
}

SKETCHES_CLONES
static int block_has(const block_table *table, uint64_t hash) {
    return table->lines == 1 ? lines_have(table, 1, hash) : lines_have(table, 2, hash);
}

static inline void classic_add(uint64_t *words, uint64_t bits, int probes, uint64_t hash) {
    for (int probe = 1; probe <= probes; probe++) {
        uint64_t index = mulhi64(probe_hash(hash, probe), bits);
        words[index >> 6] |= (uint64_t)1 << (index & 63);
    }
}

static inline int classic_has(const uint64_t *words, uint64_t bits, int probes, uint64_t hash) {
    for (int probe = 1; probe <= probes; probe++) {
        uint64_t index = mulhi64(probe_hash(hash, probe), bits);
        if (!(words[index >> 6] >> (index & 63) & 1)) return 0;
    }
    return 1;
}

/* The places of a group's items in the table, as words, and what chooses their bits. */
typedef struct {
    uint64_t first[GROUP];
    uint64_t lots[GROUP];
} block_group;

static inline int group_size(int64_t n) { return n < GROUP ? (int)n : GROUP; }

SKETCHES_INLINE void find_blocks(
    block_group *group, const block_table *table, int line, const uint64_t *hashes, int size) {
    const uint64_t start = LANES * (uint64_t)line * table->blocks, blocks = table->blocks;
    for (int i = 0; i < size; i++) {
        const uint64_t h = line_hash(hashes[i], line);
        group->first[i] = start + LANES * scale(h, blocks);
        group->lots[i] = h * BLOOM_ODD;
    }
}

/* `counts` may be NULL: one each. An item counted 0 times was not seen. */
SKETCHES_INLINE void lines_add_all(
    const block_table *table, int lines, const uint64_t *hashes, const int64_t *counts, int64_t n) {
    const int far = (uint64_t)lines * table->blocks > FAR / LANES;
    uint64_t *const words = table->words; /* in a register, though the words might lie over the table's description */
    block_group group;
    for (int64_t start = 0; start < n; start += GROUP) {
        const int size = group_size(n - start);
        for (int line = 0; line < lines; line++) {
            find_blocks(&group, table, line, hashes + start, size);
            for (int i = 0; i < size; i++) {
                if (far && i + BLOOM_AHEAD < size) PREFETCH(words + group.first[i + BLOOM_AHEAD]);
                if (!counts || counts[start + i])
                    lanes_add(words + group.first[i], group.lots[i], lane_left_out(group.lots[i], lines));
            }
        }
    }
}

/* Whether each item of a group has all its bits in a line. */
SKETCHES_INLINE void line_has_all(
    const block_table *table, int lines, int line, const uint64_t *hashes, uint8_t *out, int size) {
    const int far = (uint64_t)lines * table->blocks > FAR / LANES;
    const uint64_t *const words = table->words;
    block_group group;
    uint64_t seen[GROUP];
    find_blocks(&group, table, line, hashes, size);
    for (int i = 0; i < size; i++) {
        if (far && i + BLOOM_AHEAD < size) PREFETCH(words + group.first[i + BLOOM_AHEAD]);
        seen[i] = lanes_seen(words + group.first[i], group.lots[i], lane_left_out(group.lots[i], lines));
    }
    for (int i = 0; i < size; i++) out[i] = (seen[i] & ALL_LANES) == ALL_LANES;
}

SKETCHES_CLONES
static void block_add_all(const block_table *table, const uint64_t *hashes, const int64_t *counts, int64_t n) {
    if (table->lines == 1) lines_add_all(table, 1, hashes, counts, n);
    else lines_add_all(table, 2, hashes, counts, n);
}

/* Only the items that the first line does not tell to be absent are looked for in the second. */
SKETCHES_CLONES
static void block_has_all(const block_table *table, const uint64_t *hashes, uint8_t *out, int64_t n) {
    for (int64_t start = 0; start < n; start += GROUP) {
        const int size = group_size(n - start);
        if (table->lines == 1) {
            line_has_all(table, 1, 0, hashes + start, out + start, size);
            continue;
        }
        uint64_t left[GROUP];
        uint16_t place[GROUP];
        uint8_t found[GROUP];
        int kept = 0;
        line_has_all(table, 2, 0, hashes + start, out + start, size);
        for (int i = 0; i < size; i++) {
            left[kept] = hashes[start + i];
            place[kept] = (uint16_t)i;
            kept += out[start + i];
        }
        line_has_all(table, 2, 1, left, found, kept);
        for (int i = 0; i < kept; i++) out[start + place[i]] = found[i];
    }
}

/* A round computes one probe's places of a whole group, then visits them: the processor has many trips to memory under
 * way at once, since none waits for another. */
SKETCHES_CLONES
static void classic_add_all(
    uint64_t *words, uint64_t bits, int probes, const uint64_t *hashes, const int64_t *counts, int64_t n) {
    uint64_t index[GROUP];
    for (int64_t start = 0; start < n; start += GROUP) {
        const int size = group_size(n - start);
        for (int probe = 1; probe <= probes; probe++) {
            for (int i = 0; i < size; i++) index[i] = scale(probe_hash(hashes[start + i], probe), bits);
            for (int i = 0; i < size; i++)
                if (!counts || counts[start + i]) words[index[i] >> 6] |= (uint64_t)1 << (index[i] & 63);
        }
    }
}

/* After every other round, only the items whose bits were all set so far go on. */
SKETCHES_CLONES
static void classic_has_all(
    const uint64_t *words, uint64_t bits, int probes, const uint64_t *hashes, uint8_t *out, int64_t n) {
    uint64_t hash[GROUP], index[GROUP], seen[GROUP];
    uint16_t place[GROUP];
    for (int64_t start = 0; start < n; start += GROUP) {
        int left = group_size(n - start);
        memset(out + start, 0, (size_t)left);
        for (int i = 0; i < left; i++) {
            hash[i] = hashes[start + i];
            place[i] = (uint16_t)i;
            seen[i] = 1;
        }
        for (int probe = 1; probe <= probes && left; probe++) {
            for (int i = 0; i < left; i++) index[i] = scale(probe_hash(hash[i], probe), bits);
            for (int i = 0; i < left; i++) seen[i] &= words[index[i] >> 6] >> (index[i] & 63);
            if (probe % 2 == 0 || probe == probes) {
                int kept = 0;
                for (int i = 0; i < left; i++) {
                    hash[kept] = hash[i];
                    place[kept] = place[i];
                    kept += (int)seen[i];
                }
                left = kept;
                for (int i = 0; i < left; i++) seen[i] = 1;
            }
        }
        for (int i = 0; i < left; i++) out[start + place[i]] = 1;
    }
}

/* The number of ones: in pairs of bits, in nibbles, in bytes; the product's top byte is the sum of all bytes. */
static inline uint64_t count_ones(uint64_t x) {
    x -= (x >> 1) & 0x5555555555555555ULL;
    x = (x & 0x3333333333333333ULL) + ((x >> 2) & 0x3333333333333333ULL);
    x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
    return (x * 0x0101010101010101ULL) >> 56;
}

/* The sum over blocks of the product of the lanes' ones: divided by 64^8 = 2^48 and by the number of blocks, the
 * probability that an item's block has all its eight bits. Where one lane is left out, the product is the sum of the
 * eight products of seven lanes, to be divided by 8 64^7 = 2^45. Both are at most that, integers. */
SKETCHES_CLONES
static double sum_of_products(const uint64_t *words, uint64_t blocks, int lines) {
    double sum = 0;
    for (uint64_t i = 0; i < blocks; i++) {
        uint64_t all = 1, without_one = 0; /* (all, without_one) by one lane more: all times it, or all without it */
        for (int lane = 0; lane < LANES; lane++) {
            const uint64_t ones = count_ones(words[LANES * i + lane]);
            without_one = without_one * ones + all;
            all *= ones;
        }
        sum += (double)(lines == 2 ? without_one : all);
    }
    return sum;
}

/* Whether the blocks are as items leave them: with bits in all lanes, but one where there are two lines, or in none; and
 * used in both lines or in neither. */
SKETCHES_CLONES
static int whole_blocks(const block_table *table) {
    int wrong = 0, used[2] = {0, 0};
    for (int line = 0; line < table->lines; line++) {
        for (uint64_t i = line * table->blocks; i < (line + 1) * table->blocks; i++) {
            int filled = 0;
            for (int lane = 0; lane < LANES; lane++) filled += table->words[LANES * i + lane] != 0;
            wrong |= filled && filled < LANES + 1 - table->lines;
            used[line] |= filled;
        }
    }
    return !wrong && (table->lines == 1 || !used[0] == !used[1]);
}

#endif
