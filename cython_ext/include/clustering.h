/* One-dimensional k-means, optimally: values in ascending order are cut into runs, and the cost of a run follows from
 * sums over all values before its ends.
 *
 * With q runs, the least cost of the first j values is the minimum over i of best[q - 1][i] + cost(i, j). The i that
 * attains it, where the last run begins, does not fall as j grows, nor as q grows. */
#ifndef SKETCHES_CLUSTERING_H
#define SKETCHES_CLUSTERING_H

#include "simd.h"

enum { SPLITS = 512 }; /* costs that are computed before the least is looked for: without branches, and so in vectors */

/* Of the first i values, for i = 0 … n: their masses, and sums of mass times value and times its square. */
typedef struct {
    const double *mass, *sum, *square;
} run_sums;

/* The squared distance of the values i … j - 1 to their mean. */
SKETCHES_INLINE double run_cost(const run_sums *s, int64_t i, int64_t j) {
    const double sum = s->sum[j] - s->sum[i];
    return (s->square[j] - s->square[i]) - sum * sum / (s->mass[j] - s->mass[i]);
}

/* From the least costs `before` of q - 1 runs those of q runs, for the first j values, j = first … last, and where the
 * last run begins; of equal costs the first split is taken. Rows halfway between two that are known search between the
 * splits of these: about n log2(n) costs. */
SKETCHES_CLONES
static void halve_rows(
    const run_sums *s, const double *restrict before, double *restrict best, int32_t *restrict splits, int64_t q,
    int64_t first, int64_t last) {
    const int64_t rows = last - first + 1;
    int64_t stride = 1;
    double costs[SPLITS];
    while (stride * 2 <= rows) stride *= 2;
    for (; stride; stride /= 2) {
        for (int64_t row = stride; row <= rows; row += 2 * stride) {
            const int64_t j = first - 1 + row, above = row + stride <= rows ? splits[j + stride] : j - 1;
            const int64_t low = row > stride ? splits[j - stride] : q - 1, high = above < j ? above : j - 1;
            double least = 1.0 / 0.0;
            int64_t found = low;
            for (int64_t start = low; start <= high; start += SPLITS) {
                const int64_t size = high - start + 1 < SPLITS ? high - start + 1 : SPLITS;
                for (int64_t i = 0; i < size; i++) costs[i] = before[start + i] + run_cost(s, start + i, j);
                for (int64_t i = 0; i < size; i++) {
                    if (costs[i] < least) least = costs[i], found = start + i;
                }
            }
            best[j] = least;
            splits[j] = (int32_t)found;
        }
    }
}

/* The same, from the last row to the first, which search from the split of one run less to that of one value more: about
 * n + n^2 / (2 q^2) costs where values lie evenly, and never wrong ones. */
static void follow_rows(
    const run_sums *s, const double *before, double *best, int32_t *splits, const int32_t *previous, int64_t q,
    int64_t first, int64_t last) {
    int64_t high = last - 1;
    for (int64_t j = last; j >= first; j--) {
        int64_t found = previous[j] < q - 1 ? q - 1 : previous[j];
        double least = 1.0 / 0.0;
        if (high > j - 1) high = j - 1;
        for (int64_t i = found; i <= high; i++) {
            const double cost = before[i] + run_cost(s, i, j);
            if (cost < least) least = cost, found = i;
        }
        best[j] = least;
        splits[j] = (int32_t)found;
        high = found;
    }
}

static void add_run(
    const run_sums *s, const double *before, double *best, int32_t *splits, const int32_t *previous, int64_t q,
    int64_t first, int64_t last) {
    if (q * q * 16 < last) halve_rows(s, before, best, splits, q, first, last);
    else follow_rows(s, before, best, splits, previous, q, first, last);
}

#endif
