"""Guts of HashedWeights: the hash of a weight's flat index gives the stored value it shares (high bits) and its sign.

The bucket is mulhi(hash, size), the product's high half: it maps the hash to [0, size) without a division and depends
on its high bits; the sign is the lowest bit, which the bucket does not see.
"""

from libc.stdint cimport int64_t, uint64_t

from sketches._ext.hashing cimport Hasher, hash_integers, hash_spec, mulhi64

cdef enum:
    CHUNK = 512


cdef void hash_range(const hash_spec* spec, int64_t start, uint64_t* hashes, int64_t n) noexcept nogil:
    cdef int64_t[CHUNK] indices
    cdef int64_t i
    for i in range(n):
        indices[i] = start + i
    hash_integers(spec, indices, hashes, n)


def expand(Hasher hasher not None, const float[::1] values not None, int64_t start, float[::1] out not None):
    """Write the weights of flat indices start, start + 1, … to `out`."""
    cdef uint64_t[CHUNK] hashes
    cdef uint64_t size = values.shape[0]
    cdef int64_t chunk, begin, i, n, total = out.shape[0]
    if not size:
        raise ValueError("there are no values")
    with nogil:
        for chunk in range((total + CHUNK - 1) // CHUNK):
            begin = chunk * CHUNK
            n = min(<int64_t>CHUNK, total - begin)
            hash_range(&hasher.spec, start + begin, hashes, n)
            for i in range(n):
                out[begin + i] = values[mulhi64(hashes[i], size)] * (1 - 2 * <int>(hashes[i] & 1))


def collect(
    Hasher hasher not None, const double[::1] dense not None, int64_t start, double[::1] sums not None,
    int64_t[::1] counts,
):
    """Add the numbers of flat indices start, start + 1, …, signed, to their buckets' sums, and ones to `counts`."""
    cdef uint64_t[CHUNK] hashes
    cdef uint64_t size = sums.shape[0], bucket
    cdef int64_t chunk, begin, i, n, total = dense.shape[0]
    if not size:
        raise ValueError("there are no sums")
    if counts is not None and <uint64_t>counts.shape[0] != size:
        raise ValueError(f"{size} sums but {counts.shape[0]} counts")
    with nogil:
        for chunk in range((total + CHUNK - 1) // CHUNK):
            begin = chunk * CHUNK
            n = min(<int64_t>CHUNK, total - begin)
            hash_range(&hasher.spec, start + begin, hashes, n)
            for i in range(n):
                bucket = mulhi64(hashes[i], size)
                sums[bucket] += dense[begin + i] * (1 - 2 * <int>(hashes[i] & 1))
                if counts is not None:
                    counts[bucket] += 1
