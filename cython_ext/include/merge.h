/* Tables that merge by adding counters, or by or-ing bits. */
#ifndef SKETCHES_MERGE_H
#define SKETCHES_MERGE_H

#include "simd.h"

SKETCHES_CLONES
static void add_counters(int64_t *mine, const int64_t *theirs, int64_t n) {
    for (int64_t i = 0; i < n; i++) mine[i] += theirs[i];
}

SKETCHES_CLONES
static void or_words(uint64_t *mine, const uint64_t *theirs, int64_t n) {
    for (int64_t i = 0; i < n; i++) mine[i] |= theirs[i];
}

#endif
