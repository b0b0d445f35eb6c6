/* Registers of FlajoletMartin as bits, nearly as few as they hold information.
 *
 * With r = 2^(rate / 4) items a register, the largest value u has probability e^(-r tail(u)) (1 - e^(-r q(u))), and each
 * smaller value k of the window was seen with probability 1 - e^(-r q(k)), all independently (see core/likelihood.py).
 * q is the same for the 2^t values of an octave. So there come first the largest values, by a Huffman code made for this
 * rate. They tell which window bits there are; these come octave by octave, the registers in the order of their largest
 * values (those with the same in the order of their numbers), so that the bits of one octave are throws of one coin: by
 * eights in a Huffman code made for that coin, or, where one side is rare, as the Rice-coded gaps between its throws.
 *
 * Everything is integer arithmetic on the 36 constants of `SEEN`, and the rate follows from the sum of the largest values:
 * a state has the same code everywhere, and only one. Bits are written from the highest of each byte down, into two streams
 * of which the second one is written backwards from the end: whatever has Huffman codes alternates between them, so that
 * a processor works on two codes at once; all else goes to the first one. */
#ifndef SKETCHES_REGISTER_CODE_H
#define SKETCHES_REGISTER_CODE_H

#include <stdlib.h>
#include <string.h>
#include "flajolet_martin.h"
#include "huffman.h"

enum {
    RATES = 256,            /* rate + LEAST_RATE of them */
    LEAST_RATE = 16,        /* rates below -16, a sixteenth of an item a register, are coded as -16 */
    COINS = 17,             /* Huffman codes of eight throws, for probabilities 1 - e^-x with x = 2^(-12/4) … 2^(4/4) */
    FIRST_COIN = -12,
    LEADERS = 64,           /* symbols of the code of largest values; the last one says that 8 bits follow */
    MOST_GAP_BITS = 26
};

/* round(2^32 (1 - exp(-2^(i/4)))) for i = -16 … 19 */
static const uint64_t SEEN[36] = {
    260218914, 307650604, 363331418, 428536181, 504671961, 593264046, 695926927, 814314584, 950043403,
    1104580500, 1279090647, 1474237249, 1689937949, 1925084778, 2177253392, 2442446089, 2714937127, 2987310506,
    3250788872, 3495930986, 3713706681, 3896834746, 4041110048, 4146314470, 4216302226, 4258061421, 4279962874,
    4289822283, 4293526495, 4294650171, 4294914878, 4294961133, 4294966813, 4294967273, 4294967295, 4294967296};

/* The probability that a value was seen whose number of items is Poisson's with mean 2^(i/4), times 2^32. */
static uint64_t seen_share(int i) {
    if (i > 19) return (uint64_t)1 << 32;
    if (i >= -16) return SEEN[i + 16];
    return i < -144 ? 0 : SEEN[i & 3] >> ((-16 - i + 3) >> 2); /* 1 - e^-x is about x */
}

/* Models */

static huffman coins[COINS];
static uint64_t mean_leader[2][RATES]; /* of octaves of one value and of four, times 2^16 */

static uint64_t power(uint64_t q, int exponent) { /* of q / 2^32 */
    uint64_t result = (uint64_t)1 << 32;
    while (exponent-- > 0) result = (result >> 1) * q >> 31;
    return result;
}

/* The probability that u is the largest value. All larger ones together are expected 2^(t+1) - 1 - s times as often as u,
 * the s-th of its octave (from 0), and all values 2^(t+1) times as often as the first. */
static uint64_t leader_share(int rate, int t, int u) {
    const int octave = u > 0 ? (u - 1) >> t : 0, s = (u - 1) & ((1 << t) - 1);
    const uint64_t seen = seen_share(rate - 4 * (octave + 1 + t)), missed = ((uint64_t)1 << 32) - seen;
    return u == 0 ? power(missed, 2 << t) : (power(missed, (2 << t) - 1 - s) >> 1) * seen >> 31;
}

/* The values u - first = 0 … count - 1 have symbols of their own. */
static int first_leader(int rate, int t) {
    const int first = t == 2 ? rate - 18 : (rate >> 2) - 6;
    return first > 0 ? first : 0;
}

static int leader_count(int t) { return t == 2 ? LEADERS - 1 : 20; }

