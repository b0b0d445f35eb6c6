"""Guts of BinaryFuseFilter: a table of fingerprints, solved for a whole set; see include/binary_fuse.h."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from sketches._ext.hashing cimport hash_item
from sketches._ext.hash_kernel cimport HashKernel
from sketches._ext.kernel cimport enter

import numpy as np

cdef extern from "binary_fuse.h" nogil:
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
    int fuse_solve(
        const fuse_shape* shape, const uint64_t* hashes, uint32_t n, uint32_t size, fuse_room* room, void* table)
    int fuse_has(const fuse_shape* shape, const void* table, uint64_t hash)
    void fuse_has_all(const fuse_shape* shape, const void* table, const uint64_t* hashes, uint8_t* out, int64_t n)


cdef fuse_shape shape_of(int64_t nbytes, int log_length, int bits, int attempt) except *:
    """Check and describe a table; of no slots, or of three segments or more."""
    cdef bint right = bits in (8, 16) and 0 <= log_length <= 18
    cdef int64_t length = 1LL << log_length if right else 1, slots = nbytes * 8 // bits if right else 0
    if not right or slots >= 2**32 or slots % length or 0 < slots < 3 * length:
        raise ValueError(f"{nbytes} bytes of {bits} bits in segments of 2**{log_length} are not accepted")
    return fuse_shape(slots - 2 * length if slots else 0, (<uint64_t>attempt + 1) * FUSE_ODD, length, bits)


def solve(const uint64_t[::1] hashes not None, uint8_t[::1] table not None, int log_length, int bits, int attempt):
    """Fill a table of zeros so that it holds some hashes, which ascend and differ; False where the attempt fails."""
    cdef fuse_shape shape = shape_of(table.shape[0], log_length, bits, attempt)
    cdef int64_t n = hashes.shape[0], size = table.shape[0] * 8 // bits
    cdef fuse_room room
    cdef bint solved
    if n == 0 or n > size:
        return n == 0
    cdef uint64_t[::1] xors = np.zeros(size, np.uint64), peeled = np.empty(n, np.uint64)
    cdef uint8_t[::1] counts = np.zeros(size, np.uint8)
    cdef uint32_t[::1] order = np.zeros(size + 2 * FUSE_AHEAD, np.uint32)
    room = fuse_room(&xors[0], &counts[0], &order[0], &peeled[0])
    with nogil:
        solved = fuse_solve(&shape, &hashes[0], n, size, &room, &table[0])
    return solved


cdef class BinaryFuseKernel(HashKernel):
    """Fingerprints, and the attempt that has found them."""

    cdef uint8_t[::1] table
    cdef const uint8_t* start
    cdef fuse_shape shape
    cdef readonly int attempt
    cdef readonly int log_length

    def _setup(self, uint8_t[::1] table not None, int log_length, int bits, int attempt):
        self.shape = shape_of(table.shape[0], log_length, bits, attempt)
        self.table = table
        self.start = &table[0] if table.shape[0] else NULL
        self.attempt = attempt
        self.log_length = log_length
        self.answer_size = sizeof(uint8_t)

    @property
    def bits(self):
        """The bits of a fingerprint, 8 or 16."""
        enter(self)
        return self.shape.bits

    @property
    def _table(self):
        """The fingerprints' bytes."""
        enter(self)
        return np.asarray(self.table)

    def __contains__(self, item):
        """Whether the item may be in the set; False is certain, and the answer for a null."""
        cdef uint64_t h
        enter(self)
        if not hash_item(self.hasher, item, &h):
            return False
        enter(self)
        return fuse_has(&self.shape, self.start, h)

    cdef int ask(self, const uint64_t* hashes, void* answers, int64_t n) except -1 nogil:
        fuse_has_all(&self.shape, self.start, hashes, <uint8_t*>answers, n)
        return 0
