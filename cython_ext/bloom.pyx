"""Guts of BloomFilter: 64-bit words of bits, in blocks of eight or as one row; see include/bloom.h for the loops."""

from libc.stdint cimport int64_t, uint8_t, uint64_t, uintptr_t

from sketches._ext.hashing cimport hash_item
from sketches._ext.hash_kernel cimport HashKernel
from sketches._ext.kernel cimport Kernel, enter, leave

import numpy as np

cdef extern from "bloom.h" nogil:
    enum:
        LANES
    void block_add(uint64_t* words, uint64_t blocks, uint64_t h)
    int block_has(uint64_t* words, uint64_t blocks, uint64_t h)
    void classic_add(uint64_t* words, uint64_t bits, int probes, uint64_t h)
    int classic_has(const uint64_t* words, uint64_t bits, int probes, uint64_t h)
    void block_add_all(uint64_t* words, uint64_t blocks, const uint64_t* hashes, const int64_t* counts, int64_t n)
    void block_has_all(uint64_t* words, uint64_t blocks, const uint64_t* hashes, uint8_t* out, int64_t n)
    void classic_add_all(
        uint64_t* words, uint64_t bits, int probes, const uint64_t* hashes, const int64_t* counts, int64_t n)
    void classic_has_all(
        const uint64_t* words, uint64_t bits, int probes, const uint64_t* hashes, uint8_t* out, int64_t n)
    double sum_of_products(const uint64_t* words, uint64_t blocks)
    bint whole_blocks(const uint64_t* words, uint64_t blocks)

cdef extern from "merge.h" nogil:
    void or_words(uint64_t* mine, const uint64_t* theirs, int64_t n)


cdef class BloomKernel(HashKernel):
    """Words of bits, and how a hash sets and reads them."""

    cdef uint64_t[::1] table
    cdef uint64_t* start
    cdef uint64_t blocks  # 0 in the classic layout
    cdef uint64_t nbits
    cdef readonly int probes

    def _setup(self, uint64_t[::1] table not None, bint in_blocks, int probes):
        cdef int64_t n = table.shape[0]
        if n < 1 or probes < 1 or (in_blocks and (n % LANES or probes != LANES)):
            raise ValueError(f"{n} words and {probes} probes are not accepted")
        if in_blocks and <uintptr_t>&table[0] % (8 * LANES):
            raise ValueError("the words do not start at a cache line")
        self.table = table
        self.start = &table[0]
        self.blocks = n // LANES if in_blocks else 0
        self.nbits = 64 * <uint64_t>n
        self.probes = probes
        self.answer_size = sizeof(uint8_t)

    @property
    def words(self):
        """The bits, 64 in each uint64, lowest first; a view. In the block layout, eight words are a block."""
        enter(self)
        return np.asarray(self.table)

    cdef int has(self, uint64_t h) noexcept:
        if self.blocks:
            return block_has(self.start, self.blocks, h)
        return classic_has(self.start, self.nbits, self.probes, h)

    cdef int put(self, const uint64_t* hashes, const int64_t* counts, int64_t n) except -1 nogil:
        if n == 1 and (counts == NULL or counts[0]):  # without the overhead of batches
            if self.blocks:
                block_add(self.start, self.blocks, hashes[0])
            else:
                classic_add(self.start, self.nbits, self.probes, hashes[0])
        elif self.blocks:
            block_add_all(self.start, self.blocks, hashes, counts, n)
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
        if self.blocks:
            block_has_all(self.start, self.blocks, hashes, <uint8_t*>answers, n)
        else:
            classic_has_all(self.start, self.nbits, self.probes, hashes, <uint8_t*>answers, n)
        return 0

    def _sound(self):
        """Whether items can have left the blocks as they are."""
        enter(self)
        return whole_blocks(self.start, self.blocks)

    def _block_rate(self):
        """The share of all possible hashes whose eight bits are set, over all blocks."""
        cdef double sum
        enter(self)
        self.closed = True
        with nogil:
            sum = sum_of_products(self.start, self.blocks)
        leave(self)
        return sum / 2.0**48 / self.blocks

    cdef bint alike(self, Kernel other) except -1:
        cdef BloomKernel kernel = other
        return (self.nbits == kernel.nbits and self.blocks == kernel.blocks and self.probes == kernel.probes
                and Kernel.alike(self, other))

    cdef int absorb(self, tuple others) except -1:
        cdef BloomKernel other
        for other in others:
            self.add_totals(other)
            with nogil:
                or_words(self.start, other.start, self.table.shape[0])
        return 0
