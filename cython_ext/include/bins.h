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

#include "merge.h"
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

/* The same of one number, by branches: its bin's index, or -1. */
static inline int64_t find_bin(const bin_window *w, double x) {
    const uint64_t bits = number_bits(x);
    const int64_t magnitude = (int64_t)(bits & MAGNITUDE), key = magnitude >> w->shift;
    if (magnitude == 0) return w->zero;
    if (magnitude >= INFINITY_BITS) return magnitude > INFINITY_BITS ? 0 : (int64_t)bits < 0 ? 1 : w->last;
    if ((int64_t)bits < 0) return key >= w->negative_low && key < w->negative_high ? w->negative_high + 1 - key : -1;
    return key >= w->positive_low && key < w->positive_high ? w->zero + 1 + key - w->positive_low : -1;
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

SKETCHES_CLONES
static void bin_indices(const bin_window *window, const double *x, int32_t *index, int64_t n) {
    const bin_window w = *window;
    for (int64_t i = 0; i < n; i++) index[i] = (int32_t)bin_index(&w, x[i]);
}

enum { CHUNK = 512 };

/* A few numbers, copied once from the caller's array (which other threads may be writing to) and read from here only:
 * what is placed below is what is then counted, and every index lies inside the table. */
typedef struct {
    union {
        float narrow[CHUNK];
        double wide[CHUNK];
        int32_t bits[CHUNK]; /* of narrow */
    } numbers;
    int32_t head[CHUNK], index[CHUNK];
} number_chunk;

/* The first 32 bits of each float64, the last of them set where any of the other 32 is: they hold the whole key, order
 * numbers, and tell zero from what is almost zero and infinity from NaN. So one loop serves float32 and float64. */
SKETCHES_CLONES
static void take_heads(const double *x, int32_t *head, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        uint64_t bits;
        memcpy(&bits, x + i, 8);
        head[i] = (int32_t)((uint32_t)(bits >> 32) | ((uint32_t)bits != 0));
    }
}

static inline int32_t ordered_head(int32_t head) { return head ^ (int32_t)((uint32_t)(head >> 31) >> 1); }
static inline int32_t mask_if32(int condition) { return -(int32_t)condition; }
static inline int32_t choose32(int32_t mask, int32_t yes, int32_t no) { return no ^ ((yes ^ no) & mask); }
static inline int64_t clip(int64_t x, int64_t low, int64_t high) { return x < low ? low : x > high ? high : x; }

/* Find the bins of float32 numbers (`head` is their bits) or of float64's heads. Returns 0 if some number has no bin, or
 * is too small for a leading 1 in its mantissa: a float64's mantissa would look different then.
 * *low and *high become the least and largest `ordered_head` of all but NaN.
 *
 * A number's key is its magnitude >> shift, less by `base` than its float64's key; and ordered_head >> shift is key for a
 * positive number, -key - 1 for a negative one. */
SKETCHES_CLONES
static int place_heads(const bin_window *w, int narrow, const int32_t *head, int32_t *index, int64_t n, int32_t *low,
                       int32_t *high) {
    const int mantissa_bits = 52 - (int)w->shift, shift = (narrow ? 23 : 20) - mantissa_bits;
    const int32_t infinity = narrow ? 0x7f800000 : 0x7ff00000;
    const int64_t base = narrow ? 896LL << mantissa_bits : 0; /* 1023 - 127 octaves */
    const int64_t first = 1LL << mantissa_bits, end = infinity >> shift;
    const int32_t zero = (int32_t)w->zero, last = (int32_t)w->last;
    const int32_t negative = (int32_t)(w->negative_high - base + 2), positive = (int32_t)(zero + 1 - w->positive_low + base);
    const int32_t negative_high = (int32_t)clip(w->negative_high - base, first, end);
    const int32_t positive_low = (int32_t)clip(w->positive_low - base, first, end);
    const int32_t negative_first = negative - negative_high, positive_first = positive + positive_low;
    const uint32_t negatives = (uint32_t)(negative_high - clip(w->negative_low - base, first, negative_high));
    const uint32_t positives = (uint32_t)(clip(w->positive_high - base, positive_low, end) - positive_low);
    int32_t least = INT32_MAX, most = INT32_MIN, odd = 0;
    for (int64_t i = 0; i < n; i++) { /* infinity and NaN are rare: without them this is all */
        const int32_t x = head[i], order = ordered_head(x), is_zero = mask_if32((x & INT32_MAX) == 0);
        const int32_t place = (order >> shift) + (x < 0 ? negative : positive);
        const uint32_t offset = (uint32_t)(place - (x < 0 ? negative_first : positive_first));
        odd |= mask_if32(offset >= (x < 0 ? negatives : positives)) & ~is_zero;
        index[i] = choose32(is_zero, zero, place);
        least = order < least ? order : least;
        most = order > most ? order : most;
    }
    if (odd) {
        least = INT32_MAX, most = INT32_MIN, odd = 0;
        for (int64_t i = 0; i < n; i++) {
            const int32_t x = head[i], order = ordered_head(x), magnitude = x & INT32_MAX, minus = mask_if32(x < 0);
            const int32_t place = (order >> shift) + choose32(minus, negative, positive);
            const int32_t offset = place - choose32(minus, negative_first, positive_first);
            const int32_t size = choose32(minus, (int32_t)negatives, (int32_t)positives);
            const int32_t special = mask_if32(magnitude == 0) | mask_if32(magnitude >= infinity);
            const int32_t nan = mask_if32(magnitude > infinity);
            const int32_t down = choose32(nan, INT32_MAX, order), up = choose32(nan, INT32_MIN, order);
            const int32_t ends = choose32(mask_if32(magnitude == 0), zero, choose32(minus, 1, last));
            odd |= ~(special | (mask_if32(offset >= 0) & mask_if32(offset < size)));
            index[i] = choose32(special, ends, place) & ~nan;
            least = down < least ? down : least;
            most = up > most ? up : most;
        }
    }
    *low = least;
    *high = most;
    return !odd;
}

