"""Registers of FlajoletMartin as bits, nearly as few as they hold information: see include/register_code.h."""

from libc.stdint cimport int64_t, uint8_t, uint32_t

import numpy as np

cdef extern from "register_code.h" nogil:
    void make_models()
    int64_t encode_registers(const void* registers, int kind, int p, uint8_t* bytes, int64_t size)
    int decode_registers(void* registers, int kind, int p, int most, const uint8_t* bytes, int64_t size)
    int64_t encode_tokens_c "encode_tokens"(const uint32_t* tokens, int64_t n, uint8_t* bytes, int64_t size)
    int decode_tokens_c "decode_tokens"(uint32_t* tokens, int64_t n, const uint8_t* bytes, int64_t size)

make_models()


def encode(const uint8_t[::1] registers not None, int kind, int precision, int64_t size):
    """Give the code of registers, as an array of bytes, or None if it has more than `size`."""
    cdef uint8_t[::1] code = np.empty(size + 8, np.uint8)
    cdef int64_t used
    with nogil:
        used = encode_registers(&registers[0], kind, precision, &code[0], size)
    if used < 0:
        raise MemoryError(f"no memory to encode {registers.shape[0]} bytes of registers")
    return np.asarray(code)[:used] if used <= size else None


def decode(const uint8_t[::1] code not None, uint8_t[::1] registers not None, int kind, int precision, int most):
    """Read registers with values up to `most`; give whether these bytes are their code."""
    cdef int sound
    with nogil:
        sound = decode_registers(&registers[0], kind, precision, most, &code[0], code.shape[0])
    if sound < 0:
        raise MemoryError(f"no memory to decode {registers.shape[0]} bytes of registers")
    return sound > 0


def encode_tokens(const uint32_t[::1] tokens not None):
    """Give the code of tokens in ascending order, at least one, as an array of bytes."""
    cdef int64_t n = tokens.shape[0]
    # A token has at most 39 bits for its zeros and 27 for its gap, besides ones that all gaps share: 2**26 of gaps make
    # at most n / 0.45 of them, as each stands for 2**bits > 0.45 * 2**26 / n.
    cdef int64_t used, size = 12 * n + 16
    cdef uint8_t[::1] code = np.empty(size + 8, np.uint8)
    with nogil:
        used = encode_tokens_c(&tokens[0], n, &code[0], size)
    return np.asarray(code)[:used]


def decode_tokens(const uint8_t[::1] code not None, uint32_t[::1] tokens not None):
    """Read so many tokens; give whether these bytes are a code of as many."""
    return tokens.shape[0] > 0 and bool(
        decode_tokens_c(&tokens[0], tokens.shape[0], &code[0] if code.shape[0] else NULL, code.shape[0]))
