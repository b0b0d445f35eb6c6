"""Guts of FlajoletMartin: a table of tokens and, as soon as that would outgrow them, registers.

The arithmetic of registers and tokens is in include/flajolet_martin.h.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from sketches._ext.hashing cimport mix64
from sketches._ext.hash_kernel cimport HashKernel
from sketches._ext.kernel cimport Kernel, enter

import os

import numpy as np

cdef extern from "flajolet_martin.h" nogil:
    uint64_t ones(int n)
    uint32_t token_of(uint64_t h)
    uint64_t hash_of(uint32_t token)
    void insert_one(void* registers, int kind, int p, uint64_t h)
    void merge_all(void* mine, const void* const* theirs, int64_t n, int kind, int p)
    bint sound_all(const void* registers, int kind, int64_t m, int most)
    void read_all(const void* registers, int kind, int64_t m, int64_t* tops, int64_t* seen)

cdef extern from "fm_downsize.h" nogil:
    void downsize_all(void* to, int q, const void* registers, int p, int kind)

cdef extern from "fm_pairs.h" nogil:
    void read_pairs(const void* first, const void* second, int kind, int64_t m, int most, int64_t* pairs, int64_t* none)

cdef extern from "fm_martingale.h" nogil:
    ctypedef struct martingale:
        double estimate
        double variance
        uint64_t chance
    void count_change(martingale* state, uint64_t lost)
    uint64_t registers_chance(const void* registers, int kind, int p)
    uint64_t token_share(uint32_t token)
    void insert_counted(martingale* state, void* registers, int kind, int p, uint64_t h)

cdef extern from "fm_filter.h" nogil:
    ctypedef struct fm_filter:
        pass
    void insert_filtered(fm_filter* filter, void* registers, int kind, int p, const uint64_t* hashes, int64_t n)

cdef enum:
    FIRST_TABLE = 4  # log2 of its slots
    REPLAYED = 256   # hashes at once
    MERGED = 256     # sketches at once
    LARGE = 1 << 14  # registers whose merging is worth giving up the GIL

cdef uint32_t FREE = 0xFFFFFFFF  # no token: its leading zeros would be 63, and they are at most 38
cdef object DTYPES = (np.uint64, np.uint8, np.uint8, np.uint32)
# Nobody must know where a token lies in a table, or crafted ones would all lie in one place and be slow to find. And
# each table has places of its own: in the order of another's, tokens would fill this one from one end to the other.
cdef uint64_t last_salt = int.from_bytes(os.urandom(8), "little")


cdef uint64_t new_salt() noexcept:
    global last_salt
    last_salt = mix64(last_salt) | 1
    return last_salt


cdef inline uint32_t* find(uint32_t* table, int bits, uint64_t salt, uint32_t token) noexcept nogil:
    """The slot of a token, or the free one where it belongs: linear probing, and a quarter of the slots is free."""
    cdef uint64_t slot = token * salt >> (64 - bits)
    while table[slot] != token and table[slot] != FREE:
        slot = slot + 1 & ones(bits)
    return table + slot


cdef class FlajoletMartinKernel(HashKernel):
    """Tokens or registers, and how a hash changes them."""

    cdef readonly int precision
    cdef readonly int kind_number
    cdef object array         # the registers; None while there are tokens
    cdef void* register       # the first of them, or NULL
    cdef fm_filter filter     # drops hashes that cannot change a register
    cdef uint32_t[::1] table  # of the tokens; None once there are registers
    cdef int table_bits       # log2 of its slots
    cdef uint64_t salt        # odd
    cdef int64_t used         # slots of the table
    cdef readonly bint martingale  # whether changes are counted, for which hashes must come in order
    cdef martingale changes

    def _setup(self, int kind_number, int precision, const uint32_t[::1] tokens, registers=None):
        """Begin with distinct tokens, or with registers that the kernel then owns."""
        cdef int bits = FIRST_TABLE
        self.kind_number = kind_number
        self.precision = precision
        self.salt = new_salt()
        if registers is None:
            while tokens.shape[0] > 3 << bits >> 2:
                bits += 1
            self.make_table(min(bits, self.last_table()), tokens)
        else:
            self.take_registers(registers)

    cdef int last_table(self) except -1:
        """The largest table has as many bytes as the registers: log2 of its slots of 4 bytes."""
        return (np.dtype(DTYPES[self.kind_number]).itemsize << self.precision).bit_length() - 3

    cdef int make_table(self, int bits, const uint32_t[::1] tokens) except -1:
        table = np.empty(1 << bits, np.uint32)
        table.fill(FREE)
        self.table = table
        self.table_bits = bits
        self.used = 0
        cdef int64_t i
        for i in range(tokens.shape[0]):
            self.put_token(tokens[i])
        return 0

    cdef int take_registers(self, array) except -1:
        self.array = array
        self.register = <void*><size_t>array.__array_interface__["data"][0]
        self.table = None
        return 0

    cdef bint put_token(self, uint32_t token) noexcept nogil:
        """Put a token into the table unless it is new and the table three quarters full."""
        cdef uint32_t* slot = find(&self.table[0], self.table_bits, self.salt, token)
        if slot[0] != token:
            if self.used == 3 << self.table_bits >> 2:
                return False
            slot[0] = token
            self.used += 1
        return True

    cdef int grow(self) except -1 with gil:
        """Double the table, or go over to registers when it would outgrow them.

        All that it calls is compiled: a signal handler must not find the sketch closed by its own thread.
        """
        cdef const uint32_t[::1] tokens = self.token_array()
        if self.table_bits < self.last_table():
            return self.make_table(self.table_bits + 1, tokens)
        return self.go_dense(tokens)

    cdef int go_dense(self, const uint32_t[::1] tokens) except -1:
        self.take_registers(np.zeros(1 << self.precision, DTYPES[self.kind_number]))
        return self.replay(&tokens[0], tokens.shape[0])

    cdef int replay(self, const uint32_t* tokens, int64_t n) except -1:
        """Insert hashes with these tokens, in any order; free slots may lie between them."""
        cdef int64_t i = 0, size
        cdef uint64_t[REPLAYED] hashes
        while i < n:
            size = 0
            while i < n and size < REPLAYED:
                hashes[size] = hash_of(tokens[i])
                size += tokens[i] != FREE
                i += 1
            self.put_uncounted(hashes, size)
        return 0

    cdef int put_counted(self, const uint64_t* hashes, int64_t n) except -1 nogil:
        """Insert hashes one by one and count the changes."""
        cdef int64_t i, before
        for i in range(n):
            before = self.used
            while self.register == NULL and not self.put_token(token_of(hashes[i])):
                self.grow()
                if self.register != NULL:
                    self.changes.chance = registers_chance(self.register, self.kind_number, self.precision)
            if self.register != NULL:
                insert_counted(&self.changes, self.register, self.kind_number, self.precision, hashes[i])
            elif self.used > before:
                count_change(&self.changes, token_share(token_of(hashes[i])))
        return 0

    cdef int put_hashes(self, const uint64_t* hashes, int64_t n) except -1 nogil:
        return self.put_counted(hashes, n) if self.martingale else self.put_uncounted(hashes, n)

    cdef int put_uncounted(self, const uint64_t* hashes, int64_t n) except -1 nogil:
        """Insert hashes into whatever there is."""
        cdef int64_t done = 0
        while self.register == NULL:
            while done < n and self.put_token(token_of(hashes[done])):
                done += 1
            if done == n:
                return 0
            self.grow()
        if n - done == 1:
            insert_one(self.register, self.kind_number, self.precision, hashes[done])
        else:
            insert_filtered(&self.filter, self.register, self.kind_number, self.precision, hashes + done, n - done)
        return 0

    cdef int put(self, const uint64_t* hashes, const int64_t* counts, int64_t n) except -1 nogil:
        cdef int64_t i = 0, size
        cdef uint64_t[REPLAYED] counted
        if counts == NULL:
            return self.put_hashes(hashes, n)
        while i < n:  # an item that was counted 0 times was not seen
            size = 0
            while i < n and size < REPLAYED:
                counted[size] = hashes[i]
                size += counts[i] != 0
                i += 1
            self.put_hashes(counted, size)
        return 0

    cdef token_array(self):
        if self.register != NULL:
            return np.empty(0, np.uint32)
        table = np.asarray(self.table)
        tokens = table[table != FREE]
        tokens.sort()
        return tokens

    @property
    def tokens(self):
        """While few items were seen: their tokens in ascending order, a uint32 array; afterwards an empty one."""
        enter(self)
        return self.token_array()

    @property
    def registers(self):
        """The registers, a read-only view of 2**precision unsigned integers; empty while there are tokens."""
        enter(self)
        view = np.empty(0, DTYPES[self.kind_number]) if self.array is None else self.array.view()
        view.flags.writeable = False
        return view

    @property
    def _nbytes(self):
        """The memory of the tokens' table or of the registers, in bytes."""
        enter(self)
        return np.asarray(self.table).nbytes if self.array is None else self.array.nbytes

    def _start_martingale(self, double estimate, double variance):
        """Count changes from here on, after as many as gave these."""
        enter(self)
        cdef const uint32_t[::1] tokens = self.token_array()
        cdef int64_t i
        self.martingale = True
        self.changes = martingale(estimate, variance, 0)
        if self.register != NULL:
            self.changes.chance = registers_chance(self.register, self.kind_number, self.precision)
        for i in range(tokens.shape[0]):
            self.changes.chance -= token_share(tokens[i])

    @property
    def _martingale(self):
        """The martingale's estimate and its variance."""
        enter(self)
        return self.changes.estimate, self.changes.variance

    cdef bint alike(self, Kernel other) except -1:
        cdef FlajoletMartinKernel kernel = other
        return (self.kind_number == kernel.kind_number and self.precision <= kernel.precision
                and not self.martingale and not kernel.martingale)

    cdef int absorb(self, tuple others) except -1:
        cdef FlajoletMartinKernel other
        cdef const void* theirs[MERGED]
        cdef int64_t n = 0
        if self.register == NULL:
            for other in others:
                if other.register != NULL:
                    self.go_dense(self.token_array())  # before anything changes: memory may be short
                    break
        for other in others:
            self.add_totals(other)
            if other.register == NULL:
                self.replay(&other.table[0], other.table.shape[0])
                continue
            if other.precision > self.precision:
                downsize_all(self.register, self.precision, other.register, other.precision, self.kind_number)
                continue
            theirs[n] = other.register
            n += 1
            if n == MERGED:
                self.merge_registers(theirs, n)
                n = 0
        self.merge_registers(theirs, n)
        return 0

    cdef void merge_registers(self, const void** theirs, int64_t n) noexcept:
        if n << self.precision < LARGE:
            merge_all(self.register, theirs, n, self.kind_number, self.precision)
        else:
            with nogil:
                merge_all(self.register, theirs, n, self.kind_number, self.precision)

    def _sound(self, int most):
        """Whether the registers may have come from hashes with update values up to `most`."""
        enter(self)
        return self.register == NULL or sound_all(
            self.register, self.kind_number, <int64_t>1 << self.precision, most)

    def _read(self, int64_t[::1] tops not None, int64_t[::1] seen not None):
        """Count the registers by their largest value (PCSA: all by 0), and those that saw each value."""
        enter(self)
        read_all(self.register, self.kind_number, <int64_t>1 << self.precision, &tops[0], &seen[0])

    def _read_pairs(self, FlajoletMartinKernel other not None, int64_t[:, :, ::1] pairs not None,
                    int64_t[::1] none not None):
        """Count what this sketch's registers and another's know of each value: see include/fm_pairs.h."""
        enter(self)
        enter(other)
        read_pairs(self.register, other.register, self.kind_number, <int64_t>1 << self.precision,
                   pairs.shape[0] - 1, &pairs[0, 0, 0], &none[0])

    def _replay_tokens(self):
        """Go over to registers, whether or not there are enough tokens."""
        enter(self)
        if self.register == NULL:
            self.go_dense(self.token_array())
