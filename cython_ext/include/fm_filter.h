/* Hashes that no register of FlajoletMartin can learn from are dropped before they are inserted. */
#ifndef SKETCHES_FM_FILTER_H
#define SKETCHES_FM_FILTER_H

#include "flajolet_martin.h"

/* Registers only ever learn. So once none of them is changed by any value of so many leading zeros or fewer, hashes with
 * as few can be dropped unseen, for good. `done` registers are known not to be changed by `zeros` leading zeros. */
typedef struct {
    int zeros;
    int64_t done;
} fm_filter;

/* Look on where it stopped last: all registers are looked at once for each further zero, over the whole stream. */
static void advance_filter(fm_filter *filter, const void *registers, int kind, int p) {
    const int t = kind == ELL ? 2 : 0;
    while (filter->zeros < 64 - p - t && first_missing(registers, filter->done, kind) > (filter->zeros + 1) << t) {
        if (++filter->done == (int64_t)1 << p) {
            filter->done = 0;
            filter->zeros++;
        }
    }
}

static int64_t keep_small_portable(const uint64_t *hashes, int64_t n, uint64_t most, uint64_t *kept) {
    int64_t size = 0;
    for (int64_t i = 0; i < n; i++) {
        kept[size] = hashes[i];
        size += hashes[i] <= most;
    }
    return size;
}

#ifdef SKETCHES_AVX512
__attribute__((target("avx512f,popcnt")))
static int64_t keep_small_avx512(const uint64_t *hashes, int64_t n, uint64_t most, uint64_t *kept) {
    const __m512i limit = _mm512_set1_epi64((long long)most);
    int64_t size = 0, i = 0;
    for (; i + 8 <= n; i += 8) {
        const __m512i h = _mm512_loadu_si512(hashes + i);
        const __mmask8 small = _mm512_cmple_epu64_mask(h, limit);
        _mm512_storeu_si512(kept + size, _mm512_maskz_compress_epi64(small, h));
        size += __builtin_popcount(small);
    }
    return size + keep_small_portable(hashes + i, n - i, most, kept + size);
}
#endif

/* Write the hashes that are at most `most` to `kept`, which has room for n + 8, and return how many. */
static int64_t keep_small(const uint64_t *hashes, int64_t n, uint64_t most, uint64_t *kept) {
#ifdef SKETCHES_AVX512
    if (has_avx512()) return keep_small_avx512(hashes, n, most, kept);
#endif
    return keep_small_portable(hashes, n, most, kept);
}

enum { FM_KEPT = 1024 };

/* Insert what the filter lets through, then let it drop more. */
static void insert_filtered(
    fm_filter *filter, void *registers, int kind, int p, const uint64_t *hashes, int64_t n) {
    uint64_t kept[FM_KEPT + 8];
    for (int64_t done = 0; done < n; done += FM_KEPT) {
        const int64_t size = n - done < FM_KEPT ? n - done : FM_KEPT;
        if (filter->zeros == 0) {
            insert_all(registers, kind, p, hashes + done, size);
        } else {
            const int64_t left = keep_small(hashes + done, size, UINT64_MAX >> filter->zeros, kept);
            insert_all(registers, kind, p, kept, left);
        }
        advance_filter(filter, registers, kind, p);
    }
}

#endif
