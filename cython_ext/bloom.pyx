"""Guts of BloomFilter: 64-bit words of bits, in blocks of eight or as one row; see include/bloom.h for the loops."""

from libc.stdint cimport int64_t, uint8_t, uint64_t, uintptr_t

from sketches._ext.hashing cimport hash_item
from sketches._ext.hash_kernel cimport HashKernel
from sketches._ext.kernel cimport Kernel, enter, leave

import numpy as np

cdef extern from "bloom.h" nogil:
    enum:
        LANES
    ctypedef struct block_table:
        uint64_t* words
        uint64_t blocks
        int lines
    void block_add(const block_table* table, uint64_t h)
    int block_has(const block_table* table, uint64_t h)
    void classic_add(uint64_t* words, uint64_t bits, int probes, uint64_t h)
    int classic_has(const uint64_t* words, uint64_t bits, int probes, uint64_t h)
    void block_add_all(const block_table* table, const uint64_t* hashes, const int64_t* counts, int64_t n)
    void block_has_all(const block_table* table, const uint64_t* hashes, uint8_t* out, int64_t n)
    void classic_add_all(
        uint64_t* words, uint64_t bits, int probes, const uint64_t* hashes, const int64_t* counts, int64_t n)
    void classic_has_all(
        const uint64_t* words, uint64_t bits, int probes, const uint64_t* hashes, uint8_t* out, int64_t n)
    double sum_of_products(const uint64_t* words, uint64_t blocks, int lines)
    bint whole_blocks(const block_table* table)

cdef extern from "merge.h" nogil:
    void or_words(uint64_t* mine, const uint64_t* theirs, int64_t n)


cdef class BloomKernel(HashKernel):
    """Words of bits, and how a hash sets and reads them."""

    cdef uint64_t[::1] table
    cdef uint64_t* start
    cdef block_table block  # of no lines in the classic layout
    cdef uint64_t nbits
    cdef readonly int probes

    def _setup(self, uint64_t[::1] table not None, int lines, int probes):
        """Take over a table; items have one or two lines in blocks of it, or 0: bits anywhere."""
        cdef int64_t n = table.shape[0]
        cdef bint right = 1 <= n and 1 <= probes and 0 <= lines <= 2
        if not right or (lines and (n % (LANES * lines) or probes != (8, 14)[lines - 1])):
            raise ValueError(f"{n} words and {probes} probes in {lines} lines are not accepted")
        if lines and <uintptr_t>&table[0] % (8 * LANES):
            raise ValueError("the words do not start at a cache line")
        self.table = table
        self.start = &table[0]
        self.block = block_table(self.start, n // (LANES * lines) if lines else 0, lines)
        self.nbits = 64 * <uint64_t>n
        self.probes = probes
        self.answer_size = sizeof(uint8_t)

    @property
    def words(self):
        """The bits, 64 in each uint64, lowest first; a view. In the block layout, eight words are a block."""
        enter(self)
        return np.asarray(self.table)

    cdef int has(self, uint64_t h) noexcept:
        if self.block.lines:
            return block_has(&self.block, h)
        return classic_has(self.start, self.nbits, self.probes, h)

    cdef int put(self, const uint64_t* hashes, const int64_t* counts, int64_t n) except -1 nogil:
        if n == 1 and (counts == NULL or counts[0]):  # without the overhead of batches
            if self.block.lines:
                block_add(&self.block, hashes[0])
            else:
                classic_add(self.start, self.nbits, self.probes, hashes[0])
        elif self.block.lines:
            block_add_all(&self.block, hashes, counts, n)
        else:
            classic_add_all(self.start, self.nbits, self.probes, hashes, counts, n)
        return 0

    def __contains__(self, item):
        """Whether the item may have been added; False is certain, and the answer for a null."""
        cdef uint64_t h
        enter(self)
        if not hash_item(self.hasher, item, &h):
            return False
        enter(self)
        return self.has(h)

    cdef int ask(self, const uint64_t* hashes, void* answers, int64_t n) except -1 nogil:
        if self.block.lines:
            block_has_all(&self.block, hashes, <uint8_t*>answers, n)
        else:
            classic_has_all(self.start, self.nbits, self.probes, hashes, <uint8_t*>answers, n)
        return 0

    def _sound(self):
        """Whether items can have left the blocks as they are."""
        enter(self)
        return whole_blocks(&self.block)

    def _block_rate(self):
        """The probability that a random hash has all its bits: that of its block, on average, and so for every line."""
        cdef double rate = 1
        cdef int line, lines = self.block.lines
        cdef uint64_t blocks = self.block.blocks
        enter(self)
        self.closed = True
        with nogil:
            for line in range(lines):
                rate *= sum_of_products(self.start + LANES * line * blocks, blocks, lines) / blocks
        leave(self)
        return rate / (2.0**48 if lines == 1 else 2.0**90)

    cdef bint alike(self, Kernel other) except -1:
        cdef BloomKernel kernel = other
        return (self.nbits == kernel.nbits and self.block.lines == kernel.block.lines and self.probes == kernel.probes
                and Kernel.alike(self, other))

    cdef int absorb(self, tuple others) except -1:
        cdef BloomKernel other
        for other in others:
            self.add_totals(other)
            with nogil:
                or_words(self.start, other.start, self.table.shape[0])
        return 0
