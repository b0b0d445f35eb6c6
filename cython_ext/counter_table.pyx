"""Guts of SpaceSaving and LossyCounting: the table of counter_table.h, its memory, and the items of its entries.

Items are Python objects and stay out of the batches. A batch only notes which slots got new entries and where in the
block they are from; their items are fetched afterwards. Until that is done they are `pending`, and whatever uses the
sketch next, in whichever thread or signal handler, does it first.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from sketches._ext.hashing cimport fetch_integers, hash_integers, hash_item
from sketches._ext.kernel cimport Kernel, enter, leave

import os

import numpy as np

from sketches.core.scalars import canonical

cdef extern from "counter_table.h" nogil:
    ctypedef struct counter_entry:
        uint64_t hash
        int64_t count
        int64_t error
    ctypedef struct counter_table:
        counter_entry* entries
        uint32_t* index
        uint32_t* born
        uint32_t* log
        int64_t log_size, capacity, offset, limit, width, fill
        uint64_t multiplier
        int shift
    counter_entry* table_find(const counter_table* t, uint64_t h)
    int64_t table_drop(counter_table* t)
    int table_add(counter_table* t, uint64_t h, int64_t count, uint32_t* slot)
    int64_t table_add_block(counter_table* t, const uint64_t* hashes, const int64_t* counts, int64_t n, int64_t start)
    int64_t table_collect(counter_table* t, uint32_t* slots, int64_t* places)

cdef object ONE = 1
cdef int64_t LEAST = 64  # slots to begin with
cdef int64_t MOST = 2**31

cdef enum:
    CHUNK = 512  # hashes: 4 KiB, and as much of keys to come, in a small L1 cache


cdef class CounterTable(Kernel):
    """Counters by hash, each with its error and its item."""

    cdef counter_table t
    cdef int64_t[:, ::1] entries  # the first row is the dummy
    cdef uint32_t[::1] index
    cdef uint32_t[::1] born
    cdef list items    # by slot; where a slot is free, anything
    cdef tuple pending  # None, or (fetch, places, slots): items[slots] = fetch(places) is still to be done

    def _setup(self, int64_t limit, int64_t width):
        """Either at most `limit` entries, or a bucket width; the other is 0."""
        if not (0 <= limit <= MOST and 0 <= width and (limit == 0) != (width == 0)):
            raise ValueError(f"limit {limit} and width {width} are not accepted")
        self.t.limit = limit
        self.t.width = width
        self.t.multiplier = int.from_bytes(os.urandom(8), "little") | 1
        self._load(0, 0, np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0, np.int64), [])

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
        if n > (self.t.limit or MOST):
            raise ValueError(f"{n} entries are not accepted")
        if self.initialised:
            self.ready()
        self.closed = True
        try:
            self.allocate(min(max(n, LEAST), self.t.limit or MOST), 0)
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
        if self.t.capacity >= MOST:
            raise MemoryError(f"{type(self).__name__} has {MOST} entries; it cannot hold more")
        return self.allocate(min(2 * self.t.capacity, self.t.limit or MOST), self.t.capacity)

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
    def _limit(self):
        enter(self)
        return self.t.limit

    @property
    def _width(self):
        enter(self)
        return self.t.width

    @property
    def _memory(self):
        self.ready()
        return (24 + 4 + 8) * self.t.capacity + 4 * self.index.shape[0]

    @property
    def max_error(self):
        """The most by which any count may be off: what an item without an entry may have occurred."""
        self.ready()
        return self.t.offset

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
        fresh = table_add(&self.t, h, n, &slot)
        if fresh < 0:
            self.closed = True
            try:
                self.grow()
            except MemoryError:
                self.untally(n)
                raise
            finally:
                leave(self)
            fresh = table_add(&self.t, h, n, &slot)
        if fresh:
            self.items[slot] = item

    cdef void untally(self, int64_t n) noexcept:
        self._total -= n
        self._weight -= n

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
        cdef const int64_t* weights = NULL
        cdef const uint64_t* chunk
        cdef uint64_t[CHUNK] buffer
        self.ready()
        log = np.empty(min(n, self.t.capacity), np.uint32)
        slots = np.empty(n, np.uint32)
        places = np.empty(n, np.int64)
        self.ready()
        self.tally_many(counts, n)
        if counts is not None:
            weights = &counts[0]
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
                        done = table_add_block(&self.t, chunk, weights, size, i)
                        i += done
                        if weights != NULL:
                            weights += done
                        if done < size:
                            break
                if i < n:
                    self.grow()
        except MemoryError:
            self.untally(n - i if counts is None else np.sum(counts[i:]))
            raise
        finally:
            n = table_collect(&self.t, &slots[0], &places[0])
            if n:
                self.pending = fetch, np.asarray(places)[:n], np.asarray(slots)[:n]
            leave(self)
        return self.ready()

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
        cdef CounterTable table = other
        return self.t.limit == table.t.limit and self.t.width == table.t.width

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
        """Take the state of another, which nobody may use any more, and its totals."""
        self.t = other.t
        self.entries = other.entries
        self.index = other.index
        self.born = other.born
        self.items = other.items
        self.pending = other.pending
        self._total = other._total
        self._weight = other._weight
        self._nulls = other._nulls

    def _union(self, CounterTable other not None):
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
