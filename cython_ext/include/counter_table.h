/* Counters of the items that matter: the table behind SpaceSaving and LossyCounting.
 *
 * An entry holds, for one hash, `count` and `error` with  count - error <= true count <= count.  An item without an
 * entry has a true count of at most `offset`: a new item therefore starts at count = error = offset, and dropping the
 * entries whose count is at most some threshold, while raising `offset` to it, keeps both promises and rewrites nothing.
 *
 *   SpaceSaving drops when all `limit` slots are taken, at the eighth part's largest count (see make_room).
 *   LossyCounting drops whenever the total count passes a multiple of `width`: offset = total / width.
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
    counter_entry *entries; /* capacity of them */
    uint32_t *index;        /* 1 << (64 - shift) of them */
    uint32_t *born;         /* by slot: where in the block its entry is from, or NO_SLOT */
    uint32_t *log;          /* slots filled during a block, `logged` of them */
    int64_t logged;
    int64_t capacity;
    uint64_t free; /* the first free slot, or NO_SLOT */
    uint64_t multiplier;
    int shift;
    int64_t offset;
    int64_t limit; /* SpaceSaving: the most entries; LossyCounting: 0 */
    int64_t width; /* LossyCounting: the step of the total count at which offset grows; SpaceSaving: 0 */
    int64_t fill;  /* LossyCounting: total % width */
} counter_table;

#define NO_SLOT 0xffffffffU

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

/* Free every slot with count <= offset and build the index anew; returns how many entries are left. */
static int64_t table_drop(counter_table *t) {
    int64_t left = 0;
    memset(t->index, 0, sizeof(uint32_t) << (64 - t->shift));
    t->free = NO_SLOT;
    for (int64_t slot = t->capacity - 1; slot >= 0; slot--) {
        counter_entry *entry = t->entries + slot;
        if (entry->count > t->offset) {
            uint64_t position = table_home(t, entry->hash);
            while (t->index[position]) position = table_next(t, position);
            t->index[position] = (uint32_t)slot + 1;
            left++;
        } else {
            entry->count = 0;
            entry->hash = t->free;
            t->free = (uint64_t)slot;
        }
    }
    return left;
}

/* The rank-th smallest count (from 1) of a full table, by histograms of 256 equal intervals above the least possible
 * count: ever wider ones until the rank falls into one, then ever narrower ones inside it. At most 15 passes, whatever
 * the counts; one where they are small, as the low counts of a stream without weights are. */
static int64_t table_select(const counter_table *t, int64_t rank) {
    uint64_t low = (uint64_t)t->offset + 1;
    for (int shift = 0;;) {
        uint32_t histogram[257] = {0}; /* the last one: everything outside, below `low` included (it wraps) */
        int b = 0;
        int64_t left = rank;
        for (int64_t slot = 0; slot < t->capacity; slot++) {
            uint64_t distance = ((uint64_t)t->entries[slot].count - low) >> shift;
            histogram[distance < 256 ? distance : 256]++;
        }
        while (b < 256 && left > histogram[b]) left -= histogram[b++];
        if (b == 256) {
            shift += 8;
        } else if (shift) {
            low += (uint64_t)b << shift;
            rank = left;
            shift -= 8;
        } else {
            return (int64_t)low + b;
        }
    }
}

/* Drop entries of a table without a free slot; returns 0 if it must grow instead.
 *
 * SpaceSaving, k = limit. The threshold is the ceil(k/8)-th smallest count, so m = k - ceil(k/8) + 1 entries or more have
 * at least that count. Let P = sum of (count - offset) over all entries. Adding c to an item, old or new, adds c to P and
 * to the total N. Raising offset by d takes d or more from P for each of those m entries (exactly d from one that is
 * dropped at the threshold). Hence always P + m * offset <= N, and  offset <= N / m < 8/7 * N / k.
 *
 * LossyCounting: half of the slots must come free, so that a pass over all of them pays for itself. */
static int make_room(counter_table *t) {
    if (t->limit == 0) return table_drop(t) <= t->capacity / 2;
    if (t->capacity < t->limit) return 0;
    t->offset = table_select(t, (t->limit + 7) / 8);
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
        if (t->free == NO_SLOT) {
            if (!make_room(t)) return -1;
            position = table_seek(t, h);
        }
        found = (uint32_t)t->free + 1;
        t->index[position] = found;
        t->free = t->entries[found - 1].hash;
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

/* Count items i to n - 1 of a block (counts NULL: once each) and log the slots that get new entries. Returns n, or the
 * number of the item at which the table must grow. */
static int64_t table_add_block(counter_table *t, const uint64_t *hashes, const int64_t *counts, int64_t i, int64_t n) {
    for (; i < n; i++) {
        uint32_t slot;
        int fresh;
        if (i + 24 < n) PREFETCH(t->index + table_home(t, hashes[i + 24]));
        if (i + 12 < n) { /* by now its place in the index is here: fetch the entry, if there is one */
            uint32_t ahead = t->index[table_home(t, hashes[i + 12])];
            PREFETCH(t->entries + ahead - (ahead > 0));
        }
        if (counts && counts[i] == 0) continue;
        fresh = table_add(t, hashes[i], counts ? counts[i] : 1, &slot);
        if (fresh < 0) break;
        if (fresh) {
            t->born[slot] = (uint32_t)i;
            t->log[t->logged++] = slot;
        }
    }
    return i;
}

/* After a block: write the slots whose new entries are still there, and where in the block they are from. A slot that
 * was filled several times is written once, for its last entry. Returns how many. */
static int64_t table_collect(counter_table *t, uint32_t *slots, int64_t *places) {
    int64_t n = 0;
    for (int64_t j = 0; j < t->logged; j++) {
        uint32_t slot = t->log[j];
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