static void make_leaders(huffman *h, int rate, int t) {
    uint64_t weights[LEADERS];
    const int first = first_leader(rate, t), count = leader_count(t);
    for (int i = 0; i < count; i++) weights[i] = leader_share(rate, t, first + i);
    weights[count] = 0;
    make_huffman(h, weights, count + 1);
}

static void make_models(void) {
    for (int i = 0; i < COINS; i++) {
        const uint64_t seen = seen_share(FIRST_COIN + i), missed = ((uint64_t)1 << 32) - seen;
        uint64_t weights[256];
        for (int byte = 0; byte < 256; byte++) {
            int ones = 0;
            for (int bit = 0; bit < 8; bit++) ones += byte >> bit & 1;
            weights[byte] = (power(seen, ones) >> 1) * power(missed, 8 - ones) >> 31;
        }
        make_huffman(coins + i, weights, 256);
    }
    for (int t = 0; t <= 2; t += 2) {
        for (int i = 0; i < RATES; i++) {
            uint64_t sum = 0;
            for (int u = 1; u < 256; u++) sum += u * leader_share(i - LEAST_RATE, t, u);
            mean_leader[t / 2][i] = sum >> 16;
        }
    }
}

/* The rate, plus LEAST_RATE, whose mean is nearest to that of the largest values. */
static int rate_of(uint64_t sum, int64_t m, int t) {
    const uint64_t *mean = mean_leader[t / 2];
    int rate = 0;
    while (rate + 1 < RATES && (mean[rate] + mean[rate + 1]) * (uint64_t)m <= sum << 17) rate++;
    return rate;
}

/* 2^bits is about the median of the gaps between throws of a side with this probability: the best Rice code. */
static int gap_bits(uint64_t share) {
    int bits = 0;
    while (bits < MOST_GAP_BITS && share << (bits + 1) <= 3865470566u) bits++; /* 0.9 * 2^32 */
    return bits;
}

/* Coins: n throws, the first one in the lowest bit of the first byte; 8 bytes may be touched beyond. */

SKETCHES_INLINE uint64_t load64(const uint8_t *bytes) {
    uint64_t word = 0;
    for (int i = 7; i >= 0; i--) word = word << 8 | bytes[i];
    return word;
}

SKETCHES_INLINE void store64(uint8_t *bytes, uint64_t word) {
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)(word >> 8 * i);
}

SKETCHES_CLONES
static void put_throws(bit_writer *w, const uint8_t *throws, int64_t n, int coin) {
    if (coin >= FIRST_COIN && coin < FIRST_COIN + COINS) {
        const huffman *h = coins + (coin - FIRST_COIN);
        bit_writer both[2] = {w[0], w[1]}; /* which no byte that is written can be a part of */
        int64_t i = 0;
        for (; i + 8 <= n >> 3; i += 8) {
            for (int j = 0; j < 8; j++) put_bits(both + (j & 1), h->code[throws[i + j]], h->length[throws[i + j]]);
            flush_bits(both);
            flush_bits(both + 1);
        }
        for (; i < n >> 3; i++) {
            put_bits(both + (i & 1), h->code[throws[i]], h->length[throws[i]]);
            flush_bits(both + (i & 1));
        }
        w[0] = both[0];
        w[1] = both[1];
        put_bits(w, throws[n >> 3] & ones(n & 7), n & 7);
        flush_bits(w);
        return;
    }
    const uint64_t seen = seen_share(coin), usual = seen >> 31 ? UINT64_MAX : 0;
    const int bits = gap_bits(seen >> 31 ? ((uint64_t)1 << 32) - seen : seen);
    int64_t last = -1;
    for (int64_t i = 0; i < n; i += 64) {
        uint64_t rare = (load64(throws + (i >> 3)) ^ usual) & (n - i < 64 ? ones((int)(n - i)) : UINT64_MAX);
        for (; rare; rare &= rare - 1) {
            const int64_t at = i + trailing_zeros64(rare);
            if (last < 0) put_bits(w, 1, 1); /* there are some */
            put_gap(w, (uint64_t)(at - last - 1), bits);
            last = at;
        }
    }
    if (last < 0) put_bits(w, 0, 1);
    else put_gap(w, (uint64_t)(n - last - 1), bits); /* as if one more were rare: it ends the column */
    flush_bits(w);
}

