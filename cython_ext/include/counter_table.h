/* Counters of the items that matter: the table behind SpaceSaving, LossyCounting and SubsetSum.
 *
 * An entry holds, for one hash, `count` and `error` with  count - error <= true count <= count.  An item without an
 * entry has a true count of at most `offset`: a new item therefore starts at count = error = offset, and dropping the
 * entries whose count is at most some threshold, while raising `offset` to it, keeps both promises and rewrites nothing.
 *
 *   SpaceSaving drops when all `limit` slots are taken, at the eighth part's largest count (see make_room).
 *   LossyCounting drops whenever the total count passes a multiple of `width`: offset = total / width.
 *   SubsetSum drops by chance, elsewhere (sample.h); its offset stays 0.
 *
 * An entry counts only while count > offset. So LossyCounting need not look for the entries that a boundary drops: an
 * item that meets its own dropped entry starts anew in it, and the others go when room is needed.
 *
 * Entries live in slots that never move (slot = place in the caller's list of items); free slots have count 0 and form
 * a list through `hash`. `index` finds a slot by hash: open addressing, at most a third full, 0 for empty, else slot + 1.
 * Positions come from a secret odd multiplier (multiply-shift hashing: Dietzfelbinger, Hagerup, Katajainen, Penttonen,
 * "A reliable randomized algorithm for the closest-pair problem", 1997), so that nobody can aim items at one place;
 * nothing else depends on it. */
#ifndef SKETCHES_COUNTER_TABLE_H
#define SKETCHES_COUNTER_TABLE_H

#include <stdint.h>
#include <string.h>

#include "simd.h"

typedef struct {
    uint64_t hash; /* in a free slot: the next free slot, or NO_SLOT */
    int64_t count;
    int64_t error;
} counter_entry;

typedef struct {
    counter_entry *entries; /* capacity of them; before the first lies one that stands for none, of count 0 */
    uint32_t *index;        /* 1 << (64 - shift) of them */
    uint32_t *born;         /* by slot: where in the block its entry is from, or NO_SLOT */
    uint32_t *log;          /* slots filled during a block; what exceeds log_size of them is only counted */
    int64_t log_size;
    int64_t logged;
    int64_t capacity;
    int64_t room;  /* free slots */
    uint64_t free; /* the first free slot, or NO_SLOT */
    uint64_t multiplier;
    int shift;
    int64_t offset;
    int64_t limit; /* SpaceSaving: the most entries; others: 0 */
    int64_t width; /* LossyCounting: the step of the total count at which offset grows; others: 0 */
    int64_t fill;  /* LossyCounting: total % width */
} counter_table;

#define NO_SLOT 0xffffffffU
#define BATCH 256    /* items looked up at once */
#define FAR 4096     /* slots: larger tables lie outside of the nearest caches */

static inline uint64_t table_home(const counter_table *t, uint64_t h) { return (h * t->multiplier) >> t->shift; }

static inline uint64_t table_next(const counter_table *t, uint64_t position) {
    return (position + 1) & (UINT64_MAX >> t->shift);
}

/* The position of a hash's entry in the index, or of the empty place where it belongs. */
static inline uint64_t table_seek(const counter_table *t, uint64_t h) {
    uint64_t position = table_home(t, h);
    uint32_t slot;
    while ((slot = t->index[position]) && t->entries[slot - 1].hash != h) position = table_next(t, position);
    return position;
}

/* The entry of a hash, or NULL; an entry that was dropped in all but form is none. */
static inline counter_entry *table_find(const counter_table *t, uint64_t h) {
    uint32_t slot = t->index[table_seek(t, h)];
    return slot && t->entries[slot - 1].count > t->offset ? t->entries + slot - 1 : NULL;
}

/* Free every slot with count <= offset and build the index anew; returns how many entries are left. No branch depends on
 * whether one slot is freed, which nobody could predict. */
