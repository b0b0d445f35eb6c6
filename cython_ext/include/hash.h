/* The two hash families: MurmurHash3 (default) and SipHash-2-4 (with a secret key).
 *
 * Sources: A. Appleby, MurmurHash3 (public domain), the x64 128-bit variant and its 64-bit finaliser;
 * J.-P. Aumasson and D. J. Bernstein, "SipHash: a fast short-input PRF" (2012).
 * Words are read with memcpy and are little-endian by definition; big-endian machines swap them. */
#ifndef SKETCHES_HASH_H
#define SKETCHES_HASH_H

#include <stdint.h>
#include <string.h>

#include "simd.h"

SKETCHES_INLINE uint64_t rotate_left(uint64_t x, int r) { return (x << r) | (x >> (64 - r)); }

static inline uint64_t load_le64(const uint8_t *p) {
    uint64_t w;
    memcpy(&w, p, 8);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    w = __builtin_bswap64(w);
#endif
    return w;
}

/* The last n < 8 bytes as a little-endian word; unsigned, so that bytes >= 0x80 do not sign-extend. */
static inline uint64_t load_tail(const uint8_t *p, uint64_t n) {
    uint64_t w = 0;
    for (uint64_t i = 0; i < n; i++) w |= (uint64_t)p[i] << (8 * i);
    return w;
}

#define MIX_1 0xff51afd7ed558ccdULL
#define MIX_2 0xc4ceb9fe1a85ec53ULL

/* Invertible: each step (xor-shift, multiplication by an odd number) is, so distinct integers never collide. */
SKETCHES_INLINE uint64_t mix64(uint64_t x) {
    x ^= x >> 33;
    x *= MIX_1;
    x ^= x >> 33;
    x *= MIX_2;
    x ^= x >> 33;
    return x;
}

#define MURMUR_C1 0x87c37b91114253d5ULL
#define MURMUR_C2 0x4cf5ad432745937fULL

/* MurmurHash3_x64_128: its state after the whole blocks of 16 bytes. */
static inline void murmur3_blocks(const uint8_t *data, uint64_t length, uint64_t *state1, uint64_t *state2) {
    const uint8_t *tail = data + (length & ~(uint64_t)15);
    uint64_t h1 = *state1, h2 = *state2;
    for (; data != tail; data += 16) {
        h1 ^= rotate_left(load_le64(data) * MURMUR_C1, 31) * MURMUR_C2;
        h1 = (rotate_left(h1, 27) + h2) * 5 + 0x52dce729;
        h2 ^= rotate_left(load_le64(data + 8) * MURMUR_C2, 33) * MURMUR_C1;
        h2 = (rotate_left(h2, 31) + h1) * 5 + 0x38495ab5;
    }
    *state1 = h1;
    *state2 = h2;
}

/* Its first 64 bits, from the state and the bytes after the blocks, as two words; a word of 0 bytes is 0 and changes
 * nothing. */
SKETCHES_INLINE uint64_t murmur3_end(uint64_t h1, uint64_t h2, uint64_t k1, uint64_t k2, uint64_t length) {
    h2 ^= rotate_left(k2 * MURMUR_C2, 33) * MURMUR_C1;
    h1 ^= rotate_left(k1 * MURMUR_C1, 31) * MURMUR_C2;
    h1 ^= length;
    h2 ^= length;
    h1 += h2;
    h2 += h1;
    return mix64(h1) + mix64(h2);
}

/* The first and the second word of the 0 to 15 bytes after the whole blocks. */
static inline uint64_t tail_low(const uint8_t *data, uint64_t length) {
    const uint8_t *tail = data + (length & ~(uint64_t)15);
    return (length & 15) >= 8 ? load_le64(tail) : load_tail(tail, length & 15);
}

static inline uint64_t tail_high(const uint8_t *data, uint64_t length) {
    return (length & 15) > 8 ? load_tail(data + (length & ~(uint64_t)15) + 8, (length & 15) - 8) : 0;
}