/* Returns whether the gaps end where the throws do. */
SKETCHES_CLONES
static int take_throws(bit_reader *r, uint8_t *throws, int64_t n, int coin) {
    if (coin >= FIRST_COIN && coin < FIRST_COIN + COINS) {
        const huffman *h = coins + (coin - FIRST_COIN);
        int64_t i = 0;
        for (; i + 8 <= n >> 3; i += 8) take_symbols(r, h, throws + i);
        for (; i < n >> 3; i++) throws[i] = (uint8_t)take_symbol(r + (i & 1), h);
        store64(throws + (n >> 3), take_bits(r, n & 7));
        return 1;
    }
    const uint64_t seen = seen_share(coin);
    const int bits = gap_bits(seen >> 31 ? ((uint64_t)1 << 32) - seen : seen);
    memset(throws, seen >> 31 ? 0xFF : 0, (size_t)(n >> 3) + 8);
    if (take_bits(r, 1) == 0) return 1;
    for (uint64_t at = take_gap(r, bits), first = 1;; at += 1 + take_gap(r, bits), first = 0) {
        if (at >= (uint64_t)n) return at == (uint64_t)n && !first;
        throws[at >> 3] ^= (uint8_t)(1 << (at & 7));
    }
}

/* Registers in the order of their largest values: of 64 bits for PCSA, whose own they are, and of 32 for the others. */

typedef struct {
    void *sorted;
    uint8_t *leaders;    /* in the registers' order */
    uint8_t *fields;     /* of each register */
    uint8_t *throws;     /* of one octave */
    uint8_t *stream;     /* the second one, forwards */
    int64_t start[257];  /* of the registers whose largest value is u; those with a smaller one come before */
} sorted_registers;

static int make_room(sorted_registers *s, int kind, int64_t m, int64_t size) {
    uint8_t *room = malloc((size_t)(m * (kind == PCSA ? 8 : 4) + 3 * m + 16 + size + 8));
    s->sorted = room;
    if (room == NULL) return 0;
    s->leaders = room + m * (kind == PCSA ? 8 : 4);
    s->fields = s->leaders + m;
    s->throws = s->fields + m;
    s->stream = s->throws + m + 16;
    return 1;
}

/* From how many have each largest value, in start[u + 1], to where they start. */
static void sum_starts(sorted_registers *s) {
    for (int u = 1; u < 257; u++) s->start[u] += s->start[u - 1];
}

/* How far up a register's bit for value k lies is d - u + k. Only bits of values that the window holds are asked for. */
SKETCHES_INLINE int place_of(const void *sorted, int64_t i, int k, int d, int wide) {
    return wide ? k - 1 : d + k - (int)(((const uint32_t *)sorted)[i] >> d);
}

SKETCHES_INLINE uint32_t get_field(const void *sorted, int64_t i, int place, int wide) {
    return wide ? (uint32_t)(((const uint64_t *)sorted)[i] >> place) : ((const uint32_t *)sorted)[i] >> place;
}

SKETCHES_INLINE void add_field(void *sorted, int64_t i, int place, uint32_t field, int wide) {
    if (wide) ((uint64_t *)sorted)[i] |= (uint64_t)field << place;
    else ((uint32_t *)sorted)[i] |= field << place;
}

/* An octave's bits of the registers from `a` to `b`, whose windows hold all of it. Returns how many bits. */
SKETCHES_INLINE int64_t gather_octave(sorted_registers *s, int64_t a, int64_t b, int k, int t, int d, int wide) {
    const void *sorted = s->sorted;
    uint8_t *fields = s->fields, *throws = s->throws;
    const int64_t n = b - a;
    const int width = 1 << t;
    for (int64_t i = 0; i < n; i++)
        fields[i] = (uint8_t)(get_field(sorted, a + i, place_of(sorted, a + i, k, d, wide), wide) & (uint32_t)ones(width));
    for (int64_t i = n; i < ((n + 7) & ~(int64_t)7); i++) fields[i] = 0;
    if (width == 4) for (int64_t i = 0; i < (n + 1) / 2; i++)
        throws[i] = (uint8_t)(fields[2 * i] | fields[2 * i + 1] << 4);
    else for (int64_t i = 0; i < (n + 7) / 8; i++)
        throws[i] = (uint8_t)(load64(fields + 8 * i) * 0x0102040810204080 >> 56); /* bit 8 i goes to bit 56 + i */
    return n * width;
}

