/* Which of some intervals a number falls into: the inner step of an exact selection by radix.
 *
 * An interval is a prefix: all numbers whose `ordered` bits (bins.h) agree but for the last `shift`. */
#ifndef SKETCHES_SELECT_H
#define SKETCHES_SELECT_H

#include "bins.h"

typedef struct {
    const int64_t *prefixes; /* ascending */
    const int32_t *direct;   /* the place of each prefix from the first to the last, or -1; NULL where these are many */
    int64_t size;
    int shift;
} intervals;

/* The place of a number's interval, or -1. NaN lies in none, for its prefix is beyond infinity's; nor does zero, whose
 * prefix is that of the least positive numbers, but whose bin is its own. */
static inline int64_t find_interval(const intervals *t, int64_t order) {
    const int64_t first = t->prefixes[0], prefix = order >> t->shift;
    const uint64_t place = (uint64_t)prefix - (uint64_t)first; /* one comparison: half of all numbers are below a median */
    int64_t low = 0, high = t->size;
    if (place > (uint64_t)t->prefixes[t->size - 1] - (uint64_t)first || order == 0) return -1;
    if (t->direct) return t->direct[place];
    while (high - low > 1) {
        const int64_t middle = (low + high) / 2;
        if (t->prefixes[middle] <= prefix) low = middle;
        else high = middle;
    }
    return t->prefixes[low] == prefix ? low : -1;
}

#endif
