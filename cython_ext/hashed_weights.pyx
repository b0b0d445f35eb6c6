"""Guts of HashedWeights: the hash of a weight's flat index gives the stored value it shares (high bits) and its sign.

The bucket is mulhi(hash, size), the product's high half: it maps the hash to [0, size) without a division and depends
on its high bits; the sign is the lowest bit, which the bucket does not see (include/hashed_weights.h).

Each function takes runs of `width` flat indices: run r begins at start + rows[r] * width, or, where `rows` is None,
there is one run, from `start` on.
"""

from libc.stdint cimport int64_t, uint64_t

from sketches._ext.hashing cimport Hasher, hash_integers, hash_spec

cdef extern from "hashed_weights.h" nogil:
    void buckets_of(const uint64_t* hashes, uint64_t size, int64_t* buckets, int64_t n)
    void gather_floats(const float* values, const uint64_t* hashes, const int64_t* buckets, float* out, int64_t n)
    void gather_doubles(const double* values, const uint64_t* hashes, const int64_t* buckets, double* out, int64_t n)
    void scatter_floats(const float* dense, const uint64_t* hashes, const int64_t* buckets, double* sums, int64_t n)
    void scatter_doubles(const double* dense, const uint64_t* hashes, const int64_t* buckets, double* sums, int64_t n)

cdef enum:
    CHUNK = 512

ctypedef fused number:
    float
    double


cdef struct places:
    uint64_t[CHUNK] hashes
    int64_t[CHUNK] buckets


cdef void find(places* found, const hash_spec* spec, int64_t start, uint64_t size, int64_t n) noexcept nogil:
    """Hash n flat indices, at most CHUNK of them."""
    cdef int64_t i
    for i in range(n):
        found.buckets[i] = start + i
    hash_integers(spec, found.buckets, found.hashes, n)
    buckets_of(found.hashes, size, found.buckets, n)


cdef int64_t run_length(const int64_t[::1] rows, int64_t total) except -1:
    """Give how many of `total` numbers lie in each run."""
    if rows is None:
        return total
    if rows.shape[0] == 0 or total % rows.shape[0]:
        if total:
            raise ValueError(f"{total} numbers are not the same number for each of {rows.shape[0]} rows")
        return 0
    return total // rows.shape[0]


def expand(
    Hasher hasher not None, const number[::1] values not None, int64_t start, number[::1] out not None,
    const int64_t[::1] rows=None,
):
    """Write the weights of runs of flat indices to `out`."""
    cdef places found
    cdef int64_t r, chunk, begin, first, n, width = run_length(rows, out.shape[0])
    cdef uint64_t size = values.shape[0]
    if not size:
        raise ValueError("there are no values")
    if not width:
        return
    with nogil:
        for r in range(out.shape[0] // width):
            first = start if rows is None else start + rows[r] * width
            for chunk in range((width + CHUNK - 1) // CHUNK):
                begin = chunk * CHUNK
                n = min(<int64_t>CHUNK, width - begin)
                find(&found, &hasher.spec, first + begin, size, n)
                if number is float:
                    gather_floats(&values[0], found.hashes, found.buckets, &out[r * width + begin], n)
                else:
                    gather_doubles(&values[0], found.hashes, found.buckets, &out[r * width + begin], n)


def collect(
    Hasher hasher not None, const number[::1] dense not None, int64_t start, double[::1] sums not None,
    int64_t[::1] counts, const int64_t[::1] rows=None,
):
    """Add the numbers of runs of flat indices, signed, to their buckets' sums, and ones to `counts`."""
    cdef places found
    cdef int64_t r, i, chunk, begin, first, n, width = run_length(rows, dense.shape[0])
    cdef uint64_t size = sums.shape[0]
    if not size:
        raise ValueError("there are no sums")
    if counts is not None and <uint64_t>counts.shape[0] != size:
        raise ValueError(f"{size} sums but {counts.shape[0]} counts")
    if not width:
        return
    with nogil:
        for r in range(dense.shape[0] // width):
            first = start if rows is None else start + rows[r] * width
            for chunk in range((width + CHUNK - 1) // CHUNK):
                begin = chunk * CHUNK
                n = min(<int64_t>CHUNK, width - begin)
                find(&found, &hasher.spec, first + begin, size, n)
                if number is float:
                    scatter_floats(&dense[r * width + begin], found.hashes, found.buckets, &sums[0], n)
                else:
                    scatter_doubles(&dense[r * width + begin], found.hashes, found.buckets, &sums[0], n)
                if counts is not None:
                    for i in range(n):
                        counts[found.buckets[i]] += 1


def locate(Hasher hasher not None, int64_t start, int64_t size, int64_t[::1] out not None):
    """Write where the weights of flat indices start, start + 1, … lie: the bucket, or size + bucket if negated."""
    cdef places found
    cdef int64_t chunk, begin, i, n
    with nogil:
        for chunk in range((out.shape[0] + CHUNK - 1) // CHUNK):
            begin = chunk * CHUNK
            n = min(<int64_t>CHUNK, out.shape[0] - begin)
            find(&found, &hasher.spec, start + begin, size, n)
            for i in range(n):
                out[begin + i] = found.buckets[i] + size * <int64_t>(found.hashes[i] & 1)
