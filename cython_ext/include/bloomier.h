/* A static function on the table of the binary fuse filter: the xor of an item's three cells and of bits of its hash is a
 * value of its own choice, instead of 0. For an item that has none, it is any number of so many bits. */
#ifndef SKETCHES_BLOOMIER_H
#define SKETCHES_BLOOMIER_H

#include "binary_fuse.h"

SKETCHES_INLINE uint64_t position_hash(uint64_t position) { return mix64(position + FUSE_ODD); }

SKETCHES_INLINE uint32_t bloomier_at(const fuse_shape *shape, const uint16_t *table, uint64_t hash) {
    uint32_t own[3];
    const uint32_t mask = fuse_slots(shape, hash, own);
    return mask ^ table[own[0]] ^ table[own[1]] ^ table[own[2]];
}

/* As `fuse_fill`: the last peeled item's cell first. `values` are in the order of `peeled`, `table` is zeros. */
static void bloomier_fill(
    const fuse_shape *shape, uint32_t n, const fuse_room *room, const uint16_t *values, uint16_t *table) {
    for (uint32_t i = n; i-- > 0;)
        table[room->order[i]] = (uint16_t)(values[i] ^ bloomier_at(shape, table, room->peeled[i]));
}

/* The values of positions start, start + 1, …, plus 1; 0 where the number is no value. */
SKETCHES_CLONES
static void bloomier_range(
    const fuse_shape *shape, const uint16_t *table, uint32_t entries, uint64_t start, uint16_t *out, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        const uint32_t value = bloomier_at(shape, table, position_hash(start + (uint64_t)i));
        out[i] = (uint16_t)(value < entries ? value + 1 : 0);
    }
}

#endif
