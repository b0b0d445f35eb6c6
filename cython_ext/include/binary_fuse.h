/* Loops of the binary fuse filter: where an item's three slots lie, how the table is solved, and questions in batches.
 *
 * The table is a row of segments of 2^log_length slots; an item has one slot in each of three neighbouring ones. The
 * first follows from the hash's high bits, so that sorted hashes walk through the table from one end to the other and
 * everything at hand stays in the cache; the others, and the fingerprint, follow from the hash scrambled by the seed. */
#ifndef SKETCHES_BINARY_FUSE_H
#define SKETCHES_BINARY_FUSE_H

#include "hash.h"

#define FUSE_ODD 0x9e3779b97f4a7c15ULL /* 2^64 divided by the golden ratio */
#define FUSE_GROUP 256                 /* items whose slots are computed before the first is visited */
#define FUSE_AHEAD 16                  /* items between the prefetch of a slot and its use */
#define FUSE_FAR (1 << 21)             /* bytes: the processor hides the trips to its L2 cache by itself */

typedef struct {
    uint64_t starts;  /* first slots to choose from: all but those of the last two segments; below 2^32 */
    uint64_t salt;    /* from the seed */
    uint32_t length;  /* of a segment, 2^0 to 2^18 */
    int bits;         /* of a fingerprint, 8 or 16 */
} fuse_shape;

/* Of the scrambled hash the highest 18 bits move the second slot, the next 18 the third, and the next 16 are the
 * fingerprint. A xor with less than the length stays in the segment. The product's high half maps the hash onto
 * 0 … starts - 1; as starts < 2^32, two products of 32 bits give it, which vectors have. */
SKETCHES_INLINE uint32_t fuse_slots(const fuse_shape *shape, uint64_t hash, uint32_t *slots) {
    const uint64_t scrambled = mix64(hash + shape->salt), starts = shape->starts;
    const uint32_t mask = shape->length - 1;
    slots[0] = (uint32_t)(((hash >> 32) * starts + ((uint32_t)hash * starts >> 32)) >> 32);
    slots[1] = (slots[0] + shape->length) ^ ((uint32_t)(scrambled >> 46) & mask);
    slots[2] = (slots[0] + 2 * shape->length) ^ ((uint32_t)(scrambled >> 28) & mask);
    return (uint32_t)(scrambled >> 12) & ((1u << shape->bits) - 1);
}

SKETCHES_INLINE uint32_t fuse_at(const void *table, int bits, uint32_t slot) {
    return bits == 8 ? ((const uint8_t *)table)[slot] : ((const uint16_t *)table)[slot];
}

/* Where a table is solved. All of it is zeros at first. */
typedef struct {
    uint64_t *xors;   /* of the hashes that have a slot, for each slot */
    uint8_t *counts;  /* and how many they are */
    uint32_t *order;  /* slots; as many as the table has, and 2 FUSE_AHEAD more to look ahead to */
    uint64_t *peeled; /* hashes, as many as there are */
} fuse_room;

/* Find an order in which each hash has a slot that none of the later ones has ("peeling"): `peeled` is given the hashes
 * so, `order` these slots. Returns whether there is one. Slots that a single hash has are taken in turn, from left to
 * right at first, then as they become alone: it depends on nothing but the set of hashes. They wait in `order` itself,
 * whose front is overwritten by the slots that are done with. */
static int fuse_peel(const fuse_shape *shape, const uint64_t *hashes, uint32_t n, uint32_t size, fuse_room *room) {
    uint64_t *xors = room->xors;
    uint8_t *counts = room->counts;
    uint32_t *order = room->order, own[3], done = 0, end = 0;
    int overflow = 0;
    for (uint32_t i = 0; i < n; i++) {
        fuse_slots(shape, hashes[i], own);
        for (int j = 0; j < 3; j++) {
            xors[own[j]] ^= hashes[i];
            overflow |= ++counts[own[j]] == 0;
        }
    }
    if (overflow) return 0; /* a slot of 256 hashes: they were chosen */
    for (uint32_t slot = 0; slot < size; slot++) {
        order[end] = slot; /* without a branch; a slot becomes alone only once, so that there is room for all */
        end += counts[slot] == 1;
    }
    for (uint32_t head = 0; head < end; head++) {
        PREFETCH(xors + order[head + 2 * FUSE_AHEAD]);
        PREFETCH(counts + order[head + 2 * FUSE_AHEAD]);
        fuse_slots(shape, xors[order[head + FUSE_AHEAD]], own); /* perhaps */
        for (int j = 0; j < 3; j++) {
            PREFETCH(xors + own[j]);
            PREFETCH(counts + own[j]);
        }
        const uint32_t slot = order[head];
        const uint64_t hash = xors[slot];
        if (counts[slot] != 1) continue; /* its hash had another slot to itself */
        order[done] = slot;
        room->peeled[done++] = hash;
        fuse_slots(shape, hash, own);
        for (int j = 0; j < 3; j++) {
            xors[own[j]] ^= hash;
            order[end] = own[j];
            end += --counts[own[j]] == 1;
        }
    }
    return done == n;
}