SKETCHES_INLINE int64_t scatter_octave(sorted_registers *s, int64_t a, int64_t b, int k, int t, int d, int wide) {
    void *sorted = s->sorted;
    uint8_t *fields = s->fields, *throws = s->throws;
    const int64_t n = b - a;
    const int width = 1 << t;
    for (int64_t i = 0; i < (n * width + 7) / 8; i++)
        for (int j = 0; j < 8 / width; j++) fields[8 / width * i + j] = throws[i] >> width * j & (uint8_t)ones(width);
    for (int64_t i = 0; i < n; i++)
        add_field(sorted, a + i, place_of(sorted, a + i, k, d, wide), fields[i], wide);
    return n * width;
}

/* The same for those with one largest value, of whose windows only `width` bits from `place` up belong to the octave. */
static int64_t gather_part(sorted_registers *s, int u, int place, int width, int64_t at) {
    const uint32_t *sorted = s->sorted;
    for (int64_t i = s->start[u]; i < s->start[u + 1]; i++, at += width) {
        uint8_t *bytes = s->throws + (at >> 3);
        const uint64_t before = at & 7 ? *bytes & ones(at & 7) : 0;
        store64(bytes, before | (sorted[i] >> place & ones(width)) << (at & 7));
    }
    return at;
}

static int64_t scatter_part(sorted_registers *s, int u, int place, int width, int64_t at) {
    uint32_t *sorted = s->sorted;
    for (int64_t i = s->start[u]; i < s->start[u + 1]; i++, at += width)
        sorted[i] |= (uint32_t)((s->throws[at >> 3] | s->throws[(at >> 3) + 1] << 8) >> (at & 7) & ones(width)) << place;
    return at;
}

/* For each octave that windows reach, gather its throws and put them, or take them and scatter them. Returns whether
 * what was taken is sound. */
SKETCHES_INLINE int code_octaves(
    bit_writer *w, bit_reader *r, sorted_registers *s, int rate, int largest, int t, int d, int wide) {
    int sound = 1;
    for (int octave = 0; (octave << t) + 1 < largest && sound; octave++) {
        const int k = (octave << t) + 1, low = k + (1 << t), high = k + d + 1, coin = rate - 4 * (octave + 1 + t);
        const int64_t a = s->start[low < 256 ? low : 256], b = s->start[high < 256 ? high : 256];
        /* Some reach only the octave's first j values below their own, or its last 4 - j above their windows' ends. */
        int64_t n = (b - a) << t;
        if (w != NULL) n = gather_octave(s, a, b, k, t, d, wide);
        for (int j = 1; j < 1 << t; j++) {
            if (k + j > largest) break;
            const int64_t tops = s->start[k + j + 1] - s->start[k + j];
            const int64_t ends = k + d + j > largest ? 0 : s->start[k + d + j + 1] - s->start[k + d + j];
            if (w == NULL) {
                n += tops * j + ends * (4 - j);
                continue;
            }
            n = gather_part(s, k + j, d - j, j, n);
            if (ends) n = gather_part(s, k + d + j, 0, 4 - j, n);
        }
        if (n == 0) continue;
        if (w != NULL) {
            put_throws(w, s->throws, n, coin);
            continue;
        }
        sound = take_throws(r, s->throws, n, coin);
        n = scatter_octave(s, a, b, k, t, d, wide);
        for (int j = 1; j < 1 << t; j++) {
            if (k + j > largest) break;
            n = scatter_part(s, k + j, d - j, j, n);
            if (k + d + j <= largest) n = scatter_part(s, k + d + j, 0, 4 - j, n);
        }
    }
    return sound;
}

SKETCHES_CLONES
static int ell_octaves(bit_writer *w, bit_reader *r, sorted_registers *s, int rate, int largest) {
    return code_octaves(w, r, s, rate, largest, 2, 24, 0);
}

SKETCHES_CLONES
static int ull_octaves(bit_writer *w, bit_reader *r, sorted_registers *s, int rate, int largest) {
    return code_octaves(w, r, s, rate, largest, 0, 2, 0);
}

SKETCHES_CLONES
static int pcsa_octaves(bit_writer *w, bit_reader *r, sorted_registers *s, int rate, int largest) {
    return code_octaves(w, r, s, rate, largest, 0, 64, 1);
}

static int octaves(bit_writer *w, bit_reader *r, sorted_registers *s, int kind, int rate, int largest) {
    if (kind == ELL) return ell_octaves(w, r, s, rate, largest);
    if (kind == ULL) return ull_octaves(w, r, s, rate, largest);
    return kind == HLL || pcsa_octaves(w, r, s, rate, largest);
}

