/* Counters that grow: most take 1, 2 or 4 bytes, and the few that outgrow these have the rest of their value aside.
 *
 * A cell of b < 64 bits is 2 low + flag. The counter's value is low, or where the flag is set low + rest, and the rest
 * is found in a hash table by the number of the cell. Adding to a counter touches its cell alone, until low would leave
 * [-2^(b-2), 2^(b-2)): then the rest takes over all of it, and low starts again from 0. So that happens to a counter
 * once in 2^(b-2) steps at most, and a stream in which few counters are huge costs few of them memory.
 *
 * Where the rests would take more than a quarter of the cells' memory, all cells widen to twice the bytes. Cells of 64
 * bits are values. */
#ifndef SKETCHES_COUNTER_ROWS_H
#define SKETCHES_COUNTER_ROWS_H

#include <stdlib.h>
#include <string.h>

#include "simd.h"
#ifdef __linux__
#include <sys/mman.h>
#endif

enum {
    COUNTER_HUGE = 1 << 22, /* bytes from which large pages pay */
    COUNTER_SOME = 128,     /* counters read at once */
    COUNTER_FEW = 8         /* that are read one by one */
};

typedef struct {
    int64_t cell; /* its number + 1; 0: free */
    int64_t value;
} counter_rest;

typedef struct {
    void *cells;
    int64_t size;        /* cells */
    int bytes;           /* a cell: 1, 2, 4 or 8 */
    counter_rest *rests; /* open addressing; at most half of the slots are used */
    int64_t slots, used; /* slots: a power of two, or 0 */
} counter_rows;

/* `bytes` is a constant in the loops that matter, so that nothing of the switch is left. */
SKETCHES_INLINE int64_t cell_get(const void *cells, int bytes, int64_t i) {
    switch (bytes) {
    case 1: return ((const int8_t *)cells)[i];
    case 2: return ((const int16_t *)cells)[i];
    case 4: return ((const int32_t *)cells)[i];
    default: return ((const int64_t *)cells)[i];
    }
}

SKETCHES_INLINE void cell_put(void *cells, int bytes, int64_t i, int64_t cell) {
    switch (bytes) {
    case 1: ((int8_t *)cells)[i] = (int8_t)cell; break;
    case 2: ((int16_t *)cells)[i] = (int16_t)cell; break;
    case 4: ((int32_t *)cells)[i] = (int32_t)cell; break;
    default: ((int64_t *)cells)[i] = cell;
    }
}

/* Whether value may be the low part of a cell. */
SKETCHES_INLINE int counter_fits(int bytes, int64_t value) {
    return bytes == 8 || (value >= -((int64_t)1 << (8 * bytes - 2)) && value < (int64_t)1 << (8 * bytes - 2));
}

/* Whether a count and its negative may: so the step of each fits a cell as well. */
SKETCHES_INLINE int counter_fits_signed(int bytes, int64_t count) {
    return counter_fits(bytes, count) && counter_fits(bytes, -count);
}

/* What adding a count that fits adds to a cell. */
SKETCHES_INLINE int64_t cell_step(int bytes, int64_t count) { return bytes == 8 ? count : 2 * count; }

/* Adds a step to a cell; or gives 0, and nothing changes, if that would take it out of its range.
 *
 * On x86-64 that is an addition to memory and a jump if it overflowed, which takes the addition back; compilers do not
 * find the pair, and the four instructions that they make of __builtin_add_overflow cost a tenth of all time. */
SKETCHES_INLINE int cell_add(void *cells, int bytes, int64_t i, int64_t step) {
#if defined(__x86_64__) && defined(__GNUC__) && !defined(SKETCHES_PORTABLE)
#define ADD(type, suffix)                                                                                              \
    {                                                                                                                  \
        __label__ over;                                                                                                \
        type *const cell = (type *)cells + i;                                                                          \
        __asm__ goto("add" suffix " %0, %1\n\tjo %l[over]" : : "ri"((type)step), "m"(*cell) : "memory", "cc" : over);  \
        return 1;                                                                                                      \
    over:                                                                                                              \
        *cell = (type)(*cell - step); /* what wrapped wraps back */                                                    \
        return 0;                                                                                                      \
    }
    switch (bytes) {
    case 1: ADD(int8_t, "b")
    case 2: ADD(int16_t, "w")
    case 4: ADD(int32_t, "l")
    default: break;
    }
#undef ADD
#endif
    const int64_t sum = cell_get(cells, bytes, i) + step;
    if (bytes < 8 && !counter_fits(bytes, sum >> 1)) return 0;
    cell_put(cells, bytes, i, sum);
    return 1;
}

