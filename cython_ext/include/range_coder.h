/* A binary range coder: every bit narrows the range [low, low + range) to the part of its probability, and a byte leaves
 * as soon as no later bit can change it (Martin 1979; the carry is held back as Schindler's and Pavlov's coders do).
 * Bits cost their information within 2^-8 of a bit per byte. Trailing zero bytes are not written: behind the end come
 * zeros. */
#ifndef SKETCHES_RANGE_CODER_H
#define SKETCHES_RANGE_CODER_H

#include <stdlib.h>
#include <string.h>
#include "simd.h"

#define PROBABILITY_BITS 16

typedef struct {
    uint64_t low;      /* of the range, 33 bits: the highest one is a carry */
    uint32_t range, code;
    uint8_t *bytes;    /* written, grown as needed; or read */
    int64_t size, at;  /* size: of the room, or of what is read; at: may lie beyond the end when reading */
    int64_t held;      /* bytes that a carry may change: the last one that is not 0xFF, and those after it */
    uint8_t last;      /* the first of these */
    int failed;        /* no memory */
} range_coder;

static void put_byte(range_coder *c, uint8_t byte) {
    if (c->at == c->size) {
        const int64_t size = 2 * c->size + 256;
        uint8_t *bytes = c->failed ? NULL : realloc(c->bytes, (size_t)size);
        if (bytes == NULL) {
            c->failed = 1;
            return;
        }
        c->bytes = bytes;
        c->size = size;
    }
    c->bytes[c->at++] = byte;
}

static void start_writing(range_coder *c) {
    memset(c, 0, sizeof *c);
    c->range = UINT32_MAX;
}

static SKETCHES_OWN void shift_out(range_coder *c) {
    if (c->low < 0xFF000000 || c->low >> 32 || c->held == 0) { /* what is held is known now */
        const uint8_t carry = (uint8_t)(c->low >> 32);
        for (int64_t i = 0; i < c->held; i++) put_byte(c, (uint8_t)((i ? 0xFF : c->last) + carry));
        c->held = 0;
        c->last = (uint8_t)(c->low >> 24);
    }
    c->held++;
    c->low = (c->low & 0x00FFFFFF) << 8;
}

/* Of the numbers in the range the one with the most zeros at its end. */
static void finish_writing(range_coder *c) {
    const uint64_t top = c->low + c->range - 1;
    int zeros = 32;
    while (zeros > 0 && top >> zeros << zeros < c->low) zeros--;
    c->low = top >> zeros << zeros;
    for (int i = 0; i < 5; i++) shift_out(c);
    while (c->at > 0 && c->bytes[c->at - 1] == 0) c->at--;
}

SKETCHES_INLINE uint8_t next_byte(range_coder *c) {
    const int64_t at = c->at++;
    return at < c->size ? c->bytes[at] : 0;
}

static void start_reading(range_coder *c, const uint8_t *bytes, int64_t size) {
    memset(c, 0, sizeof *c);
    c->range = UINT32_MAX;
    c->bytes = (uint8_t *)bytes;
    c->size = size;
    for (int i = 0; i < 4; i++) c->code = c->code << 8 | next_byte(c);
}

/* Whether nothing is left: the coder writes as many bytes as the reader takes, at most. */
static int finished_reading(const range_coder *c) { return c->at >= c->size; }

/* Codes (or reads) a bit that is 1 with probability p / 2^16, 0 < p < 2^16. */
SKETCHES_INLINE int range_bit(range_coder *c, uint32_t p, int bit, const int reading) {
    const uint32_t part = (c->range >> PROBABILITY_BITS) * p;
    if (reading) bit = c->code < part;
    if (bit) c->range = part;
    else {
        if (reading) c->code -= part;
        else c->low += part;
        c->range -= part;
    }
    while (c->range < 1 << 24) {
        c->range <<= 8;
        if (reading) c->code = c->code << 8 | next_byte(c);
        else shift_out(c);
    }
    return bit;
}

/* n <= 16 bits as they are. */
SKETCHES_INLINE uint32_t range_few(range_coder *c, uint32_t value, int n, const int reading) {
    const uint32_t part = c->range >> n;
    if (reading) {
        value = c->code / part;
        if (value >> n) value = (1u << n) - 1; /* in altered bytes */
        c->code -= value * part;
    } else c->low += (uint64_t)value * part;
    c->range = part;
    while (c->range < 1 << 24) {
        c->range <<= 8;
        if (reading) c->code = c->code << 8 | next_byte(c);
        else shift_out(c);
    }
    return value;
}

/* n bits as they are, the lower ones first. */
SKETCHES_INLINE uint64_t range_raw(range_coder *c, uint64_t value, int n, const int reading) {
    uint64_t result = 0;
    for (int i = 0; i < n; i += 16) {
        const int few = n - i < 16 ? n - i : 16;
        result |= (uint64_t)range_few(c, (uint32_t)(value >> i) & ((1u << few) - 1), few, reading) << i;
    }
    return result;
}

#endif
