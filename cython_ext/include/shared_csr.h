/* A sparse matrix whose weights are entries of a codebook, times a vector or a few: for each weight that is kept there
 * are the index of its entry and its column, 3 bytes, and nothing is expanded in memory. */
#ifndef SKETCHES_SHARED_CSR_H
#define SKETCHES_SHARED_CSR_H

#include <string.h>

#include "simd.h"

enum {
    LANES = 16,  /* sums of a row, so that none waits for the one before; or vectors at a time */
    ENTRIES = 256
};

typedef struct {
    const int64_t *starts;   /* of the rows, in the two arrays */
    const uint8_t *entries;  /* index in the codebook */
    const uint16_t *columns;
    const float *codebook;   /* ENTRIES of them, whatever is used */
} shared_csr;

/* The sum of n numbers, a power of two known to the compiler, by pairs. */
SKETCHES_INLINE float add_lanes(float *lanes, int n) {
    for (n /= 2; n; n /= 2)
        for (int i = 0; i < n; i++) lanes[i] += lanes[i + n];
    return lanes[0];
}

static void portable_vector(const shared_csr *m, const float *x, float *out, int64_t first, int64_t last) {
    for (int64_t row = first; row < last; row++) {
        float lanes[LANES] = {0};
        int64_t i = m->starts[row];
        const int64_t end = m->starts[row + 1];
        for (; i + LANES <= end; i += LANES)
            for (int l = 0; l < LANES; l++) lanes[l] += m->codebook[m->entries[i + l]] * x[m->columns[i + l]];
        for (int l = 0; i < end; i++, l++) lanes[l] += m->codebook[m->entries[i]] * x[m->columns[i]];
        out[row] = add_lanes(lanes, LANES);
    }
}

#ifdef SKETCHES_AVX512
#define CSR_AVX2 __attribute__((target("avx2,fma")))

/* Four inputs, whose columns lie in one word: loads of their own take half as long as a gather, on a Zen 3. */
CSR_AVX2 SKETCHES_INLINE __m128 take_four(const float *x, const uint16_t *columns) {
    uint64_t word;
    memcpy(&word, columns, sizeof word);
    __m128 four = _mm_load_ss(x + (uint16_t)word);
    four = _mm_insert_ps(four, _mm_load_ss(x + (uint16_t)(word >> 16)), 0x10);
    four = _mm_insert_ps(four, _mm_load_ss(x + (uint16_t)(word >> 32)), 0x20);
    return _mm_insert_ps(four, _mm_load_ss(x + (word >> 48)), 0x30);
}

/* Eight weights, of 16 entries in two registers: bit 3 of the index, moved to the sign, chooses the register. */
CSR_AVX2 SKETCHES_INLINE __m256 take_eight_weights(const uint8_t *entries, __m256 low, __m256 high) {
    const __m256i index = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)entries));
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(low, index), _mm256_permutevar8x32_ps(high, index),
        _mm256_castsi256_ps(_mm256_slli_epi32(index, 28)));
}