static inline int32_t head_order(int64_t order) {
    const int64_t bits = order ^ (int64_t)((uint64_t)(order >> 63) >> 1);
    return ordered_head((int32_t)((uint64_t)bits >> 32) | ((uint32_t)bits != 0));
}

/* Find the bins of the chunk's float64 numbers, whatever they are, and extend the range [*least, *most]; returns 0 and
 * changes nothing if a bin is missing. */
static int place_wide(const bin_window *w, number_chunk *chunk, int64_t n, int64_t *least, int64_t *most) {
    int64_t low = *least, high = *most;
    if (!scan_numbers(w, chunk->numbers.wide, n, &low, &high)) return 0;
    *least = low;
    *most = high;
    bin_indices(w, chunk->numbers.wide, chunk->index, n);
    return 1;
}

/* Copy numbers, find the bin of each, and extend the range; returns 0 if a bin is missing: `place_wide` is next. */
static int place_numbers(const bin_window *w, number_chunk *chunk, const void *x, int narrow, int64_t n,
                         int64_t *least, int64_t *most) {
    int32_t low, high;
    memcpy(&chunk->numbers, x, (size_t)n * (narrow ? 4 : 8));
    if (narrow) {
        if (place_heads(w, 1, chunk->numbers.bits, chunk->index, n, &low, &high)) {
            const int32_t ends[2] = {ordered_head(low), ordered_head(high)}; /* its own inverse */
            float extremes[2];
            if (low > high) return 1; /* all are NaN */
            memcpy(extremes, ends, 8);
            const int64_t down = ordered(number_bits(extremes[0])), up = ordered(number_bits(extremes[1]));
            if (down < *least) *least = down;
            if (up > *most) *most = up;
            return 1;
        }
        for (int64_t i = n; i-- > 0;) chunk->numbers.wide[i] = chunk->numbers.narrow[i]; /* overwrites what was read */
    }
    take_heads(chunk->numbers.wide, chunk->head, n);
    if (!place_heads(w, 0, chunk->head, chunk->index, n, &low, &high)) return place_wide(w, chunk, n, least, most);
    if (low <= head_order(*least) || high >= head_order(*most)) /* perhaps: only 32 bits were compared */
        scan_numbers(w, chunk->numbers.wide, n, least, most);
    return 1;
}

static void widen_to_chunk(bin_window *w, const number_chunk *chunk, int64_t n, int step) {
    widen_window(w, chunk->numbers.wide, n, step);
}

static void count_chunk(int64_t *table, const number_chunk *chunk, const int64_t *counts, int64_t n) {
    if (counts) for (int64_t i = 0; i < n; i++) table[chunk->index[i]] += counts[i];
    else for (int64_t i = 0; i < n; i++) table[chunk->index[i]]++;
}

/* Four counters a bin, taken in turn: where numbers repeat, as zeros do, a counter need not be stored before it is read
 * again. In 16 bits each they take no more of the cache than one of 64; GATHER chunks fill them at most. */
enum { GATHER = 65535 / (CHUNK / 4) };

static void count_spread(uint16_t *spread, const number_chunk *chunk, int64_t n) {
    int64_t i = 0;
    for (; i + 4 <= n; i += 4) {
        spread[4 * (int64_t)chunk->index[i]]++;
        spread[4 * (int64_t)chunk->index[i + 1] + 1]++;
        spread[4 * (int64_t)chunk->index[i + 2] + 2]++;
        spread[4 * (int64_t)chunk->index[i + 3] + 3]++;
    }
    for (; i < n; i++) spread[4 * (int64_t)chunk->index[i]]++;
}

/* Add them to the table of so many counters, and begin anew. The last numbers of a batch that are fewer than four all go
 * to the first counter: it can hold three more than GATHER chunks put there, and is gathered right after. */
