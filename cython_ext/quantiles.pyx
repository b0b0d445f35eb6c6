"""Guts of Quantiles: a table of counters, one for each bin of numbers, over the range of numbers seen so far.

The order of bins in the table, and the bit tricks that find them, are in include/bins.h.
"""

from cpython.long cimport PyLong_AsDouble
from libc.math cimport INFINITY
from libc.stdint cimport int64_t, uint64_t

from sketches._ext.kernel cimport Kernel, enter, leave

import numpy as np

from sketches.core.scalars import canonical

cdef extern from "bins.h" nogil:
    ctypedef struct bin_window:
        int64_t shift, negative_low, negative_high, positive_low, positive_high, zero, last
    uint64_t number_bits(double x)
    int64_t ordered(uint64_t bits)
    double from_ordered(int64_t order)
    int64_t bin_index(const bin_window* window, double x)
    bint has_bin(const bin_window* window, double x)
    bint scan_numbers(const bin_window* window, const double* x, int64_t n, int64_t* least, int64_t* most)
    void widen_window(bin_window* window, const double* x, int64_t n, int step)
    void count_numbers(const bin_window* window, int64_t* table, const double* x, const int64_t* counts, int64_t n)

cdef object ONE = 1


cdef int take_number(object item, double* x) except -1:
    """Write the float64 of a number; returns 0 for a null."""
    if type(item) is float:
        x[0] = item
        return 1
    if type(item) is not int:
        item = canonical(item)
        if item is None:
            return 0
        if type(item) is float:
            x[0] = item
            return 1
        if type(item) is not int:
            raise TypeError(f"item {item!r} has type {type(item).__name__}, but numbers are needed")
    try:
        x[0] = PyLong_AsDouble(item)
    except OverflowError:
        raise ValueError("item is an integer beyond the range of float64") from None
    return 1


cdef void add_bins(int64_t* table, const bin_window* wider, const int64_t* counters, const bin_window* window) noexcept:
    """Add the counters of a window to a table whose window includes it."""
    cdef int64_t i
    cdef int64_t negatives = 2 + wider.negative_high - window.negative_high
    cdef int64_t positives = wider.zero + 1 + window.positive_low - wider.positive_low
    table[0] += counters[0]
    table[1] += counters[1]
    for i in range(window.negative_high - window.negative_low):
        table[negatives + i] += counters[2 + i]
    table[wider.zero] += counters[window.zero]
    for i in range(window.positive_high - window.positive_low):
        table[positives + i] += counters[window.zero + 1 + i]
    table[wider.last] += counters[window.last]


