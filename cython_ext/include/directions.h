/* A batch's rows as deviations from their mean, and the shrinking of Frequent Directions, in plain loops: a BLAS would
 * wake threads that go on spinning for long after each call, beside the network that is watched.
 *
 * Where products and sums are fused, the last bits of eigenvectors differ between processors; Gram matrices and energies
 * do not, since products of float32 are exact in float64. */
#ifndef SKETCHES_DIRECTIONS_H
#define SKETCHES_DIRECTIONS_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "simd.h"

enum {
    TOGETHER = 8, /* rows added at a time, so that the sum is read and written once for all of them */
    STRIP = 16, /* columns of B at a time, a line of the cache of each row */
    COLUMNS = 128, /* the same for longer loops, copied side by side */
    LANES = 16,
    STEPS = 50 /* of QR for one eigenvalue; two are usual */
};

/* y += Σ weights[row * step] * x[row], rows `stride` apart. */
#define DEFINE_COMBINE(TYPE)                                                                                            \
    SKETCHES_INLINE void TYPE##_combine(TYPE *restrict y, int64_t n, const TYPE *weights, int64_t step,                 \
                                        const TYPE *restrict x, int64_t stride, int64_t rows) {                         \
        int64_t row = 0;                                                                                                \
        for (; row + TOGETHER <= rows; row += TOGETHER, x += TOGETHER * stride) {                                       \
            TYPE w[TOGETHER];                                                                                           \
            for (int k = 0; k < TOGETHER; k++) w[k] = weights[(row + k) * step];                                        \
            for (int64_t i = 0; i < n; i++) {                                                                           \
                TYPE sum = y[i];                                                                                        \
                UNROLL                                                                                                  \
                for (int k = 0; k < TOGETHER; k++) sum += w[k] * x[k * stride + i];                                     \
                y[i] = sum;                                                                                             \
            }                                                                                                           \
        }                                                                                                               \
        for (; row < rows; row++, x += stride) {                                                                        \
            const TYPE w = weights[row * step];                                                                         \
            for (int64_t i = 0; i < n; i++) y[i] += w * x[i];                                                           \
        }                                                                                                               \
    }
DEFINE_COMBINE(double)
DEFINE_COMBINE(float)

SKETCHES_INLINE double sum_lanes(const double *lanes) {
    double sum = 0;
    for (int k = 0; k < LANES; k++) sum += lanes[k];
    return sum;
}

SKETCHES_INLINE double dot(const double *x, const double *y, int64_t n) {
    double lanes[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++) lanes[k] += x[i + k] * y[i + k];
    for (; i < n; i++) lanes[i % LANES] += x[i] * y[i];
    return sum_lanes(lanes);
}

/* Add a row to a sum, unless one of its numbers is NaN or larger than `largest`. */
SKETCHES_CLONES
static int add_row(const float *restrict x, int64_t n, float largest, double *restrict sum) {
    int odd = 0;
    for (int64_t i = 0; i < n; i++) odd |= !(fabsf(x[i]) <= largest);
    if (odd) return 0;
    for (int64_t i = 0; i < n; i++) sum[i] += x[i];
    return 1;
}

/* y = scale * (x - mean), in float32. Adds its squares to `energy`; returns whether y is not 0. */
#define DEFINE_DEVIATIONS(TYPE)                                                                                         \
    SKETCHES_CLONES                                                                                                     \
    static int TYPE##_deviations(const TYPE *restrict x, const double *restrict mean, int64_t n, double scale,          \
                                 float *restrict y, double *energy) {                                                   \
        double lanes[LANES] = {0};                                                                                      \
        int varies = 0;                                                                                                 \
        int64_t i = 0;                                                                                                  \
        for (int64_t j = 0; j < n; j++) y[j] = (float)(scale * (x[j] - mean[j]));                                       \
        for (int64_t j = 0; j < n; j++) varies |= y[j] != 0;                                                            \
        for (; i + LANES <= n; i += LANES)                                                                              \
            for (int k = 0; k < LANES; k++) lanes[k] += (double)y[i + k] * y[i + k];                                    \
        for (; i < n; i++) lanes[i % LANES] += (double)y[i] * y[i];                                                     \
        *energy += sum_lanes(lanes);                                                                                    \
        return varies;                                                                                                  \
    }
DEFINE_DEVIATIONS(double)
DEFINE_DEVIATIONS(float)