/* The slot of cell i's rest, or a slot before it. */
SKETCHES_INLINE uint64_t counter_slot(const counter_rows *c, int64_t i) {
    return (uint64_t)i * 0x9e3779b97f4a7c15ULL >> 32 & ((uint64_t)c->slots - 1);
}

/* Where the rest of cell i is, or would be. */
static counter_rest *counter_find(const counter_rows *c, int64_t i) {
    const uint64_t last = (uint64_t)c->slots - 1;
    uint64_t slot = counter_slot(c, i);
    while (c->rests[slot].cell && c->rests[slot].cell != i + 1) slot = (slot + 1) & last;
    return &c->rests[slot];
}

SKETCHES_INLINE int64_t counter_value(const counter_rows *c, int bytes, int64_t i) {
    const int64_t cell = cell_get(c->cells, bytes, i);
    if (bytes == 8) return cell;
    return cell & 1 ? (cell >> 1) + counter_find(c, i)->value : cell >> 1;
}

/* Low parts of n <= COUNTER_SOME counters, and which have a rest; gives how many. */
SKETCHES_INLINE int64_t counter_lows(
    const void *cells, const int bytes, const int64_t *numbers, int64_t *values, int64_t *flagged, int64_t n) {
    int64_t size = 0;
    for (int64_t i = 0; i < n; i++) {
        const int64_t cell = cell_get(cells, bytes, numbers[i]);
        values[i] = bytes < 8 ? cell >> 1 : cell;
        if (!flagged) continue;
        flagged[size] = i;
        size += cell & 1;
    }
    return size;
}

/* The values of n <= COUNTER_SOME counters. Which have a rest, and which rests are not in their first slot, is not
 * predictable: all are looked for in their first slots, those left in the next ones and so on, without a branch, until few are left. */
static void counter_values(const counter_rows *c, const int64_t *numbers, int64_t *values, int64_t n) {
    int64_t flagged[COUNTER_SOME], left = 0;
    int64_t *const flags = c->used ? flagged : NULL;
#define LOWS(bytes) left = flags ? counter_lows(c->cells, bytes, numbers, values, flags, n)                            \
                                 : counter_lows(c->cells, bytes, numbers, values, NULL, n);                            \
    break;
    switch (c->bytes) {
    case 1: LOWS(1)
    case 2: LOWS(2)
    case 4: LOWS(4)
    default: counter_lows(c->cells, 8, numbers, values, NULL, n);
    }
#undef LOWS
    for (uint64_t probe = 0; left > COUNTER_FEW; probe++) {
        int64_t size = 0;
        for (int64_t k = 0; k < left; k++) {
            const int64_t i = flagged[k];
            const counter_rest rest = c->rests[(counter_slot(c, numbers[i]) + probe) & ((uint64_t)c->slots - 1)];
            const int64_t here = rest.cell == numbers[i] + 1;
            values[i] += -here & rest.value;
            flagged[size] = i;
            size += !here;
        }
        left = size;
    }
    for (int64_t k = 0; k < left; k++) values[flagged[k]] += counter_find(c, numbers[flagged[k]])->value;
}

/* Whether adding `count` to counter i takes a rest that it does not have yet. */
static int counter_outgrows(const counter_rows *c, int64_t i, int64_t count) {
    const int64_t cell = cell_get(c->cells, c->bytes, i);
    return c->bytes < 8 && !(cell & 1) && !counter_fits(c->bytes, (cell >> 1) + count);
}

/* Adds to a counter for whose rest there is room. No sum wraps: the kernel's weight bounds each. */
static void counter_add(counter_rows *c, int64_t i, int64_t count) {
    const int bytes = c->bytes;
    const int64_t cell = cell_get(c->cells, bytes, i), low = cell >> 1;
    if (bytes == 8) {
        cell_put(c->cells, 8, i, cell + count);
    } else if (counter_fits(bytes, low + count)) {
        cell_put(c->cells, bytes, i, 2 * (low + count) + (cell & 1));
    } else {
        counter_rest *rest = counter_find(c, i);
        c->used += !rest->cell;
        rest->cell = i + 1;
        rest->value += low + count;
        cell_put(c->cells, bytes, i, 1);
    }
}

static void *counter_memory(uint64_t size) {
    void *memory = calloc(size, 1);
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (memory && size >= COUNTER_HUGE) {
        const uintptr_t page = 4096, start = ((uintptr_t)memory + page - 1) & ~(page - 1);
        madvise((void *)start, (uintptr_t)memory + size - start, MADV_HUGEPAGE); /* advice: it may fail */
    }
#endif
    return memory;
}

