"""What each stage of compression saves of a tensor, as in the tables of the paper.

S. Han, H. Mao and W. J. Dally, "Deep compression: compressing deep neural networks with pruning, trained quantization
and Huffman coding", ICLR 2016, tables 2 to 5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sketches.nn.compression.bloomier import BloomierWeights
from sketches.nn.compression.compressed_file import CompressedFile
from sketches.nn.compression.directory import TensorEntry
from sketches.nn.compression.huffman import CanonicalCode
from sketches.nn.compression.relative_index import relative_indices
from sketches.nn.compression.shared import SharedWeights
from sketches.nn.tensor_header import BITS

__all__ = ["TensorRates", "tensor_rates"]

FLOAT = 32  # bits of a codebook's entry


@dataclass(frozen=True)
class TensorRates:
    """The bytes of one tensor after each stage, of which the last are those in the file.

    Attributes
    ----------
    name, dtype, shape, coding
        What the file says of the tensor.
    size, kept
        How many weights it has, and how many of them are not pruned.
    entries
        How many values these share; 0 if none are shared.
    weight_bits, index_bits
        Of a weight and of the gap before it, in codes of one length, as the paper's P+Q has them; 0 where there are
        none.
    coded_weight_bits, coded_index_bits
        The same with Huffman's codes, on average: P+Q+H.
    dense, pruned, shared, stored
        Bytes: of the tensor itself; of the weights that are kept with their gaps (P); of shared ones with gaps and
        codebook (P+Q); and in the file (P+Q+H, or what its coding makes of them).
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    coding: str
    size: int
    kept: int
    entries: int
    weight_bits: int
    index_bits: int
    coded_weight_bits: float
    coded_index_bits: float
    dense: int
    pruned: int
    shared: int
    stored: int


def tensor_rates(file: CompressedFile) -> list[TensorRates]:
    """Give the rates of all tensors of a file, which are read one after the other; errors are those of reading."""
    found = []
    for name, entry in file.entries.items():
        weights = file.weights(name) if entry.coding in ("huffman", "arithmetic", "bloomier") else None
        if isinstance(weights, BloomierWeights):
            weights = weights.shared()  # with its false positives
        found.append(_shared(entry, weights) if isinstance(weights, SharedWeights) else _plain(entry))
    return found


def _plain(entry: TensorEntry) -> TensorRates:
    size = math.prod(entry.shape)
    return TensorRates(
        name=entry.name,
        dtype=entry.dtype,
        shape=entry.shape,
        coding=entry.coding,
        size=size,
        kept=size,
        entries=0,
        weight_bits=0,
        index_bits=0,
        coded_weight_bits=0.0,
        coded_index_bits=0.0,
        dense=entry.nbytes,
        pruned=entry.nbytes,
        shared=entry.nbytes,
        stored=entry.length,
    )


def _shared(entry: TensorEntry, weights: SharedWeights) -> TensorRates:
    flat = weights.indices.reshape(-1)
    entries, every = len(weights.codebook), np.bincount(weights.indices.reshape(-1), minlength=len(weights.codebook))
    bits = max(entries - 1, 0).bit_length()
    index_bits, gaps, kept = 0, np.zeros(0, np.uint16), flat.size
    if weights.sparse:
        index_bits, kept = 8 if len(entry.shape) > 2 else 5, int(flat.size - every[0])
        gaps, _ = relative_indices(np.flatnonzero(flat), index_bits)
        every[0] = len(gaps) - kept  # the fillers, which are zeros
    number = int(every.sum())
    return replace(
        _plain(entry),
        kept=kept,
        entries=entries - weights.sparse,
        weight_bits=bits,
        index_bits=index_bits,
        coded_weight_bits=_coded_bits(every),
        coded_index_bits=_coded_bits(np.bincount(gaps, minlength=1)),
        pruned=(number * (BITS[entry.dtype] + index_bits) + 7) // 8,
        shared=(number * (bits + index_bits) + FLOAT * entries + 7) // 8,
    )


def _coded_bits(frequencies: npt.NDArray[np.int64]) -> float:
    """Give the mean length of symbols that are so frequent in a Huffman code."""
    code = CanonicalCode.of(frequencies)
    lengths = np.repeat(np.arange(len(code.count)), code.count)
    return float((lengths * frequencies[code.symbols]).sum() / max(1, frequencies.sum()))