static inline uint64_t murmur3(const uint8_t *data, uint64_t length, uint32_t seed) {
    uint64_t h1 = seed, h2 = seed;
    murmur3_blocks(data, length, &h1, &h2);
    return murmur3_end(h1, h2, tail_low(data, length), tail_high(data, length), length);
}

/* The same for many byte strings. What must look at each string alone is little: its length, and the 16 bytes that end
 * where it ends, in one read. The rest is a loop without branches, which compilers turn into vector instructions. */
#define TEXTS 128
typedef struct {
    uint64_t h1[TEXTS], h2[TEXTS];     /* after the whole blocks; short strings, the most frequent ones, have none */
    uint64_t low[TEXTS], high[TEXTS];  /* the last 16 bytes, whatever lies before a shorter string */
    uint64_t length[TEXTS];
} text_batch;

static inline void begin_batch(text_batch *batch, uint32_t seed, int64_t n) {
    for (int64_t i = 0; i < n; i++) batch->h1[i] = batch->h2[i] = seed;
}

/* Take a string into a batch; `before`: how many bytes before it are readable, 16 for as many as may be wanted. */
static inline void batch_text(text_batch *batch, int64_t i, const uint8_t *data, uint64_t length, uint64_t before) {
    batch->length[i] = length;
    if (length > 15) murmur3_blocks(data, length, &batch->h1[i], &batch->h2[i]);
    if (before + length >= 16) {
        batch->low[i] = load_le64(data + length - 16);
        batch->high[i] = load_le64(data + length - 8);
    } else {
        const uint64_t few = length & 15; /* all of them */
        uint8_t padded[16] = {0};
        if (few) memcpy(padded + 16 - few, data, few);
        batch->low[i] = load_le64(padded);
        batch->high[i] = load_le64(padded + 8);
    }
}

/* Of n = length mod 16 bytes after the whole blocks, the first 8 are k1 and the others k2. They are the last n of 16: for
 * n > 8, both words shifted down by 16 - n bytes; else the high one by 8 - n. No shift is by 64, which C leaves undefined. */
SKETCHES_CLONES
static void hash_batch(const text_batch *batch, uint64_t *out, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        const uint64_t rest = batch->length[i] & 15, down = 8 * (16 - rest) & 63, low = batch->low[i], high = batch->high[i];
        const uint64_t few = rest ? high >> down : 0, many = low >> down | high << ((64 - down) & 63);
        const uint64_t k1 = rest > 8 ? many : few, k2 = rest > 8 ? high >> down : 0;
        out[i] = murmur3_end(batch->h1[i], batch->h2[i], k1, k2, batch->length[i]);
    }
}

#define SIP_ROUND                                                                                                      \
    v0 += v1; v1 = rotate_left(v1, 13); v1 ^= v0; v0 = rotate_left(v0, 32);                                            \
    v2 += v3; v3 = rotate_left(v3, 16); v3 ^= v2;                                                                      \
    v0 += v3; v3 = rotate_left(v3, 21); v3 ^= v0;                                                                      \
    v2 += v1; v1 = rotate_left(v1, 17); v1 ^= v2; v2 = rotate_left(v2, 32);

static inline uint64_t siphash(const uint8_t *data, uint64_t length, uint64_t k0, uint64_t k1) {
    uint64_t v0 = k0 ^ 0x736f6d6570736575ULL, v1 = k1 ^ 0x646f72616e646f6dULL;
    uint64_t v2 = k0 ^ 0x6c7967656e657261ULL, v3 = k1 ^ 0x7465646279746573ULL, m;
    const uint8_t *tail = data + (length & ~(uint64_t)7);
    for (; data != tail; data += 8) {
        m = load_le64(data);
        v3 ^= m;
        SIP_ROUND SIP_ROUND
        v0 ^= m;
    }
    m = (length << 56) | load_tail(tail, length & 7);
    v3 ^= m;
    SIP_ROUND SIP_ROUND
    v0 ^= m;
    v2 ^= 0xff;
    SIP_ROUND SIP_ROUND SIP_ROUND SIP_ROUND
    return v0 ^ v1 ^ v2 ^ v3;
}

