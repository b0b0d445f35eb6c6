"""Guts of BloomierWeights: a table of cells, solved for the values of some positions; see include/bloomier.h."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

import numpy as np

cdef extern from "bloomier.h" nogil:
    const uint64_t FUSE_ODD
    enum:
        FUSE_AHEAD
    ctypedef struct fuse_room:
        uint64_t* xors
        uint8_t* counts
        uint32_t* order
        uint64_t* peeled
    ctypedef struct fuse_shape:
        uint64_t starts
        uint64_t salt
        uint32_t length
        int bits
    uint64_t position_hash(uint64_t position)
    bint fuse_peel(const fuse_shape* shape, const uint64_t* hashes, uint32_t n, uint32_t size, fuse_room* room)
    void bloomier_fill(const fuse_shape* shape, uint32_t n, const fuse_room* room, const uint16_t* values,
                       uint16_t* table)
    void bloomier_range(const fuse_shape* shape, const uint16_t* table, uint32_t entries, uint64_t start,
                        uint16_t* out, int64_t n)


cdef fuse_shape shape_of(int64_t cells, int log_length, int bits, int attempt) except *:
    """Check and describe a table of three segments or more."""
    cdef int64_t length = 1LL << log_length if 0 <= log_length <= 18 else 0
    if not length or not 1 <= bits <= 16 or not 3 * length <= cells < 2**32 or cells % length:
        raise ValueError(f"{cells} cells of {bits} bits in segments of 2**{log_length} are not accepted")
    return fuse_shape(cells - 2 * length, (<uint64_t>attempt + 1) * FUSE_ODD, length, bits)


def hashes(const int64_t[::1] positions not None):
    """Give the hashes of positions, which differ where these do."""
    cdef uint64_t[::1] found = np.empty(positions.shape[0], np.uint64)
    cdef int64_t i
    for i in range(positions.shape[0]):
        found[i] = position_hash(positions[i])
    return np.asarray(found)


def solve(const uint64_t[::1] hashes not None, const uint16_t[::1] values not None, int64_t cells, int log_length,
          int bits, int attempt):
    """Give a table that holds the values of some hashes, which ascend and differ; None where the attempt fails."""
    cdef fuse_shape shape = shape_of(cells, log_length, bits, attempt)
    cdef int64_t n = hashes.shape[0]
    cdef fuse_room room
    cdef bint peeled
    if values.shape[0] != n or not 0 < n:
        raise ValueError(f"{values.shape[0]} values of {n} hashes are not accepted")
    if n > cells:
        return None
    cdef uint64_t[::1] xors = np.zeros(cells, np.uint64), order_of_hashes = np.empty(n, np.uint64)
    cdef uint8_t[::1] counts = np.zeros(cells, np.uint8)
    cdef uint32_t[::1] order = np.zeros(cells + 2 * FUSE_AHEAD, np.uint32)
    room = fuse_room(&xors[0], &counts[0], &order[0], &order_of_hashes[0])
    with nogil:
        peeled = fuse_peel(&shape, &hashes[0], n, cells, &room)
    if not peeled:
        return None
    cdef const uint16_t[::1] sorted_values = np.asarray(values)[np.searchsorted(hashes, order_of_hashes)]
    cdef uint16_t[::1] table = np.zeros(cells, np.uint16)
    with nogil:
        bloomier_fill(&shape, n, &room, &sorted_values[0], &table[0])
    return np.asarray(table)


def look_up(const uint16_t[::1] table not None, int log_length, int bits, int attempt, uint32_t entries,
            uint64_t start, uint16_t[::1] out not None):
    """Write for positions start, start + 1, … the value plus 1, or 0 where none is stored but for false positives."""
    cdef fuse_shape shape = shape_of(table.shape[0], log_length, bits, attempt)
    if not out.shape[0]:
        return
    with nogil:
        bloomier_range(&shape, &table[0], entries, start, &out[0], out.shape[0])
