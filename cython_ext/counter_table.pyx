"""The base of kernels that keep counters with their items: the table of counter_table.h, its memory, and the items.

Items are Python objects and stay out of the batches. A batch only notes which slots got new entries and where in the
block they are from; their items are fetched afterwards. Until that is done they are `pending`, and whatever uses the
sketch next, in whichever thread or signal handler, does it first.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from sketches._ext.counter_table cimport (
    CounterTable, counter_entry, table_add, table_add_block, table_add_signed, table_collect, table_drop, table_find,
    table_take,
)
from sketches._ext.hashing cimport fetch_integers, hash_integers, hash_item
from sketches._ext.kernel cimport Kernel, enter, leave

import os

import numpy as np

from sketches.core.scalars import canonical

cdef object ONE = 1
cdef int64_t LEAST = 64  # slots to begin with
cdef int64_t MOST = 2**31

cdef enum:
    CHUNK = 512  # hashes: 4 KiB, and as much of keys to come, in a small L1 cache


cdef class CounterTable(Kernel):
    """Counters by hash, each with its error and its item."""

    cdef int begin(self, int64_t most) except -1:
        """Make an empty table that never has more than so many slots."""
        if not 0 < most <= MOST:
            raise ValueError(f"{most} slots are not accepted")
        self.most = most
        self.t.multiplier = int.from_bytes(os.urandom(8), "little") | 1
        self._load(0, 0, np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0, np.int64), [])
        return 0

    def _load(self, int64_t offset, int64_t fill, const uint64_t[::1] hashes not None,
              const int64_t[::1] counts not None, const int64_t[::1] errors not None, list items not None,
              Kernel merged=None):
        """Replace all entries by those of some whose counts exceed `offset`, and add the totals of what was merged."""
        cdef int64_t i, slot = 0, n = 0
        if not hashes.shape[0] == counts.shape[0] == errors.shape[0] == len(items):
            raise ValueError(f"{hashes.shape[0]} hashes, but {counts.shape[0]} counts, {errors.shape[0]} errors and"
                             f" {len(items)} items")
        for i in range(counts.shape[0]):
            n += counts[i] > offset
        if n > self.most:
            raise ValueError(f"{n} entries are not accepted")
        if self.initialised:
            self.ready()
        self.closed = True
        try:
            self.allocate(min(max(n, LEAST), self.most), 0)
            for i in range(counts.shape[0]):
                if counts[i] > offset:
                    self.t.entries[slot].hash = hashes[i]
                    self.t.entries[slot].count = counts[i]
                    self.t.entries[slot].error = errors[i]
                    self.items[slot] = items[i]
                    slot += 1
            self.t.offset = offset
            self.t.fill = fill
            table_drop(&self.t)
            if merged is not None:
                self.add_totals(merged)
        finally:
            leave(self)

    cdef int allocate(self, int64_t capacity, int64_t kept) except -1:
        """New memory with the first `kept` slots of the old; all of it, or an exception and no change."""
        entries = np.zeros((1 + capacity, 3), np.int64)
        born = np.full(capacity, 0xFFFFFFFF, np.uint32)
        index = np.empty(1 << (3 * capacity - 1).bit_length(), np.uint32)
        items = (self.items or [])[:kept] + [None] * (capacity - kept)
        if kept:
            entries[:1 + kept] = self.entries[:1 + kept]
            born[:kept] = self.born[:kept]
        self.entries = entries
        self.born = born
        self.index = index
        self.items = items
        self.t.entries = <counter_entry*>&self.entries[1, 0]
        self.t.born = &self.born[0]
        self.t.index = &self.index[0]
        self.t.capacity = capacity
        self.t.shift = 65 - index.size.bit_length()
        table_drop(&self.t)
        return 0

    cdef int grow(self) except -1:
        """Make room, with the GIL, where the table cannot do so itself: more slots, or an exception and no change."""
        if self.t.capacity >= self.most:
            raise MemoryError(f"{type(self).__name__} has {self.most} entries; it cannot hold more")
        return self.allocate(min(2 * self.t.capacity, self.most), self.t.capacity)

    cdef int ready(self) except -1:
        """Enter, with every item in its place: the first step of every public method."""
        cdef tuple pending
        cdef list items
        cdef uint32_t[::1] slots
        cdef int64_t i
        enter(self)
        while self.pending is not None:
            pending = self.pending
            fetch, places, slots = pending
            items = fetch(places)  # runs Python code: other threads and signal handlers may come here meanwhile
            enter(self)
            if self.pending is pending:
                for i in range(slots.shape[0]):
                    self.items[slots[i]] = items[i]
                self.pending = None
        return 0

    @property
    def _memory(self):
        self.ready()
        return (24 + 4 + 8) * self.t.capacity + 4 * self.index.shape[0]

    def __len__(self):
        self.ready()
        return self.size()

    cdef int64_t size(self) noexcept:
        """How many entries there are; what makes room for them must not ask a subclass's `__len__`."""
        cdef int64_t slot, n = 0
        for slot in range(self.t.capacity):
            n += self.t.entries[slot].count > self.t.offset
        return n

    def add(self, item, count=1):
        """Count one item `count` times."""
        cdef uint64_t h
        cdef int64_t n = 1
        cdef uint32_t slot = 0
        cdef int fresh
        cdef type kind
        enter(self)
        # Python code may run while an item is hashed or made canonical: before `ready`, never after it.
        if count is not ONE:
            n = self.take_count(count)
        if not hash_item(self.hasher, item, &h):
            enter(self)
            self._nulls += 1
            return
        self.ready()
        kind = type(item)
        if kind is not int and kind is not str and kind is not bytes and table_find(&self.t, h) == NULL:
            item = canonical(item)
            self.ready()
        if n == 0:
            return
        self.tally(n)
        if n < 0:
            table_take(&self.t, h, -n)
            return
        fresh = table_add(&self.t, h, n, &slot)
        if fresh < 0:
            self.closed = True
            try:
                self.grow()
            except BaseException:
                self.untally(&n, 0, 1)
                raise
            finally:
                leave(self)
            fresh = table_add(&self.t, h, n, &slot)
        if fresh:
            self.items[slot] = item

    def _insert(self, const uint64_t[::1] hashes not None, const int64_t[::1] counts, fetch):
        """Count a block; `fetch(places)` gives the canonical items at some places of the block."""
        if hashes.shape[0]:
            self.count_block(&hashes[0], NULL, counts, hashes.shape[0], fetch)

    def _insert_integers(self, const int64_t[::1] integers not None, const int64_t[::1] counts, fetch):
        """Count a block of integers, as `_insert` does; each chunk while its hashes are in the nearest cache."""
        if integers.shape[0]:
            self.count_block(NULL, &integers[0], counts, integers.shape[0], fetch)

    cdef int count_block(self, const uint64_t* hashes, const int64_t* integers, const int64_t[::1] counts, int64_t n,
                         fetch) except -1:
        cdef int64_t size, done, i = 0
        cdef uint32_t[::1] log, slots
        cdef int64_t[::1] places
        cdef const int64_t* first = NULL
        cdef const int64_t* weights
        cdef const uint64_t* chunk
        cdef uint64_t[CHUNK] buffer
        self.ready()
        log = np.empty(min(n, self.t.capacity), np.uint32)
        slots = np.empty(n, np.uint32)
        places = np.empty(n, np.int64)
        self.ready()
        self.tally_many(counts, n)
        if counts is not None:
            first = &counts[0]
        weights = first
        self.closed = True
        self.t.log = &log[0]
        self.t.log_size = log.shape[0]
        try:
            while i < n:
                with nogil:
                    while i < n:
                        size = min(n - i, CHUNK)
                        if hashes != NULL:
                            chunk = hashes + i
                        else:
                            hash_integers(&self.hasher.spec, integers + i, buffer, size)
                            fetch_integers(integers + i + size, min(n - i - size, CHUNK))
                            chunk = buffer
                        if self.signed and weights != NULL:
                            done = table_add_signed(&self.t, chunk, weights, size, i)
                        else:
                            done = table_add_block(&self.t, chunk, weights, size, i)
                        i += done
                        if weights != NULL:
                            weights += done
                        if done < size:
                            break
                if i < n:
                    self.grow()
        except BaseException:
            self.untally(first, i, n)
            raise
        finally:
            n = table_collect(&self.t, &slots[0], &places[0])
            if n:
                self.pending = fetch, np.asarray(places)[:n], np.asarray(slots)[:n]
            leave(self)
        return self.ready()

    cdef int absorb(self, tuple others) except -1:
        """Several merge into a copy, whose state this then takes: all or, where a signal handler raises, none."""
        cdef CounterTable whole = self
        if len(others) > 1:
            whole = self._copy()
        for other in others:
            whole._merge(other)
        if whole is not self:
            self.adopt(whole)
        return 0

    cdef void adopt(self, CounterTable other) noexcept:
        self.t = other.t
        self.entries = other.entries
        self.index = other.index
        self.born = other.born
        self.items = other.items
        self.pending = other.pending
        self._total = other._total
        self._weight = other._weight
        self._nulls = other._nulls

    def _entries(self):
        """The entries, ordered by hash: (hashes, counts, errors, items)."""
        cdef int64_t slot, n, i = 0
        cdef uint64_t[::1] hashes
        cdef int64_t[::1] counts, errors, slots, order
        cdef list items = []
        self.ready()
        n = self.size()
        self.closed = True
        try:
            hashes = np.empty(n, np.uint64)
            counts = np.empty(n, np.int64)
            errors = np.empty(n, np.int64)
            slots = np.empty(n, np.int64)
            for slot in range(self.t.capacity):
                if self.t.entries[slot].count > self.t.offset:
                    hashes[i] = self.t.entries[slot].hash
                    slots[i] = slot
                    i += 1
            order = np.asarray(hashes).argsort()  # compiled: no signal handler must find the sketch closed
            for i in range(n):
                slot = slots[order[i]]
                counts[i] = self.t.entries[slot].count
                errors[i] = self.t.entries[slot].error
                items.append(self.items[slot])
        finally:
            leave(self)
        return np.asarray(hashes)[order], np.asarray(counts), np.asarray(errors), items
