"""Guts of Quantiles: a table of counters, one for each bin of numbers, over the range of numbers seen so far.

The order of bins in the table, and the bit tricks that find them, are in include/bins.h.
"""

from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_CheckExact
from cpython.long cimport PyLong_AsDouble, PyLong_AsLongLongAndOverflow, PyLong_CheckExact
from libc.math cimport INFINITY
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from sketches._ext.kernel cimport Kernel, enter, leave

import numpy as np

from sketches.core.scalars import canonical

cdef extern from "bins.h" nogil:
    ctypedef struct bin_window:
        int64_t shift, negative_low, negative_high, positive_low, positive_high, zero, last
    uint64_t number_bits(double x)
    int64_t ordered(uint64_t bits)
    double from_ordered(int64_t order)
    int64_t find_bin(const bin_window* window, double x)
    void widen_window(bin_window* window, const double* x, int64_t n, int step)
    enum: CHUNK
    ctypedef struct number_chunk:
        pass
    bint place_numbers(const bin_window* window, number_chunk* chunk, const void* x, bint narrow, int64_t n,
                       int64_t* least, int64_t* most)
    bint place_wide(const bin_window* window, number_chunk* chunk, int64_t n, int64_t* least, int64_t* most)
    void widen_to_chunk(bin_window* window, const number_chunk* chunk, int64_t n, int step)
    void include_window(bin_window* window, const bin_window* other)
    bint same_window(const bin_window* window, const bin_window* other)
    void add_bins(int64_t* table, const bin_window* wider, const int64_t* counters, const bin_window* window,
                  const int64_t* next)
    void rank_numbers(const bin_window* window, const int64_t* counters, int64_t* through, double minimum,
                      double maximum, const double* x, double* estimates, double* bounds, int64_t n)
    void copy_reversed(int64_t* to, const uint8_t* bytes, int64_t n)
    enum: GATHER
    void count_spread(uint16_t* spread, const number_chunk* chunk, int64_t n)
    void gather_spread(int64_t* table, uint16_t* spread, int64_t size)
    void count_chunk(int64_t* table, const number_chunk* chunk, const int64_t* counts, int64_t n)

cdef enum:
    LARGE = 1 << 13  # counters whose addition is worth giving up the GIL
    MOST_HEADS = 16
    MANY = 1 << 14  # numbers that are worth counters of their own, which are added to the table afterwards

cdef extern from "heads.h" nogil:
    enum: HEADS, TURNS, HEAD_BITS
    ctypedef struct head_counters:
        pass
    ctypedef struct head_range:
        pass
    head_range widen_to_heads(bin_window* window, const head_counters* counters, double minimum, double maximum,
                              int64_t n)
    int64_t gather_heads(int64_t* table, const bin_window* window, head_counters* counters, const head_range* range)

cdef extern from "sums.h" nogil:
    ctypedef struct size_sum:
        uint64_t high, low
    size_sum sum_sizes(const int64_t* x, int64_t n)

cdef object ONE = 1
cdef object float32 = np.dtype(np.float32)


