/* Huffman codes of up to 256 symbols, whose probabilities are integers: every machine finds the same codes. */
#ifndef SKETCHES_HUFFMAN_H
#define SKETCHES_HUFFMAN_H

#include "bit_stream.h"

#define CODE_BITS 12 /* of the longest code */

typedef struct {
    uint16_t code[256];
    uint8_t length[256];
    uint16_t symbol[1 << CODE_BITS]; /* of the code that so many bits begin with, times 16, and its length */
} huffman;

/* The lengths of n <= 256 codes, of at most CODE_BITS: weights below a floor are lifted to it, which rises until no code
 * is longer. Ties go to the lower symbol, and to symbols before pairs. */
static void huffman_lengths(const uint64_t *weights, int n, uint8_t *length) {
    uint64_t weight[511], total = 0;
    uint16_t order[256], parent[511];
    for (int i = 0; i < n; i++) total += weights[i];
    for (int bits = CODE_BITS;; bits--) {
        int longest = 0, next = 0, pair = n;
        for (int i = 0; i < n; i++) {
            const uint64_t w = weights[i] > total >> bits ? weights[i] : total >> bits;
            int at = i;
            for (; at > 0 && weight[order[at - 1]] > w; at--) order[at] = order[at - 1];
            order[at] = (uint16_t)i;
            weight[i] = w;
        }
        for (int made = n; made < 2 * n - 1; made++) { /* of the two lightest that are left, make a pair */
            uint64_t sum = 0;
            for (int child = 0; child < 2; child++) {
                const int i = next < n && (pair == made || weight[order[next]] <= weight[pair]) ? order[next++] : pair++;
                parent[i] = (uint16_t)made;
                sum += weight[i];
            }
            weight[made] = sum;
        }
        uint8_t depth[511];
        depth[2 * n - 2] = 0;
        for (int i = 2 * n - 3; i >= 0; i--) depth[i] = (uint8_t)(depth[parent[i]] + 1);
        for (int i = 0; i < n; i++) {
            length[i] = depth[i];
            if (length[i] > longest) longest = length[i];
        }
        if (longest <= CODE_BITS) return;
    }
}

/* Codes in the order of their lengths, then of their symbols: each begins where the last one ends. */
static void make_huffman(huffman *h, const uint64_t *weights, int n) {
    huffman_lengths(weights, n, h->length);
    int at = 0; /* in the table, which is the codes filled up to CODE_BITS */
    for (int length = 1; length <= CODE_BITS; length++) {
        for (int i = 0; i < n; i++) {
            if (h->length[i] != length) continue;
            h->code[i] = (uint16_t)(at >> (CODE_BITS - length));
            for (int end = at + (1 << (CODE_BITS - length)); at < end; at++) h->symbol[at] = (uint16_t)(i << 4 | length);
        }
    }
}

SKETCHES_INLINE int take_symbol(bit_reader *r, const huffman *h) {
    const int found = h->symbol[peek_bits(r) >> (64 - CODE_BITS)];
    r->at += found & 15;
    return found >> 4;
}

/* Eight symbols, every other one from each stream: 4 codes have at most 48 bits. */
SKETCHES_INLINE void take_symbols(bit_reader *r, const huffman *h, uint8_t *symbols) {
    uint64_t first = peek_bits(r), second = peek_bits(r + 1);
    int taken[2] = {0, 0};
    for (int i = 0; i < 8; i += 2) {
        const int a = h->symbol[first >> (64 - CODE_BITS)], b = h->symbol[second >> (64 - CODE_BITS)];
        first <<= a & 15;
        second <<= b & 15;
        taken[0] += a & 15;
        taken[1] += b & 15;
        symbols[i] = (uint8_t)(a >> 4);
        symbols[i + 1] = (uint8_t)(b >> 4);
    }
    r[0].at += taken[0];
    r[1].at += taken[1];
}

#endif
