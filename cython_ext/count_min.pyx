"""Guts of CountMin: `depth` rows of `width` counters; every hash touches one counter a row. See include/count_min.h."""

from libc.stdint cimport int64_t, uint64_t

from sketches._ext.hashing cimport mix64
from sketches._ext.hash_kernel cimport HashKernel
from sketches._ext.kernel cimport Kernel, enter

import numpy as np

cdef extern from "count_min.h" nogil:
    enum:
        COUNT_MIN_MAX_DEPTH
    ctypedef struct count_min_table:
        int64_t* counters
        int64_t depth
        uint64_t width
        uint64_t* odd
    void count_min_add_all(const count_min_table* table, const uint64_t* hashes, const int64_t* counts, int64_t n)
    void count_min_raise_all(const count_min_table* table, const uint64_t* hashes, const int64_t* counts, int64_t n)
    void count_min_estimate_all(const count_min_table* table, const uint64_t* hashes, int64_t* out, int64_t n)

cdef extern from "merge.h" nogil:
    void add_counters(int64_t* mine, const int64_t* theirs, int64_t n)


cdef class CountMinKernel(HashKernel):
    """Rows of counters, and how a hash reads and writes them."""

    cdef int64_t[:, ::1] table
    cdef count_min_table start
    cdef readonly int64_t depth
    cdef readonly int64_t width
    cdef readonly bint conservative

    def _setup(self, int64_t[:, ::1] table not None, bint conservative):
        cdef int row
        if table.shape[0] < 1 or table.shape[0] > COUNT_MIN_MAX_DEPTH or table.shape[1] < 1:
            raise ValueError(f"a table of {table.shape[0]}x{table.shape[1]} is not accepted")
        self.table = table
        self.depth = table.shape[0]
        self.width = table.shape[1]
        self.start.counters = &table[0, 0]
        self.start.depth = self.depth
        self.start.width = self.width
        for row in range(COUNT_MIN_MAX_DEPTH):
            self.start.odd[row] = mix64(row + 1) | 1
        self.conservative = conservative
        self.signed = not conservative
        self.answer_size = sizeof(int64_t)

    @property
    def counters(self):
        """The counters, an int64 array of shape (depth, width); a view."""
        enter(self)
        return np.asarray(self.table)

    cdef int put(self, const uint64_t* hashes, const int64_t* counts, int64_t n) except -1 nogil:
        if self.conservative:
            count_min_raise_all(&self.start, hashes, counts, n)
        else:
            count_min_add_all(&self.start, hashes, counts, n)
        return 0

    cdef int ask(self, const uint64_t* hashes, void* answers, int64_t n) except -1 nogil:
        count_min_estimate_all(&self.start, hashes, <int64_t*>answers, n)
        return 0

    cdef bint alike(self, Kernel other) except -1:
        cdef CountMinKernel kernel = other
        return self.depth == kernel.depth and self.width == kernel.width and self.conservative == kernel.conservative

    cdef int absorb(self, tuple others) except -1:
        cdef CountMinKernel other
        for other in others:
            self.add_totals(other)
            with nogil:
                add_counters(self.start.counters, other.start.counters, self.depth * self.width)
        return 0
