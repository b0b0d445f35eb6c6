/* The CRC-32 of zlib, gzip and Ethernet: the same number, faster.
 *
 * Polynomials over GF(2). The bytes are the coefficients of a message M, the lowest bit of the first byte being that of
 * the highest power: all numbers are reflected, bit i of a word of w bits is the coefficient of x^(w-1-i). Started from
 * a state s, the state after n bits is (s x^n + M x^32) mod P. zlib inverts all bits before and after.
 *
 * Whatever is congruent to M modulo P has the same state. So 128 bits A = H x^64 + L, with D bits behind them, may be
 * added to the 128 bits that end those D bits, if multiplied by x^D:
 *
 *     A x^D = H (x^(D+64) mod P) + L (x^D mod P)   (mod P)
 *
 * where both products have fewer than 64 + 32 bits. The carry-less product of two reflected words of 64 bits is a
 * reflected number of 127 bits; read as one of 128 it stands for the product times x. Hence the powers below are one
 * less. What remains, 16 bytes congruent to all before them, is a message like any other. */
#ifndef SKETCHES_CRC32_H
#define SKETCHES_CRC32_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "simd.h"

#define CRC32_POLYNOMIAL 0xEDB88320u /* P without x^32 */

static uint32_t crc32_tables[8][256];

/* One byte at a time there is a table: of each byte, the state after it from state 0. Table k holds the states after k
 * zero bytes more, so that eight bytes, each with those behind it, are looked up at once. */
static void crc32_make_tables(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t state = byte;
        for (int bit = 0; bit < 8; bit++) state = state >> 1 ^ (CRC32_POLYNOMIAL & -(state & 1));
        crc32_tables[0][byte] = state;
    }
    for (int k = 1; k < 8; k++)
        for (int byte = 0; byte < 256; byte++) {
            const uint32_t before = crc32_tables[k - 1][byte];
            crc32_tables[k][byte] = before >> 8 ^ crc32_tables[0][before & 255];
        }
}

