"""Guts of Entropy: k sums of counts times stable random numbers, each a 128-bit integer; see include/entropy.h."""

from libc.stdint cimport int64_t, uint64_t

from sketches._ext.hash_kernel cimport HashKernel
from sketches._ext.kernel cimport Kernel, enter

import numpy as np

cdef extern from "entropy.h" nogil:
    enum:
        ENTROPY_BINS, ENTROPY_ZOOMS
    ctypedef struct entropy_tables:
        int angle[ENTROPY_BINS + 1]
        int wait[ENTROPY_BINS + 1]
        int64_t zoomed[ENTROPY_ZOOMS - 1][ENTROPY_BINS + 1]
    ctypedef struct entropy_sum:
        pass
    void sum_add(entropy_sum* sum, uint64_t low, int64_t high)
    void entropy_add_all(const entropy_tables* tables, entropy_sum* sums, int64_t k,
                         const uint64_t* hashes, const int64_t* counts, int64_t n)

cdef entropy_tables shared_tables
cdef bint have_tables = False


def set_tables(const int64_t[:, ::1] angles not None, const int64_t[::1] waits not None):
    """Fill the tables that all sketches share; see `sketches.core.skewed_stable.tables`."""
    global have_tables
    cdef int64_t i, zoom
    if angles.shape[0] != ENTROPY_ZOOMS or angles.shape[1] != ENTROPY_BINS + 1 or waits.shape[0] != ENTROPY_BINS + 1:
        raise ValueError(f"tables of {angles.shape[0]}x{angles.shape[1]} and {waits.shape[0]} are not accepted")
    for i in range(ENTROPY_BINS + 1):
        shared_tables.angle[i] = <int>angles[0, i] if i >= ENTROPY_BINS // 64 else 0
        shared_tables.wait[i] = <int>waits[i]
        for zoom in range(1, ENTROPY_ZOOMS):
            shared_tables.zoomed[zoom - 1][i] = angles[zoom, i]
    have_tables = True


cdef class EntropyKernel(HashKernel):
    """The sums; what they mean is the class's business."""

    cdef uint64_t[:, ::1] table
    cdef entropy_sum* start
    cdef readonly int64_t k

    def _setup(self, uint64_t[:, ::1] table not None):
        if table.shape[0] < 1 or table.shape[1] != 2:
            raise ValueError(f"sums of {table.shape[0]}x{table.shape[1]} are not accepted")
        if not have_tables:
            raise RuntimeError("set_tables was not called")
        self.table = table
        self.start = <entropy_sum*>&table[0, 0]
        self.k = table.shape[0]
        self.signed = True

    @property
    def words(self):
        """The sums in two's complement, a uint64 array of shape (k, 2), low words first; a view."""
        enter(self)
        return np.asarray(self.table)

    cdef int put(self, const uint64_t* hashes, const int64_t* counts, int64_t n) except -1 nogil:
        entropy_add_all(&shared_tables, self.start, self.k, hashes, counts, n)
        return 0

    cdef bint alike(self, Kernel other) except -1:
        cdef EntropyKernel kernel = other
        return self.k == kernel.k

    cdef int absorb(self, tuple others) except -1:
        cdef int64_t i
        cdef EntropyKernel other
        for other in others:
            self.add_totals(other)
            for i in range(self.k):
                sum_add(&self.start[i], other.table[i, 0], <int64_t>other.table[i, 1])
        return 0
