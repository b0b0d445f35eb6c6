/* Counts and moments of the units of a block (chunks, units, places) of activations, in one pass.
 *
 * Sums are of deviations from a pivot, a value of the unit itself. So they cannot cancel much: with n values, mean m and
 * sum of squared deviations S, (pivot - m)^2 <= S, hence the sum of squares about the pivot is at most (n + 1) S, and
 * what is taken from it to get S is rounded to n times the relative error of float64 at most.
 *
 * Every unit has lanes, each with sums of its own: one for each of up to MOST places, else MOST for all. The loop over
 * lanes is elementwise and the lanes are added in order; compiled without contraction into fused operations, it gives
 * the same bits on every processor. */
#ifndef SKETCHES_ACTIVATIONS_H
#define SKETCHES_ACTIVATIONS_H

#include <math.h>
#include <stdint.h>

#include "simd.h"

enum {
    MOST = 64, /* lanes of a unit */
    LANES = 256, /* at a time: 14 KiB, in the nearest cache */
    TOGETHER = 4 /* numbers of a lane, so that its sums are read and written once for all of them */
};

typedef struct {
    int64_t chunks, units, places;
    double low, high; /* the limits */
    int limited;
} activation_shape;

typedef struct {
    int32_t zeros[LANES], fires[LANES], beyond[LANES], nans[LANES], infinities[LANES];
    double pivot[LANES], sum[LANES], squares[LANES];
} lane_sums;