cdef int take_number(object item, double* x) except -1:
    """Write the float64 of a number; returns 0 for a null."""
    cdef int overflow = 0
    if not PyLong_CheckExact(item):
        item = canonical(item)
        if item is None:
            return 0
        if type(item) is float:
            x[0] = item
            return 1
        if type(item) is not int:
            raise TypeError(f"item {item!r} has type {type(item).__name__}, but numbers are needed")
    x[0] = <double>PyLong_AsLongLongAndOverflow(item, &overflow)
    if overflow:
        try:
            x[0] = PyLong_AsDouble(item)
        except OverflowError:
            raise ValueError("item is an integer beyond the range of float64") from None
    return 1


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
            add_bins(&table[0], &wider, self.counters, &self.window, NULL)
        self.memory = table
        self.counters = &table[0]
        self.window = wider
        return 0

    def _restore(self, special not None, int64_t negative_low, const uint8_t[::1] negatives not None,
                 int64_t positive_low, const uint8_t[::1] positives not None, double minimum, double maximum):
        """Take over, right after `_setup`, what `_stored` gave, as bytes; gives the sum of all counts, exactly."""
        cdef bin_window wider = self.window
        cdef size_sum sum
        wider.negative_low = negative_low
        wider.negative_high = negative_low + negatives.shape[0] // 8
        wider.positive_low = positive_low
        wider.positive_high = positive_low + positives.shape[0] // 8
        self.allocate(wider)
        wider = self.window
        self.counters[0], self.counters[1], self.counters[wider.zero], self.counters[wider.last] = special
        if negatives.shape[0]:
            copy_reversed(self.counters + 2, &negatives[0], wider.zero - 2)
        if positives.shape[0]:
            memcpy(self.counters + wider.zero + 1, &positives[0], positives.shape[0])
        self.least = ordered(number_bits(minimum))
        self.most = ordered(number_bits(maximum))
        sum = sum_sizes(self.counters, wider.last + 1)
        return (int(sum.high) << 32) + sum.low

    cdef (int64_t, int64_t) filled(self, int64_t first, int64_t last) noexcept:
        """The first and the last place of [first, last] that is not empty; (last + 1, last) if all are."""
        while first <= last and self.counters[first] == 0:
            first += 1
        while first <= last and self.counters[last] == 0:
            last -= 1
        return first, last if first <= last else first - 1

    def _stored(self):
        """What bytes hold of the bins: (special, key, negatives, key, positives).

        `special` are the counts of NaN, -inf, zero and inf; the others begin and end with one that is not 0, the first
        one's key before them.
        """
        cdef int64_t zero, last, start, end
        enter(self)
        zero = self.window.zero
        last = self.window.last
        counters = np.asarray(self.memory)
        special = (self.counters[0], self.counters[1], self.counters[zero], self.counters[last])
        start, end = self.filled(2, zero - 1)
        negatives = counters[start:end + 1][::-1]
        negative_low = self.window.negative_high + 1 - end if start <= end else 0
        start, end = self.filled(zero + 1, last - 1)
        positives = counters[start:end + 1]
        positive_low = self.window.positive_low + start - zero - 1 if start <= end else 0
        return special, negative_low, negatives, positive_low, positives

    def _outermost(self, double minimum, double maximum):
        """Whether these lie in the first and in the last bin that is not empty, NaN's apart."""
        cdef int64_t first, last
        enter(self)
        first, last = self.filled(1, self.window.last)
        return find_bin(&self.window, minimum) == first and find_bin(&self.window, maximum) == last

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
        cdef int64_t n = 1, index, order
        cdef bin_window wider
        enter(self)
        if count is not ONE:
            n = self.take_count(count)
        if PyFloat_CheckExact(item):
            x = PyFloat_AS_DOUBLE(item)
        elif not take_number(item, &x):
            enter(self)
            self._nulls += 1
            return
        enter(self)
        if not n:
            return
        index = find_bin(&self.window, x)
        if index < 0:
            wider = self.window
            widen_window(&wider, &x, 1, self.mantissa_bits)
            self.closed = True  # NumPy releases the GIL to make zeros
            try:
                self.allocate(wider)
            finally:
                leave(self)
            index = find_bin(&self.window, x)
        self.tally(n)
        self.counters[index] += n
        if index:  # not NaN
            order = ordered(number_bits(x))
            if order < self.least:
                self.least = order
            if order > self.most:
                self.most = order

    def _insert(self, numbers, const int64_t[::1] counts):
        """Count numbers, float32 or float64, with counts of 1 and more; the array may be the caller's own."""
        cdef const float[::1] narrow
        cdef const double[::1] wide
        cdef int64_t n = numbers.shape[0]
        cdef const void* first = NULL
        cdef const int64_t* weights = NULL
        cdef bint is_narrow = numbers.dtype == float32
        if is_narrow:
            narrow = numbers
            first = &narrow[0] if n else NULL
        else:
            wide = numbers
            first = &wide[0] if n else NULL
        enter(self)
        self.tally_many(counts, n)
        self.closed = True
        try:
            if counts is not None and n:
                weights = &counts[0]
            self.count_numbers(first, is_narrow, weights, n)
        finally:
            leave(self)

    cdef int count_numbers(self, const void* numbers, bint narrow, const int64_t* counts, int64_t n) except -1:
        cdef const char* next = <const char*>numbers
        cdef const int64_t* weights = counts
        cdef int64_t size, start = 0, held = 0
        cdef uint16_t* spread = NULL
        cdef number_chunk chunk
        cdef bin_window wider
        with nogil:
            while start < n:
                size = min(n - start, CHUNK)
                if not place_numbers(&self.window, &chunk, next, narrow, size, &self.least, &self.most):
                    if spread != NULL:
                        gather_spread(self.counters, spread, self.window.last + 1)
                        free(spread)
                        spread = NULL
                    with gil:
                        wider = self.window
                        widen_to_chunk(&wider, &chunk, size, self.mantissa_bits)
                        try:
                            self.allocate(wider)
                        except MemoryError:
                            self.untally(counts, start, n)
                            raise
                    place_wide(&self.window, &chunk, size, &self.least, &self.most)
                if spread == NULL and weights == NULL and n - start >= MANY and self.window.last < MANY:
                    spread = <uint16_t*>calloc(self.window.last + 1, 4 * sizeof(uint16_t))
                    held = 0
                if spread != NULL:
                    count_spread(spread, &chunk, size)
                    held += 1
                    if held == GATHER:
                        gather_spread(self.counters, spread, self.window.last + 1)
                        held = 0
                else:
                    count_chunk(self.counters, &chunk, weights, size)
                if weights != NULL:
                    weights += size
                next += size * (4 if narrow else 8)
                start += size
            if spread != NULL:
                gather_spread(self.counters, spread, self.window.last + 1)
                free(spread)
        return 0

    def _add_heads(self, list heads not None, list sizes not None, int64_t zeros, double minimum, double maximum):
        """Move counts of so many float32 numbers here, see include/heads.h, and count so many zeros.

        The numbers lie between `minimum` and `maximum`. Returns how many were counted and have heads of their own: not
        those below 2**-126, infinities and NaN.
        """
        cdef head_counters* counters[MOST_HEADS]
        cdef head_range[MOST_HEADS] ranges
        cdef uint32_t[:, ::1] memory
        cdef bin_window wider
        cdef int64_t size, found = 0
        cdef int i, n = len(heads)
        if n > MOST_HEADS or n != len(sizes):
            raise ValueError(f"{n} counters of heads for {len(sizes)} sizes; at most {MOST_HEADS} are accepted")
        for i in range(n):
            memory = heads[i]
            if memory.shape[0] != HEADS or memory.shape[1] != TURNS or self.mantissa_bits != HEAD_BITS:
                raise ValueError(f"{memory.shape[0]} heads for bins of {self.mantissa_bits} bits")
            counters[i] = <head_counters*>&memory[0, 0]
        enter(self)
        self.closed = True
        try:
            wider = self.window
            for i in range(n):
                size = sizes[i]
                with nogil:
                    ranges[i] = widen_to_heads(&wider, counters[i], minimum, maximum, size)
            if not same_window(&wider, &self.window):
                self.allocate(wider)
            with nogil:
                for i in range(n):
                    found += gather_heads(self.counters, &self.window, counters[i], &ranges[i])
            self.counters[self.window.zero] += zeros
            self.tally(found + zeros)
            self.least = min(self.least, ordered(number_bits(minimum)))
            self.most = max(self.most, ordered(number_bits(maximum)))
        finally:
            leave(self)
        return found

    def _rank(self, const double[::1] x not None, double[:, ::1] answers not None):
        """Write how many numbers are <= each x: estimates and, to two more rows if there are, their bounds."""
        cdef int64_t n = x.shape[0]
        cdef int64_t[::1] through
        if answers.shape[0] not in (1, 3) or answers.shape[1] != n:
            raise ValueError(f"{answers.shape[0]} × {answers.shape[1]} answers to {n} questions")
        if not n:
            return
        enter(self)
        self.closed = True
        try:
            through = np.empty(self.window.last + 1, np.int64)
            with nogil:
                rank_numbers(&self.window, self.counters, &through[0], from_ordered(self.least),
                             from_ordered(self.most), &x[0], &answers[0, 0],
                             NULL if answers.shape[0] == 1 else &answers[1, 0], n)
        finally:
            leave(self)

    cdef bint alike(self, Kernel other) except -1:
        cdef QuantilesKernel kernel = other
        return self.mantissa_bits == kernel.mantissa_bits

    cdef int absorb(self, tuple others) except -1:
        cdef QuantilesKernel other
        cdef Py_ssize_t i
        cdef const int64_t* next
        cdef bin_window wider = self.window
        for other in others:
            include_window(&wider, &other.window)
        if not same_window(&wider, &self.window):
            self.allocate(wider)  # before anything changes: memory may be short
        for i, other in enumerate(others):
            self.add_totals(other)
            self.least = min(self.least, other.least)
            self.most = max(self.most, other.most)
            next = (<QuantilesKernel>others[i + 1]).counters if i + 1 < len(others) else NULL
            if other.window.last < LARGE:
                add_bins(self.counters, &self.window, other.counters, &other.window, next)
            else:
                with nogil:
                    add_bins(self.counters, &self.window, other.counters, &other.window, next)
        return 0
