/* Numbers to bins. For x > 0 the bits of a float64, read as an integer, grow with x: exponent first, then mantissa. So
 * dropping all but the top bits gives the number of a bin, and bins lie in the order of the numbers.
 *
 * The table holds, in ascending order, NaN, -inf, negative bins, zero, positive bins, +inf:
 *
 *     index  0    1     2 … zero - 1              zero   zero + 1 … last - 1        last
 *     key    NaN  -inf  negative_high-1 … _low    0      positive_low … _high - 1   +inf
 */
#ifndef SKETCHES_BINS_H
#define SKETCHES_BINS_H

#include <stdint.h>
#include <string.h>

#include "simd.h"

#define MAGNITUDE 0x7fffffffffffffffLL
#define INFINITY_BITS 0x7ff0000000000000LL

typedef struct {
    int64_t shift; /* bits of a float64 below the key */
    int64_t negative_low, negative_high, positive_low, positive_high; /* keys [low, high) that have a bin */
    int64_t zero, last;
} bin_window;

/* x + 0.0 turns -0.0 into 0.0 and changes nothing else. */
static inline uint64_t number_bits(double x) {
    uint64_t bits;
    x += 0.0;
    memcpy(&bits, &x, 8);
    return bits;
}

/* The integer whose signed order is that of the numbers (negative numbers have their magnitude's bits flipped). */
static inline int64_t ordered(uint64_t bits) { return (int64_t)(bits ^ ((uint64_t)((int64_t)bits >> 63) >> 1)); }

static inline double from_ordered(int64_t order) {
    uint64_t bits = (uint64_t)order ^ ((uint64_t)(order >> 63) >> 1);
    double x;
    memcpy(&x, &bits, 8);
    return x;
}

/* Conditions are masks of 64 zeros or ones, and the loops have no branches: compilers then use whole vectors. */
static inline int64_t mask_if(int condition) { return -(int64_t)condition; }
static inline int64_t choose(int64_t mask, int64_t yes, int64_t no) { return no ^ ((yes ^ no) & mask); }

static inline int64_t bin_index(const bin_window *w, double x) {
    const int64_t bits = (int64_t)number_bits(x), magnitude = bits & MAGNITUDE, negative = mask_if(bits < 0);
    const int64_t key = magnitude >> w->shift; /* (key ^ negative) - negative is -key for negative numbers */
    const int64_t start = choose(negative, w->negative_high + 1, w->zero + 1 - w->positive_low);
    int64_t index = start + ((key ^ negative) - negative);
    index = choose(mask_if(magnitude == 0), w->zero, index);
    index = choose(mask_if(magnitude >= INFINITY_BITS), choose(negative, 1, w->last), index);
    return index & ~mask_if(magnitude > INFINITY_BITS);
}

static inline int64_t has_bin(const bin_window *w, double x) {
    const int64_t bits = (int64_t)number_bits(x), magnitude = bits & MAGNITUDE, negative = mask_if(bits < 0);
    const int64_t key = magnitude >> w->shift;
    const int64_t low = choose(negative, w->negative_low, w->positive_low);
    const int64_t high = choose(negative, w->negative_high, w->positive_high);
    return mask_if(magnitude == 0) | mask_if(magnitude >= INFINITY_BITS) | (mask_if(key >= low) & mask_if(key < high));
}

/* Whether every number has a bin; lowers *least and raises *most, as `ordered`, to all that are not NaN. */
SKETCHES_CLONES
static int scan_numbers(const bin_window *window, const double *x, int64_t n, int64_t *least, int64_t *most) {
    const bin_window w = *window;
    int64_t fits = -1, low = *least, high = *most;
    for (int64_t i = 0; i < n; i++) {
        const uint64_t bits = number_bits(x[i]);
        const int64_t order = ordered(bits), nan = mask_if((int64_t)(bits & MAGNITUDE) > INFINITY_BITS);
        const int64_t down = choose(nan, INT64_MAX, order), up = choose(nan, INT64_MIN, order);
        fits &= has_bin(&w, x[i]);
        low = down < low ? down : low;
        high = up > high ? up : high;
    }
    *least = low;
    *most = high;
    return fits != 0;
}

/* Widen the window's keys (not its indices) to all numbers, in steps of 2^step keys so that few widenings are needed. */
static void widen_window(bin_window *w, const double *x, int64_t n, int step) {
    for (int64_t i = 0; i < n; i++) {
        if (has_bin(w, x[i])) continue;
        const uint64_t bits = number_bits(x[i]);
        const int64_t octave = (int64_t)((bits & MAGNITUDE) >> w->shift) >> step;
        const int64_t from = octave << step, to = (octave + 1) << step;
        int64_t *low = (int64_t)bits < 0 ? &w->negative_low : &w->positive_low;
        int64_t *high = (int64_t)bits < 0 ? &w->negative_high : &w->positive_high;
        if (*low == *high) *low = from, *high = to;
        if (from < *low) *low = from;
        if (to > *high) *high = to;
    }
}

enum { CHUNK = 512 };

SKETCHES_CLONES
static void bin_indices(const bin_window *window, const double *x, int32_t *index, int64_t n) {
    const bin_window w = *window;
    for (int64_t i = 0; i < n; i++) index[i] = (int32_t)bin_index(&w, x[i]);
}

static void count_numbers(const bin_window *w, int64_t *table, const double *x, const int64_t *counts, int64_t n) {
    int32_t index[CHUNK];
    for (int64_t start = 0; start < n; start += CHUNK) {
        const int64_t size = n - start < CHUNK ? n - start : CHUNK;
        bin_indices(w, x + start, index, size);
        if (counts) for (int64_t i = 0; i < size; i++) table[index[i]] += counts[start + i];
        else for (int64_t i = 0; i < size; i++) table[index[i]]++;
    }
}

#endif