static int64_t table_drop(counter_table *t) {
    const int64_t offset = t->offset;
    uint64_t free = NO_SLOT;
    int64_t left = 0;
    memset(t->index, 0, sizeof(uint32_t) << (64 - t->shift));
    for (int64_t end = t->capacity; end > 0; end -= BATCH) {
        uint32_t kept[BATCH];
        int n = 0;
        for (int64_t slot = end - 1; slot >= 0 && slot >= end - BATCH; slot--) {
            counter_entry *entry = t->entries + slot;
            const uint64_t stays = (uint64_t)0 - (entry->count > offset); /* all ones, or 0 */
            kept[n] = (uint32_t)slot;
            n += (int)(stays & 1);
            entry->count &= (int64_t)stays;
            entry->hash = (entry->hash & stays) | (free & ~stays);
            free = (free & stays) | ((uint64_t)slot & ~stays);
        }
        for (int j = 0; j < n; j++) {
            uint64_t position = table_home(t, t->entries[kept[j]].hash);
            while (t->index[position]) position = table_next(t, position);
            t->index[position] = kept[j] + 1;
        }
        left += n;
    }
    t->free = free;
    t->room = t->capacity - left;
    return left;
}

/* The rank-th smallest count (from 1) of a full table: first its octave, by distances from the least possible count, then
 * ever narrower intervals, 256 at a time, until one holds it alone. Two or three passes for counts of any spread, ten at
 * most; one where counts are small, as the low counts of a stream without weights are. */
static int64_t table_select(const counter_table *t, int64_t rank) {
    uint64_t low = (uint64_t)t->offset + 1;
    uint32_t octaves[65] = {0};
    int octave = 0, shift;
    int64_t least = 0;
    for (int64_t slot = 0; slot < t->capacity; slot++) least += t->entries[slot].count == (int64_t)low;
    if (least >= rank) return (int64_t)low; /* mostly so, for most of the items that come and go came once */
    for (int64_t slot = 0; slot < t->capacity; slot++)
        octaves[64 - leading_zeros64((uint64_t)t->entries[slot].count - low)]++;
    while (rank > octaves[octave]) rank -= octaves[octave++];
    low += (uint64_t)1 << (octave - 1); /* distances in [2^(octave-1), 2^octave); not 0, see above */
    shift = octave > 9 ? octave - 9 : 0;
    for (;;) {
        uint32_t histogram[257] = {0}; /* the last one: everything outside, below `low` included (it wraps) */
        int64_t found[257]; /* a count of each interval */
        int b = 0;
        for (int64_t slot = 0; slot < t->capacity; slot++) {
            const uint64_t distance = ((uint64_t)t->entries[slot].count - low) >> shift;
            const uint64_t interval = distance < 256 ? distance : 256;
            histogram[interval]++;
            found[interval] = t->entries[slot].count;
        }
        while (rank > histogram[b]) rank -= histogram[b++];
        if (histogram[b] == 1 || shift == 0) return found[b];
        low += (uint64_t)b << shift;
        shift = shift > 8 ? shift - 8 : 0;
    }
}

/* Drop entries of a table without a free slot; returns 0 if it must grow instead.
 *
 * SpaceSaving, k = limit. The threshold is the r-th smallest count, r = max(1, floor(k/8)), so m = k - r + 1 entries or
 * more have at least that count. Let P = sum of (count - offset) over all entries. Adding c to an item, old or new, adds
 * c to P and to I, the sum of all positive counts; taking c away takes something from P, or nothing, and leaves I.
 * Raising offset by d takes d or more from P for each of those m entries (exactly d from one that is dropped at the
 * threshold). Hence always P + m * offset <= I, and  offset <= I / m <= 8/7 * I / (k + 1)  for k >= 7: there
 * k - floor(k/8) + 1 >= 7/8 * (k + 1).
 *
 * Merging two tables adds their P, their offsets and their I, so that the inequality holds for the sums. If more than k
 * entries remain, offset then rises to the (k+1)-th largest count, which takes as much from k + 1 > m entries. Hence it
 * holds after any number of merges, in any order and of any shape.
 *
 * LossyCounting: half of the slots must come free, so that a pass over all of them pays for itself. */
static int make_room(counter_table *t) {
    if (t->limit == 0) return table_drop(t) <= t->capacity / 2;
    if (t->capacity < t->limit) return 0;
    t->offset = table_select(t, t->limit < 8 ? 1 : t->limit / 8);
    table_drop(t);
    return 1;
}

