/* Bits one after the other, from the highest of each byte down; and Rice's code of gaps: the lowest bits as they are,
 * after the others as so many ones and a zero. */
#ifndef SKETCHES_BIT_STREAM_H
#define SKETCHES_BIT_STREAM_H

#include "flajolet_martin.h"

/* Bits out: what does not fit is counted but not written. */

typedef struct {
    uint8_t *bytes; /* with room for 8 beyond `size` */
    int64_t size, used;
    uint64_t bits;  /* not flushed yet: the lowest `fill` */
    int fill;
} bit_writer;

SKETCHES_INLINE void put_bits(bit_writer *w, uint64_t value, int n) { /* fill + n <= 64; fill is below 8 when flushed */
    w->bits = w->bits << n | value;
    w->fill += n;
}

SKETCHES_INLINE void flush_bits(bit_writer *w) {
    const uint64_t word = w->bits << 1 << (63 - w->fill);
    if (w->used <= w->size)
        for (int i = 0; i < 8; i++) w->bytes[w->used + i] = (uint8_t)(word >> (56 - 8 * i));
    w->used += w->fill >> 3;
    w->fill &= 7;
}

static void put_gap(bit_writer *w, uint64_t gap, int bits) {
    uint64_t whole = gap >> bits;
    for (; whole >= 32; whole -= 32) {
        put_bits(w, 0xFFFFFFFF, 32);
        flush_bits(w);
    }
    put_bits(w, ones((int)whole) << 1, (int)whole + 1);
    flush_bits(w);
    put_bits(w, gap & ones(bits), bits);
    flush_bits(w);
}

/* Bits in: after the end come zeros. */

typedef struct {
    const uint8_t *bytes;
    int64_t size, at; /* at: in bits */
} bit_reader;

/* The next 57 bits or more, from the highest down. */
SKETCHES_INLINE uint64_t peek_bits(const bit_reader *r) {
    const int64_t byte = r->at >> 3;
    uint64_t word = 0;
    if (byte + 8 <= r->size) {
        for (int i = 0; i < 8; i++) word = word << 8 | r->bytes[byte + i];
    } else {
        for (int i = 0; i < 8; i++) word = word << 8 | (byte + i < r->size ? r->bytes[byte + i] : 0);
    }
    return word << (r->at & 7);
}

SKETCHES_INLINE uint32_t take_bits(bit_reader *r, int n) { /* n <= 32 */
    const uint32_t value = n ? (uint32_t)(peek_bits(r) >> (64 - n)) : 0;
    r->at += n;
    return value;
}

static uint64_t take_gap(bit_reader *r, int bits) {
    uint64_t whole = 0;
    int run;
    while ((run = leading_zeros64(~peek_bits(r))) >= 32) { /* ends at the end of the input at the latest */
        whole += 32;
        r->at += 32;
    }
    whole += (uint64_t)run;
    r->at += run + 1;
    return whole << bits | take_bits(r, bits);
}

#endif