SKETCHES_INLINE int window_of(int kind) { return kind == ELL ? 24 : kind == ULL ? 2 : 0; }

/* Sort the registers of `leaders` (and so many of each, in start[u + 1]): at first only with their largest values. */
static void sort_registers(sorted_registers *s, const void *registers, int kind, int64_t m, int64_t *next) {
    sum_starts(s);
    memcpy(next, s->start, sizeof s->start);
    for (int64_t i = 0; i < m; i++) {
        const int64_t at = next[s->leaders[i]]++;
        if (kind == PCSA) ((uint64_t *)s->sorted)[at] = ((const uint64_t *)registers)[i];
        else ((uint32_t *)s->sorted)[at] = get(registers, i, window_of(kind));
    }
}

SKETCHES_CLONES
static void put_leaders(bit_writer *w, const uint8_t *leaders, int64_t m, int rate, int t) {
    const unsigned first = (unsigned)first_leader(rate, t), count = (unsigned)leader_count(t);
    bit_writer both[2] = {w[0], w[1]};
    huffman h;
    make_leaders(&h, rate, t);
    for (int64_t i = 0; i < m; i += 4) {
        for (int j = 0; j < 4; j++) { /* two for each stream, of at most CODE_BITS + 8 bits */
            const unsigned symbol = leaders[i + j] - first < count ? leaders[i + j] - first : count;
            put_bits(both + (j & 1), h.code[symbol], h.length[symbol]);
            if (symbol == count) put_bits(both + (j & 1), leaders[i + j], 8);
        }
        flush_bits(both);
        flush_bits(both + 1);
    }
    w[0] = both[0];
    w[1] = both[1];
}

/* Write m = 2^p registers to `bytes`, which have room for 8 more than `size`. Returns how many bytes there would be, were
 * there room for them, or -1 if memory is short. */
static int64_t encode_registers(const void *registers, int kind, int p, uint8_t *bytes, int64_t size) {
    const int64_t m = (int64_t)1 << p;
    const int t = kind == ELL ? 2 : 0, d = window_of(kind);
    sorted_registers s;
    int64_t next[257];
    uint64_t sum = 0;
    int largest = 0;
    if (!make_room(&s, kind, m, size)) return -1;
    memset(s.start, 0, sizeof s.start);
    for (int64_t i = 0; i < m; i++) {
        const int u = kind == PCSA ? 64 - leading_zeros64(((const uint64_t *)registers)[i]) : (int)(get(registers, i, d) >> d);
        s.leaders[i] = (uint8_t)u;
        s.start[u + 1]++;
        sum += (uint64_t)u;
        largest = u > largest ? u : largest;
    }
    const int rate = rate_of(sum, m, t) - LEAST_RATE;
    bit_writer w[2] = {{bytes, size, 0, 0, 0}, {s.stream, size, 0, 0, 0}};
    put_bits(w, (uint64_t)(rate + LEAST_RATE), 8);
    flush_bits(w);
    put_leaders(w, s.leaders, m, rate, t);
    sort_registers(&s, registers, kind, m, next);
    octaves(w, NULL, &s, kind, rate, largest);
    for (int i = 0; i < 2; i++) w[i].used += w[i].fill > 0; /* flushed already, with zeros behind */
    if (w[0].used + w[1].used <= size)
        for (int64_t i = 0; i < w[1].used; i++) bytes[w[0].used + i] = s.stream[w[1].used - 1 - i];
    free(s.sorted);
    return w[0].used + w[1].used;
}

/* Read the largest values, how many registers have each, and their sum; returns the largest of all. */
SKETCHES_CLONES
static int take_leaders(bit_reader *r, sorted_registers *s, int64_t m, int rate, int t, uint64_t *sum) {
    const int first = first_leader(rate, t), count = leader_count(t);
    const int last = first + count < 256 ? count : 256 - first; /* a value has 8 bits: symbols from here on have none */
    huffman h;
    int largest = 0;
    uint64_t all = 0;
    make_leaders(&h, rate, t);
    memset(s->start, 0, sizeof s->start);
    for (int64_t i = 0; i < m; i += 8) {
        uint8_t symbols[8];
        int others = 0;
        take_symbols(r, &h, symbols);
        for (int j = 0; j < 8; j++) {
            s->leaders[i + j] = (uint8_t)(first + symbols[j]);
            others |= symbols[j] >= last;
        }
        if (others) { /* again, one by one */
            for (int j = 0; j < 8; j++) r[j & 1].at -= h.length[symbols[j]];
            for (int j = 0; j < 8; j++) {
                const int symbol = take_symbol(r + (j & 1), &h);
                const int u = symbol == count ? (int)take_bits(r + (j & 1), 8) : first + symbol;
                if (u > 255 || (symbol == count && (unsigned)(u - first) < (unsigned)count)) return 256; /* never written */
                s->leaders[i + j] = (uint8_t)u;
            }
        }
    }
    for (int64_t i = 0; i < m; i++) {
        const int u = s->leaders[i];
        s->start[u + 1]++;
        all += (uint64_t)u;
        largest = u > largest ? u : largest;
    }
    *sum = all;
    return largest;
}