/* siphash() of the eight little-endian bytes of one word, without going through memory. */
static inline uint64_t siphash_word(uint64_t m, uint64_t k0, uint64_t k1) {
    uint64_t v0 = k0 ^ 0x736f6d6570736575ULL, v1 = k1 ^ 0x646f72616e646f6dULL;
    uint64_t v2 = k0 ^ 0x6c7967656e657261ULL, v3 = k1 ^ 0x7465646279746573ULL;
    const uint64_t end = (uint64_t)8 << 56;
    v3 ^= m;
    SIP_ROUND SIP_ROUND
    v0 ^= m;
    v3 ^= end;
    SIP_ROUND SIP_ROUND
    v0 ^= end;
    v2 ^= 0xff;
    SIP_ROUND SIP_ROUND SIP_ROUND SIP_ROUND
    return v0 ^ v1 ^ v2 ^ v3;
}

/* One item's hash belongs to a domain, so that the integer 1, the bytes b"\1" and the tuple (1,) differ. */
enum { DOMAIN_BYTES, DOMAIN_INTEGER, DOMAIN_FLOAT, DOMAIN_BIG_INTEGER, DOMAIN_TUPLE, DOMAIN_TIME, DOMAIN_NULL, DOMAINS };

typedef struct {
    int keyed;               /* 0: MurmurHash3, 1: SipHash */
    uint64_t salt[DOMAINS];  /* MurmurHash3: xored into a word before mix64 */
    uint32_t seed[DOMAINS];  /* MurmurHash3: the seed for bytes */
    uint64_t key[DOMAINS][2];
} hash_spec;

static inline uint64_t hash_word(const hash_spec *spec, int domain, uint64_t word) {
    if (spec->keyed) return siphash_word(word, spec->key[domain][0], spec->key[domain][1]);
    return mix64(word ^ spec->salt[domain]);
}

static inline uint64_t hash_bytes(const hash_spec *spec, int domain, const uint8_t *data, uint64_t length) {
    if (spec->keyed) return siphash(data, length, spec->key[domain][0], spec->key[domain][1]);
    return murmur3(data, length, spec->seed[domain]);
}

/* A number is hashed as an int64 where it is one, else as a float64 where it is one; so 1.0 is 1 and -0.0 is 0.
 * The bounds are exact: -2^63 is an int64, 2^63 is not. NaN fails both comparisons. */
static inline uint64_t hash_double(const hash_spec *spec, double x) {
    uint64_t bits = 0x7ff8000000000000ULL; /* every NaN is one item */
    if (x >= -9223372036854775808.0 && x < 9223372036854775808.0) {
        int64_t whole = (int64_t)x;
        if ((double)whole == x) return hash_word(spec, DOMAIN_INTEGER, (uint64_t)whole);
    }
    if (x == x) memcpy(&bits, &x, 8);
    return hash_word(spec, DOMAIN_FLOAT, bits);
}

static inline void store_le64(uint8_t *p, uint64_t w) {
    for (int i = 0; i < 8; i++) p[i] = (uint8_t)(w >> (8 * i));
}

/* The same rule for unsigned integers; 2^63 <= x is a float64 if its lowest 11 bits are 0. */
static inline uint64_t hash_unsigned(const hash_spec *spec, uint64_t x) {
    if (x < 0x8000000000000000ULL) return hash_word(spec, DOMAIN_INTEGER, x);
    if ((x & 0x7ff) == 0) return hash_double(spec, (double)x);
    uint8_t bytes[16] = {0}; /* two's complement, a whole number of words */
    store_le64(bytes, x);
    return hash_bytes(spec, DOMAIN_BIG_INTEGER, bytes, 16);
}

