"""The base of kernels whose state follows from the hashes of items: `add`, batches and questions."""

from libc.stdint cimport int64_t, uint8_t, uint64_t

from sketches._ext.hash_kernel cimport HashKernel  # itself, so that the build notices a changed .pxd  # no-cython-lint
from sketches._ext.hashing cimport fetch_integers, hash_integers, hash_item
from sketches._ext.kernel cimport enter, leave

cdef object ONE = 1

cdef enum:
    CHUNK = 512  # hashes: 4 KiB, and as much of keys to come, beside a kernel's own buffers in a small L1 cache


cdef int check_room(int64_t n, int64_t room) except -1:
    if room != n:
        raise ValueError(f"{room} bytes for answers of {n}")
    return 0


cdef class HashKernel(Kernel):
    """What kernels of hashed items have in common: `add`, and batches."""

    cdef int put(self, const uint64_t* hashes, const int64_t* counts, int64_t n) except -1 nogil:
        with gil:
            raise NotImplementedError

    def add(self, item, count=1):
        """Add one item `count` times; a null is counted in `nulls` instead."""
        cdef uint64_t h
        cdef int64_t n = 1
        enter(self)
        if count is not ONE:
            n = self.take_count(count)
        if not hash_item(self.hasher, item, &h):
            enter(self)
            self._nulls += 1
            return
        enter(self)
        self.tally(n)
        if n:
            self.closed = True
            try:
                self.put(&h, &n, 1)
            finally:
                leave(self)

    cdef int ask(self, const uint64_t* hashes, void* answers, int64_t n) except -1 nogil:
        with gil:
            raise NotImplementedError

    cdef void prepare(self, int64_t n) noexcept nogil:
        pass

    cdef void conclude(self) noexcept nogil:
        pass

    def _insert(self, const uint64_t[::1] hashes not None, const int64_t[::1] counts):
        """Add a block of hashes, each as often as its count says (None: once)."""
        cdef int64_t n = hashes.shape[0]
        cdef const int64_t* weights = NULL
        enter(self)
        self.tally_many(counts, n)
        if n == 0:
            return
        if counts is not None:
            weights = &counts[0]
        self.closed = True
        try:
            with nogil:
                self.put(&hashes[0], weights, n)
        finally:
            leave(self)

    def _insert_integers(self, const int64_t[::1] integers not None, const int64_t[::1] counts):
        """Add a block of integers; each chunk of hashes is used while it is in the processor's nearest cache."""
        cdef int64_t start = 0, size, n = integers.shape[0]
        cdef const int64_t* weights = NULL
        cdef uint64_t[CHUNK] hashes
        enter(self)
        self.tally_many(counts, n)
        if counts is not None and n:
            weights = &counts[0]
        self.closed = True
        try:
            with nogil:
                while start < n:
                    size = min(n - start, CHUNK)
                    hash_integers(&self.hasher.spec, &integers[start], hashes, size)
                    fetch_integers(&integers[0] + start + size, min(n - start - size, CHUNK))
                    self.put(hashes, weights + start if weights != NULL else NULL, size)
                    start += size
        except MemoryError:  # `put` took from the totals what it left of this chunk
            self.untally(weights, start + size, n)
            raise
        finally:
            leave(self)

    def _ask(self, const uint64_t[::1] hashes not None, uint8_t[::1] answers not None):
        """Write the answers about some hashes, of the kernel's own type, to so many bytes."""
        cdef int64_t n = hashes.shape[0]
        enter(self)
        check_room(n * self.answer_size, answers.shape[0])
        if n == 0:
            return
        self.closed = True
        try:
            with nogil:
                self.prepare(n)
                self.ask(&hashes[0], &answers[0], n)
        finally:
            self.conclude()
            leave(self)

    def _ask_integers(self, const int64_t[::1] integers not None, uint8_t[::1] answers not None):
        """Write the answers about some integers, as `_ask` does."""
        cdef int64_t start = 0, size, n = integers.shape[0]
        cdef uint64_t[CHUNK] hashes
        enter(self)
        check_room(n * self.answer_size, answers.shape[0])
        self.closed = True
        try:
            with nogil:
                self.prepare(n)
                while start < n:
                    size = min(n - start, CHUNK)
                    hash_integers(&self.hasher.spec, &integers[start], hashes, size)
                    fetch_integers(&integers[0] + start + size, min(n - start - size, CHUNK))
                    self.ask(hashes, &answers[start * self.answer_size], size)
                    start += size
        finally:
            self.conclude()
            leave(self)