/* G = BBᵀ where B (rows, units) is wide, else BᵀB; n is the smaller of the two. `part` has room for STRIP rows of n. */
SKETCHES_CLONES
static void gram(const float *b, int64_t rows, int64_t units, double *g, double *part) {
    const int wide = units > rows;
    const int64_t n = wide ? rows : units, length = wide ? units : rows;
    memset(g, 0, n * n * sizeof(double));
    for (int64_t start = 0; start < length; start += STRIP) {
        const int64_t count = length - start < STRIP ? length - start : STRIP;
        if (wide)
            for (int64_t i = 0; i < n; i++)
                for (int64_t k = 0; k < count; k++) part[k * n + i] = b[i * units + start + k];
        else
            for (int64_t i = 0; i < count * n; i++) part[i] = b[start * n + i];
        for (int64_t i = 0; i < n; i++) {
            const int64_t first = i & -8; /* whole vectors */
            double_combine(g + i * n + first, n - first, part + i, n, part + first, n, count);
        }
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < i; j++) g[i * n + j] = g[j * n + i];
}

/* A symmetric A (n, n) = QᵀTQ, T tridiagonal with `diagonal` and `beside` it, by Householder's reflections
 * I - v vᵀ (Golub and Van Loan, Matrix Computations, 8.3.1); A is left with the v. `work` has room for n numbers. */
SKETCHES_CLONES
static void tridiagonal(double *a, int64_t n, double *diagonal, double *beside, double *q, double *work) {
    for (int64_t k = 0; k + 1 < n; k++) {
        const int64_t m = n - k - 1;
        double *v = a + k * n + k + 1, *rest = v + n;
        const double tail = dot(v + 1, v + 1, m - 1), size = sqrt(v[0] * v[0] + tail);
        diagonal[k] = a[k * n + k];
        beside[k] = v[0];
        if (!(tail > 0)) {
            memset(v, 0, m * sizeof(double));
            continue;
        }
        beside[k] = v[0] > 0 ? -size : size;
        v[0] -= beside[k];
        const double scale = sqrt(2 / (v[0] * v[0] + tail));
        for (int64_t i = 0; i < m; i++) v[i] *= scale;
        memset(work, 0, m * sizeof(double));
        double_combine(work, m, v, 1, rest, n, m);
        const double half = dot(work, v, m) / 2;
        for (int64_t i = 0; i < m; i++) work[i] -= half * v[i];
        for (int64_t i = 0; i < m; i++) {
            const double x = v[i], y = work[i];
            for (int64_t j = 0; j < m; j++) rest[i * n + j] -= x * work[j] + y * v[j];
        }
    }
    diagonal[n - 1] = a[n * n - 1];
    beside[n - 1] = 0;
    memset(q, 0, n * n * sizeof(double));
    for (int64_t i = 0; i < n; i++) q[i * n + i] = 1;
    for (int64_t k = n - 2; k >= 0; k--) {
        const int64_t m = n - k - 1;
        const double *v = a + k * n + k + 1;
        double *rest = q + (k + 1) * (n + 1);
        memset(work, 0, m * sizeof(double));
        double_combine(work, m, v, 1, rest, n, m);
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < m; j++) rest[i * n + j] -= v[i] * work[j];
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < i; j++) {
            const double x = q[i * n + j];
            q[i * n + j] = q[j * n + i], q[j * n + i] = x;
        }
}

/* The eigenvalues of T, to the rounding of the largest, take the place of its diagonal, and the eigenvectors of A that of
 * Q's rows: implicit QR with Wilkinson's shift (Golub and Van Loan, 8.3.3). Returns 0 if it takes too long. */
SKETCHES_CLONES
static int diagonalise(double *d, double *e, int64_t n, double *q) {
    double norm = 0;
    for (int64_t i = 0; i < n; i++) norm = fmax(norm, fabs(d[i]) + fabs(e[i]));
    const double tiny = DBL_EPSILON / 2 * norm;
    int64_t steps = 0;
    for (int64_t last = n - 1; last > 0;) {
        if (fabs(e[last - 1]) <= tiny) {
            last--;
            continue;
        }
        int64_t first = last - 1;
        while (first > 0 && fabs(e[first - 1]) > tiny) first--;
        if (steps++ == STEPS * n) return 0;
        const double half = (d[last - 1] - d[last]) / 2, off = e[last - 1];
        const double root = sqrt(half * half + off * off);
        double x = d[first] - d[last] + off / (half > 0 ? half + root : half - root) * off, bulge = e[first];
        for (int64_t k = first; k < last; k++) {
            const double r = sqrt(x * x + bulge * bulge), inverse = 1 / r;
            const double c = r > 0 ? x * inverse : 1, s = r > 0 ? bulge * inverse : 0;
            const double apart = s * (d[k + 1] - d[k]) + 2 * c * e[k];
            if (k > first) e[k - 1] = r;
            d[k] += s * apart;
            d[k + 1] -= s * apart;
            x = e[k] = c * apart - e[k];
            bulge = s * e[k + 1];
            if (k + 1 < last) e[k + 1] *= c;
            double *restrict upper = q + k * n, *restrict lower = upper + n;
            for (int64_t i = 0; i < n; i++) {
                const double old = upper[i];
                upper[i] = c * old + s * lower[i];
                lower[i] = c * lower[i] - s * old;
            }
        }
    }
    return 1;
}

