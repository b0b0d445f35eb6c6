"""Items to 64-bit hashes: one at a time, or a block of a column at a time without the GIL.

What is equal to what, and the hash of each kind of item, is defined in docs/hashing.md; `sketches.plain.hashing` is the
same in plain Python.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.long cimport PyLong_AsLongLongAndOverflow
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.ref cimport PyObject
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from sketches._ext.hashing cimport Hasher  # itself: makes the build notice a changed .pxd

import numpy as np

from sketches.core.scalars import canonical, split_instants

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL

cdef extern from "objects.h":
    enum:
        TEXTS
    ctypedef struct text_batch:
        pass
    PyObject** list_items(list items)
    int64_t read_ints(PyObject** items, int64_t n, int64_t left, int64_t* values) noexcept
    int64_t read_texts(PyObject** items, int64_t n, int64_t left, text_batch* batch, uint32_t seed) noexcept
    void hash_batch(const text_batch* batch, uint64_t* out, int64_t n) noexcept
    int64_t ascending_offsets(const void* offsets, bint wide, int64_t n) noexcept nogil
    int64_t offset_at(const void* offsets, bint wide, int64_t i) noexcept nogil
    void hash_slices(const hash_spec* spec, const uint8_t* data, const void* offsets, bint wide, uint64_t* out,
                     int64_t n) noexcept nogil

cdef object datetime64 = np.datetime64
cdef int MAX_DEPTH = 32
cdef uint64_t GOLDEN = 0x9E3779B97F4A7C15


cdef int check_room(int64_t n, int64_t room) except -1:
    if room < n:
        raise ValueError(f"{n} items do not fit into an array of {room}")
    return 0


cdef int hash_big(const hash_spec* spec, object item, uint64_t* out) except -1:
    """An integer outside int64: by its float64 where it is one, else by its two's complement in whole words."""
    try:
        as_float = float(item)
    except OverflowError:
        as_float = None
    if as_float is not None and as_float == item:
        out[0] = hash_double(spec, as_float)
        return 1
    cdef bytes data = item.to_bytes((item.bit_length() // 64 + 1) * 8, "little", signed=True)
    out[0] = hash_bytes(spec, DOMAIN_BIG_INTEGER, <const uint8_t*>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
    return 1


cdef int hash_tuple(const hash_spec* spec, tuple item, uint64_t* out, int depth) except -1:
    if depth >= MAX_DEPTH:
        raise ValueError(f"item is a tuple nested deeper than {MAX_DEPTH} levels")
    cdef Py_ssize_t n = len(item), i
    cdef uint64_t member
    cdef uint8_t* data = <uint8_t*>PyMem_Malloc(8 * n + 8)
    if data == NULL:
        raise MemoryError
    try:
        for i in range(n):
            if not hash_any(spec, item[i], &member, depth + 1):
                member = hash_word(spec, DOMAIN_NULL, 0)
            store_le64(data + 8 * i, member)
        out[0] = hash_bytes(spec, DOMAIN_TUPLE, data, 8 * n)
    finally:
        PyMem_Free(data)
    return 1


cdef int hash_instant(const hash_spec* spec, object item, uint64_t* out) except -1:
    cdef uint8_t data[16]
    seconds, attoseconds = split_instants(np.array([item]))
    store_le64(data, <uint64_t><int64_t>seconds[0])
    store_le64(data + 8, <uint64_t><int64_t>attoseconds[0])
    out[0] = hash_bytes(spec, DOMAIN_TIME, data, 16)
    return 1


cdef int hash_any(const hash_spec* spec, object item, uint64_t* out, int depth) except -1:
    cdef type kind = type(item)
    cdef Py_ssize_t size
    cdef const char* text
    cdef int overflow = 0
    cdef int64_t value
    if kind is str:
        try:
            text = PyUnicode_AsUTF8AndSize(item, &size)
        except UnicodeEncodeError:  # lone surrogates
            return hash_any(spec, item.encode("utf-8", "surrogatepass"), out, depth)
        out[0] = hash_bytes(spec, DOMAIN_BYTES, <const uint8_t*>text, size)
    elif kind is bytes:
        out[0] = hash_bytes(spec, DOMAIN_BYTES, <const uint8_t*>PyBytes_AS_STRING(item), PyBytes_GET_SIZE(item))
    elif kind is int:
        value = PyLong_AsLongLongAndOverflow(item, &overflow)
        if overflow:
            return hash_big(spec, item, out)
        out[0] = hash_word(spec, DOMAIN_INTEGER, <uint64_t>value)
    elif kind is float:
        out[0] = hash_double(spec, item)
    elif item is None:
        return 0
    elif kind is tuple:
        return hash_tuple(spec, item, out, depth)
    elif kind is datetime64:
        if item != item:  # NaT
            return 0
        return hash_instant(spec, item, out)
    else:
        return hash_any(spec, canonical(item), out, depth)
    return 1


cdef class Hasher:
    """A seed or a secret key, and the hash that it selects (see docs/hashing.md).

    Parameters
    ----------
    seed
        Selects a hash function: an integer in [0, 2**32). Sketches merge only where seeds agree.
    key
        16 secret bytes: SipHash-2-4 instead of MurmurHash3, for streams that an adversary writes.
    """

    def __init__(self, seed=0, key=None):
        cdef int d
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
            raise TypeError(f"seed is {seed!r}; an integer in [0, 2**32) is accepted")
        if not 0 <= seed < 2**32:
            raise ValueError(f"seed is {seed}; an integer in [0, 2**32) is accepted")
        if key is not None:
            if not isinstance(key, (bytes, bytearray)):
                raise TypeError(f"key is of type {type(key).__name__}; 16 bytes are accepted")
            if len(key) != 16:
                raise ValueError(f"key has {len(key)} bytes; exactly 16 are accepted")
            if seed:
                raise ValueError(f"seed is {seed} beside a key; give one of the two")
        self.seed = int(seed)
        self.keyed = key is not None
        self.key = None if key is None else bytes(key)
        self.spec.keyed = self.keyed
        for d in range(DOMAINS):
            self.spec.salt[d] = mix64(<uint64_t>seed + <uint64_t>(d + 1) * GOLDEN)
            self.spec.seed[d] = <uint32_t>seed if d == DOMAIN_BYTES else <uint32_t>self.spec.salt[d]
        if self.keyed:
            self._derive_keys()
            self.fingerprint = siphash_word(DOMAINS, self.spec.key[DOMAIN_NULL][0], self.spec.key[DOMAIN_NULL][1])
        else:
            self.fingerprint = self.seed

    def _derive_keys(self):
        """Bytes use the key itself; every other domain has a key of its own, made by the pseudorandom function."""
        cdef uint64_t k0 = int.from_bytes(self.key[:8], "little")
        cdef uint64_t k1 = int.from_bytes(self.key[8:], "little")
        cdef int d
        self.spec.key[0][0] = k0
        self.spec.key[0][1] = k1
        for d in range(1, DOMAINS):
            self.spec.key[d][0] = siphash_word(2 * d, k0, k1)
            self.spec.key[d][1] = siphash_word(2 * d + 1, k0, k1)

    def __reduce__(self):
        return Hasher, (self.seed, self.key)

    def __eq__(self, other):
        return isinstance(other, Hasher) and self.keyed == other.keyed and self.fingerprint == other.fingerprint

    def __hash__(self):
        return hash((self.keyed, self.fingerprint))

    def __repr__(self):
        if self.keyed:
            return f"Hasher(key=<secret, fingerprint {self.fingerprint:016x}>)"
        return f"Hasher(seed={self.seed})"

    def item(self, item):
        """The hash of one item, an integer in [0, 2**64); None for a null."""
        cdef uint64_t h
        return h if hash_item(self, item, &h) else None

    def integers(self, const int64_t[::1] items, uint64_t[::1] out):
        """Hash int64 values into `out`."""
        cdef int64_t n = items.shape[0]
        check_room(n, out.shape[0])
        if n:
            with nogil:
                hash_integers(&self.spec, &items[0], &out[0], n)

    def unsigned(self, const uint64_t[::1] items, uint64_t[::1] out):
        """Hash uint64 values into `out`."""
        cdef int64_t i
        check_room(items.shape[0], out.shape[0])
        with nogil:
            for i in range(items.shape[0]):
                out[i] = hash_unsigned(&self.spec, items[i])

    def doubles(self, const double[::1] items, uint64_t[::1] out):
        """Hash float64 values into `out`."""
        cdef int64_t i
        check_room(items.shape[0], out.shape[0])
        with nogil:
            for i in range(items.shape[0]):
                out[i] = hash_double(&self.spec, items[i])

    def instants(self, const int64_t[::1] seconds, const int64_t[::1] attoseconds, uint64_t[::1] out):
        """Hash instants, given as seconds since 1970 and attoseconds, into `out`."""
        cdef int64_t i
        cdef uint8_t data[16]
        check_room(seconds.shape[0], out.shape[0])
        check_room(seconds.shape[0], attoseconds.shape[0])
        with nogil:
            for i in range(seconds.shape[0]):
                store_le64(data, <uint64_t>seconds[i])
                store_le64(data + 8, <uint64_t>attoseconds[i])
                out[i] = hash_bytes(&self.spec, DOMAIN_TIME, data, 16)

    def slices(self, const uint8_t[::1] data not None, offsets, uint64_t[::1] out not None):
        """Hash the byte strings data[offsets[i]:offsets[i + 1]] into `out`; offsets are int32 or int64."""
        cdef const int32_t[::1] narrow
        cdef const int64_t[::1] wide
        cdef const void* ends
        cdef bint is_wide = offsets.dtype == np.int64
        cdef int64_t last, at, n = offsets.shape[0] - 1
        cdef const uint8_t* start = &data[0] if data.shape[0] else NULL
        check_room(n, out.shape[0])
        if n <= 0:
            return
        if is_wide:
            wide = offsets
            ends = &wide[0]
        else:
            narrow = offsets
            ends = &narrow[0]
        last = offset_at(ends, is_wide, n)
        if not 0 <= offset_at(ends, is_wide, 0) <= last <= data.shape[0]:
            raise ValueError(
                f"offsets from {offset_at(ends, is_wide, 0)} to {last} are not those of {data.shape[0]} bytes")
        at = ascending_offsets(ends, is_wide, n + 1)
        if at <= n:
            raise ValueError(
                f"offsets go from {offset_at(ends, is_wide, at - 1)} to {offset_at(ends, is_wide, at)} on the way to"
                f" {last}")
        with nogil:
            hash_slices(&self.spec, start, ends, is_wide, &out[0], n)

    def views(self, const int32_t[:, ::1] views, const uint64_t[::1] addresses, uint64_t[::1] out):
        """Hash Arrow's string views: rows (length, prefix, buffer, offset), or (length, 12 inline bytes)."""
        cdef int64_t i, length
        cdef const uint8_t* start
        check_room(views.shape[0], out.shape[0])
        with nogil:
            for i in range(views.shape[0]):
                length = views[i, 0]
                if length <= 12:
                    start = <const uint8_t*>&views[i, 1]
                else:
                    start = <const uint8_t*>addresses[views[i, 2]] + views[i, 3]
                out[i] = hash_bytes(&self.spec, DOMAIN_BYTES, start, length)

    def fixed_bytes(self, const uint8_t[:, ::1] rows, bint strip, uint64_t[::1] out):
        """Hash rows of bytes into `out`; `strip` drops trailing zeros, as NumPy's dtype S does."""
        cdef int64_t i, length, width = rows.shape[1]
        check_room(rows.shape[0], out.shape[0])
        with nogil:
            for i in range(rows.shape[0]):
                length = width
                if strip:
                    while length and rows[i, length - 1] == 0:
                        length -= 1
                out[i] = hash_bytes(&self.spec, DOMAIN_BYTES, &rows[i, 0] if length else NULL, length)

    def fixed_text(self, const uint32_t[:, ::1] rows, uint64_t[::1] out):
        """Hash rows of UCS-4 as UTF-8 into `out`, trailing zeros dropped, as NumPy's dtype U does."""
        cdef int64_t i, j, length, used, width = rows.shape[1]
        check_room(rows.shape[0], out.shape[0])
        cdef uint8_t* text = <uint8_t*>PyMem_Malloc(4 * width + 1)
        if text == NULL:
            raise MemoryError
        with nogil:
            for i in range(rows.shape[0]):
                length = width
                while length and rows[i, length - 1] == 0:
                    length -= 1
                used = 0
                for j in range(length):
                    used += put_utf8(text + used, rows[i, j])
                out[i] = hash_bytes(&self.spec, DOMAIN_BYTES, text, used)
        PyMem_Free(text)

    def tuples(self, const uint64_t[:, ::1] members, uint64_t[::1] out):
        """Hash composite items, given as rows of their members' hashes, into `out`."""
        cdef int64_t i, j, n = members.shape[1]
        check_room(members.shape[0], out.shape[0])
        cdef uint8_t* data = <uint8_t*>PyMem_Malloc(8 * n + 1)
        if data == NULL:
            raise MemoryError
        with nogil:
            for i in range(members.shape[0]):
                for j in range(n):
                    store_le64(data + 8 * j, members[i, j])
                out[i] = hash_bytes(&self.spec, DOMAIN_TUPLE, data, 8 * n)
        PyMem_Free(data)

    def objects(self, list items, int64_t start, int64_t stop, uint64_t[::1] out, uint8_t[::1] valid):
        """Hash items[start:stop] into `out`; `valid` is 0 where an item is a null."""
        cdef int64_t n, i = start
        if not 0 <= start <= stop <= len(items):
            raise IndexError(f"[{start}:{stop}] is outside a list of {len(items)} items")
        check_room(stop - start, out.shape[0])
        check_room(stop - start, valid.shape[0])
        if start < stop:
            memset(&valid[0], 1, stop - start)
        while i < stop:
            n = self.run(list_items(items) + i, stop - i, &out[i - start])
            i += n
            if n == 0:
                valid[i - start] = hash_item(self, items[i], &out[i - start])
                i += 1
                if len(items) < stop:  # hashing may run Python code, which may change the list
                    raise RuntimeError(f"the list of items shrank to {len(items)} items while it was read")

    cdef int64_t run(self, PyObject** items, int64_t n, uint64_t* out) noexcept:
        """Hash the ints or texts at the front of n items; returns how many."""
        cdef int64_t found
        cdef int64_t[TEXTS] integers
        cdef text_batch batch
        cdef int64_t left = n
        n = min(n, TEXTS)
        found = read_ints(items, n, left, integers)
        if found:
            hash_integers(&self.spec, integers, out, found)
        elif not self.keyed:
            found = read_texts(items, n, left, &batch, self.spec.seed[DOMAIN_BYTES])
            hash_batch(&batch, out, found)
        return found

    @property
    def null(self):
        """The hash that a null has as a member of a composite item."""
        return hash_word(&self.spec, DOMAIN_NULL, 0)
