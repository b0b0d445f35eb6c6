/* The rows' polynomials of AMS by AVX-512 IFMA: sixteen items at a time, while counters of those before are updated.
 *
 * An instruction adds the low, or the high, 52 bits of a product of 52-bit numbers. A power t of x is cut into 32-bit
 * limbs, t0 + 2^32 t1, and a coefficient a goes with 2^32 a mod p, so that a t is a t0 + (2^32 a) t1: limbs
 * now carry no weight. Each of the two coefficients is cut into 52 bits and 9 more, of weight 2^52, as are the high
 * halves of products. So two sums do, `low` and 2^52 `high`, and 2^52 high modulo p is a rotation of 61 bits. */
#ifndef SKETCHES_AMS_IFMA_H
#define SKETCHES_AMS_IFMA_H

#include "simd.h"

#define AMS_IFMA __attribute__((target("avx512f,avx512ifma")))
#define AMS_INLINE AMS_IFMA static inline __attribute__((always_inline))

typedef __m512i v512;

static inline int has_avx512_ifma(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512ifma");
}

AMS_INLINE v512 ams_all(uint64_t x) { return _mm512_set1_epi64((long long)x); }
AMS_INLINE v512 ams_and(v512 x, v512 y) { return _mm512_and_si512(x, y); }
AMS_INLINE v512 ams_plus(v512 x, v512 y) { return _mm512_add_epi64(x, y); }
AMS_INLINE v512 ams_times(v512 x, v512 y) { return _mm512_mul_epu32(x, y); } /* of the low 32 bits */
AMS_INLINE v512 ams_right(v512 x, int bits) { return _mm512_srli_epi64(x, (unsigned)bits); }
AMS_INLINE v512 ams_left(v512 x, int bits) { return _mm512_slli_epi64(x, (unsigned)bits); }
AMS_INLINE v512 ams_fold(v512 x) { return ams_plus(ams_and(x, ams_all(MERSENNE61)), ams_right(x, 61)); }
/* x & mask | y in one instruction. */
AMS_INLINE v512 ams_and_or(v512 x, v512 mask, v512 y) { return _mm512_ternarylogic_epi64(x, mask, y, 0xea); }

/* low + 2^33 middle + 2^64 high modulo p, where 2^64 is 8. With the limbs of numbers <= p + 7, x0 < 2^32 and
 * x1 < 2^29 + 1: low < 2^64, middle < 2^62, high <= 2^58; the sum is below 2^61 + 2^61 + 2^34 + 2^61 + 8 < 2^63. */
AMS_INLINE v512 ams_reduce(v512 low, v512 middle, v512 high) {
    const v512 turned = ams_plus(ams_and(ams_left(middle, 33), ams_all(MERSENNE61)), ams_right(middle, 28));
    return ams_plus(ams_plus(ams_fold(low), turned), ams_left(high, 3));
}

/* The limbs of x, x^2 and x^3 for eight hashes. */
AMS_INLINE void ams_powers(const uint64_t *hashes, v512 *limbs) {
    const v512 low32 = ams_all(0xffffffff), x = ams_fold(_mm512_loadu_si512(hashes)), x1 = ams_right(x, 32);
    const v512 xx = ams_fold(ams_reduce(ams_times(x, x), ams_times(x, x1), ams_times(x1, x1))), xx1 = ams_right(xx, 32);
    /* Here middle is a sum, to be halved: 2^32 (x1 xx0 + x0 xx1). */
    const v512 middle = ams_plus(ams_times(x1, xx), ams_times(x, xx1));
    const v512 turned = ams_plus(ams_and(ams_left(middle, 32), ams_all(MERSENNE61)), ams_right(middle, 29));
    const v512 xxx = ams_plus(ams_plus(ams_fold(ams_times(x, xx)), turned), ams_left(ams_times(x1, xx1), 3));
    limbs[0] = ams_and(x, low32); limbs[1] = x1;
    limbs[2] = ams_and(xx, low32); limbs[3] = xx1;
    limbs[4] = ams_and(xxx, low32); limbs[5] = ams_right(xxx, 32);
}

/* Places, as ams_place is in memory: buckets in the low halves, 2 or -2 in the high halves; from the two sums of a row.
 *
 * Every sum is exact: the limbs are below 2^32, so `low` is below 7 2^52, `high` below 6 2^32 + 6 2^41 + 2^9 < 2^44,
 * its rotation at most 511 2^52 + 2^35, and the value below 2 p. The bucket is value / 2 * width >> 60, so with the
 * lowest bit cleared, value * width >> 61: the high 9 bits' product, plus the high part of the others', less 9 more
 * bits. */
