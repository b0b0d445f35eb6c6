from libc.stdint cimport int64_t, uint64_t

from sketches._ext.kernel cimport Kernel


# A kernel whose state follows from the hashes of items. It supplies `put` and, for questions about items, `ask`.
cdef class HashKernel(Kernel):
    cdef int64_t answer_size  # bytes

    # Takes over n hashes and their counts (NULL: one each). May take the GIL, as to grow; where there is no memory, it
    # takes the counts that it left from the totals.
    cdef int put(self, const uint64_t* hashes, const int64_t* counts, int64_t n) except -1 nogil

    # Writes what is known of n hashes, `answer_size` bytes each.
    cdef int ask(self, const uint64_t* hashes, void* answers, int64_t n) except -1 nogil

    # Called before the questions of one call, n in all, and after them. By default nothing happens.
    cdef void prepare(self, int64_t n) noexcept nogil
    cdef void conclude(self) noexcept nogil
