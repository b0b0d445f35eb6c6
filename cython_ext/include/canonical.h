/* Canonical Huffman codes of up to 2^16 symbols, the bits of which bitarray's canonical_decode reads: codes in the order
 * of their lengths, then of their symbols, from the highest bit of each byte down. Symbols have one byte or two. */
#ifndef SKETCHES_CANONICAL_H
#define SKETCHES_CANONICAL_H

#include <string.h>
#include "bit_stream.h"

enum { LONGEST_CODE = 31, QUICK_BITS = 12 };

typedef struct {
    uint32_t quick[1 << QUICK_BITS];    /* of the code that so many bits begin with: symbol << 8 | length; 0: longer */
    uint32_t first[LONGEST_CODE + 2];   /* code of each length */
    int64_t start[LONGEST_CODE + 2];    /* where its symbols begin */
    const uint16_t *symbols;            /* in the order of their codes */
} canonical;

/* count[i]: of symbols with codes of i bits. */
static void make_canonical(canonical *h, const int64_t *count, const uint16_t *symbols) {
    memset(h->quick, 0, sizeof h->quick);
    h->symbols = symbols;
    uint32_t code = 0;
    int64_t at = 0;
    for (int length = 1; length <= LONGEST_CODE; length++) {
        code <<= 1;
        h->first[length] = code;
        h->start[length] = at;
        for (int64_t i = 0; i < count[length]; i++, code++, at++) {
            if (length > QUICK_BITS) continue;
            uint32_t *quick = h->quick + ((size_t)code << (QUICK_BITS - length));
            for (int j = 0; j < 1 << (QUICK_BITS - length); j++) quick[j] = (uint32_t)symbols[at] << 8 | (uint32_t)length;
        }
    }
    h->start[LONGEST_CODE + 1] = at;
}

SKETCHES_INLINE uint32_t symbol_at(const void *symbols, int64_t i, int bytes) {
    return bytes == 1 ? ((const uint8_t *)symbols)[i] : ((const uint16_t *)symbols)[i];
}

SKETCHES_INLINE void set_symbol(void *symbols, int64_t i, int bytes, uint32_t symbol) {
    if (bytes == 1) ((uint8_t *)symbols)[i] = (uint8_t)symbol;
    else ((uint16_t *)symbols)[i] = (uint16_t)symbol;
}

/* codes: code << 8 | length of each symbol. There is room for all bits, and 8 bytes more. Returns how many bytes. */
SKETCHES_INLINE int64_t put_symbols(const void *symbols, int64_t n, int bytes, const uint64_t *codes, uint8_t *out, int64_t size) {
    bit_writer w = {out, size, 0, 0, 0};
    for (int64_t i = 0; i < n; i++) {
        const uint64_t code = codes[symbol_at(symbols, i, bytes)];
        put_bits(&w, code >> 8, (int)(code & 255));
        flush_bits(&w);
    }
    if (w.fill) {
        put_bits(&w, 0, 8 - w.fill);
        flush_bits(&w);
    }
    return w.used;
}

/* A code that may be long; 0 bits if there is none. */
static uint32_t take_long(const canonical *h, uint64_t word) {
    for (int length = 1; length <= LONGEST_CODE; length++) {
        const int64_t place = (int64_t)(word >> (64 - length)) - h->first[length];
        if (place >= 0 && place < h->start[length + 1] - h->start[length])
            return (uint32_t)h->symbols[h->start[length] + place] << 8 | (uint32_t)length;
    }
    return 0;
}

/* Returns whether n symbols end within the last byte. */
SKETCHES_INLINE int take_symbols_of(const canonical *h, const uint8_t *in, int64_t size, void *symbols, int64_t n, int bytes) {
    bit_reader r = {in, size, 0};
    int64_t i = 0;
    while (i < n && r.at < 8 * size) {
        uint64_t word = peek_bits(&r);
        int used = 0;
        /* 57 bits hold four codes that are not longer than QUICK_BITS */
        for (int j = 0; j < 4 && i < n; j++, i++) {
            uint32_t found = h->quick[word >> (64 - QUICK_BITS)];
            if (UNLIKELY(!found)) {
                if (used) break; /* not enough bits may be left */
                found = take_long(h, word);
                if (!found) return 0;
            }
            const int length = (int)(found & 255);
            word <<= length;
            used += length;
            set_symbol(symbols, i, bytes, found >> 8);
            if (length > QUICK_BITS) {
                i++;
                break;
            }
        }
        r.at += used;
    }
    return i == n && r.at <= 8 * size && 8 * size - r.at < 8;
}

static int64_t write_symbols(const void *symbols, int64_t n, int bytes, const uint64_t *codes, uint8_t *out, int64_t size) {
    return bytes == 1 ? put_symbols(symbols, n, 1, codes, out, size) : put_symbols(symbols, n, 2, codes, out, size);
}

static int read_symbols(const canonical *h, const uint8_t *in, int64_t size, void *symbols, int64_t n, int bytes) {
    return bytes == 1 ? take_symbols_of(h, in, size, symbols, n, 1) : take_symbols_of(h, in, size, symbols, n, 2);
}

#endif
