/* Tables that merge by adding counters, or by or-ing bits. */
#ifndef SKETCHES_MERGE_H
#define SKETCHES_MERGE_H

#include "simd.h"

SKETCHES_CLONES
static void add_counters(int64_t *mine, const int64_t *theirs, int64_t n) {
    for (int64_t i = 0; i < n; i++) mine[i] += theirs[i];
}

/* The same; meanwhile the processor is asked for what comes 8 KiB later, first here, then in `next` (or NULL), which is
 * merged afterwards: it would not look ahead beyond a page by itself. */
static void add_counters_before(int64_t *mine, const int64_t *theirs, int64_t n, const int64_t *next) {
    enum { STEP = 64, AHEAD = 1024, LINE = 8 };
    for (int64_t at = 0; at < n; at += STEP) {
        const int64_t ahead = at + AHEAD;
        const int64_t *later = ahead < n ? theirs + ahead : next && n >= AHEAD ? next + (ahead - n) : NULL;
        if (later) for (int64_t line = 0; line < STEP; line += LINE) PREFETCH(later + line);
        add_counters(mine + at, theirs + at, n - at < STEP ? n - at : STEP);
    }
}

SKETCHES_CLONES
static void or_words(uint64_t *mine, const uint64_t *theirs, int64_t n) {
    for (int64_t i = 0; i < n; i++) mine[i] |= theirs[i];
}

#endif
