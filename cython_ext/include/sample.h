/* A sample of counters that keeps every sum unbiased: the heart of SubsetSum.
 *
 * Of n counters at most `keep` shall remain. Let the threshold t be the least integer for which
 *
 *     (how many counters are >= t) + ceil((sum of the others) / t)  <=  keep.
 *
 * Counters of t and more, the heavy ones, stay as they are. The light ones are paired off: of two with counts a, b < t
 *
 *     a + b < t:   one gets a + b, the other 0; the first gets it with probability a / (a + b);
 *     a + b >= t:  one gets t, the other a + b - t; the first gets t with probability (t - b) / (2t - a - b).
 *
 * Either way both keep their expectations, and their sum is kept exactly. Whoever is left strictly between 0 and t meets
 * the next light one. This is the pivotal method (J.-C. Deville and Y. Tille, "Unequal probability sampling without
 * replacement through a splitting method", Biometrika 85, 1998), in integers; the first case is how Unbiased Space Saving
 * lets a new item take over the smallest counter (D. Ting, "Data sketches for disaggregated subset sum and frequent item
 * estimation", SIGMOD 2018). What remains of the light ones are floor(sum / t) counters of t and one of the rest.
 *
 * Outcomes are negatively associated (P. Branden and J. Jonasson, "Negative dependence in sampling", Scand. J. Stat. 39,
 * 2012), whatever the order: the variance of a sum is at most the sum of the variances, and these are c (t - c) or less
 * for a light counter c. With x its new count, x (x - c) estimates that without bias, for E(x^2 - c x) = E(x^2) - c^2; and
 * x / c times what was estimated before has the same expectation as before. */
#ifndef SKETCHES_SAMPLE_H
#define SKETCHES_SAMPLE_H

#include "hash.h"
#include "simd.h"

#define GOLDEN 0x9e3779b97f4a7c15ULL

/* A uniform integer below n (D. Lemire, "Fast random integer generation in an interval", 2019); the generator adds a
 * constant and mixes (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014). */
static inline uint64_t random_below(uint64_t *state, uint64_t n) {
    for (;;) {
        const uint64_t x = mix64(*state += GOLDEN), low = x * n;
        if (low >= n || low >= (0 - n) % n) return mulhi64(x, n);
    }
}

/* The random numbers follow from the counters themselves: the same state gives the same sample on every path, and
 * different streams get independent ones, as sketches that merge must. */
static uint64_t random_state(const uint64_t *hashes, const int64_t *counts, int64_t n) {
    uint64_t state = 0;
    for (int64_t i = 0; i < n; i++) state += mix64(hashes[i] + GOLDEN * (uint64_t)counts[i]);
    return state;
}

/* Each round takes what is heavy at one threshold from the sum and finds the next, which is no larger. */
static int64_t sample_threshold(const int64_t *counts, int64_t n, int64_t keep) {
    int64_t threshold = INT64_MAX;
    for (;;) {
        int64_t light = 0, heavy = 0, next;
        for (int64_t i = 0; i < n; i++) {
            light += counts[i] < threshold ? counts[i] : 0;
            heavy += counts[i] >= threshold;
        }
        if (light == 0) return threshold;
        next = (light - 1) / (keep - heavy) + 1;
        if (next == threshold) return threshold;
        threshold = next;
    }
}

/* Each product is rounded before it is added, on processors that could do both at once too. */
static inline double rounded_product(double a, double b) {
    volatile double product = a * b;
    return product;
}

/* Sample n > keep > 0 counters > 0, in an order that does not depend on the counts; those that go get a count of 0.
 * `before` receives the old counts. Returns the threshold. */
static int64_t sample_counts(const uint64_t *hashes, int64_t *counts, double *variances, int64_t *before, int64_t n,
                             int64_t keep) {
    const int64_t threshold = sample_threshold(counts, n, keep);
    const uint64_t t = (uint64_t)threshold;
    uint64_t state = random_state(hashes, counts, n);
    int64_t open = -1; /* the counter between 0 and t */
    memcpy(before, counts, sizeof(int64_t) * (size_t)n);
    for (int64_t i = 0; i < n; i++) {
        if (counts[i] >= threshold) continue;
        if (open >= 0) {
            const uint64_t a = (uint64_t)counts[open], b = (uint64_t)counts[i], sum = a + b;
            const int full = sum >= t;
            const int first = full ? random_below(&state, 2 * t - sum) < t - b : random_below(&state, sum) < a;
            const int64_t most = (int64_t)(full ? t : sum), rest = (int64_t)(full ? sum - t : 0);
            counts[open] = first ? most : rest;
            counts[i] = first ? rest : most;
            if (full) open = rest == 0 ? -1 : first ? i : open;
            else open = first ? open : i;
        } else {
            open = i;
        }
    }
    for (int64_t i = 0; i < n; i++) {
        const double x = (double)counts[i];
        if (before[i] >= threshold) continue;
        variances[i] = counts[i] == 0 ? 0
            : rounded_product(variances[i], x / (double)before[i])
              + rounded_product(x, (double)(counts[i] - before[i]));
    }
    return threshold;
}

#endif
