"""Quantised weights as bits, by adaptive arithmetic coding with mixed contexts: see include/weight_code.h."""

from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.stdlib cimport free

cdef extern from "weight_code.h" nogil:
    ctypedef struct weight_shape:
        int64_t rows, columns, lag
        int zero, quick
        int32_t least, most
        const uint8_t* live
    void make_mixing()
    int64_t encode_levels(const weight_shape* shape, const int32_t* levels, uint8_t** bytes)
    int decode_levels(const weight_shape* shape, int32_t* levels, const uint8_t* bytes, int64_t size)

make_mixing()


cdef weight_shape shape_of(
    const int32_t[:, ::1] levels, int64_t lag, bint zero, bint quick, int32_t least, int32_t most,
    const uint8_t[::1] live,
) except *:
    cdef weight_shape shape
    shape.rows, shape.columns, shape.lag = levels.shape[0], levels.shape[1], lag
    shape.zero, shape.quick, shape.least, shape.most = zero, quick, least, most
    shape.live = NULL
    if live is not None:
        if live.shape[0] != shape.columns:
            raise ValueError(f"{shape.columns} columns but {live.shape[0]} flags of them")
        if shape.columns:
            shape.live = &live[0]
    return shape


def encode(
    const int32_t[:, ::1] levels not None, int64_t lag, bint zero, bint quick, int32_t least, int32_t most,
    const uint8_t[::1] live=None,
):
    """Give the code of a matrix of levels in [least, most], in which 0 occurs only where `zero` says so."""
    cdef weight_shape shape = shape_of(levels, lag, zero, quick, least, most, live)
    cdef uint8_t* code = NULL
    cdef int64_t size
    if not shape.rows or not shape.columns:
        return b""
    with nogil:
        size = encode_levels(&shape, &levels[0, 0], &code)
    if size < 0:
        raise MemoryError(f"no memory to encode {shape.rows} x {shape.columns} weights")
    try:
        return code[:size] if size else b""
    finally:
        free(code)


def decode(
    const uint8_t[::1] code not None, int32_t[:, ::1] levels not None, int64_t lag, bint zero, bint quick,
    int32_t least, int32_t most, const uint8_t[::1] live=None,
):
    """Read a matrix that is all zero so far; give whether these bytes are its code."""
    cdef weight_shape shape = shape_of(levels, lag, zero, quick, least, most, live)
    cdef int64_t size = code.shape[0]
    cdef int sound
    if not shape.rows or not shape.columns:
        return size == 0
    with nogil:
        sound = decode_levels(&shape, &levels[0, 0], &code[0] if size else NULL, size)
    if sound < 0:
        raise MemoryError(f"no memory to decode {shape.rows} x {shape.columns} weights")
    return sound > 0
