"""Guts of AMS: `depth` rows of `width` signed counters; see include/ams.h for the hash functions of the rows."""

from libc.stdint cimport int64_t, uint64_t

from sketches._ext.counter_rows cimport CounterRows, counter_rows

cdef extern from "ams.h" nogil:
    enum:
        AMS_MAX_DEPTH
    uint64_t MERSENNE61
    ctypedef struct ams_table:
        counter_rows* rows
        int64_t depth
        uint64_t width
    void ams_set_row(ams_table* table, int64_t r, const uint64_t* coefficients)
    int64_t ams_put(const ams_table* table, const uint64_t* hashes, const int64_t* counts, int64_t n)
    void ams_ask(const ams_table* table, const uint64_t* hashes, int64_t* out, int64_t n)


cdef class AMSKernel(CounterRows):
    """Rows of signed counters, and how a hash reads and writes them."""

    cdef ams_table table

    def _setup(self, int64_t width, const uint64_t[:, ::1] coefficients not None):
        cdef int64_t r, depth = coefficients.shape[0]
        cdef int i
        if depth < 1 or depth > AMS_MAX_DEPTH or depth % 2 == 0 or width < 1:
            raise ValueError(f"a table of {depth}x{width} is not accepted")
        if coefficients.shape[1] != 4:
            raise ValueError(f"coefficients of {depth}x{coefficients.shape[1]} are not accepted")
        for r in range(depth):
            for i in range(4):
                if coefficients[r, i] >= MERSENNE61:
                    raise ValueError(f"the coefficient {coefficients[r, i]} is not below 2**61 - 1")
            ams_set_row(&self.table, r, &coefficients[r, 0])
        self.make(depth, width)
        self.table.rows = &self.rows
        self.table.depth = depth
        self.table.width = width
        self.signed = True

    cdef int put(self, const uint64_t* hashes, const int64_t* counts, int64_t n) except -1 nogil:
        cdef int64_t done = ams_put(&self.table, hashes, counts, n)
        return self.lack(counts, done, n) if done < n else 0

    cdef int ask(self, const uint64_t* hashes, void* answers, int64_t n) except -1 nogil:
        ams_ask(&self.table, hashes, <int64_t*>answers, n)
        return 0
