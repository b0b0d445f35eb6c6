"""Quantised weights by canonical Huffman codes, as the paper on deep compression has them.

Of a sparse layer each weight that was not pruned is two symbols: how many were passed over since the last one, and its
entry of the codebook, each with a Huffman code of its own. Of a dense layer it is the entry alone.

S. Han, H. Mao and W. Dally, "Deep Compression: compressing deep neural networks with pruning, trained quantization and
Huffman coding", ICLR 2016.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from bitarray.util import canonical_huffman

from sketches._ext import canonical
from sketches.core.wire import FormatError
from sketches.nn.compression.codebook import check_shared, read_head, write_head
from sketches.nn.compression.fields import Fields, check_shape, integer_bytes
from sketches.nn.compression.relative_index import positions_of, relative_indices
from sketches.nn.compression.shared import SharedWeights

__all__ = ["CanonicalCode", "decode_huffman", "encode_huffman"]

Bytes = npt.NDArray[np.uint8]

LONGEST = 24  # bits of a code: more would take counts of 2**16 and more
DIRECT = 0.5  # share of weights that are not zero, from which on every weight has its symbol


@dataclass(frozen=True, eq=False)
class CanonicalCode:
    """A canonical Huffman code, as bitarray has it.

    ``bitarray.util.canonical_decode(bits, count, symbols)`` reads what `encode` writes.
    """

    count: npt.NDArray[np.int64]  # of the symbols with codes of 0, 1, … bits
    symbols: npt.NDArray[np.uint16]  # in the order of their codes

    @classmethod
    def of(cls, frequencies: npt.NDArray[np.int64]) -> CanonicalCode:
        """Give the code with the fewest bits for symbols that are so frequent."""
        while True:
            found: dict[Any, int | float] = {int(i): int(frequencies[i]) for i in np.flatnonzero(frequencies)}
            count, symbols = canonical_huffman(found)[1:] if found else ([0], [])
            if len(count) <= LONGEST + 1:
                break
            frequencies = (frequencies + 1) // 2
        lengths = np.zeros(canonical.LONGEST + 1, np.int64)
        lengths[: len(count)] = count
        order = np.lexsort((symbols, np.repeat(np.arange(len(lengths)), lengths)))  # which bitarray leaves open
        return cls(lengths, np.array(symbols, np.uint16)[order])

    @classmethod
    def read(cls, fields: Fields, n: int) -> CanonicalCode:
        """Read what `lengths` wrote of n symbols."""
        bits = fields.byte()
        if bits > 5:
            raise FormatError(f"lengths of Huffman codes have {bits} bits; at most 5 are accepted")
        packed = np.frombuffer(fields.take((n * bits + 7) // 8), np.uint8)
        every = np.unpackbits(packed, count=n * bits).reshape(n, bits) if bits else np.zeros((n, 0), np.uint8)
        lengths = every @ (1 << np.arange(bits, dtype=np.int64)[::-1])
        count = np.bincount(lengths, minlength=canonical.LONGEST + 1).astype(np.int64)
        count[0] = 0
        symbols = np.argsort(lengths, kind="stable")[n - int(count.sum()) :].astype(np.uint16)
        filled = sum(int(c) << canonical.LONGEST - i for i, c in enumerate(count))
        if filled != 1 << canonical.LONGEST and (len(symbols) > 1 or filled << 1 not in (0, 1 << canonical.LONGEST)):
            raise FormatError("lengths of Huffman codes fit no code")
        return cls(count, symbols)

    def lengths(self, n: int) -> bytes:
        """Write the length of each of n symbols, 0 for those that do not occur."""
        every = np.zeros(n, np.int64)
        every[self.symbols] = np.repeat(np.arange(len(self.count)), self.count)
        bits = int(every.max(initial=0)).bit_length()
        return bytes((bits,)) + np.packbits(every[:, None] >> np.arange(bits)[::-1] & 1).tobytes()

    def encode(self, symbols: npt.NDArray[Any], frequencies: npt.NDArray[np.int64]) -> bytes:
        """Write symbols, uint8 or uint16, of which so many are each, one after the other."""
        lengths = np.repeat(np.arange(len(self.count)), self.count)
        codes = np.zeros(len(frequencies), np.uint64)
        code = last = 0
        for symbol, length in zip(self.symbols.tolist(), lengths.tolist(), strict=True):
            code <<= length - last
            codes[symbol] = code << 8 | length
            code, last = code + 1, length
        bits = int((frequencies[self.symbols] * lengths).sum())
        return canonical.encode(symbols, codes, bits)

    def decode(self, data: Any, out: npt.NDArray[Any]) -> None:
        """Read as many symbols as `out` has room for.

        Raises
        ------
        FormatError
            If these bytes are no codes of as many.
        """
        if not canonical.decode(np.frombuffer(data, np.uint8), out, self.count, self.symbols):
            raise FormatError(f"{len(data)} bytes are no Huffman codes of {len(out)} symbols")


def encode_huffman(shared: SharedWeights, index_bits: int | None = None) -> bytes:
    """Code weights; `decode_huffman` gives back the same indices and the same codebook, to the bit.

    Each of two codes takes less than one bit a symbol more than its entropy.

    Parameters
    ----------
    shared
        The weights.
    index_bits
        Of gaps between weights that are not zero, 1 to 16. Without it, as in the paper: 5, or 8 for convolutions, which
        have more than two axes.

    Raises
    ------
    TypeError, ValueError
        If indices and codebook do not fit, or an argument is out of range.

    Examples
    --------
    100,000 weights, of which 1 in 16 is one of three values, have 100,000 / 16 gaps and entries. The gaps have an
    entropy of 16 * 0.337 = 5.4 bits, the entries one of 1.6, and Huffman's codes below one bit more each:

    >>> indices = np.random.default_rng(1).integers(0, 48, 100_000).astype(np.uint8)
    >>> indices[indices > 3] = 0
    >>> weights = SharedWeights(indices, np.array([0, -0.5, 0.25, 0.5], np.float32), sparse=True)
    >>> 100_000 / 16 * 7 / 8 < len(encode_huffman(weights, index_bits=8)) < 100_000 / 16 * 9 / 8
    True
    """
    check_shared(shared)
    flat = np.ascontiguousarray(shared.indices).reshape(-1)
    if index_bits is None:
        index_bits = 8 if shared.indices.ndim > 2 else 5
    if not 1 <= index_bits <= 16:
        raise ValueError(f"index_bits is {index_bits}; 1 to 16 are accepted")
    entries = len(shared.codebook)
    sparse = shared.sparse and np.count_nonzero(flat) <= DIRECT * flat.size
    head = write_head(shared, not sparse)
    if not sparse:
        return head + _symbols(flat, entries)
    positions = np.flatnonzero(flat)
    gaps, kept = relative_indices(positions, index_bits)
    values = np.zeros(len(gaps), flat.dtype)
    values[kept] = flat[positions]
    first = _symbols(values, entries)
    sizes = integer_bytes(len(gaps)) + integer_bytes(len(first))
    return head + bytes((index_bits,)) + sizes + first + _symbols(gaps, 1 << index_bits)


def decode_huffman(data: bytes | bytearray | memoryview, shape: Sequence[int]) -> SharedWeights:
    """Give the weights that `encode_huffman` coded.

    Memory and time are bounded by the shape and the bytes: altered ones give other weights, or are refused.

    Raises
    ------
    TypeError, ValueError
        If `data` or `shape` is none.
    FormatError
        If the bytes are no code of weights of this shape.
    """
    shape = check_shape(shape)
    size = math.prod(shape)
    fields = Fields(data)
    head = read_head(fields)
    entries = len(head.codebook)
    if head.option:
        indices = _read_symbols(fields.rest(), size, entries, head.dtype)
        return SharedWeights(indices.reshape(shape), head.codebook, head.sparse)
    if not head.sparse:
        raise FormatError("the code has gaps between weights that are not sparse")
    index_bits = fields.byte()
    if not 1 <= index_bits <= 16:
        raise FormatError(f"gaps have {index_bits} bits in the code; 1 to 16 are accepted")
    n = fields.integer(size)
    values = _read_symbols(fields.take(fields.integer(2**50)), n, entries, head.dtype)
    positions = positions_of(_read_symbols(fields.rest(), n, 1 << index_bits, np.uint16))
    if n and positions[-1] >= size:
        raise FormatError(f"a weight at {positions[-1]} in the code, but shape {shape} holds {size}")
    indices = np.zeros(size, head.dtype)
    indices[positions] = values
    return SharedWeights(indices.reshape(shape), head.codebook, head.sparse)


def _symbols(symbols: npt.NDArray[Any], n: int) -> bytes:
    frequencies = np.bincount(symbols, minlength=n).astype(np.int64)
    code = CanonicalCode.of(frequencies)
    return code.lengths(n) + code.encode(symbols, frequencies)


def _read_symbols(data: Any, size: int, n: int, dtype: type[np.uint8 | np.uint16]) -> npt.NDArray[Any]:
    fields = Fields(data)
    code = CanonicalCode.read(fields, n)
    rest = fields.rest()
    if size > 8 * len(rest):  # before any memory is taken for them
        raise FormatError(f"{len(rest)} bytes of Huffman codes, but {size} symbols")
    symbols = np.empty(size, dtype)
    code.decode(rest, symbols)
    return symbols