SKETCHES_CLONES
static void hash_integers_murmur(const int64_t *items, uint64_t *out, int64_t n, uint64_t salt) {
    for (int64_t i = 0; i < n; i++) out[i] = mix64((uint64_t)items[i] ^ salt);
}

static void hash_integers(const hash_spec *spec, const int64_t *items, uint64_t *out, int64_t n) {
    if (!spec->keyed) hash_integers_murmur(items, out, n, spec->salt[DOMAIN_INTEGER]);
    else for (int64_t i = 0; i < n; i++) out[i] = hash_word(spec, DOMAIN_INTEGER, (uint64_t)items[i]);
}

/* Ask for n integers, so that they come from memory while something else is done. */
static inline void fetch_integers(const int64_t *items, int64_t n) {
    for (int64_t i = 0; i < n; i += 8) PREFETCH(items + i);
}

/* Offsets of 32 bits or, if wide, of 64. */
SKETCHES_INLINE int64_t offset_at(const void *offsets, int wide, int64_t i) {
    return wide ? ((const int64_t *)offsets)[i] : ((const int32_t *)offsets)[i];
}

/* How many offsets there are from the first on until one is smaller than the one before; n if none is. */
SKETCHES_CLONES
static int64_t ascending_offsets(const void *offsets, int wide, int64_t n) {
    int descends = 0;
    int64_t i = 1;
    if (wide) for (i = 1; i < n; i++) descends |= offset_at(offsets, 1, i - 1) > offset_at(offsets, 1, i);
    else for (i = 1; i < n; i++) descends |= offset_at(offsets, 0, i - 1) > offset_at(offsets, 0, i);
    if (!descends) return n;
    for (i = 1; offset_at(offsets, wide, i - 1) <= offset_at(offsets, wide, i);) i++;
    return i;
}

/* The byte strings data[offsets[i]] … data[offsets[i + 1] - 1]. */
static void hash_slices(
    const hash_spec *spec, const uint8_t *data, const void *offsets, int wide, uint64_t *out, int64_t n) {
    text_batch batch;
    for (int64_t done = 0; done < n; done += TEXTS) {
        const int64_t size = n - done < TEXTS ? n - done : TEXTS;
        begin_batch(&batch, spec->seed[DOMAIN_BYTES], size);
        for (int64_t i = 0; i < size; i++) {
            const int64_t start = offset_at(offsets, wide, done + i);
            const uint64_t length = (uint64_t)(offset_at(offsets, wide, done + i + 1) - start);
            if (spec->keyed) out[done + i] = hash_bytes(spec, DOMAIN_BYTES, data + start, length);
            else batch_text(&batch, i, data + start, length, (uint64_t)start);
        }
        if (!spec->keyed) hash_batch(&batch, out + done, size);
    }
}

/* One code point of UCS-4 as UTF-8 (surrogates too, as Python's "surrogatepass" writes them). */
static inline uint64_t put_utf8(uint8_t *p, uint32_t c) {
    if (c < 0x80) { p[0] = (uint8_t)c; return 1; }
    if (c < 0x800) { p[0] = (uint8_t)(0xc0 | c >> 6); p[1] = (uint8_t)(0x80 | (c & 63)); return 2; }
    if (c < 0x10000) {
        p[0] = (uint8_t)(0xe0 | c >> 12); p[1] = (uint8_t)(0x80 | (c >> 6 & 63)); p[2] = (uint8_t)(0x80 | (c & 63));
        return 3;
    }
    p[0] = (uint8_t)(0xf0 | c >> 18); p[1] = (uint8_t)(0x80 | (c >> 12 & 63));
    p[2] = (uint8_t)(0x80 | (c >> 6 & 63)); p[3] = (uint8_t)(0x80 | (c & 63));
    return 4;
}

#endif