/* Count an item, count > 0: returns 1 if its entry is new, 0 if it had one, -1 if the table must grow first. */
static inline int table_add(counter_table *t, uint64_t h, int64_t count, uint32_t *slot) {
    uint64_t position = table_seek(t, h);
    uint32_t found = t->index[position];
    counter_entry *entry;
    int fresh = 0;
    if (!found) {
        if (!t->room) {
            if (!make_room(t)) return -1;
            position = table_seek(t, h);
        }
        found = (uint32_t)t->free + 1;
        t->index[position] = found;
        t->free = t->entries[found - 1].hash;
        t->room--;
        t->entries[found - 1].hash = h;
    }
    entry = t->entries + found - 1;
    if (entry->count <= t->offset) { /* a free slot, or dropped since */
        entry->count = entry->error = t->offset;
        fresh = 1;
    }
    entry->count += count;
    if (t->width && (t->fill += count) >= t->width) {
        t->offset += t->fill / t->width;
        t->fill %= t->width;
    }
    *slot = found - 1;
    return fresh;
}

/* Take `count` > 0 from an item's entry, if it has one; an item without one stays below `offset` all the more. An entry
 * that falls to `offset` says no more than none, and its slot comes free: its place in the index is filled by the next
 * entry whose search passes there, that one's in turn, and so on (Knuth, TAOCP 3, 6.4, algorithm R). */
static void table_take(counter_table *t, uint64_t h, int64_t count) {
    const uint64_t mask = UINT64_MAX >> t->shift;
    uint64_t hole = table_seek(t, h), next;
    const uint32_t slot = t->index[hole];
    counter_entry *const entry = t->entries - 1 + slot; /* the one before the first if there is none */
    if (!slot || (entry->count -= count) > t->offset) return;
    for (next = table_next(t, hole); t->index[next]; next = table_next(t, next)) {
        const uint64_t home = table_home(t, t->entries[t->index[next] - 1].hash);
        if (((next - home) & mask) < ((next - hole) & mask)) continue; /* its search begins after the hole */
        t->index[hole] = t->index[next];
        hole = next;
    }
    t->index[hole] = 0;
    entry->count = 0;
    entry->hash = t->free;
    t->free = slot - 1;
    t->room++;
}

static inline void table_log(counter_table *t, uint32_t slot, int64_t place) {
    t->born[slot] = (uint32_t)place;
    if (t->logged < t->log_size) t->log[t->logged] = slot;
    t->logged++;
}

/* table_add for some items of a batch, whose places `which` tells. There are free slots for all of them, and no bucket
 * ends with them. `start` is the place of the batch in the block. */
static inline void table_put(counter_table *table, const uint64_t *hashes, const int64_t *counts, const uint16_t *which,
                             int n, int64_t start) {
    counter_table t = *table; /* in registers: writing to an entry might change `table`, for all that compilers know */
    counter_entry *const entries = t.entries - 1;
    for (int j = 0; j < n; j++) {
        const int i = which[j];
        const uint64_t position = table_seek(&t, hashes[i]);
        const int64_t count = counts ? counts[i] : 1;
        uint32_t slot = t.index[position];
        if (count == 0) continue;
        if (entries[slot].count > t.offset) {
            entries[slot].count += count;
            continue;
        }
        if (!slot) {
            slot = (uint32_t)t.free + 1;
            t.free = entries[slot].hash;
            t.room--;
            t.index[position] = slot;
            entries[slot].hash = hashes[i];
        } /* else it was dropped in all but form */
        entries[slot].count = t.offset + count;
        entries[slot].error = t.offset;
        table_log(&t, slot - 1, start + i);
    }
    table->free = t.free;
    table->room = t.room;
    table->logged = t.logged;
}

/* Count the items of a batch that have entries where one looks first, and leave the rest: writes their places, and
 * returns how many they are, at most `most`; `size` becomes the place at which one more would be left. No branch depends
 * on the items. */
static inline int table_raise(const counter_table *table, const uint64_t *hashes, const int64_t *counts, uint16_t *others,
                              int most, int *size) {
    const counter_table t = *table;
    counter_entry *const entries = t.entries - 1; /* 0 in the index: entries[0], where what was not found is counted */
    uint32_t slots[BATCH];
    int n = 0;
    for (int i = 0; i < *size; i++) {
        const uint32_t slot = t.index[table_home(&t, hashes[i])];
        const uint32_t hit = (uint32_t)(entries[slot].hash == hashes[i]) & (uint32_t)(entries[slot].count > t.offset);
        slots[i] = slot & (0 - hit);
        others[n] = (uint16_t)i;
        n += 1 - (int)hit;
    }
    if (n > most) {
        n = most;
        *size = others[n];
    }
    for (int i = 0; i < *size; i++) entries[slots[i]].count += counts ? counts[i] : 1;
    entries[0].count = 0;
    return n;
}

