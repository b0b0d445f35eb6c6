from libc.stdint cimport int64_t, uint64_t

from sketches._ext.hashing cimport Hasher


# What every kernel has: how much it has seen, and a guard. All fields change only while the GIL is held.
cdef class Kernel:
    cdef readonly Hasher hasher
    cdef int64_t _total   # sum of counts
    cdef int64_t _weight  # sum of |counts|: no counter can exceed it, so checking it once guards them all
    cdef uint64_t _nulls
    cdef bint closed      # not initialised, or busy without the GIL in another thread
    cdef bint initialised

    cdef int wait(self) except -1
    cdef int64_t take_count(self, object count, bint signed) except? -1
    cdef int tally(self, int64_t count) except -1
    cdef int tally_many(self, const int64_t[::1] counts, int64_t n) except -1


# Every public method of a kernel starts with this.
cdef inline int enter(Kernel kernel) except -1:
    return kernel.wait() if kernel.closed else 0