SKETCHES_CLONES
static void gather_spread(int64_t *table, uint16_t *spread, int64_t size) {
    for (int64_t i = 0; i < size; i++)
        table[i] += spread[4 * i] + spread[4 * i + 1] + spread[4 * i + 2] + spread[4 * i + 3];
    memset(spread, 0, (size_t)size * 8);
}

SKETCHES_INLINE void include_keys(int64_t *low, int64_t *high, int64_t other_low, int64_t other_high) {
    if (other_low == other_high) return;
    if (*low == *high) *low = other_low, *high = other_high;
    if (other_low < *low) *low = other_low;
    if (other_high > *high) *high = other_high;
}

/* Widen the window's keys (not its indices) to those of another. */
static void include_window(bin_window *w, const bin_window *other) {
    include_keys(&w->negative_low, &w->negative_high, other->negative_low, other->negative_high);
    include_keys(&w->positive_low, &w->positive_high, other->positive_low, other->positive_high);
}

static int same_window(const bin_window *w, const bin_window *other) {
    return w->negative_low == other->negative_low && w->negative_high == other->negative_high
        && w->positive_low == other->positive_low && w->positive_high == other->positive_high;
}

/* Add the counters of a window to a table whose window includes it; those of `next` (or NULL) are added afterwards. */
static void add_bins(int64_t *table, const bin_window *wider, const int64_t *counters, const bin_window *w,
                     const int64_t *next) {
    int64_t *negatives = table + 2 + wider->negative_high - w->negative_high;
    int64_t *positives = table + wider->zero + 1 + w->positive_low - wider->positive_low;
    const int64_t *above_zero = counters + w->zero + 1;
    table[0] += counters[0];
    table[1] += counters[1];
    add_counters_before(negatives, counters + 2, w->negative_high - w->negative_low, above_zero);
    table[wider->zero] += counters[w->zero];
    add_counters_before(positives, above_zero, w->positive_high - w->positive_low, next);
    table[wider->last] += counters[w->last];
}

/* Whether no number fell into the bin at an index; those of zero and the infinities are neighbours of none. */
static inline int is_empty(const bin_window *w, const int64_t *through, int64_t index) {
    return index == 1 || index == w->zero || index == w->last || through[index] == through[index - 1];
}

/* The number of counted items <= x, guessed in proportion inside x's bin, and its bounds. A bin whose neighbours are
 * empty is taken for one number repeated, such as a small integer: whoever asks about its bin asks about that number. Not
 * so the only bin of all, whose numbers may just lie close together. `through` holds the counters
 * from -inf to each index, added up. An x beyond the window is clipped to the last index before it, all of which counts;
 * so do all of zero and of the infinities. */
static inline void rank_number(const bin_window *w, const int64_t *through, double minimum, double maximum, double x,
                        double *estimate, double *lowest, double *highest) {
    const int64_t known = has_bin(w, x), magnitude = (int64_t)number_bits(x) & MAGNITUDE;
    const int64_t index = x < 0 ? clip(bin_index(w, x), 1, w->zero - 1) : clip(bin_index(w, x), w->zero, w->last);
    *estimate = *lowest = *highest = (double)through[index == w->last && magnitude < INFINITY_BITS ? index - 1 : index];
    if (!known || magnitude == 0 || magnitude >= INFINITY_BITS) return;
    const int64_t near_bits = magnitude >> w->shift << w->shift, far_bits = near_bits + (1LL << w->shift) - 1;
    double near_end, far_end;
    memcpy(&near_end, &near_bits, 8);
    memcpy(&far_end, &far_bits, 8);
    double lower = x < 0 ? -far_end : near_end, upper = x < 0 ? -near_end : far_end;
    lower = lower > minimum ? lower : minimum;
    upper = upper < maximum ? upper : maximum;
    const double below = (double)through[index - 1];
    if (x >= upper) return;
    *estimate = *lowest = below;
    if (x < lower) *highest = below;
    else if (*highest - below < (double)through[w->last] && is_empty(w, through, index - 1)
             && is_empty(w, through, index + 1)) *estimate = *highest;
    else *estimate += (x - lower) / (upper - lower) * (*highest - below);
}

static void rank_numbers(const bin_window *w, const int64_t *counters, int64_t *through, double minimum, double maximum,
                         const double *x, double *estimates, double *bounds, int64_t n) {
    int64_t sum = 0;
    double lowest, highest;
    through[0] = 0;
    for (int64_t i = 1; i <= w->last; i++) through[i] = sum += counters[i];
    for (int64_t i = 0; i < n; i++) {
        rank_number(w, through, minimum, maximum, x[i], estimates + i, &lowest, &highest);
        if (bounds) bounds[i] = lowest, bounds[n + i] = highest;
    }
}

/* Copy n numbers, at any address, last to first. */
SKETCHES_CLONES
static void copy_reversed(int64_t *to, const uint8_t *bytes, int64_t n) {
    for (int64_t i = 0; i < n; i++) memcpy(&to[i], bytes + 8 * (n - 1 - i), 8);
}

#endif