#define DEFINE_ACTIVATIONS(TYPE)                                                                                        \
    typedef struct {                                                                                                    \
        TYPE low[LANES], high[LANES];                                                                                   \
    } TYPE##_extremes;                                                                                                  \
                                                                                                                        \
    /* Add so many numbers, `stride` apart, to each lane. `whole`: all are taken to be finite. */                       \
    SKETCHES_INLINE void TYPE##_lanes(const TYPE *restrict x, int64_t stride, int rows, int64_t n,                      \
                                     lane_sums *restrict s, TYPE##_extremes *restrict e,                                \
                                     const activation_shape *shape, int whole, int limited) {                           \
        const double low = shape->low, high = shape->high;                                                              \
        for (int64_t i = 0; i < n; i++) {                                                                               \
            const double pivot = s->pivot[i];                                                                           \
            double sum = s->sum[i], squares = s->squares[i];                                                            \
            TYPE least = e->low[i], most = e->high[i];                                                                  \
            int32_t zeros = 0, fires = 0, beyond = 0, nans = 0, infinities = 0;                                         \
            UNROLL                                                                                                      \
            for (int row = 0; row < rows; row++) {                                                                      \
                const TYPE v = x[row * stride + i];                                                                     \
                const int finite = v - v == 0;                                                                          \
                const double apart = (double)v - pivot, d = whole || finite ? apart : 0;                                \
                sum += d;                                                                                               \
                squares += d * d;                                                                                       \
                least = v < least && (whole || finite) ? v : least;                                                     \
                most = v > most && (whole || finite) ? v : most;                                                        \
                zeros = v == 0 ? zeros + 1 : zeros;                                                                     \
                fires = v > 0 ? fires + 1 : fires;                                                                      \
                if (limited) beyond += ((double)v <= low) | ((double)v >= high);                                        \
                if (!whole) nans += v != v, infinities += (v == v) & !finite;                                           \
            }                                                                                                           \
            s->sum[i] = sum, s->squares[i] = squares;                                                                   \
            e->low[i] = least, e->high[i] = most;                                                                       \
            s->zeros[i] += zeros, s->fires[i] += fires;                                                                 \
            if (limited) s->beyond[i] += beyond;                                                                        \
            if (!whole) s->nans[i] += nans, s->infinities[i] += infinities;                                             \
        }                                                                                                               \
    }                                                                                                                   \
                                                                                                                        \
    /* The first finite number of a unit, or 0. */                                                                      \
    static double TYPE##_pivot(const TYPE *x, const activation_shape *shape, int64_t unit) {                            \
        for (int64_t chunk = 0; chunk < shape->chunks; chunk++)                                                         \
            for (int64_t place = 0; place < shape->places; place++) {                                                   \
                const TYPE v = x[(chunk * shape->units + unit) * shape->places + place];                                \
                if (v - v == 0) return v;                                                                               \
            }                                                                                                           \
        return 0;                                                                                                       \
    }                                                                                                                   \
                                                                                                                        \
    /* Fill the lanes. Returns not 0 where some number was not finite, or a square overflowed: both stay in sums. */    \
    SKETCHES_INLINE int TYPE##_units(const TYPE *x, const activation_shape *shape, int64_t first, int64_t count,        \
                                     int64_t lanes, lane_sums *s, TYPE##_extremes *e, int whole, int limited) {         \
        const int64_t units = shape->units, places = shape->places, stride = units * places;                            \
        int odd = 0;                                                                                                    \
        for (int64_t i = 0; i < count * lanes; i++) {                                                                   \
            s->pivot[i] = i % lanes ? s->pivot[i - 1] : TYPE##_pivot(x, shape, first + i / lanes);                      \
            s->sum[i] = s->squares[i] = 0;                                                                              \
            s->zeros[i] = s->fires[i] = s->beyond[i] = s->nans[i] = s->infinities[i] = 0;                               \
            e->low[i] = INFINITY, e->high[i] = -INFINITY;                                                               \
        }                                                                                                               \
        for (int64_t chunk = 0; chunk < shape->chunks;) {                                                               \
            const TYPE *row = x + chunk * stride + first * places;                                                      \
            const int group = lanes == places && chunk + TOGETHER <= shape->chunks ? TOGETHER : 1;                      \
            chunk += group;                                                                                             \
            if (group > 1) {                                                                                            \
                TYPE##_lanes(row, stride, TOGETHER, count * lanes, s, e, shape, whole, limited);                        \
                continue;                                                                                               \
            }                                                                                                           \
            if (lanes == places) {                                                                                      \
                TYPE##_lanes(row, 0, 1, count * lanes, s, e, shape, whole, limited);                                    \
                continue;                                                                                               \
            }                                                                                                           \
            int64_t place = 0;                                                                                          \
            for (; place + TOGETHER * MOST <= places; place += TOGETHER * MOST)                                         \
                TYPE##_lanes(row + place, MOST, TOGETHER, MOST, s, e, shape, whole, limited);                           \
            for (; place < places; place += MOST)                                                                       \
                TYPE##_lanes(row + place, 0, 1, places - place < MOST ? places - place : MOST, s, e, shape, whole,      \
                                    limited);                                                                           \
        }                                                                                                               \
        for (int64_t i = 0; i < count * lanes; i++) odd |= !(s->squares[i] < INFINITY);                                 \
        return odd;                                                                                                     \
    }                                                                                                                   \
                                                                                                                        \
    SKETCHES_CLONES                                                                                                     \
    static int TYPE##_whole(const TYPE *x, const activation_shape *shape, int64_t first, int64_t count, int64_t lanes,  \
                            lane_sums *s, TYPE##_extremes *e) {                                                         \
        return shape->limited ? TYPE##_units(x, shape, first, count, lanes, s, e, 1, 1)                                 \
                              : TYPE##_units(x, shape, first, count, lanes, s, e, 1, 0);                                \
    }                                                                                                                   \
                                                                                                                        \
    SKETCHES_CLONES                                                                                                     \
    static int TYPE##_broken(const TYPE *x, const activation_shape *shape, int64_t first, int64_t count, int64_t lanes, \
                             lane_sums *s, TYPE##_extremes *e) {                                                        \
        return TYPE##_units(x, shape, first, count, lanes, s, e, 0, 1);                                                 \
    }                                                                                                                   \
                                                                                                                        \
    /* Write the counts and values of each unit, rows of `units` numbers, in the order of `Moments`. Returns -1 where a \
     * sum overflowed, else whether some number is not finite. */                                                       \
    static int TYPE##_block(const TYPE *x, const activation_shape *shape, int64_t *counts, double *values) {            \
        const int64_t units = shape->units, lanes = shape->places < MOST ? shape->places : MOST;                        \
        const int64_t most = shape->places <= MOST ? LANES / lanes : 1; /* units at a time */                           \
        int broken = 0;                                                                                                 \
        lane_sums s;                                                                                                    \
        TYPE##_extremes e;                                                                                              \
        for (int64_t first = 0; first < units; first += most) {                                                         \
            const int64_t count = units - first < most ? units - first : most;                                          \
            if (TYPE##_whole(x, shape, first, count, lanes, &s, &e)) {                                                  \
                broken = 1;                                                                                             \
                TYPE##_broken(x, shape, first, count, lanes, &s, &e);                                                   \
                if (!shape->limited) for (int64_t i = 0; i < LANES; i++) s.beyond[i] = 0;                               \
            }                                                                                                           \
            for (int64_t i = 0; i < count; i++) {                                                                       \
                double low = INFINITY, high = -INFINITY;                                                                \
                for (int64_t lane = i * lanes; lane < (i + 1) * lanes; lane++) {                                        \
                    low = e.low[lane] < low ? e.low[lane] : low;                                                        \
                    high = e.high[lane] > high ? e.high[lane] : high;                                                   \
                }                                                                                                       \
                if (!finish_unit(&s, i * lanes, lanes, low, high, shape, counts + first + i, values + first + i))       \
                    return -1;                                                                                          \
            }                                                                                                           \
        }                                                                                                               \
        return broken;                                                                                                  \
    }