/* The xor of an item's three slots shall be its fingerprint. The last peeled item's slot is given its value first: no
 * item that was peeled earlier, and so is given its value later, changes the slots of those. `table` is zeros. */
SKETCHES_INLINE void fuse_fill(const fuse_shape *shape, int bits, uint32_t n, const fuse_room *room, void *table) {
    uint32_t own[3];
    for (uint32_t i = n; i-- > 0;) {
        const uint32_t slot = room->order[i], fingerprint = fuse_slots(shape, room->peeled[i], own);
        const uint32_t value = /* the slot itself is still 0 */
            fingerprint ^ fuse_at(table, bits, own[0]) ^ fuse_at(table, bits, own[1]) ^ fuse_at(table, bits, own[2]);
        if (bits == 8) ((uint8_t *)table)[slot] = (uint8_t)value;
        else ((uint16_t *)table)[slot] = (uint16_t)value;
    }
}

static int fuse_solve(
    const fuse_shape *shape, const uint64_t *hashes, uint32_t n, uint32_t size, fuse_room *room, void *table) {
    if (!fuse_peel(shape, hashes, n, size, room)) return 0;
    if (shape->bits == 8) fuse_fill(shape, 8, n, room, table);
    else fuse_fill(shape, 16, n, room, table);
    return 1;
}

/* An empty table, of no starts, holds nothing. */
static inline int fuse_has(const fuse_shape *shape, const void *table, uint64_t hash) {
    uint32_t own[3];
    if (!shape->starts) return 0;
    const int bits = shape->bits;
    const uint32_t fingerprint = fuse_slots(shape, hash, own);
    return fingerprint == (fuse_at(table, bits, own[0]) ^ fuse_at(table, bits, own[1]) ^ fuse_at(table, bits, own[2]));
}

/* `bits` is a constant to the compiler. */
SKETCHES_INLINE void fuse_ask(
    const fuse_shape *shape, int bits, const void *table, const uint64_t *hashes, uint8_t *out, int64_t n) {
    const char *bytes = (const char *)table;
    const int far = (shape->starts + 2 * shape->length) * (uint64_t)bits / 8 > FUSE_FAR;
    uint32_t first[FUSE_GROUP], second[FUSE_GROUP], third[FUSE_GROUP], fingerprint[FUSE_GROUP];
    for (int64_t start = 0; start < n; start += FUSE_GROUP) {
        const int size = n - start < FUSE_GROUP ? (int)(n - start) : FUSE_GROUP;
        for (int i = 0; i < size; i++) {
            uint32_t own[3];
            fingerprint[i] = fuse_slots(shape, hashes[start + i], own);
            first[i] = own[0];
            second[i] = own[1];
            third[i] = own[2];
        }
        for (int i = 0; i < size; i++) {
            if (far && i + FUSE_AHEAD < size) {
                PREFETCH(bytes + (size_t)first[i + FUSE_AHEAD] * (bits / 8));
                PREFETCH(bytes + (size_t)second[i + FUSE_AHEAD] * (bits / 8));
                PREFETCH(bytes + (size_t)third[i + FUSE_AHEAD] * (bits / 8));
            }
            out[start + i] = fingerprint[i] == (fuse_at(table, bits, first[i]) ^ fuse_at(table, bits, second[i]) ^
                                                fuse_at(table, bits, third[i]));
        }
    }
}

SKETCHES_CLONES
static void fuse_has_all(
    const fuse_shape *shape, const void *table, const uint64_t *hashes, uint8_t *out, int64_t n) {
    if (!shape->starts) memset(out, 0, (size_t)n);
    else if (shape->bits == 8) fuse_ask(shape, 8, table, hashes, out, n);
    else fuse_ask(shape, 16, table, hashes, out, n);
}

#endif
