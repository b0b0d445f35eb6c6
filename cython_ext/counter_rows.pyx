"""The base of kernels whose state is rows of counters; see include/counter_rows.h for how these grow.

What others see of the state is the counters' values: bytes, comparison and copies follow from them alone, never from
how wide the counters have become.
"""

from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint64_t

from sketches._ext.counter_rows cimport CounterRows  # itself, so that the build notices a changed .pxd  # no-cython-lint
from sketches._ext.kernel cimport Kernel, enter

import numpy as np

cdef extern from "counter_passes.h" nogil:
    enum:
        COUNTER_CHUNK
    ctypedef struct row_facts:
        uint64_t low
        uint64_t high
        int64_t sum
        int64_t least
        int64_t most
    int64_t integers_read(const void* integers, int bytes, int shift, int64_t* out, int64_t n)
    void integers_write(const int64_t* values, int64_t times, void* out, int bytes, int64_t n)
    int64_t count_outside(const int64_t* values, int64_t limit, int64_t n)
    void counters_read(const counter_rows* c, int64_t start, int64_t* out, int64_t n)
    int counters_copy_plain(counter_rows* plain, const counter_rows* c)
    void counters_write(counter_rows* c, int64_t start, const int64_t* values, int64_t n)
    bint counters_merge(counter_rows* mine, const counter_rows* theirs)
    int64_t counters_outside(const counter_rows* c, int bytes)
    void cells_lows(const void* cells, int bytes, void* out, int64_t n)
    void row_survey(row_facts* facts, const int64_t* values, int64_t n)

cdef enum:
    LARGE = 1 << 16  # counters whose merging is worth giving up the GIL


