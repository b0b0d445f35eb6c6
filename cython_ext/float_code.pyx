"""Floating-point numbers as bits, every one kept: see include/float_code.h."""

from libc.stdint cimport int64_t, uint8_t
from libc.stdlib cimport free

cdef extern from "float_code.h" nogil:
    ctypedef struct float_shape:
        int64_t n, columns
        int bytes, exponent, mantissa, zeros
    void make_mixing()
    int64_t encode_words(const float_shape* shape, const void* words, uint8_t** bytes)
    int decode_words(const float_shape* shape, void* words, const uint8_t* bytes, int64_t size)

make_mixing()


cdef float_shape shape_of(int64_t size, int64_t columns, int width, int exponent, int zeros) noexcept:
    cdef float_shape shape
    shape.n, shape.columns, shape.bytes = size // width, columns, width
    shape.exponent, shape.mantissa, shape.zeros = exponent, 8 * width - 1 - exponent, zeros
    return shape


def encode(const uint8_t[::1] words not None, int64_t columns, int width, int exponent, int zeros):
    """Give the code of numbers of `width` bytes, of which so many bits are the exponent and so many at the end 0."""
    cdef float_shape shape = shape_of(words.shape[0], columns, width, exponent, zeros)
    cdef uint8_t* code = NULL
    cdef int64_t size
    if not shape.n:
        return b""
    with nogil:
        size = encode_words(&shape, &words[0], &code)
    if size < 0:
        raise MemoryError(f"no memory to encode {shape.n} numbers")
    try:
        return code[:size] if size else b""
    finally:
        free(code)


def decode(
    const uint8_t[::1] code not None, uint8_t[::1] words not None, int64_t columns, int width, int exponent, int zeros,
):
    """Read as many numbers as there is room for; give whether these bytes are their code."""
    cdef float_shape shape = shape_of(words.shape[0], columns, width, exponent, zeros)
    cdef int64_t size = code.shape[0]
    cdef int sound
    if not shape.n:
        return size == 0
    with nogil:
        sound = decode_words(&shape, &words[0], &code[0] if size else NULL, size)
    if sound < 0:
        raise MemoryError(f"no memory to decode {shape.n} numbers")
    return sound > 0