/* Count items of a block (counts NULL: once each) and log the slots that get new entries; `start` is the first one's
 * place. Returns how many were counted: all n, or those before the one for which the table must grow.
 *
 * Until entries are dropped or a bucket ends, the order of the items does not matter. So a batch stops short of either,
 * and counts first what has an entry, then the rest. Where most items are new, the first step is left out. */
static int64_t table_add_block(
    counter_table *t, const uint64_t *hashes, const int64_t *counts, int64_t n, int64_t start) {
    int raise = 1, seen = BATCH, rare = 0; /* the last batch's items, and those of them without an entry */
    uint16_t others[BATCH];
    for (int64_t i = 0; i < n;) {
        const int64_t room = t->room;
        const int64_t most = raise ? 8 + (room + 1) * seen / (rare + 1) : room; /* probably not many too many */
        const int64_t *weights = counts ? counts + i : NULL;
        int64_t fill = t->fill;
        int size = (int)(n - i < BATCH ? n - i : BATCH), left;
        if (size > most) size = (int)most;
        if (t->width) {
            int before = 0;
            if (weights)
                for (int64_t sum = fill; before < size && weights[before] < t->width - sum; before++)
                    sum += weights[before];
            else
                before = (int)(size < t->width - 1 - fill ? size : t->width - 1 - fill);
            size = before;
        }
        if (t->capacity > FAR) { /* all trips to memory at once: to the index, then to the entries */
            for (int j = 0; j < size; j++) PREFETCH(t->index + table_home(t, hashes[i + j]));
            for (int j = 0; j < size; j++) PREFETCH(t->entries - 1 + t->index[table_home(t, hashes[i + j])]);
        }
        if (raise) {
            left = table_raise(t, hashes + i, weights, others, (int)(room < BATCH ? room : BATCH), &size);
            seen = size;
            rare = left;
        } else {
            for (left = 0; left < size; left++) others[left] = (uint16_t)left;
        }
        table_put(t, hashes + i, weights, others, left, start + i);
        if (weights) for (int j = 0; j < size; j++) fill += weights[j];
        else fill += size;
        if (t->width) t->fill = fill;
        if (size > 0) {
            raise = 4 * (room - t->room) <= 3 * size;
            i += size;
        } else { /* the next item needs a slot that must come free first, or ends a bucket */
            uint32_t slot;
            const int64_t count = weights ? weights[0] : 1;
            const int fresh = count ? table_add(t, hashes[i], count, &slot) : 0;
            if (fresh < 0) return i;
            if (fresh) table_log(t, slot, start + i);
            i++;
        }
    }
    return n;
}

/* The same where counts may be negative. There the order of the items matters, so they are counted one by one. */
static int64_t table_add_signed(
    counter_table *t, const uint64_t *hashes, const int64_t *counts, int64_t n, int64_t start) {
    for (int64_t i = 0; i < n; i++) {
        uint32_t slot;
        if (counts[i] < 0) {
            table_take(t, hashes[i], -counts[i]);
        } else if (counts[i] > 0) {
            const int fresh = table_add(t, hashes[i], counts[i], &slot);
            if (fresh < 0) return i;
            if (fresh) table_log(t, slot, start + i);
        }
    }
    return n;
}

/* After a block: write the slots whose new entries are still there, and where in the block they are from. A slot that
 * was filled several times is written once, for its last entry. Returns how many. */
static int64_t table_collect(counter_table *t, uint32_t *slots, int64_t *places) {
    const int all = t->logged > t->log_size;
    const int64_t size = all ? t->capacity : t->logged;
    int64_t n = 0;
    for (int64_t j = 0; j < size; j++) {
        const uint32_t slot = all ? (uint32_t)j : t->log[j];
        if (t->entries[slot].count > t->offset && t->born[slot] != NO_SLOT) {
            slots[n] = slot;
            places[n++] = t->born[slot];
        }
        t->born[slot] = NO_SLOT;
    }
    t->logged = 0;
    return n;
}

#endif
