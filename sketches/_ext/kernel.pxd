from libc.stdint cimport int64_t, uint64_t

from sketches._ext.hashing cimport Hasher


# What every kernel has: how much it has seen, and a guard. All fields change only while the GIL is held.
cdef class Kernel:
    cdef readonly Hasher hasher
    cdef int64_t _total   # sum of counts
    cdef int64_t _weight  # sum of |counts|: no counter can exceed it, so checking it once guards them all
    cdef uint64_t _nulls
    cdef bint signed      # whether counts may be negative
    cdef bint closed      # not initialised, busy without the GIL, or held
    cdef bint initialised
    cdef int holds        # how often it is held, all by one thread
    cdef int waiting      # threads
    cdef unsigned long holder

    cdef int wait(self) except -1
    # Whether another kernel of the same class has the same parameters; both are held. By default Python is asked.
    cdef bint alike(self, Kernel other) except -1
    # Takes over the states and totals of kernels that are alike; all are held. By default one by one, by `_merge`.
    cdef int absorb(self, tuple others) except -1
    cdef int merge_held(self, tuple others) except -1
    cdef void add_totals(self, Kernel other) noexcept
    cdef int64_t take_count(self, object count) except? -1
    cdef int tally(self, int64_t count) except -1
    cdef int tally_many(self, const int64_t[::1] counts, int64_t n) except -1
    cdef void untally(self, const int64_t* counts, int64_t start, int64_t n) noexcept


# Every public method of a kernel starts with this, and repeats it before it touches the state if Python code ran since:
# hashing an item may run some, and with it other threads.
cdef inline int enter(Kernel kernel) except -1:
    return kernel.wait() if kernel.closed else 0


# Ends what `closed = True` began.
cdef inline void leave(Kernel kernel) noexcept:
    kernel.closed = kernel.holds > 0 or not kernel.initialised
