from cpython.ref cimport PyObject
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t


cdef extern from "hash.h" nogil:
    enum:
        DOMAIN_BYTES, DOMAIN_INTEGER, DOMAIN_FLOAT, DOMAIN_BIG_INTEGER, DOMAIN_TUPLE, DOMAIN_TIME, DOMAIN_NULL, DOMAINS
    ctypedef struct hash_spec:
        int keyed
        uint64_t salt[7]
        uint32_t seed[7]
        uint64_t key[7][2]
    uint64_t mix64(uint64_t x)
    uint64_t siphash_word(uint64_t m, uint64_t k0, uint64_t k1)
    uint64_t hash_word(const hash_spec* spec, int domain, uint64_t word)
    uint64_t hash_bytes(const hash_spec* spec, int domain, const uint8_t* data, uint64_t length)
    uint64_t hash_double(const hash_spec* spec, double x)
    uint64_t hash_unsigned(const hash_spec* spec, uint64_t x)
    void hash_integers(const hash_spec* spec, const int64_t* items, uint64_t* out, int64_t n)
    void fetch_integers(const int64_t* items, int64_t n)
    uint64_t put_utf8(uint8_t* p, uint32_t c)
    void store_le64(uint8_t* p, uint64_t w)

cdef extern from "objects.h":
    int read_int(PyObject* item, int64_t* value) noexcept

cdef extern from "simd.h" nogil:
    uint64_t mulhi64(uint64_t a, uint64_t b)


cdef class Hasher:
    cdef hash_spec spec
    cdef readonly object seed
    cdef readonly bint keyed
    cdef readonly object fingerprint
    cdef readonly object key

    cdef int64_t run(self, PyObject** items, int64_t n, uint64_t* out) noexcept


# Writes the hash of any item; returns 1, 0 for a null (nothing is written), -1 with an exception set.
cdef int hash_any(const hash_spec* spec, object item, uint64_t* out, int depth) except -1


cdef inline int hash_item(Hasher hasher, object item, uint64_t* out) except -1:
    cdef int64_t value
    if type(item) is int and read_int(<PyObject*>item, &value):
        out[0] = hash_word(&hasher.spec, DOMAIN_INTEGER, <uint64_t>value)
        return 1
    return hash_any(&hasher.spec, item, out, 0)