CSR_AVX2 SKETCHES_OWN static void rows_avx2(const shared_csr *m, const float *x, float *out, int64_t first, int64_t last) {
    const __m256 low = _mm256_loadu_ps(m->codebook), high = _mm256_loadu_ps(m->codebook + 8);
    for (int64_t row = first; row < last; row++) {
        __m256 sums[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
        const uint8_t *entries = m->entries + m->starts[row];
        const uint16_t *columns = m->columns + m->starts[row];
        int64_t left = m->starts[row + 1] - m->starts[row];
        for (; left >= 16; left -= 16) {
            for (int half = 0; half < 2; half++, entries += 8, columns += 8) {
                const __m256 inputs = _mm256_insertf128_ps(
                    _mm256_castps128_ps256(take_four(x, columns)), take_four(x, columns + 4), 1);
                sums[half] = _mm256_fmadd_ps(take_eight_weights(entries, low, high), inputs, sums[half]);
            }
        }
        float rest = 0, lanes[8];
        for (; left; left--) rest += m->codebook[*entries++] * x[*columns++];
        _mm256_storeu_ps(lanes, _mm256_add_ps(sums[0], sums[1]));
        out[row] = add_lanes(lanes, 8) + rest;
    }
}

/* For more entries: four indices by one load, their columns by another. */
CSR_AVX2 SKETCHES_OWN static void words_avx2(const shared_csr *m, const float *x, float *out, int64_t first, int64_t last) {
    const float *book = m->codebook;
    for (int64_t row = first; row < last; row++) {
        float a = 0, b = 0, c = 0, d = 0;
        const uint8_t *entries = m->entries + m->starts[row];
        const uint16_t *columns = m->columns + m->starts[row];
        int64_t left = m->starts[row + 1] - m->starts[row];
        for (; left >= 4; left -= 4, entries += 4, columns += 4) {
            uint32_t four;
            uint64_t places;
            memcpy(&four, entries, sizeof four);
            memcpy(&places, columns, sizeof places);
            a += book[(uint8_t)four] * x[(uint16_t)places];
            b += book[(uint8_t)(four >> 8)] * x[(uint16_t)(places >> 16)];
            c += book[(uint8_t)(four >> 16)] * x[(uint16_t)(places >> 32)];
            d += book[four >> 24] * x[places >> 48];
        }
        for (; left; left--) a += book[*entries++] * x[*columns++];
        out[row] = (a + b) + (c + d);
    }
}

CSR_AVX2 static void vector_avx2(
    const shared_csr *m, int used, const float *x, float *out, int64_t first, int64_t last) {
    if (used <= 16) rows_avx2(m, x, out, first, last);
    else words_avx2(m, x, out, first, last);
}

#define CSR_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,fma")))

/* Sixteen weights; a small codebook lies in one or two registers. `few` is a constant to the compiler. */
CSR_AVX512 SKETCHES_INLINE __m512 take_weights(__m512i entries, const float *codebook, __m512 low, __m512 high, int few) {
    if (few == 1) return _mm512_permutexvar_ps(entries, low);
    if (few == 2) return _mm512_permutex2var_ps(low, entries, high);
    return _mm512_i32gather_ps(entries, codebook, 4);
}

CSR_AVX512 SKETCHES_INLINE void rows_avx512(
    const shared_csr *m, const float *x, float *out, int64_t first, int64_t last, int few) {
    const __m512 low = _mm512_loadu_ps(m->codebook), high = _mm512_loadu_ps(m->codebook + LANES);
    for (int64_t row = first; row < last; row++) {
        __m512 sums = _mm512_setzero_ps(), others = _mm512_setzero_ps();
        int64_t i = m->starts[row];
        const int64_t end = m->starts[row + 1];
        for (; i + 2 * LANES <= end; i += 2 * LANES) {
            const __m512i entries = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(m->entries + i)));
            const __m512i columns = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(m->columns + i)));
            const __m512i entries2 = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(m->entries + i + LANES)));
            const __m512i columns2 =
                _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(m->columns + i + LANES)));
            sums = _mm512_fmadd_ps(
                take_weights(entries, m->codebook, low, high, few), _mm512_i32gather_ps(columns, x, 4), sums);
            others = _mm512_fmadd_ps(
                take_weights(entries2, m->codebook, low, high, few), _mm512_i32gather_ps(columns2, x, 4), others);
        }
        for (; i < end; i += LANES) {
            const __mmask16 here = end - i < LANES ? (__mmask16)((1u << (end - i)) - 1) : (__mmask16)0xffff;
            const __m512i entries = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(here, m->entries + i));
            const __m512i columns = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(here, m->columns + i));
            const __m512 inputs = _mm512_mask_i32gather_ps(_mm512_setzero_ps(), here, columns, x, 4);
            sums = _mm512_mask3_fmadd_ps(take_weights(entries, m->codebook, low, high, few), inputs, sums, here);
        }
        out[row] = _mm512_reduce_add_ps(_mm512_add_ps(sums, others));
    }
}

CSR_AVX512 static void vector_avx512(
    const shared_csr *m, int used, const float *x, float *out, int64_t first, int64_t last) {
    if (used <= LANES) rows_avx512(m, x, out, first, last, 1);
    else if (used <= 2 * LANES) rows_avx512(m, x, out, first, last, 2);
    else rows_avx512(m, x, out, first, last, 0);
}
#endif

/* Some rows times a vector; `used` entries of the codebook are in use. */
static void csr_vector(const shared_csr *m, int used, const float *x, float *out, int64_t first, int64_t last) {
#ifdef SKETCHES_AVX512
    if (has_avx512() && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
        vector_avx512(m, used, x, out, first, last);
        return;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        vector_avx2(m, used, x, out, first, last);
        return;
    }
#endif
    (void)used;
    portable_vector(m, x, out, first, last);
}

/* Some rows times LANES vectors, which lie side by side: x is (columns, LANES), out (rows, LANES). */
SKETCHES_CLONES
static void csr_panel(const shared_csr *m, const float *restrict x, float *restrict out, int64_t first, int64_t last) {
    for (int64_t row = first; row < last; row++) {
        float sums[LANES] = {0}, others[LANES] = {0};
        int64_t i = m->starts[row];
        const int64_t end = m->starts[row + 1];
        for (; i + 2 <= end; i += 2) {
            const float weight = m->codebook[m->entries[i]], weight2 = m->codebook[m->entries[i + 1]];
            const float *inputs = x + (size_t)m->columns[i] * LANES, *inputs2 = x + (size_t)m->columns[i + 1] * LANES;
            for (int l = 0; l < LANES; l++) sums[l] += weight * inputs[l];
            for (int l = 0; l < LANES; l++) others[l] += weight2 * inputs2[l];
        }
        if (i < end) {
            const float weight = m->codebook[m->entries[i]], *inputs = x + (size_t)m->columns[i] * LANES;
            for (int l = 0; l < LANES; l++) sums[l] += weight * inputs[l];
        }
        for (int l = 0; l < LANES; l++) out[row * LANES + l] = sums[l] + others[l];
    }
}

#endif