static void counter_rows_free(counter_rows *c) {
    free(c->cells);
    free(c->rests);
    memset(c, 0, sizeof *c);
}

/* Slots for so many rests; 0 where these would take more than a quarter of the cells' memory. */
static int64_t counter_slots(const counter_rows *c, int64_t rests) {
    int64_t slots = 4;
    if (!rests) return 0;
    while (slots < 2 * rests) slots *= 2;
    return slots * (int64_t)sizeof(counter_rest) <= c->size * c->bytes / 4 ? slots : 0;
}

/* Makes zeros, with room for so many rests, which must be few enough; 0 if there is no memory. */
static int counter_rows_make(counter_rows *c, int64_t size, int bytes, int64_t rests) {
    const counter_rows made = {counter_memory((uint64_t)size * (uint64_t)bytes), size, bytes, NULL, 0, 0};
    *c = made;
    if (bytes < 8) c->slots = counter_slots(c, rests);
    if (c->slots) c->rests = calloc((size_t)c->slots, sizeof(counter_rest));
    if (c->cells && (c->rests || !c->slots)) return 1;
    counter_rows_free(c);
    return 0;
}

SKETCHES_CLONES
static void counter_double(const void *cells, int bytes, void *out, int64_t n) {
#define DOUBLE(narrow, wide, flag)                                                                                     \
    for (int64_t i = 0; i < n; i++) ((wide *)out)[i] = (wide)((wide)(((const narrow *)cells)[i] >> 1) * (1 + flag));
    switch (bytes) {
    case 1: DOUBLE(int8_t, int16_t, 1) break;
    case 2: DOUBLE(int16_t, int32_t, 1) break;
    default: DOUBLE(int32_t, int64_t, 0)
    }
#undef DOUBLE
}

/* Doubles the bytes of all cells; 0, and nothing changes, if there is no memory. */
static int counter_widen(counter_rows *c) {
    counter_rows wide;
    int64_t rests = 0;
    for (const counter_rest *rest = c->rests; rest < c->rests + c->slots; rest++)
        rests += rest->cell && !counter_fits(2 * c->bytes, counter_value(c, c->bytes, rest->cell - 1));
    if (!counter_rows_make(&wide, c->size, 2 * c->bytes, rests)) return 0;
    counter_double(c->cells, c->bytes, wide.cells, c->size);
    for (const counter_rest *rest = c->rests; rest < c->rests + c->slots; rest++)
        if (rest->cell) counter_add(&wide, rest->cell - 1, rest->value);
    counter_rows_free(c);
    *c = wide;
    return 1;
}

enum { COUNTERS_FULL, COUNTERS_READY, COUNTERS_WIDER };

/* Makes room for `more` rests, unless there is no memory (FULL; nothing changes). Where all cells widened instead
 * (WIDER) there may not be enough yet, but fewer may be needed. */
static int counter_room(counter_rows *c, int64_t more) {
    const int64_t slots = counter_slots(c, c->used + more);
    counter_rest *const old = c->rests, *const end = old + c->slots;
    if (c->bytes == 8 || 2 * (c->used + more) <= c->slots) return COUNTERS_READY;
    if (!slots) return counter_widen(c) ? COUNTERS_WIDER : COUNTERS_FULL;
    counter_rest *const rests = calloc((size_t)slots, sizeof(counter_rest));
    if (!rests) return COUNTERS_FULL;
    c->rests = rests;
    c->slots = slots;
    for (const counter_rest *rest = old; rest < end; rest++)
        if (rest->cell) *counter_find(c, rest->cell - 1) = *rest;
    free(old);
    return COUNTERS_READY;
}

/* Adds to n counters: to all or, if there is no memory, to none (FULL). If they are not `distinct`, each without a rest
 * may come to need one. */
static int counter_add_all(counter_rows *c, const int64_t *cells, const int64_t *counts, int64_t n, int distinct) {
    int found = COUNTERS_READY;
    for (;;) {
        int64_t rests = 0;
        for (int64_t i = 0; i < n; i++)
            rests += distinct ? counter_outgrows(c, cells[i], counts[i])
                              : !(cell_get(c->cells, c->bytes, cells[i]) & 1);
        const int room = counter_room(c, rests);
        if (room == COUNTERS_FULL) return COUNTERS_FULL;
        if (room == COUNTERS_READY) break;
        found = COUNTERS_WIDER;
    }
    for (int64_t i = 0; i < n; i++) counter_add(c, cells[i], counts[i]);
    return found;
}

#endif