cdef class QuantilesKernel(Kernel):
    """A counter for each bin between the least and the largest magnitude of either sign."""

    cdef int64_t[::1] memory
    cdef int64_t* counters
    cdef bin_window window
    cdef readonly int mantissa_bits
    cdef int64_t least, most  # as `ordered`; of inf and -inf while there is nothing

    def _setup(self, int mantissa_bits):
        if not 0 <= mantissa_bits <= 16:
            raise ValueError(f"{mantissa_bits} mantissa bits are not accepted")
        self.mantissa_bits = mantissa_bits
        self.window.shift = 52 - mantissa_bits
        self.least = ordered(number_bits(INFINITY))
        self.most = ordered(number_bits(-INFINITY))
        self.allocate(self.window)

    cdef int allocate(self, bin_window wider) except -1:
        """Move the counters to a table for a window that includes the present one."""
        cdef int64_t negatives = wider.negative_high - wider.negative_low
        cdef int64_t positives = wider.positive_high - wider.positive_low
        cdef int64_t[::1] table = np.zeros(negatives + positives + 4, np.int64)
        wider.zero = negatives + 2
        wider.last = negatives + positives + 3
        if self.counters != NULL:
            add_bins(&table[0], &wider, self.counters, &self.window)
        self.memory = table
        self.counters = &table[0]
        self.window = wider
        return 0

    def _widen(self, int64_t negative_low, int64_t negative_high, int64_t positive_low, int64_t positive_high):
        """Give bins to the keys [low, high) of either sign; none where low equals high."""
        cdef bin_window wider
        enter(self)
        wider = self.window
        if negative_low < negative_high:
            if wider.negative_low == wider.negative_high:
                wider.negative_low, wider.negative_high = negative_low, negative_high
            wider.negative_low = min(wider.negative_low, negative_low)
            wider.negative_high = max(wider.negative_high, negative_high)
        if positive_low < positive_high:
            if wider.positive_low == wider.positive_high:
                wider.positive_low, wider.positive_high = positive_low, positive_high
            wider.positive_low = min(wider.positive_low, positive_low)
            wider.positive_high = max(wider.positive_high, positive_high)
        self.allocate(wider)

    def _extend_range(self, double minimum, double maximum):
        """Lower the least and raise the largest number seen."""
        enter(self)
        self.least = min(self.least, ordered(number_bits(minimum)))
        self.most = max(self.most, ordered(number_bits(maximum)))

    @property
    def counters(self):
        """The counters, an int64 array: NaN, -inf, negative bins, zero, positive bins, inf; a view until it grows."""
        enter(self)
        return np.asarray(self.memory)

    @property
    def _table(self):
        """The keys that have bins, (negative_low, negative_high, positive_low, positive_high), and their `counters`.

        Read together, since another thread may make the table grow between two reads.
        """
        enter(self)
        keys = (self.window.negative_low, self.window.negative_high, self.window.positive_low,
                self.window.positive_high)
        return keys, np.asarray(self.memory)

    @property
    def _range(self):
        """The least and the largest number seen, (inf, -inf) if none."""
        enter(self)
        return from_ordered(self.least), from_ordered(self.most)

    def add(self, item, count=1):
        """Count one number `count` times."""
        cdef double x
        cdef int64_t n = 1
        cdef bin_window wider
        enter(self)
        if count is not ONE:
            n = self.take_count(count, False)
        if not take_number(item, &x):
            enter(self)
            self._nulls += 1
            return
        enter(self)
        if not n:
            return
        if not has_bin(&self.window, x):
            wider = self.window
            widen_window(&wider, &x, 1, self.mantissa_bits)
            self.closed = True  # NumPy releases the GIL to make zeros
            try:
                self.allocate(wider)
            finally:
                leave(self)
        self.tally(n)
        self.counters[bin_index(&self.window, x)] += n
        if x == x:
            self.least = min(self.least, ordered(number_bits(x)))
            self.most = max(self.most, ordered(number_bits(x)))

    def _insert(self, const double[::1] numbers not None, const int64_t[::1] counts):
        """Count numbers, with counts of 1 and more."""
        cdef int64_t n = numbers.shape[0], least, most
        cdef bint fits
        cdef bin_window wider
        cdef const int64_t* weights = NULL
        enter(self)
        if not n:
            return
        least, most = self.least, self.most
        self.closed = True
        try:
            with nogil:
                fits = scan_numbers(&self.window, &numbers[0], n, &least, &most)
            if not fits:
                wider = self.window
                widen_window(&wider, &numbers[0], n, self.mantissa_bits)
                self.allocate(wider)
            self.tally_many(counts, n)
            if counts is not None:
                weights = &counts[0]
            self.least, self.most = least, most
            with nogil:
                count_numbers(&self.window, self.counters, &numbers[0], weights, n)
        finally:
            leave(self)

    def _absorb(self, QuantilesKernel other not None):
        """Merge a kernel of the same bins."""
        enter(other)
        self._widen(other.window.negative_low, other.window.negative_high, other.window.positive_low,
                    other.window.positive_high)
        self.add_totals(other)
        add_bins(self.counters, &self.window, other.counters, &other.window)
        self.least = min(self.least, other.least)
        self.most = max(self.most, other.most)