static uint32_t crc32_by_table(uint32_t state, const uint8_t *p, size_t n) {
    for (; n >= 8; p += 8, n -= 8) {
        const uint32_t first = state ^ (p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
        state = crc32_tables[7][first & 255] ^ crc32_tables[6][first >> 8 & 255] ^ crc32_tables[5][first >> 16 & 255] ^
                crc32_tables[4][first >> 24] ^ crc32_tables[3][p[4]] ^ crc32_tables[2][p[5]] ^ crc32_tables[1][p[6]] ^
                crc32_tables[0][p[7]];
    }
    for (; n; p++, n--) state = state >> 8 ^ crc32_tables[0][(state ^ *p) & 255];
    return state;
}

#ifdef SKETCHES_AVX512

/* x^n mod P, reflected in 64 bits. */
static uint64_t crc32_power(int n) {
    uint32_t power = 1u << 31;
    for (; n; n--) power = power >> 1 ^ (CRC32_POLYNOMIAL & -(power & 1));
    return (uint64_t)power << 32;
}

enum { CRC32_FOLD_16, CRC32_FOLD_64, CRC32_FOLD_256, CRC32_FOLDS }; /* by the distance D, in bytes */
static uint64_t crc32_folds[CRC32_FOLDS][2];                        /* for H, for L */

static void crc32_make_folds(void) {
    static const int distances[CRC32_FOLDS] = {16, 64, 256};
    for (int i = 0; i < CRC32_FOLDS; i++) {
        crc32_folds[i][0] = crc32_power(8 * distances[i] + 63);
        crc32_folds[i][1] = crc32_power(8 * distances[i] - 1);
    }
}

#define CRC32_128 __attribute__((target("sse4.1,pclmul")))
#define CRC32_512 __attribute__((target("avx512f,vpclmulqdq")))

CRC32_128 static inline __m128i crc32_fold(__m128i a, __m128i by, __m128i next) {
    return _mm_xor_si128(next, _mm_xor_si128(_mm_clmulepi64_si128(a, by, 0x00), _mm_clmulepi64_si128(a, by, 0x11)));
}

/* 64 bytes or more: four lanes of 16 bytes, each added to the bytes 64 further on; then each lane to the next. */
CRC32_128 static uint32_t crc32_by_128(uint32_t state, const uint8_t *p, size_t n) {
    const __m128i far = _mm_loadu_si128((const __m128i *)crc32_folds[CRC32_FOLD_64]);
    const __m128i near = _mm_loadu_si128((const __m128i *)crc32_folds[CRC32_FOLD_16]);
    __m128i lanes[4], last;
    uint8_t rest[16];
    for (int i = 0; i < 4; i++) lanes[i] = _mm_loadu_si128((const __m128i *)p + i);
    lanes[0] = _mm_xor_si128(lanes[0], _mm_cvtsi32_si128((int)state)); /* s x^n */
    for (p += 64, n -= 64; n >= 64; p += 64, n -= 64)
        for (int i = 0; i < 4; i++) lanes[i] = crc32_fold(lanes[i], far, _mm_loadu_si128((const __m128i *)p + i));
    last = crc32_fold(lanes[0], near, lanes[1]);
    last = crc32_fold(last, near, lanes[2]);
    last = crc32_fold(last, near, lanes[3]);
    for (; n >= 16; p += 16, n -= 16) last = crc32_fold(last, near, _mm_loadu_si128((const __m128i *)p));
    _mm_storeu_si128((__m128i *)rest, last);
    return crc32_by_table(crc32_by_table(0, rest, 16), p, n);
}

CRC32_512 static inline __m512i crc32_fold_wide(__m512i a, __m512i by, __m512i next) {
    return _mm512_ternarylogic_epi64(
        next, _mm512_clmulepi64_epi128(a, by, 0x00), _mm512_clmulepi64_epi128(a, by, 0x11), 0x96); /* a ^ b ^ c */
}

/* 256 bytes or more: sixteen lanes; what remains of them are 256 bytes for the function above. */
CRC32_512 static uint32_t crc32_by_512(uint32_t state, const uint8_t *p, size_t n) {
    const __m512i far = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)crc32_folds[CRC32_FOLD_256]));
    __m512i lanes[4];
    uint8_t rest[256];
    for (int i = 0; i < 4; i++) lanes[i] = _mm512_loadu_si512(p + 64 * i);
    lanes[0] = _mm512_xor_si512(lanes[0], _mm512_zextsi128_si512(_mm_cvtsi32_si128((int)state)));
    for (p += 256, n -= 256; n >= 256; p += 256, n -= 256)
        for (int i = 0; i < 4; i++) lanes[i] = crc32_fold_wide(lanes[i], far, _mm512_loadu_si512(p + 64 * i));
    for (int i = 0; i < 4; i++) _mm512_storeu_si512(rest + 64 * i, lanes[i]);
    state = crc32_by_128(0, rest, 256);
    return n >= 64 ? crc32_by_128(state, p, n) : crc32_by_table(state, p, n);
}

static int crc32_widest; /* of the paths that the processor has */

static void crc32_prepare(void) {
    crc32_make_tables();
    crc32_make_folds();
    if (__builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1")) {
        crc32_widest = 1;
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("vpclmulqdq")) crc32_widest = 2;
    }
}

/* The checksum, by the path of that number or, where bytes are too few for it to be faster, a narrower one. */
static uint32_t crc32_by(int path, const uint8_t *p, size_t n) {
    if (path >= 2 && n >= 1024) return ~crc32_by_512(~0u, p, n);
    if (path >= 1 && n >= 64) return ~crc32_by_128(~0u, p, n);
    return ~crc32_by_table(~0u, p, n);
}

#else

enum { crc32_widest = 0 };

static void crc32_prepare(void) { crc32_make_tables(); }

static uint32_t crc32_by(int path, const uint8_t *p, size_t n) {
    (void)path;
    return ~crc32_by_table(~0u, p, n);
}

#endif

#endif
