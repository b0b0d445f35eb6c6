"""Guts of SubsetSum: a table of counters that makes room by sampling them; see include/sample.h."""

from libc.stdint cimport int64_t, uint64_t

from sketches._ext.counter_table cimport CounterTable, table_drop
from sketches._ext.kernel cimport Kernel, enter

import numpy as np

cdef extern from "sample.h" nogil:
    int64_t sample_counts(const uint64_t* hashes, int64_t* counts, double* variances, int64_t* before, int64_t n,
                          int64_t keep)


cdef class SubsetSumKernel(CounterTable):
    """Counters whose sums are unbiased, each with an estimate of its variance.

    An entry's `error` is the part of its count that was not counted but gained in a sample.
    """

    cdef double[::1] variances  # by slot; 0 where a slot is free
    cdef int64_t keep           # entries that a sample leaves
    cdef int64_t largest        # threshold so far

    def _setup(self, int64_t k):
        """At most k entries, 2 or more."""
        if k < 2:
            raise ValueError(f"{k} entries are not accepted")
        self.keep = k - max(1, k // 4)
        self.begin(k)

    cdef int allocate(self, int64_t capacity, int64_t kept) except -1:
        cdef double[::1] variances = np.zeros(capacity)
        if kept:
            variances[:kept] = self.variances[:kept]
        CounterTable.allocate(self, capacity, kept)
        self.variances = variances
        return 0

    cdef int grow(self) except -1:
        """More slots while there may be; then a sample of the entries, in order of their hashes."""
        cdef int64_t i, slot, n = self.t.capacity
        cdef uint64_t[::1] hashes
        cdef int64_t[::1] counts, errors, order
        cdef double[::1] variances
        if n < self.most:
            return CounterTable.grow(self)
        table = np.asarray(self.entries)[1:]
        order = table[:, 0].copy().view(np.uint64).argsort()  # compiled: no signal handler must find the sketch closed
        table = table[order]
        hashes, counts, errors = table[:, 0].copy().view(np.uint64), table[:, 1].copy(), table[:, 2].copy()
        variances = np.asarray(self.variances)[order]
        self.largest = max(self.largest, self._sample(hashes, counts, errors, variances))
        for i in range(n):
            slot = order[i]
            self.t.entries[slot].count = counts[i]
            self.t.entries[slot].error = errors[i]
            self.variances[slot] = variances[i]
        table_drop(&self.t)
        return 0

    def _sample(self, const uint64_t[::1] hashes not None, int64_t[::1] counts not None, int64_t[::1] errors not None,
                double[::1] variances not None):
        """Sample entries that are in order of their hashes, in place: those that go get a count of 0; the threshold."""
        cdef int64_t i, threshold, n = hashes.shape[0]
        cdef int64_t[::1] before = np.empty(n, np.int64)
        if not (counts.shape[0] == errors.shape[0] == variances.shape[0] == n > self.keep):
            raise ValueError(f"{n} entries are not accepted")
        with nogil:
            threshold = sample_counts(&hashes[0], &counts[0], &variances[0], &before[0], n, self.keep)
            for i in range(n):
                errors[i] = max(errors[i] + counts[i] - before[i], 0)
        return threshold

    def _load_sampled(self, int64_t threshold, const uint64_t[::1] hashes not None,
                      const int64_t[::1] counts not None, const int64_t[::1] errors not None,
                      const double[::1] variances not None, list items not None, SubsetSumKernel merged=None):
        """Replace all entries by those of some whose counts are not 0, and add the totals of what was merged."""
        cdef int64_t i, slot = 0
        if variances.shape[0] != counts.shape[0]:
            raise ValueError(f"{variances.shape[0]} variances, but {counts.shape[0]} counts")
        self._load(0, 0, hashes, counts, errors, items, merged)
        for i in range(counts.shape[0]):
            if counts[i]:
                self.variances[slot] = variances[i]
                slot += 1
        self.largest = max(self.largest, threshold)

    cdef bint alike(self, Kernel other) except -1:
        return self.most == (<SubsetSumKernel>other).most

    cdef void adopt(self, CounterTable other) noexcept:
        CounterTable.adopt(self, other)
        self.variances = (<SubsetSumKernel>other).variances
        self.largest = (<SubsetSumKernel>other).largest

    @property
    def k(self):
        """The most counters."""
        enter(self)
        return self.most

    @property
    def threshold(self):
        """The largest count, so far, below which counters were sampled; 0 while every count is exact."""
        self.ready()
        return self.largest

    @property
    def _memory(self):
        return CounterTable._memory.__get__(self) + 8 * self.t.capacity

    def _sampled_entries(self):
        """The entries, ordered by hash, and together with the threshold: (hashes, counts, errors, variances, items)."""
        cdef int64_t slot
        cdef list kept = []
        self.ready()
        for slot in range(self.t.capacity):
            if self.t.entries[slot].count:
                kept.append(slot)
        variances = np.asarray(self.variances)[kept]
        found = np.asarray(self.entries)[1:][kept]
        items = [self.items[slot] for slot in kept]
        order = found[:, 0].copy().view(np.uint64).argsort()
        found = found[order]
        hashes, counts, errors = found[:, 0].copy().view(np.uint64), found[:, 1].copy(), found[:, 2].copy()
        return self.largest, hashes, counts, errors, variances[order], [items[i] for i in order.tolist()]