/* Read what `encode_registers` wrote, with values up to `most`. Returns 1, 0 if it never writes such bytes, or -1 if
 * memory is short. */
static int decode_registers(void *registers, int kind, int p, int most, const uint8_t *bytes, int64_t size) {
    const int64_t m = (int64_t)1 << p;
    const int t = kind == ELL ? 2 : 0, d = window_of(kind);
    sorted_registers s;
    uint64_t sum;
    if (!make_room(&s, kind, m, size)) return -1;
    for (int64_t i = 0; i < size; i++) s.stream[i] = bytes[size - 1 - i];
    bit_reader r[2] = {{bytes, size, 0}, {s.stream, size, 0}};
    const int rate = (int)take_bits(r, 8) - LEAST_RATE, largest = take_leaders(r, &s, m, rate, t, &sum);
    int sound = largest <= most && rate_of(sum, m, t) - LEAST_RATE == rate;
    if (sound) {
        sum_starts(&s);
        for (int u = 0; u <= largest; u++) {
            for (int64_t i = s.start[u]; i < s.start[u + 1]; i++) {
                if (kind == PCSA) ((uint64_t *)s.sorted)[i] = (uint64_t)(u > 0) << ((u - 1) & 63);
                else ((uint32_t *)s.sorted)[i] = (uint32_t)u << d;
            }
        }
        sound = octaves(NULL, r, &s, kind, rate, largest);
        for (int64_t i = 0; i < m; i++) {
            const int64_t at = s.start[s.leaders[i]]++;
            if (kind == PCSA) ((uint64_t *)registers)[i] = ((const uint64_t *)s.sorted)[at];
            else set(registers, i, d, ((const uint32_t *)s.sorted)[at]);
        }
        /* The streams meet, and what they leave of their last bytes is 0. */
        for (int i = 0; i < 2; i++) sound = take_bits(r + i, (int)(-r[i].at & 7)) == 0 && sound;
        sound = sound && r[0].at + r[1].at == 8 * size;
    }
    free(s.sorted);
    return sound;
}

/* Tokens, in ascending order: the Rice-coded gap from one's 26 bits of the hash to those of the one before, and its
 * leading zeros as so many ones and a zero, which is as short as can be: half the tokens have none, a quarter one. */
static int64_t encode_tokens(const uint32_t *tokens, int64_t n, uint8_t *bytes, int64_t size) {
    const int bits = gap_bits((uint64_t)n << (32 - TOKEN_BITS));
    bit_writer w = {bytes, size, 0, 0, 0};
    for (int64_t i = 0; i < n; i++) {
        put_gap(&w, (tokens[i] >> 6) - (i > 0 ? tokens[i - 1] >> 6 : 0), bits);
        put_gap(&w, tokens[i] & 63, 0);
    }
    return w.used + (w.fill > 0);
}

/* Returns whether these are the bytes of n tokens, which need not ascend nor have sound zeros. */
static int decode_tokens(uint32_t *tokens, int64_t n, const uint8_t *bytes, int64_t size) {
    const int bits = gap_bits((uint64_t)n << (32 - TOKEN_BITS));
    bit_reader r = {bytes, size, 0};
    uint64_t low = 0;
    for (int64_t i = 0; i < n; i++) {
        low += take_gap(&r, bits);
        const uint64_t zeros = take_gap(&r, 0);
        if (low > ones(TOKEN_BITS) || zeros > 63) return 0;
        tokens[i] = (uint32_t)(low << 6 | zeros);
    }
    return take_bits(&r, (int)(-r.at & 7)) == 0 && r.at == 8 * size;
}

#endif
