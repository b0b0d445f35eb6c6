"""Guts of CountMin: `depth` rows of `width` counters; every hash touches one counter a row. See include/count_min.h."""

from libc.stdint cimport int64_t, uint64_t

from sketches._ext.counter_rows cimport CounterRows, counter_rows
from sketches._ext.hashing cimport mix64
from sketches._ext.kernel cimport Kernel

cdef extern from "count_min.h" nogil:
    enum:
        COUNT_MIN_MAX_DEPTH
    ctypedef struct count_min_table:
        counter_rows* rows
        int64_t depth
        uint64_t width
        uint64_t* odd
    int64_t count_min_put(
        count_min_table* table, int conservative, const uint64_t* hashes, const int64_t* counts, int64_t n)
    void count_min_ask(count_min_table* table, bint signs, const uint64_t* hashes, int64_t* out, int64_t n)


cdef class CountMinKernel(CounterRows):
    """Rows of counters, and how a hash reads and writes them."""

    cdef count_min_table table
    cdef readonly bint conservative

    def _setup(self, int64_t depth, int64_t width, bint conservative):
        cdef int row
        if not 1 <= depth <= COUNT_MIN_MAX_DEPTH or width < 1:
            raise ValueError(f"a table of {depth}x{width} is not accepted")
        self.make(depth, width)
        self.table.rows = &self.rows
        self.table.depth = depth
        self.table.width = width
        for row in range(COUNT_MIN_MAX_DEPTH):
            self.table.odd[row] = mix64(row + 1) | 1
        self.conservative = conservative
        self.signed = not conservative

    cdef int put(self, const uint64_t* hashes, const int64_t* counts, int64_t n) except -1 nogil:
        cdef int64_t done = count_min_put(&self.table, self.conservative, hashes, counts, n)
        return self.lack(counts, done, n) if done < n else 0

    cdef int ask(self, const uint64_t* hashes, void* answers, int64_t n) except -1 nogil:
        count_min_ask(&self.table, self._total != self._weight, hashes, <int64_t*>answers, n)
        return 0

    cdef bint alike(self, Kernel other) except -1:
        return CounterRows.alike(self, other) and self.conservative == (<CountMinKernel>other).conservative
