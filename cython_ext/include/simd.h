/* SKETCHES_CLONES: compile the loop once per x86-64 level; the loader picks the widest that the processor has.
 * Elsewhere (other processors, musl, MSVC) it expands to nothing and the portable loop runs: same code, same result.
 * So it does everywhere with SKETCHES_PORTABLE defined, which is how the tests compare the two. */
#ifndef SKETCHES_SIMD_H
#define SKETCHES_SIMD_H

#include <stdint.h>

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__has_attribute) && !defined(SKETCHES_PORTABLE)
#if __has_attribute(target_clones) && defined(__GNUC__) && !defined(__clang__)
#define SKETCHES_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#endif
#endif
#ifndef SKETCHES_CLONES
#define SKETCHES_CLONES
#endif

/* A clone is only compiled for its level throughout if what it calls is inlined. */
#ifdef __GNUC__
#define SKETCHES_INLINE static inline __attribute__((always_inline))
#else
#define SKETCHES_INLINE static inline
#endif

/* A loop in a function of its own has all registers to itself. */
#ifdef __GNUC__
#define SKETCHES_OWN __attribute__((noinline))
#define UNROLL _Pragma("GCC unroll 16")
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)
#else
#define SKETCHES_OWN
#define UNROLL
#define UNLIKELY(condition) (condition)
#endif

/* Intrinsics beside a portable loop with the same result; `has_avx512` picks at run time. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(SKETCHES_PORTABLE)
#include <immintrin.h>
#define SKETCHES_AVX512
static inline int has_avx512(void) { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd"); }
#endif

#ifdef _MSC_VER
#include <intrin.h>
SKETCHES_INLINE uint64_t mulhi64(uint64_t a, uint64_t b) { return __umulh(a, b); }
SKETCHES_INLINE int leading_zeros64(uint64_t x) {
    unsigned long i;
    return _BitScanReverse64(&i, x) ? 63 - (int)i : 64;
}
#define PREFETCH(address) _mm_prefetch((const char *)(address), _MM_HINT_T0)
#define PREFETCH_FAR(address) _mm_prefetch((const char *)(address), _MM_HINT_T1) /* not into the nearest cache */
#else
/* The high half of the 128-bit product: maps a uniform a to the uniform range [0, b) without a division. */
SKETCHES_INLINE uint64_t mulhi64(uint64_t a, uint64_t b) { return (uint64_t)(((unsigned __int128)a * b) >> 64); }
SKETCHES_INLINE int leading_zeros64(uint64_t x) { return x ? __builtin_clzll(x) : 64; }
#define PREFETCH(address) __builtin_prefetch(address)
#define PREFETCH_FAR(address) __builtin_prefetch(address, 0, 2) /* not into the nearest cache */
#endif

#endif
