"""The base of every kernel: the hash, how much was seen, and a guard for threads.

A batch runs without the GIL. Until it ends, the kernel is `closed`: any other call on the same sketch waits, so that no
two threads are ever inside one state. What takes several calls, such as a merge, has the kernel `Held` meanwhile:
closed to all threads but its own. All of this is only touched with the GIL held.
"""

from cpython.pythread cimport PyThread_get_thread_ident
from libc.stdint cimport INT64_MAX, int64_t, uint64_t

from sketches._ext.hashing cimport Hasher
from sketches._ext.kernel cimport Kernel, leave  # Kernel itself: makes the build notice a changed .pxd

import operator

cdef extern from "sums.h" nogil:
    ctypedef struct size_sum:
        uint64_t high, low
    size_sum sum_sizes(const int64_t* x, int64_t n)

cdef extern from *:
    """
    #ifdef _WIN32
    #include <windows.h>
    static void yield_processor(void) { SwitchToThread(); }
    #else
    #include <sched.h>
    static void yield_processor(void) { sched_yield(); }
    #endif
    """
    void yield_processor() nogil


cdef class Kernel:
    """What every kernel has: `hasher`, `total`, `weight` and `nulls`."""

    def __cinit__(self, *args, **options):
        self.closed = True

    cdef int wait(self) except -1:
        if not self.initialised:
            raise RuntimeError(f"{type(self).__name__} was made without __init__")
        self.waiting += 1
        while self.closed and not (self.holds and self.holder == <unsigned long>PyThread_get_thread_ident()):
            with nogil:
                yield_processor()
        self.waiting -= 1
        return 0

    def _open(self, Hasher hasher, int64_t total=0, int64_t weight=0, uint64_t nulls=0):
        """Begin life: called last by every kernel's own set-up."""
        self.hasher = hasher
        self._total = total
        self._weight = weight
        self._nulls = nulls
        self.initialised = True
        leave(self)

    def _enter(self):
        """Wait until no other thread is inside, or raise RuntimeError if `__init__` never ran."""
        enter(self)

    def _add_nulls(self, uint64_t nulls):
        enter(self)
        self._nulls += nulls

    def merge(self, *others):
        """Make this the sketch of all streams; the others stay as they are.

        The result is that of merging them one by one, in one pass: several in one call take less time. All are checked
        before anything changes. Other threads wait meanwhile.

        Parameters
        ----------
        others
            Sketches of the same class, parameters and hash, as many as there are. This sketch itself may be among them,
            and one may be given twice: each counts as often as it is given, as it was before the call.

        Raises
        ------
        TypeError
            If one is of another class.
        ValueError
            If a parameter, the seed or the key of one differs.
        OverflowError
            If the total of all would exceed 2**63 - 1. In all these cases no sketch changes.
        """
        cdef object other, before = None
        enter(self)
        for other in others:
            if type(other) is not type(self):
                raise TypeError(f"cannot merge a {type(self).__name__} with a {type(other).__name__}")
            if other is self and before is None:
                before = self.copy()
        if before is not None:
            others = tuple([before if other is self else other for other in others])
        self.merge_held(others)

    def _merge_parts(self, tuple parts not None):
        """Merge sketches that `_empty` made: of this one's class, or of the one that a user subclassed."""
        self.merge_held(parts)

    cdef int merge_held(self, tuple others) except -1:
        """Hold, check and merge; no signal comes between the check of the first and the last that changes."""
        cdef tuple kernels = (self,) + others
        cdef Kernel other, differing = None
        cdef int64_t room
        hold(kernels)
        try:
            room = INT64_MAX - self._weight
            for other in others:
                if not same_hash(self.hasher, other.hasher) or not self.alike(other):
                    differing = other
                    break
                room = room - other._weight if 0 <= room else room  # below 0 once it overflows, which both fit
            else:
                if room < 0:
                    raise OverflowError(f"merging would take the total count from {self._weight} + "
                                        f"{sum([other._weight for other in others])} beyond {INT64_MAX}")
                self.absorb(others)
                return 0
        finally:
            release(kernels)
        self._check_mergeable(differing)  # says what differs
        raise ValueError(f"cannot merge: {self!r} and {differing!r} differ")

    cdef bint alike(self, Kernel other) except -1:
        return self._parameters() == other._parameters()

    cdef int absorb(self, tuple others) except -1:
        for other in others:
            self._merge(other)
        return 0

    cdef void add_totals(self, Kernel other) noexcept:
        """Take over how much `other` has seen; its state is taken over in the same call, which no signal can divide."""
        self._weight += other._weight
        self._total += other._total
        self._nulls += other._nulls

    @property
    def total(self):
        """The sum of all counts so far; each item counts once where no count was given."""
        return self._total

    @property
    def weight(self):
        """The sum of the counts' absolute values; equals `total` unless counts were negative."""
        return self._weight

    @property
    def nulls(self):
        """How many nulls (None, NaT, NA, Arrow nulls) were skipped."""
        return self._nulls

    cdef int64_t take_count(self, object count) except? -1:
        """A scalar count as an int64, or one clear error."""
        try:
            value = operator.index(count)
        except TypeError:
            raise TypeError(f"count is of type {type(count).__name__}; an integer is accepted") from None
        if value < 0 and not self.signed:
            raise ValueError(f"count is {value}; {type(self).__name__} accepts counts of 0 and more")
        if not -INT64_MAX <= value <= INT64_MAX:
            raise OverflowError(f"count is {value}; at most {INT64_MAX} in absolute value is accepted")
        return value

    cdef int tally(self, int64_t count) except -1:
        """Add a count to the totals, or refuse and change nothing."""
        cdef int64_t size = count if count >= 0 else -count
        if self._weight > INT64_MAX - size:
            raise OverflowError(f"count is {count}; with it the total count {self._weight} would exceed {INT64_MAX}")
        self._weight += size
        self._total += count
        return 0

    cdef int tally_many(self, const int64_t[::1] counts, int64_t n) except -1:
        """Add a block of counts (or n ones, if None) to the totals, or refuse and change nothing."""
        cdef int64_t i, size, least = 0, sum = 0, weight = 0
        if counts is None:
            return self.tally(n)
        if counts.shape[0] != n:
            raise ValueError(f"{n} hashes but {counts.shape[0]} counts")
        for i in range(n):
            size = counts[i] if counts[i] >= 0 else -counts[i]
            if size < 0 or weight > INT64_MAX - size:
                weight = -1
                break
            weight += size
            sum += counts[i]
            least = min(least, counts[i])
        if weight < 0 or self._weight > INT64_MAX - weight:
            raise OverflowError(f"counts would take the total count {self._weight} beyond {INT64_MAX}")
        if least < 0 and not self.signed:
            raise ValueError(f"counts hold {least}; this sketch accepts counts of 0 and more")
        self._weight += weight
        self._total += sum
        return 0

    cdef void untally(self, const int64_t* counts, int64_t start, int64_t n) noexcept:
        """Take from the totals what could not be added: items `start` to n of a block (NULL: one each)."""
        cdef int64_t i
        for i in range(start, n):
            self._weight -= 1 if counts == NULL else counts[i] if counts[i] >= 0 else -counts[i]
            self._total -= 1 if counts == NULL else counts[i]


