"""Canonical Huffman codes, by table: see include/canonical.h."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint64_t

import numpy as np

cdef extern from "canonical.h" nogil:
    enum: LONGEST_CODE
    ctypedef struct canonical:
        pass
    void make_canonical(canonical* h, const int64_t* count, const uint16_t* symbols)
    int64_t write_symbols(const void* symbols, int64_t n, int bytes, const uint64_t* codes, uint8_t* out, int64_t size)
    int read_symbols(const canonical* h, const uint8_t* data, int64_t size, void* symbols, int64_t n, int bytes)

LONGEST = LONGEST_CODE

ctypedef fused symbol:
    uint8_t
    uint16_t


def encode(const symbol[::1] symbols not None, const uint64_t[::1] codes not None, int64_t bits):
    """Give the codes of symbols, one after the other, that have so many bits; `codes` are code << 8 | length."""
    cdef int64_t used, n = symbols.shape[0], size = (bits + 7) // 8
    cdef uint8_t[::1] out = np.empty(size + 8, np.uint8)
    if not n:
        return b""
    with nogil:
        used = write_symbols(&symbols[0], n, sizeof(symbol), &codes[0], &out[0], size)
    if used != size:
        raise ValueError(f"the codes have {used} bytes, not {size}")
    return np.asarray(out)[:size].tobytes()


def decode(
    const uint8_t[::1] code not None, symbol[::1] out not None, const int64_t[::1] count not None,
    const uint16_t[::1] symbols not None,
):
    """Read symbols; give whether that ends within the last byte. `count` is of codes of each length up to LONGEST."""
    cdef canonical h
    cdef int64_t size = code.shape[0], n = out.shape[0]
    cdef int sound
    if count.shape[0] != LONGEST_CODE + 1:
        raise ValueError(f"{count.shape[0]} counts, not {LONGEST_CODE + 1}")
    if not n or not size or not symbols.shape[0]:
        return n == 0 and size == 0
    with nogil:
        make_canonical(&h, &count[0], &symbols[0])
        sound = read_symbols(&h, &code[0], size, &out[0], n, sizeof(symbol))
    return sound > 0
