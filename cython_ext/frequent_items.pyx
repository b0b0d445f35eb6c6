"""Guts of SpaceSaving and LossyCounting: what a table of counters says for certain, and what two say together."""

from libc.stdint cimport int64_t, uint64_t

from sketches._ext.counter_table cimport CounterTable, counter_entry, table_find
from sketches._ext.kernel cimport Kernel, enter, leave

import numpy as np

cdef int64_t MOST = 2**31


cdef class FrequentItems(CounterTable):
    """Counters that bound from both sides how often their items occurred."""

    cdef readonly bint _deletions  # a field of its own: without one, Python would not tell this base from CounterTable

    def _setup(self, int64_t limit, int64_t width, bint deletions=False):
        """Either at most `limit` entries, or a bucket width; the other is 0. Deletions are negative counts."""
        if not (0 <= limit and 0 <= width and (limit == 0) != (width == 0)):
            raise ValueError(f"limit {limit} and width {width} are not accepted")
        self.t.limit = limit
        self.t.width = width
        self.signed = self._deletions = deletions
        self.begin(limit or MOST)

    @property
    def _limit(self):
        enter(self)
        return self.t.limit

    @property
    def _width(self):
        enter(self)
        return self.t.width

    @property
    def max_error(self):
        """The most by which any count may be off: what an item without an entry may have occurred."""
        self.ready()
        return self.t.offset

    def _bounds(self, const uint64_t[::1] hashes not None, int64_t[::1] lower not None, int64_t[::1] upper not None):
        """Write the bounds of each item's true count."""
        cdef int64_t i
        cdef counter_entry* entry
        self.ready()
        self.closed = True
        with nogil:
            for i in range(hashes.shape[0]):
                entry = table_find(&self.t, hashes[i])
                lower[i] = entry.count - entry.error if entry != NULL else 0
                upper[i] = entry.count if entry != NULL else self.t.offset
        leave(self)

    cdef bint alike(self, Kernel other) except -1:
        cdef FrequentItems table = other
        return (self.t.limit == table.t.limit and self.t.width == table.t.width
                and self._deletions == table._deletions)

    def _union(self, FrequentItems other not None):
        """The entries of both streams, in no order: (hashes, counts, errors, items), all above the sum of both offsets.

        An item may have occurred up to `offset` times where it has no entry. Raised by that, its count and error hold
        for both streams together.
        """
        cdef int64_t slot, n, i = 0
        cdef uint64_t[::1] hashes
        cdef int64_t[::1] counts, errors, places
        cdef counter_entry entry
        cdef counter_entry* mine
        cdef list items = []
        self.ready()
        other.ready()
        while self.pending is not None:  # a signal handler may have come between
            self.ready()
            other.ready()
        n = self.size() + other.size()
        hashes = np.empty(n, np.uint64)
        counts = np.empty(n, np.int64)
        errors = np.empty(n, np.int64)
        places = np.empty(self.t.capacity, np.int64)
        for slot in range(self.t.capacity):
            entry = self.t.entries[slot]
            if entry.count > self.t.offset:
                places[slot] = i
                hashes[i] = entry.hash
                counts[i] = entry.count + other.t.offset
                errors[i] = entry.error + other.t.offset
                items.append(self.items[slot])
                i += 1
        for slot in range(other.t.capacity):
            entry = other.t.entries[slot]
            if entry.count <= other.t.offset:
                continue
            mine = table_find(&self.t, entry.hash)
            if mine != NULL:
                counts[places[mine - self.t.entries]] += entry.count - other.t.offset
                errors[places[mine - self.t.entries]] += entry.error - other.t.offset
                continue
            hashes[i] = entry.hash
            counts[i] = entry.count + self.t.offset
            errors[i] = entry.error + self.t.offset
            items.append(other.items[slot])
            i += 1
        return np.asarray(hashes)[:i], np.asarray(counts)[:i], np.asarray(errors)[:i], items
