from libc.stdint cimport int64_t

from sketches._ext.hash_kernel cimport HashKernel


cdef extern from "counter_rows.h" nogil:
    ctypedef struct counter_rest:
        int64_t cell
        int64_t value
    ctypedef struct counter_rows:
        void* cells
        int64_t size
        int bytes
        int64_t slots
        int64_t used
    int64_t counter_slots(const counter_rows* c, int64_t rests)
    int counter_rows_make(counter_rows* c, int64_t size, int bytes, int64_t rests)
    void counter_rows_free(counter_rows* c)


# A kernel whose state is `depth` rows of `width` counters, which grow.
cdef class CounterRows(HashKernel):
    cdef counter_rows rows
    cdef counter_rows kept  # what `rows` is but for a question, see `prepare`
    cdef readonly int64_t depth
    cdef readonly int64_t width

    cdef int make(self, int64_t depth, int64_t width) except -1
    cdef int lack(self, const int64_t* counts, int64_t done, int64_t n) except -1 nogil
