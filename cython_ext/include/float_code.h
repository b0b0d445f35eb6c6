/* Floating-point numbers as bits, every one kept: the exponent by those of the number before it and of the one above it,
 * then whether the mantissa is zero, its first bits by the exponent, the sign; the other bits as they are, but for those
 * at the end that are zero in all numbers. */
#ifndef SKETCHES_FLOAT_CODE_H
#define SKETCHES_FLOAT_CODE_H

#include "mixing.h"

enum {
    MODELLED = 3,       /* first bits of the mantissa */
    NEARBY = 32         /* contexts of an exponent near by, which is known modulo this */
};

typedef struct {
    int64_t n, columns;
    int bytes;          /* of a number: 2, 4, 8 */
    int exponent, mantissa; /* their bits */
    int zeros;          /* bits at the mantissa's end that are zero in all numbers */
} float_shape;

typedef struct {
    float_shape shape;
    range_coder coder;
    counter sign;
    counter *exponents, *before, *above; /* trees of the exponent's bits, one or NEARBY of them */
    counter *zero;                       /* per exponent */
    counter *first;                      /* trees of the mantissa's first bits, per exponent */
} float_model;

SKETCHES_INLINE uint64_t word_at(const void *words, int64_t i, int bytes) {
    return bytes == 2 ? ((const uint16_t *)words)[i] : bytes == 4 ? ((const uint32_t *)words)[i] : ((const uint64_t *)words)[i];
}

SKETCHES_INLINE void set_word(void *words, int64_t i, int bytes, uint64_t word) {
    if (bytes == 2) ((uint16_t *)words)[i] = (uint16_t)word;
    else if (bytes == 4) ((uint32_t *)words)[i] = (uint32_t)word;
    else ((uint64_t *)words)[i] = word;
}

static int make_float_model(float_model *m, const float_shape *shape) {
    const int64_t values = (int64_t)1 << shape->exponent, n = values * (1 + 2 * NEARBY + 1 + (1 << MODELLED));
    memset(m, 0, sizeof *m);
    m->shape = *shape;
    m->sign = NEW_COUNTER;
    m->exponents = malloc((size_t)n * sizeof(counter));
    if (m->exponents == NULL) return 0;
    for (int64_t i = 0; i < n; i++) m->exponents[i] = NEW_COUNTER;
    m->before = m->exponents + values;
    m->above = m->before + values * NEARBY;
    m->zero = m->above + values * NEARBY;
    m->first = m->zero + values;
    return 1;
}

SKETCHES_INLINE void code_floats(float_model *m, void *words, const int reading) {
    range_coder *const c = &m->coder;
    const float_shape s = m->shape;
    const int first_bits = s.mantissa - s.zeros < MODELLED ? s.mantissa - s.zeros : MODELLED;
    const int raw = s.mantissa - s.zeros - first_bits;
    uint64_t before = 0;
    for (int64_t i = 0; i < s.n; i++) {
        const uint64_t word = reading ? 0 : word_at(words, i, s.bytes);
        const uint64_t upper = i < s.columns ? before : word_at(words, i - s.columns, s.bytes) >> s.mantissa;
        counter *const a = m->before + ((before % NEARBY) << s.exponent), *const b = m->above + ((upper % NEARBY) << s.exponent);
        uint32_t exponent = 1; /* and the bits of it so far */
        for (int j = s.exponent - 1; j >= 0; j--)
            exponent = exponent << 1 | (uint32_t)triple_bit(
                c, m->exponents + exponent, a + exponent, b + exponent, word >> (s.mantissa + j) & 1, reading);
        exponent -= 1u << s.exponent;
        const uint64_t mantissa = word & (((uint64_t)1 << s.mantissa) - 1);
        uint64_t found = (uint64_t)counted_bit(c, &m->sign, (int)(word >> (s.mantissa + s.exponent)), 1023, reading);
        found = (found << s.exponent | exponent) << s.mantissa;
        if (!counted_bit(c, m->zero + exponent, mantissa == 0, 1023, reading)) {
            counter *const tree = m->first + ((int64_t)exponent << MODELLED);
            uint32_t first = 1;
            for (int j = 1; j <= first_bits; j++)
                first = first << 1 | (uint32_t)counted_bit(c, tree + first, mantissa >> (s.mantissa - j) & 1, 1023, reading);
            const uint64_t low = range_raw(c, mantissa >> s.zeros & (((uint64_t)1 << raw) - 1), raw, reading);
            found |= (uint64_t)(first - (1u << first_bits)) << (s.mantissa - first_bits) | low << s.zeros;
        }
        if (reading) set_word(words, i, s.bytes, found);
        before = exponent;
    }
}

/* Returns how many bytes stand at *bytes, to be freed; -1 if there is no memory. */
static int64_t encode_words(const float_shape *shape, const void *words, uint8_t **bytes) {
    float_model m;
    if (!make_float_model(&m, shape)) return -1;
    start_writing(&m.coder);
    code_floats(&m, (void *)words, 0);
    finish_writing(&m.coder);
    free(m.exponents);
    if (m.coder.failed) {
        free(m.coder.bytes);
        return -1;
    }
    *bytes = m.coder.bytes;
    return m.coder.at;
}

/* Returns whether these bytes are the numbers' code, -1 if there is no memory. */
static int decode_words(const float_shape *shape, void *words, const uint8_t *bytes, int64_t size) {
    float_model m;
    if (!make_float_model(&m, shape)) return -1;
    start_reading(&m.coder, bytes, size);
    code_floats(&m, words, 1);
    free(m.exponents);
    return finished_reading(&m.coder);
}

#endif