cdef class CounterRows(HashKernel):
    """Rows of counters that grow from 1 to 8 bytes each, as needed."""

    cdef int make(self, int64_t depth, int64_t width) except -1:
        """Make zeros, the first step of a kernel's set-up."""
        if self.initialised or self.rows.cells != NULL:
            raise ValueError(f"this {type(self).__name__} has its counters")
        if not counter_rows_make(&self.rows, depth * width, 1, 0):
            raise MemoryError(f"there is no memory for {depth} rows of {width} counters, of a byte each at first")
        self.depth = depth
        self.width = width
        self.answer_size = sizeof(int64_t)
        return 0

    def __dealloc__(self):
        counter_rows_free(&self.rows)

    cdef int lack(self, const int64_t* counts, int64_t done, int64_t n) except -1 nogil:
        """Raise MemoryError after `done` of n items; the others are taken from the totals."""
        with gil:
            self.untally(counts, done, n)
            raise MemoryError("there is no memory for counters to grow")

    cdef void prepare(self, int64_t n) noexcept nogil:
        """Before as many questions as counters, put a copy without rests in their place, which are slow to look up.

        It takes no more memory than the answers do; without memory the counters stay.
        """
        cdef counter_rows plain
        if self.rows.used and n >= self.rows.size and counters_copy_plain(&plain, &self.rows):
            self.kept = self.rows
            self.rows = plain

    cdef void conclude(self) noexcept nogil:
        if self.kept.cells != NULL:
            counter_rows_free(&self.rows)
            self.rows = self.kept
            self.kept.cells = NULL

    @property
    def counters(self):
        """The counters, an int64 array of shape (depth, width); a copy."""
        cdef int64_t[::1] values
        cdef int64_t start = 0
        enter(self)
        values = np.empty(self.rows.size, np.int64)
        enter(self)
        with nogil:
            while start < self.rows.size:
                counters_read(&self.rows, start, &values[start], min(COUNTER_CHUNK, self.rows.size - start))
                start += COUNTER_CHUNK
        return np.asarray(values).reshape(self.depth, self.width)

    @property
    def counter_bytes(self):
        """The bytes of a counter, 1, 2, 4 or 8; a few that do not fit take 16 or more elsewhere."""
        enter(self)
        return self.rows.bytes

    def _memory(self):
        """Give the bytes of all counters."""
        enter(self)
        return self.rows.size * self.rows.bytes + self.rows.slots * <int64_t>sizeof(counter_rest)

    cdef bint alike(self, Kernel other) except -1:
        cdef CounterRows kernel = other
        return self.depth == kernel.depth and self.width == kernel.width

    cdef int absorb(self, tuple others) except -1:
        cdef CounterRows other
        cdef bint fits
        for other in others:
            if self.rows.size < LARGE:
                fits = counters_merge(&self.rows, &other.rows)
            else:
                with nogil:
                    fits = counters_merge(&self.rows, &other.rows)
            if not fits:
                raise MemoryError("there is no memory to merge")
            self.add_totals(other)
        return 0

    def _packed(self):
        """Give (bytes, cells, places, values): counters of the bytes that take the least room in all.

        `cells` are integers of so many bytes; those that do not fit are 0 there, and are in `values`, at `places`.
        """
        cdef int64_t outside[3]
        cdef int64_t start = 0, size = self.rows.size, i, n, k = 0, limit
        cdef int64_t[COUNTER_CHUNK] chunk
        cdef int64_t[::1] places, values
        cdef uint8_t[::1] cells
        cdef int bytes
        enter(self)
        with nogil:
            for bytes in range(3):
                outside[bytes] = counters_outside(&self.rows, 1 << bytes)
        bytes = best_bytes(outside, size)
        cells = np.empty(size * bytes, np.uint8)
        places = np.empty(outside[bytes // 2] if bytes < 8 else 0, np.int64)
        values = np.empty(len(places), np.int64)
        enter(self)
        limit = <int64_t>1 << (8 * bytes - 1) if bytes < 8 else INT64_MAX
        with nogil:
            if bytes == self.rows.bytes and self.rows.used == 0:
                cells_lows(self.rows.cells, bytes, &cells[0], size)
                start = size
            while start < size:
                n = min(COUNTER_CHUNK, size - start)
                counters_read(&self.rows, start, chunk, n)
                if bytes < 8 and count_outside(chunk, limit, n):
                    for i in range(n):
                        if chunk[i] >= limit or chunk[i] < -limit:
                            places[k] = start + i
                            values[k] = chunk[i]
                            chunk[i] = 0
                            k += 1
                integers_write(chunk, 1, &cells[start * bytes], bytes, n)
                start += n
        return bytes, np.asarray(cells).view(f"i{bytes}"), np.asarray(places), np.asarray(values)

    def _fill(self, RowReader reader not None):
        """Take the counters of a reader, once, in place of zeros."""
        cdef int64_t start = 0, n = 0
        cdef int bytes = 1
        cdef int64_t[COUNTER_CHUNK] chunk
        cdef counter_rows fresh
        if self.initialised or self.rows.size != reader.size:
            raise ValueError("a reader fills fresh counters of its size")
        fresh.size = self.rows.size
        for bytes in (1, 2, 4, 8):
            fresh.bytes = bytes
            n = reader.grown[bytes // 2] if bytes < 8 else 0
            if n == 0 or counter_slots(&fresh, n):
                break
        if not counter_rows_make(&fresh, self.rows.size, bytes, n):
            raise MemoryError(f"there is no memory for {self.depth} rows of {self.width} counters")
        counter_rows_free(&self.rows)
        self.rows = fresh
        reader.rewind()
        with nogil:
            while start < self.rows.size:
                n = min(COUNTER_CHUNK, self.rows.size - start)
                reader.read(start, chunk, n)
                if self.rows.slots:
                    counters_write(&self.rows, start, chunk, n)
                else:  # all fit
                    integers_write(chunk, 2 if bytes < 8 else 1, <char*>self.rows.cells + start * bytes, bytes, n)
                start += n


cdef void count_all(int64_t* outside, const int64_t* values, int64_t n, int spare,
                    const row_facts* facts) noexcept nogil:
    """Count the values that do not fit 1, 2 and 4 bytes, of which `spare` bits are not for them."""
    cdef int width
    cdef int64_t limit
    for width in range(3):
        limit = <int64_t>1 << ((8 << width) - 1 - spare)
        if facts.least < -limit or facts.most >= limit:  # some value of the row so far
            outside[width] += count_outside(values, limit, n)


cdef int best_bytes(const int64_t* outside, int64_t size) noexcept:
    """Give the bytes a counter at which all take the least room, with 16 for each that does not fit."""
    cdef int bytes, best = 8
    for bytes in (4, 2, 1):
        if size * bytes + 16 * outside[bytes // 2] <= size * best + (16 * outside[best // 2] if best < 8 else 0):
            best = bytes
    return best


cdef class RowReader:
    """Counters as they are written: integers of a few bytes, and those that do not fit, at their places.

    Raises ValueError where they are not as `_packed` makes them.
    """

    cdef const uint8_t[::1] cells
    cdef const int64_t[::1] places
    cdef const int64_t[::1] values
    cdef int bytes
    cdef int64_t size
    cdef int64_t k          # the next of `places`
    cdef int64_t[3] grown   # how many do not fit cells of 1, 2 and 4 bytes in memory
    cdef readonly list weights
    cdef readonly list sums
    cdef readonly int64_t least

    def __init__(self, int64_t width, int bytes, const uint8_t[::1] cells not None,
                 const int64_t[::1] places not None, const int64_t[::1] values not None, bint packed=True):
        cdef int64_t[3] outside
        cdef int64_t[COUNTER_CHUNK] chunk
        cdef int64_t start = 0, row, n, i, limit
        cdef row_facts facts
        if bytes not in (1, 2, 4, 8) or cells.shape[0] % bytes or cells.shape[0] // bytes % width:
            raise ValueError(f"{cells.shape[0]} bytes do not hold rows of {width} counters of {bytes} bytes")
        self.cells, self.places, self.values = cells, places, values
        self.bytes = bytes
        self.size = cells.shape[0] // bytes
        if places.shape[0] != values.shape[0]:
            raise ValueError(f"{places.shape[0]} places for {values.shape[0]} values")
        limit = <int64_t>1 << (8 * bytes - 1) if bytes < 8 else INT64_MAX
        for i in range(places.shape[0]):
            if places[i] < (places[i - 1] + 1 if i else 0) or places[i] >= self.size:
                raise ValueError(f"place {places[i]} is not after the last and below {self.size}")
            if bytes == 8 or -limit <= values[i] < limit:
                raise ValueError(f"the value {values[i]} fits {bytes} bytes")
            integers_read(&cells[places[i] * bytes], bytes, 0, chunk, 1)
            if chunk[0]:
                raise ValueError(f"there are two values at {places[i]}")
        outside[0] = outside[1] = outside[2] = 0
        self.weights, self.sums, self.least = [], [], INT64_MAX
        for row in range(self.size // width):
            facts.low = facts.high = 0
            facts.sum, facts.least, facts.most = 0, INT64_MAX, -INT64_MAX - 1
            start = 0
            with nogil:
                while start < width:
                    n = min(COUNTER_CHUNK, width - start)
                    self.read(row * width + start, chunk, n)
                    row_survey(&facts, chunk, n)
                    if facts.least < -64 or facts.most >= 64:  # else all of the row so far fit any cell
                        count_all(outside, chunk, n, 0, &facts)
                        count_all(self.grown, chunk, n, 1, &facts)
                    start += n
            self.weights.append((int(facts.high) << 32) + int(facts.low))
            self.sums.append(facts.sum)
            self.least = min(self.least, facts.least)
        if packed and best_bytes(outside, self.size) != bytes:
            raise ValueError(f"counters of {bytes} bytes are not the shortest")

    cdef void rewind(self) noexcept:
        self.k = 0

    cdef void read(self, int64_t start, int64_t* out, int64_t n) noexcept nogil:
        """Give n values; reading starts at 0 and leaves none out."""
        integers_read(&self.cells[start * self.bytes], self.bytes, 0, out, n)
        while self.k < self.places.shape[0] and self.places[self.k] < start + n:
            out[self.places[self.k] - start] = self.values[self.k]
            self.k += 1