AMS_INLINE v512 ams_place_of(v512 low, v512 high, v512 width) {
    const v512 p = ams_all(MERSENNE61);
    const v512 sum = ams_plus(low, ams_and_or(ams_left(high, 52), p, ams_right(high, 9)));
    const v512 value = _mm512_min_epu64(sum, _mm512_sub_epi64(sum, p)), even = ams_and(value, ams_all(MERSENNE61 - 1));
    const v512 product = _mm512_madd52hi_epu64(
        _mm512_madd52lo_epu64(ams_all(0), ams_right(even, 52), width), even, width);
    const v512 minus = _mm512_srai_epi64(ams_left(value, 63), 30); /* -2 in the high half, or 0 */
    return _mm512_ternarylogic_epi64(minus, ams_all((uint64_t)2 << 32), ams_right(product, 9), 0xfe); /* all or-ed */
}

/* The places of sixteen items in a row, two times eight, so that more sums are on their way at once. */
AMS_INLINE void ams_places(const uint64_t *c, const v512 *x, const v512 *y, v512 width, ams_place *out) {
    v512 low_x = ams_all(c[12]), high_x = ams_all(c[13]), higher_x = ams_all(0);
    v512 low_y = low_x, high_y = high_x, higher_y = higher_x;
    for (int i = 0; i < 6; i++) {
        const v512 a = ams_all(c[2 * i]), b = ams_all(c[2 * i + 1]);
        low_x = _mm512_madd52lo_epu64(low_x, x[i], a);
        low_y = _mm512_madd52lo_epu64(low_y, y[i], a);
        high_x = _mm512_madd52hi_epu64(high_x, x[i], a);
        high_y = _mm512_madd52hi_epu64(high_y, y[i], a);
        higher_x = _mm512_madd52lo_epu64(higher_x, x[i], b);
        higher_y = _mm512_madd52lo_epu64(higher_y, y[i], b);
    }
    _mm512_storeu_si512(out, ams_place_of(low_x, ams_plus(high_x, higher_x), width));
    _mm512_storeu_si512(out + 8, ams_place_of(low_y, ams_plus(high_y, higher_y), width));
}

/* As ams_locate; n is a multiple of AMS_LANES. */
AMS_IFMA static void ams_locate_ifma(const ams_table *table, const uint64_t *hashes, ams_place *places, int64_t n) {
    const v512 width = ams_all(table->width);
    for (int64_t i = 0; i < n; i += AMS_LANES) {
        v512 x[6], y[6];
        ams_powers(hashes + i, x);
        ams_powers(hashes + i + 8, y);
        for (int64_t r = 0; r < table->depth; r++)
            ams_places(table->limbs[r], x, y, width, places + AMS_CHUNK * r + i);
    }
}

/* Adds n items, a multiple of AMS_LANES; gives how many before the cells widened or memory was short. Row by row, the
 * places of some items are found and those of the items before are put to use: so the processor has both to do at any
 * time. */
AMS_INLINE int64_t ams_add_lanes(
    const ams_table *table, int bytes, const uint64_t *hashes, const int64_t *counts, int64_t n) {
    ams_place places[2][AMS_MAX_DEPTH * AMS_LANES];
    const int64_t depth = table->depth, stride = (int64_t)table->width;
    const v512 width = ams_all(table->width);
    ams_pending pending;
    pending.size = 0;
    for (int64_t i = 0; i <= n; i += AMS_LANES) {
        ams_place *here = places[i / AMS_LANES % 2];
        const ams_place *last = places[1 - i / AMS_LANES % 2];
        const int64_t *some = counts ? counts + i - AMS_LANES : 0;
        v512 x[6], y[6];
        if (i < n) {
            ams_powers(hashes + i, x);
            ams_powers(hashes + i + 8, y);
        }
        char *row = (char *)table->rows->cells;
        for (int64_t r = 0; r < depth; r++, row += stride * bytes) {
            if (i < n) ams_places(table->limbs[r], x, y, width, here + AMS_LANES * r);
            if (i) ams_touch(row, bytes, r * stride, last + AMS_LANES * r, some, AMS_LANES, &pending);
        }
        if (!pending.size) continue;
        const int found = ams_settle(table, last, AMS_LANES, some, AMS_LANES, &pending);
        if (found != COUNTERS_READY) return found == COUNTERS_WIDER ? i : i - AMS_LANES;
    }
    return n;
}

#define AMS_WIDTH(size)                                                                                                \
    return counts ? ams_add_lanes(table, size, hashes, counts, n) : ams_add_lanes(table, size, hashes, 0, n);

AMS_IFMA static int64_t ams_add_ifma(
    const ams_table *table, const uint64_t *hashes, const int64_t *counts, int64_t n) {
    switch (table->rows->bytes) {
    case 1: AMS_WIDTH(1)
    case 2: AMS_WIDTH(2)
    case 4: AMS_WIDTH(4)
    default: AMS_WIDTH(8)
    }
}

#endif
