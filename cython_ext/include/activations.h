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
        int broken = 0, overflow = 0;                                                                                   \
        lane_sums s;                                                                                                    \
        TYPE##_extremes e;                                                                                              \
        for (int64_t first = 0; first < units; first += most) {                                                         \
            const int64_t count = units - first < most ? units - first : most;                                          \
            if (TYPE##_whole(x, shape, first, count, lanes, &s, &e)) {                                                  \
                broken = 1;                                                                                             \
                TYPE##_broken(x, shape, first, count, lanes, &s, &e);                                                   \
                if (!shape->limited) for (int64_t i = 0; i < LANES; i++) s.beyond[i] = 0;                               \
            }                                                                                                           \
            double low[LANES], high[LANES];                                                                             \
            for (int64_t i = 0; i < count; i++) {                                                                       \
                low[i] = INFINITY, high[i] = -INFINITY;                                                                 \
                for (int64_t lane = i * lanes; lane < (i + 1) * lanes; lane++) {                                        \
                    low[i] = e.low[lane] < low[i] ? e.low[lane] : low[i];                                               \
                    high[i] = e.high[lane] > high[i] ? e.high[lane] : high[i];                                          \
                }                                                                                                       \
            }                                                                                                           \
            if (lanes > 1) add_lanes(&s, count, lanes);                                                                 \
            overflow |= finish_units(&s, count, low, high, shape, counts + first, values + first);                      \
        }                                                                                                               \
        return overflow ? -1 : broken;                                                                                                  \
    }

/* Add up the lanes of each unit, in order, in the unit's own place. */
static void add_lanes(lane_sums *s, int64_t count, int64_t lanes) {
    for (int64_t i = 0; i < count; i++) {
        int32_t zeros = 0, fires = 0, beyond = 0, nans = 0, infinities = 0;
        double sum = 0, squares = 0;
        s->pivot[i] = s->pivot[i * lanes];
        for (int64_t lane = i * lanes; lane < (i + 1) * lanes; lane++) {
            sum += s->sum[lane];
            squares += s->squares[lane];
            zeros += s->zeros[lane], fires += s->fires[lane], beyond += s->beyond[lane];
            nans += s->nans[lane], infinities += s->infinities[lane];
        }
        s->sum[i] = sum, s->squares[i] = squares, s->zeros[i] = zeros, s->fires[i] = fires, s->beyond[i] = beyond;
        s->nans[i] = nans, s->infinities[i] = infinities;
    }
}

/* Write units' counts and values from their sums; returns whether some overflowed. */
SKETCHES_CLONES
static int finish_units(const lane_sums *restrict s, int64_t count, const double *restrict low,
                        const double *restrict high, const activation_shape *shape, int64_t *restrict counts,
                        double *restrict values) {
    const int64_t units = shape->units, samples = shape->chunks * shape->places;
    int overflow = 0;
    for (int64_t i = 0; i < count; i++) {
        const int64_t n = samples - s->nans[i] - s->infinities[i];
        const double step = s->sum[i] / (double)n, slip = s->sum[i] * step, middle = s->pivot[i] + step;
        const double squares = s->squares[i] > slip ? s->squares[i] - slip : 0;
        const double above = middle < low[i] ? low[i] : middle, mean = above > high[i] ? high[i] : above; /* if rounded */
        overflow |= n && !(s->squares[i] < INFINITY && fabs(slip) < INFINITY && fabs(middle) < INFINITY);
        counts[i] = n;
        values[i] = n ? mean : 0;
        values[units + i] = n ? squares : 0;
        values[2 * units + i] = low[i] + 0.0;
        values[3 * units + i] = high[i] + 0.0;
    }
    const int32_t *const found[5] = {s->nans, s->infinities, s->zeros, s->fires, s->beyond};
    for (int k = 0; k < 5; k++)
        for (int64_t i = 0; i < count; i++) counts[(k + 1) * units + i] = found[k][i];
    return overflow;
}

DEFINE_ACTIVATIONS(float)
DEFINE_ACTIVATIONS(double)

/* Add the counts and values of a block to those of a layer, whose rows lie `stride` apart (Chan, Golub and LeVeque, as
 * in moments.py); returns 0 and changes nothing where a step between means, or a square, overflows. */
SKETCHES_CLONES
static int add_moments(int64_t *restrict counts, int64_t count_stride, double *restrict values, int64_t value_stride,
                       const int64_t *restrict new_counts, const double *restrict new_values, int64_t units) {
    int overflow = 0;
    for (int64_t i = 0; i < units; i++) {
        const double apart = new_values[i] - values[i];
        overflow |= new_counts[i] && !(apart * apart * (double)new_counts[i] < INFINITY);
    }
    if (overflow) return 0;
    double *restrict squares = values + value_stride, *restrict low = values + 2 * value_stride;
    double *restrict high = values + 3 * value_stride;
    for (int64_t i = 0; i < units; i++) {
        const double ours = (double)counts[i], theirs = (double)new_counts[i];
        const double apart = new_values[i] - values[i], right = theirs / (ours + theirs);
        const double least = new_values[2 * units + i] < low[i] ? new_values[2 * units + i] : low[i];
        const double most = new_values[3 * units + i] > high[i] ? new_values[3 * units + i] : high[i];
        const double middle = values[i] + apart * right, above = middle < least ? least : middle;
        const double more = new_values[units + i] + apart * apart * (ours * right);
        const int some = new_counts[i] > 0;
        low[i] = some ? least : low[i];
        high[i] = some ? most : high[i];
        values[i] = some ? (above > most ? most : above) : values[i];
        squares[i] = some ? squares[i] + more : squares[i];
    }
    for (int k = 0; k < 6; k++)
        for (int64_t i = 0; i < units; i++) counts[k * count_stride + i] += new_counts[k * units + i];
    return 1;
}

#endif
