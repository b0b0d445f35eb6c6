/* Probabilities of bits from several models at once: each model's adaptive probability is turned into its logit, the
 * logits are summed with weights, and the sum is turned back; the weights follow the gradient of the code's length
 * (Mahoney, "Adaptive weighing of context models for lossless data compression", Florida Tech 2005, section 3; Mattern,
 * "Linear and geometric mixtures", DCC 2013). All is integer arithmetic: every machine finds the same probabilities. */
#ifndef SKETCHES_MIXING_H
#define SKETCHES_MIXING_H

#include "range_coder.h"

enum {
    INPUTS = 8,            /* models that are mixed: a vector of them */
    LOGIT_ONE = 256,       /* logits are natural, times 256 */
    MOST_LOGIT = 2815,     /* 11: a probability of 1 / 60,000 */
    MIX_ONE = 1 << 16,     /* weight 1 */
    MOST_MIX = 1 << 18,
    COUNTS = 1024          /* of what a counter has seen, at most */
};

static uint16_t logistic[2 * MOST_LOGIT + 1]; /* 2^16 / (1 + e^-x), of logits from -MOST_LOGIT on */
static int16_t logits[4096];                  /* of probabilities (i + 1/2) / 4096 */
static int32_t shares[COUNTS];                /* 2^13 / (n + 3/2): the share of the n-th bit in an estimate, from n = 0 */
static int32_t paces[COUNTS];                 /* of weights that were changed n times: 3 + 25 / (1 + n / 80), times 16 */

static void make_mixing(void) {
    uint64_t power = (uint64_t)1 << 32; /* 2^32 e^(-x / 256) */
    for (int x = 0; x <= MOST_LOGIT; x++) {
        const uint64_t p = ((uint64_t)1 << 48) / (((uint64_t)1 << 32) + power);
        logistic[MOST_LOGIT + x] = (uint16_t)p;
        logistic[MOST_LOGIT - x] = (uint16_t)(65536 - p);
        power = (power * 4278222805u + ((uint64_t)1 << 31)) >> 32; /* round(2^32 e^(-1/256)) */
    }
    for (int i = 0, x = 0; i < 4096; i++) {
        while (x < 2 * MOST_LOGIT && logistic[x] < 16 * i + 8) x++;
        logits[i] = (int16_t)(x - MOST_LOGIT);
    }
    for (int n = 0; n < COUNTS; n++) {
        shares[n] = (1 << 14) / (2 * n + 3);
        paces[n] = 48 + 32000 / (80 + n);
    }
}

/* A counter: the probability that the bit is 1 in the upper 22 bits, in the lower 10 how many bits it follows from. */

typedef uint32_t counter;

#define NEW_COUNTER ((counter)1 << 31)

SKETCHES_INLINE void count_bit(counter *c, int bit, uint32_t most) {
    const uint32_t n = *c & (COUNTS - 1), p = *c >> 10;
    /* (p >> 3) * 2^13 / (n + 3/2) is p / (n + 3/2) in units of the counter, and below 2^32: where n is 0, p is 1/2 */
    const uint32_t step = ((bit ? ((uint32_t)1 << 22) - p : p) >> 3) * (uint32_t)shares[n];
    *c = ((bit ? *c + step : *c - step) & ~(uint32_t)(COUNTS - 1)) | (n < most ? n + 1 : n);
}

SKETCHES_INLINE int logit_of(counter c) { return logits[c >> 20]; }

typedef struct {
    int32_t weight[INPUTS];
    int32_t changes;
} mixer;

static void start_mixers(mixer *m, int64_t n, int32_t weight) {
    for (int64_t i = 0; i < n; i++) {
        for (int j = 0; j < INPUTS; j++) m[i].weight[j] = weight;
        m[i].changes = 0;
    }
}

SKETCHES_INLINE int mixed_logit(const mixer *m, const int32_t *inputs) {
    int32_t sum = 0;
    for (int i = 0; i < INPUTS; i++) sum += m->weight[i] * inputs[i] >> 4; /* below 2^26 each */
    sum >>= 12;
    return sum > MOST_LOGIT ? MOST_LOGIT : sum < -MOST_LOGIT ? -MOST_LOGIT : sum;
}

/* The gradient of the code's length is input * (bit - probability). */
SKETCHES_INLINE void train_mixer(mixer *m, const int32_t *inputs, int logit, int bit) {
    const int32_t step = ((bit << 16) - (int32_t)logistic[MOST_LOGIT + logit]) * paces[m->changes] >> 8;
    for (int i = 0; i < INPUTS; i++) {
        const int32_t weight = m->weight[i] + ((inputs[i] * step + (1 << 13)) >> 14);
        m->weight[i] = weight > MOST_MIX ? MOST_MIX : weight < -MOST_MIX ? -MOST_MIX : weight;
    }
    if (m->changes < COUNTS - 1) m->changes++;
}

/* Codes (or reads) a bit by the counters and by two mixers, the mean of whose logits counts; all of them learn. The
 * first counter only learns: in its stead there is a constant, whose weight is what all contexts have in common. */
SKETCHES_CLONES
static SKETCHES_OWN int mixed_bit(
    range_coder *c, counter *const *counters, int node, mixer *a, mixer *b, const uint16_t *most, int bit,
    const int reading) {
    int32_t inputs[INPUTS];
    inputs[0] = LOGIT_ONE;
    for (int i = 1; i < INPUTS; i++) inputs[i] = logit_of(counters[i][node]);
    const int first = mixed_logit(a, inputs), second = mixed_logit(b, inputs);
    bit = range_bit(c, logistic[MOST_LOGIT + ((first + second) >> 1)], bit, reading);
    train_mixer(a, inputs, first, bit);
    train_mixer(b, inputs, second, bit);
    for (int i = 0; i < INPUTS; i++) count_bit(counters[i] + node, bit, most[i]);
    return bit;
}

/* A bit by the mean of two counters: some times as fast. */
SKETCHES_INLINE int paired_bit(range_coder *c, counter *a, counter *b, int bit, const int reading) {
    const uint32_t p = ((*a >> 16) + (*b >> 16)) >> 1;
    bit = range_bit(c, p < 16 ? 16 : p > 65520 ? 65520 : p, bit, reading);
    count_bit(a, bit, COUNTS - 1);
    count_bit(b, bit, COUNTS - 1);
    return bit;
}

/* A bit by the mean of three counters. */
SKETCHES_INLINE int triple_bit(range_coder *c, counter *a, counter *b, counter *d, int bit, const int reading) {
    const uint32_t p = ((*a >> 16) + (*b >> 16) + (*d >> 16)) / 3;
    bit = range_bit(c, p < 16 ? 16 : p > 65520 ? 65520 : p, bit, reading);
    count_bit(a, bit, COUNTS - 1);
    count_bit(b, bit, 255);
    count_bit(d, bit, 255);
    return bit;
}

/* A bit by one counter alone. */
SKETCHES_INLINE int counted_bit(range_coder *c, counter *k, int bit, uint32_t most, const int reading) {
    const uint32_t p = *k >> 16;
    bit = range_bit(c, p < 16 ? 16 : p > 65520 ? 65520 : p, bit, reading);
    count_bit(k, bit, most);
    return bit;
}

#endif
