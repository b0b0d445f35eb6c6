"""Guts of AMS: `depth` rows of `width` signed counters; see include/ams.h for the hash functions of the rows."""

from libc.stdint cimport int64_t, uint64_t

from sketches._ext.hash_kernel cimport HashKernel
from sketches._ext.kernel cimport Kernel, enter

import numpy as np

cdef extern from "ams.h" nogil:
    enum:
        AMS_MAX_DEPTH
    uint64_t MERSENNE61
    ctypedef struct ams_table:
        int64_t* counters
        int64_t depth
        uint64_t width
    void ams_set_row(ams_table* table, int64_t r, const uint64_t* coefficients)
    void ams_add_all(const ams_table* table, const uint64_t* hashes, const int64_t* counts, int64_t n)
    void ams_median_all(const ams_table* table, const uint64_t* hashes, int64_t* out, int64_t n)

cdef extern from "merge.h" nogil:
    void add_counters(int64_t* mine, const int64_t* theirs, int64_t n)


cdef class AMSKernel(HashKernel):
    """Rows of signed counters, and how a hash reads and writes them."""

    cdef int64_t[:, ::1] table
    cdef ams_table start
    cdef readonly int64_t depth
    cdef readonly int64_t width

    def _setup(self, int64_t[:, ::1] table not None, const uint64_t[:, ::1] coefficients not None):
        cdef int64_t r, depth = table.shape[0]
        cdef int i
        if depth < 1 or depth > AMS_MAX_DEPTH or depth % 2 == 0 or table.shape[1] < 1:
            raise ValueError(f"a table of {depth}x{table.shape[1]} is not accepted")
        if coefficients.shape[0] != depth or coefficients.shape[1] != 4:
            raise ValueError(f"coefficients of {coefficients.shape[0]}x{coefficients.shape[1]} are not accepted")
        for r in range(depth):
            for i in range(4):
                if coefficients[r, i] >= MERSENNE61:
                    raise ValueError(f"the coefficient {coefficients[r, i]} is not below 2**61 - 1")
            ams_set_row(&self.start, r, &coefficients[r, 0])
        self.table = table
        self.depth = depth
        self.width = table.shape[1]
        self.start.counters = &table[0, 0]
        self.start.depth = self.depth
        self.start.width = self.width
        self.signed = True
        self.answer_size = sizeof(int64_t)

    @property
    def counters(self):
        """The counters, an int64 array of shape (depth, width); a view."""
        enter(self)
        return np.asarray(self.table)

    cdef int put(self, const uint64_t* hashes, const int64_t* counts, int64_t n) except -1 nogil:
        ams_add_all(&self.start, hashes, counts, n)
        return 0

    cdef int ask(self, const uint64_t* hashes, void* answers, int64_t n) except -1 nogil:
        ams_median_all(&self.start, hashes, <int64_t*>answers, n)
        return 0

    cdef bint alike(self, Kernel other) except -1:
        cdef AMSKernel kernel = other
        return self.depth == kernel.depth and self.width == kernel.width

    cdef int absorb(self, tuple others) except -1:
        cdef AMSKernel other
        for other in others:
            self.add_totals(other)
            with nogil:
                add_counters(self.start.counters, other.start.counters, self.depth * self.width)
        return 0