cdef object weight_of(const int64_t* values, int64_t n):
    cdef size_sum sum = sum_sizes(values, n)
    return (int(sum.high) << 32) + sum.low


def exact_weight(const int64_t[::1] values not None):
    """Give the sum of the absolute values, exactly."""
    return weight_of(&values[0], values.shape[0]) if values.shape[0] else 0


cdef inline bint same_hash(Hasher mine, Hasher other) except -1:
    return mine is other or (mine.keyed == other.keyed and mine.fingerprint == other.fingerprint)


cdef inline void take(Kernel kernel, unsigned long thread) noexcept:
    kernel.holder = thread
    kernel.holds += 1
    kernel.closed = True


cdef int hold(tuple kernels) except -1:
    """Keep other threads out of some kernels until `release`; one may occur twice."""
    cdef unsigned long thread = <unsigned long>PyThread_get_thread_ident()
    cdef Kernel kernel
    cdef list ordered
    for kernel in kernels:
        if kernel.closed:
            break
    else:  # nobody is inside any of them, and the GIL is held: all at once
        for kernel in kernels:
            take(kernel, thread)
        return 0
    # All threads that wait do so in the same order, so that none waits for another that waits for it.
    ordered = sorted(kernels, key=id)
    for kernel in ordered:
        enter(kernel)  # only this may raise: before anything is held
    for kernel in ordered:
        enter(kernel)
        take(kernel, thread)
    return 0


cdef void release(tuple kernels) noexcept:
    cdef Kernel kernel
    cdef int turns = 100
    for kernel in kernels:
        kernel.holds -= 1
        leave(kernel)
        while kernel.waiting and not kernel.holds and turns:  # or a loop of merges would keep everyone else out
            turns -= 1
            with nogil:
                yield_processor()


cdef class Held:
    """Keeps other threads out of some kernels until the end of the ``with`` statement."""

    cdef tuple kernels

    def __init__(self, *kernels):
        self.kernels = kernels

    def __enter__(self):
        hold(self.kernels)

    def __exit__(self, *error):
        release(self.kernels)
