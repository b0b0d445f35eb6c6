"""Guts of CountMin: `depth` rows of `width` counters; every hash touches one counter a row.

Row r takes column mulhi(hash * odd[r], width): the product's high bits, mapped to [0, width) without a division.
"""

from libc.stdint cimport int64_t, uint64_t

from sketches._ext.hashing cimport mix64, mulhi64
from sketches._ext.kernel cimport HashKernel, enter

import numpy as np

cdef enum:
    MAX_DEPTH = 16

cdef uint64_t[MAX_DEPTH] ODD  # one odd multiplier a row
for _row in range(MAX_DEPTH):
    ODD[_row] = mix64(_row + 1) | 1


cdef inline int64_t estimate(const int64_t* counters, int64_t depth, uint64_t width, uint64_t h) noexcept nogil:
    cdef int64_t row, value, least = counters[mulhi64(h * ODD[0], width)]
    for row in range(1, depth):
        value = counters[row * width + mulhi64(h * ODD[row], width)]
        if value < least:
            least = value
    return least


cdef inline void insert(
    int64_t* counters, int64_t depth, uint64_t width, bint conservative, uint64_t h, int64_t count,
) noexcept nogil:
    cdef int64_t row
    cdef int64_t target
    cdef int64_t* counter
    if conservative:  # raise each counter only as far as the new estimate
        target = estimate(counters, depth, width, h) + count
        for row in range(depth):
            counter = counters + row * width + mulhi64(h * ODD[row], width)
            if counter[0] < target:
                counter[0] = target
    else:
        for row in range(depth):
            counters[row * width + mulhi64(h * ODD[row], width)] += count


cdef class CountMinKernel(HashKernel):
    """Rows of counters, and how a hash reads and writes them."""

    cdef int64_t[:, ::1] table
    cdef int64_t* counters
    cdef readonly int64_t depth
    cdef readonly int64_t width
    cdef readonly bint conservative

    def _setup(self, int64_t[:, ::1] table not None, bint conservative):
        if table.shape[0] < 1 or table.shape[0] > MAX_DEPTH or table.shape[1] < 1:
            raise ValueError(f"a table of {table.shape[0]}x{table.shape[1]} is not accepted")
        self.table = table
        self.counters = &table[0, 0]
        self.depth = table.shape[0]
        self.width = table.shape[1]
        self.conservative = conservative
        self.signed = not conservative
        self.answer_size = sizeof(int64_t)

    @property
    def counters(self):
        """The counters, an int64 array of shape (depth, width); a view."""
        enter(self)
        return np.asarray(self.table)

    cdef int put(self, const uint64_t* hashes, const int64_t* counts, int64_t n) except -1 nogil:
        cdef int64_t i
        for i in range(n):
            insert(self.counters, self.depth, self.width, self.conservative, hashes[i],
                   counts[i] if counts != NULL else 1)
        return 0

    cdef int ask(self, const uint64_t* hashes, void* answers, int64_t n) except -1 nogil:
        cdef int64_t i
        for i in range(n):
            (<int64_t*>answers)[i] = estimate(self.counters, self.depth, self.width, hashes[i])
        return 0

    def _absorb(self, CountMinKernel other not None):
        """Merge a kernel of the same shape; both are held."""
        cdef int64_t i, n = self.depth * self.width
        cdef int64_t* mine = self.counters
        cdef const int64_t* theirs = other.counters
        enter(self)
        enter(other)
        self.add_totals(other)
        with nogil:
            for i in range(n):
                mine[i] += theirs[i]