/* B = WB, of fewer rows, in place. `part` has room for so many columns of both. */
SKETCHES_CLONES
static void turn(float *b, int64_t rows, int64_t units, const float *w, int64_t kept, float *part) {
    float *out = part + rows * COLUMNS;
    for (int64_t start = 0; start < units; start += COLUMNS) {
        const int64_t width = units - start < COLUMNS ? units - start : COLUMNS;
        for (int64_t i = 0; i < rows; i++) memcpy(part + i * COLUMNS, b + i * units + start, width * sizeof(float));
        memset(out, 0, kept * COLUMNS * sizeof(float));
        for (int64_t i = 0; i < kept; i++)
            float_combine(out + i * COLUMNS, width, w + i * rows, 1, part, COLUMNS, rows);
        for (int64_t i = 0; i < kept; i++) memcpy(b + i * units + start, out + i * COLUMNS, width * sizeof(float));
    }
}

/* Numbers of 8 bytes that `shrink` works with. */
static int64_t shrink_room(int64_t rows, int64_t units) {
    const int64_t n = rows < units ? rows : units;
    return n * (2 * n + STRIP + 4) + n * (n + 2 * COLUMNS) / 2 + 1;
}

/* Lower the squared singular values of B by the size-th largest, which goes to `taken`. Returns how many rows are left,
 * in B's first ones, that of the largest last; or -1, and B as it was. */
static int64_t shrink(float *b, int64_t rows, int64_t units, int64_t size, double *room, double *taken) {
    const int64_t n = rows < units ? rows : units;
    double *g = room, *q = g + n * n, *part = q + n * n, *d = part + STRIP * n, *e = d + n, *work = e + n;
    double *sorted = work + n;
    float *w = (float *)(sorted + n), *block = w + n * n;
    int64_t kept = 0;
    gram(b, rows, units, g, part);
    tridiagonal(g, n, d, e, q, work);
    if (!diagonalise(d, e, n, q)) return -1;
    for (int64_t i = 0; i < n; i++) { /* insertion: sorted, and whose place is in `work` */
        int64_t place = i;
        for (; place > 0 && sorted[place - 1] > d[i]; place--)
            sorted[place] = sorted[place - 1], work[place] = work[place - 1];
        sorted[place] = d[i], work[place] = (double)i;
    }
    const double noise = (double)n * DBL_EPSILON * sorted[n - 1]; /* what may be 0 but for rounding */
    *taken = n >= size && sorted[n - size] > noise ? sorted[n - size] : 0;
    for (int64_t i = 0; i < n; i++) {
        if (!(sorted[i] > *taken && sorted[i] > noise)) continue;
        const double left = sorted[i] - *taken, scale = sqrt(units > rows ? left / sorted[i] : left);
        const double *vector = q + (int64_t)work[i] * n;
        double sum = 0; /* the sign is free: that of the sum */
        for (int64_t j = 0; j < n; j++) sum += vector[j];
        for (int64_t j = 0; j < n; j++) w[kept * n + j] = (float)((sum < 0 ? -scale : scale) * vector[j]);
        kept++;
    }
    if (units > rows)
        turn(b, rows, units, w, kept, block);
    else
        memcpy(b, w, kept * n * sizeof(float));
    rows = kept, kept = 0;
    for (int64_t i = 0; i < rows; i++) { /* rounding may leave nothing of a row */
        int varies = 0;
        for (int64_t j = 0; j < units; j++) varies |= b[i * units + j] != 0;
        if (varies && kept < i) memcpy(b + kept * units, b + i * units, units * sizeof(float));
        kept += varies;
    }
    return kept;
}

#endif