/* Write a unit's counts and values from its lanes; returns 0 if these overflowed. */
static int finish_unit(const lane_sums *s, int64_t first, int64_t lanes, double low, double high,
                       const activation_shape *shape, int64_t *counts, double *values) {
    const int64_t units = shape->units;
    int64_t zeros = 0, fires = 0, beyond = 0, nans = 0, infinities = 0;
    double sum = 0, squares = 0;
    for (int64_t lane = first; lane < first + lanes; lane++) {
        sum += s->sum[lane];
        squares += s->squares[lane];
        zeros += s->zeros[lane], fires += s->fires[lane], beyond += s->beyond[lane];
        nans += s->nans[lane], infinities += s->infinities[lane];
    }
    const int64_t n = shape->chunks * shape->places - nans - infinities;
    double mean = 0;
    if (n) {
        const double step = sum / (double)n, slip = sum * step;
        mean = s->pivot[first] + step;
        if (!(squares < INFINITY && fabs(slip) < INFINITY && fabs(mean) < INFINITY)) return 0;
        squares = squares > slip ? squares - slip : 0;
        mean = mean < low ? low : mean > high ? high : mean; /* rounding may not take it beyond */
    }
    const int64_t found[6] = {n, nans, infinities, zeros, fires, beyond};
    for (int i = 0; i < 6; i++) counts[i * units] = found[i];
    values[0] = mean, values[units] = squares, values[2 * units] = low + 0.0, values[3 * units] = high + 0.0;
    return 1;
}

DEFINE_ACTIVATIONS(float)
DEFINE_ACTIVATIONS(double)

/* Add the counts and values of a block to those of a layer, whose rows lie `stride` apart (Chan, Golub and LeVeque, as
 * in moments.py); returns 0 and changes nothing where a step between means, or a square, overflows. */
static int add_moments(int64_t *counts, int64_t count_stride, double *values, int64_t value_stride,
                       const int64_t *new_counts, const double *new_values, int64_t units) {
    for (int64_t i = 0; i < units; i++) {
        const double apart = new_values[i] - values[i];
        if (new_counts[i] && !(apart * apart * (double)new_counts[i] < INFINITY)) return 0;
    }
    for (int64_t i = 0; i < units; i++) {
        double *value = values + i;
        const double ours = (double)counts[i], theirs = (double)new_counts[i], *new_value = new_values + i;
        for (int k = 0; k < 6; k++) counts[k * count_stride + i] += new_counts[k * units + i];
        if (!new_counts[i]) continue;
        double *squares = value + value_stride, *low = squares + value_stride, *high = low + value_stride;
        const double apart = new_value[0] - value[0], right = theirs / (ours + theirs);
        const double mean = value[0] + apart * right;
        *squares += new_value[units] + apart * apart * (ours * right);
        *low = new_value[2 * units] < *low ? new_value[2 * units] : *low;
        *high = new_value[3 * units] > *high ? new_value[3 * units] : *high;
        value[0] = mean < *low ? *low : mean > *high ? *high : mean;
    }
    return 1;
}

#endif
