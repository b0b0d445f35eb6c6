"""Weights that are kept, in a table that does not say where they are: it answers for every position, seldom wrongly.

B. Reagen, U. Gupta, R. Adolf, M. M. Mitzenmacher, A. M. Rush, G.-Y. Wei and D. Brooks, "Weightless: lossy weight
encoding for deep neural network compression", ICML 2018. The filter: B. Chazelle, J. Kilian, R. Rubinfeld and A. Tal,
"The Bloomier filter: an efficient data structure for static support lookup tables", SODA 2004. Where its cells lie, so
that fewer are needed: `sketches.BinaryFuseFilter`.
"""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from sketches._ext.bloomier import hashes, look_up, solve
from sketches.core import bounds, filter_bounds, wire
from sketches.core.stored import Stored
from sketches.nn.compression.shared import SharedWeights

__all__ = ["BloomierWeights"]

Floats = npt.NDArray[np.float32]

MOST_BITS = 16  # of a cell
MOST_AXES = 8
BLOCK = 2**20  # positions looked up at a time
TRIES = 2**21  # weights that are placed in attempts at one size of the table, until a larger one is taken
LEAST_CELLS = 1.09  # for each weight: with fewer, large tables have no solution


class BloomierWeights(Stored):
    """The quantised weights that a layer keeps, as a static function of their position (Weightless).

    A table of t-bit cells is solved so that the xor of three of them and of t bits of a position's hash is the index of
    the weight's entry in the codebook. For a position whose weight was pruned the xor is a random number of t bits:

    - every weight that is kept has its exact value, always;
    - one that was pruned is 0, but with probability ``false_positive_rate == entries / 2**t``, over the choice of the
      hash, it has one of the `entries` values, each alike: a false positive.

    No position is stored. Each weight that is kept costs `bits_per_weight`, t times 1.1 to 1.3 (1.1 for a million,
    1.2 for some thousands), plus the codebook's 4 bytes an entry. False positives are fixed: `shared` has them, and
    training that goes on from there, with `sketches.nn.load_shared_` for a layer after the other, makes up for them.

    Make it by `from_weights`.

    Attributes
    ----------
    shape, codebook, cell_bits
        The weights' shape, the values that are shared (float32, without 0), and t.
    size
        How many weights are kept.

    Examples
    --------
    Of 1,000 × 100 weights a tenth is kept, with 15 values; 15 / 2**9 of the others, about 2,637, are false positives,
    with a standard deviation of 51:

    >>> from sketches.nn import share_weights
    >>> random = np.random.default_rng(1)
    >>> weights = random.normal(size=(1000, 100)) * (random.random((1000, 100)) < 0.1)
    >>> shared = share_weights(weights, entries=15)
    >>> stored = BloomierWeights.from_weights(shared, false_positive_rate=0.03)
    >>> stored.cell_bits, stored.false_positive_rate
    (9, 0.029296875)
    >>> kept = shared.indices > 0
    >>> bool((stored.dense()[kept] == shared.dense()[kept]).all())
    True
    >>> bool(abs(np.count_nonzero(stored.dense()[~kept]) - 2637) <= 5 * 51)
    True
    """

    _class = "BloomierWeights"

    shape: tuple[int, ...]
    codebook: Floats
    cell_bits: int
    size: int
    _attempt: int
    _log_length: int
    _cells: npt.NDArray[np.uint16]

    def __init__(self) -> None:
        raise TypeError("make BloomierWeights by from_weights(shared) or from_bytes(data)")

    @classmethod
    def from_weights(cls, shared: SharedWeights, *, false_positive_rate: float = 2**-6) -> Self:
        """Store the weights that are kept.

        Parameters
        ----------
        shared
            Sparse ones, of up to 8 axes and with up to 2**16 - 1 entries besides that of pruned weights; up to 2**31
            are kept.
        false_positive_rate
            The most that a pruned weight may be a false positive with, in [entries / 2**16, 1). The rate is the largest
            ``entries / 2**t`` up to it.

        Raises
        ------
        TypeError, ValueError
            If an argument is not accepted.
        """
        if not isinstance(shared, SharedWeights):
            raise TypeError(f"shared is of type {type(shared).__name__}; SharedWeights are accepted")
        if not shared.sparse or not len(shared.codebook) or shared.codebook[0] != 0:
            raise ValueError("shared is not sparse: no entry stands for pruned weights")
        if shared.indices.ndim > MOST_AXES:
            raise ValueError(f"shared has {shared.indices.ndim} axes; up to {MOST_AXES} are accepted")
        codebook = shared.codebook[1:].astype(np.float32)
        flat = shared.indices.reshape(-1)
        if int(flat.max(initial=0)) > len(codebook) or not np.isfinite(codebook).all():
            raise ValueError(f"shared has the index {flat.max(initial=0)} of {len(codebook)} finite entries")
        where = f"{len(codebook)} entries"
        rate = bounds.check_accuracy("false_positive_rate", false_positive_rate, len(codebook) / 2**MOST_BITS, where)
        cell_bits = next(bits for bits in range(1, MOST_BITS + 1) if len(codebook) <= rate * 2**bits)
        positions = np.flatnonzero(flat)
        n = bounds.check_integer("the number of weights that are kept", len(positions), 0, 2**31)
        found = hashes(positions)
        order = np.argsort(found)
        values = (flat[positions[order]] - 1).astype(np.uint16)
        weights = cls.__new__(cls)
        weights._setup(shared.indices.shape, codebook, cell_bits, n, *_solved(found[order], values, cell_bits))
        return weights

    def _setup(
        self,
        shape: tuple[int, ...],
        codebook: Floats,
        cell_bits: int,
        size: int,
        cells: npt.NDArray[np.uint16],
        log_length: int,
        attempt: int,
    ) -> None:
        self.shape, self.codebook, self.cell_bits, self.size = shape, codebook, cell_bits, size
        self._cells, self._log_length, self._attempt = cells, log_length, attempt

    @property
    def false_positive_rate(self) -> float:
        """The probability that a pruned weight is not 0: ``entries / 2**cell_bits``; 0 where no weight is kept."""
        return len(self.codebook) / 2**self.cell_bits if self.size else 0.0

    @property
    def nbytes(self) -> int:
        """The bytes of cells, as they are written, and of the codebook; in memory, cells take 2 bytes each."""
        return (len(self._cells) * self.cell_bits + 7) // 8 + self.codebook.nbytes

    @property
    def bits_per_weight(self) -> float:
        """The bits of cells for each weight that is kept."""
        return len(self._cells) * self.cell_bits / self.size if self.size else 0.0

    def shared(self) -> SharedWeights:
        """Give all weights with their false positives, as shared weights."""
        dtype: type[np.uint8 | np.uint16] = np.uint8 if len(self.codebook) < 256 else np.uint16
        out: npt.NDArray[Any] = np.zeros(math.prod(self.shape), dtype)
        for start in range(0, len(out) if self.size else 0, BLOCK):
            block = np.empty(min(BLOCK, len(out) - start), np.uint16)
            look_up(self._cells, self._log_length, self.cell_bits, self._attempt, len(self.codebook), start, block)
            out[start : start + BLOCK] = block
        codebook = np.concatenate([np.zeros(1, np.float32), self.codebook])
        return SharedWeights(out.reshape(self.shape), codebook, True)

    def dense(self) -> Floats:
        """Give all weights with their false positives."""
        return self.shared().dense()

    def _envelope(self) -> wire.Envelope:
        return wire.Envelope(1, 0, self.size, self.size, 0)

    def _fields(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "codebook": self.codebook,
            "cell_bits": self.cell_bits,
            "attempt": self._attempt,
            "log_length": self._log_length,
            "segments": len(self._cells) >> self._log_length,
            "cells": _packed(self._cells, self.cell_bits),
        }

    @classmethod
    def _from_fields(cls, fields: dict[str, Any], envelope: wire.Envelope) -> Self:
        shape, codebook, cell_bits = tuple(fields["shape"].tolist()), fields["codebook"], fields["cell_bits"]
        log_length, segments, packed = fields["log_length"], fields["segments"], fields["cells"]
        size, cells = envelope.total, segments << log_length
        wire.require(envelope.fingerprint == envelope.nulls == 0, "Bloomier weights with a seed, or that skipped nulls")
        wire.require(0 <= size == envelope.weight, f"a total of {size} with a weight of {envelope.weight}")
        wire.require(len(shape) <= MOST_AXES, f"{len(shape)} dimensions, above {MOST_AXES}")
        wire.require(size <= math.prod(shape) <= 2**62, f"{size} of {math.prod(shape)} weights are kept")
        wire.require(len(codebook) <= 2**cell_bits, f"{len(codebook)} entries for cells of {cell_bits} bits")
        wire.require(len(codebook) or not size, f"no entries for {size} weights")
        wire.require(np.isfinite(codebook).all(), "an entry is not finite")
        wire.require((segments >= 3) == (size > 0) and cells < 2**32, f"{segments} segments for {size} weights")
        wire.require(size or not segments, f"{segments} segments for no weights")
        wire.require(size <= cells, f"{size} weights in {cells} cells")
        wire.require(len(packed) == (cells * cell_bits + 7) // 8, f"{len(packed)} bytes for {cells} cells")
        unpacked = _unpacked(packed, cell_bits, cells)
        wire.require(not len(packed) or packed[-1] >> (cells * cell_bits - 1) % 8 < 2, "bits beyond the last cell")
        weights = cls.__new__(cls)
        weights._setup(shape, codebook.copy(), cell_bits, size, unpacked, log_length, fields["attempt"])
        return weights

    def __repr__(self) -> str:
        error = f"false positives {self.false_positive_rate:.2g}"
        return f"<BloomierWeights{self.shape}: {self.size:,} weights, {self.nbytes:,} bytes, {error}>"


def _solved(
    found: npt.NDArray[np.uint64], values: npt.NDArray[np.uint16], cell_bits: int
) -> tuple[npt.NDArray[np.uint16], int, int]:
    """Give the smallest table that some attempts find, the logarithm of its segments' length, and the attempt."""
    n = len(found)
    if not n:
        return np.zeros(0, np.uint16), 0, 0
    usual, _ = filter_bounds.binary_fuse_shape(n)
    tries = min(max(TRIES // n, 2), 256)
    best: tuple[npt.NDArray[np.uint16], int, int] | None = None
    for log_length in range(usual, max(usual - 3, -1), -1):
        segments = max(3, math.ceil(n * LEAST_CELLS) >> log_length)
        while best is None or segments << log_length < len(best[0]):
            for attempt in range(tries):
                cells = solve(found, values, segments << log_length, log_length, cell_bits, attempt)
                if cells is not None:
                    best = cells, log_length, attempt
                    break
            segments += 1
    assert best is not None  # noqa: S101 # a table that is large enough has a solution: positions were not chosen
    return best


def _packed(cells: npt.NDArray[np.uint16], bits: int) -> npt.NDArray[np.uint8]:
    """Give the bytes of cells of so many bits, the lowest first."""
    single = np.unpackbits(cells.astype("<u2").view(np.uint8).reshape(-1, 2), axis=1, count=bits, bitorder="little")
    return np.packbits(single, bitorder="little")


def _unpacked(packed: npt.NDArray[np.uint8], bits: int, cells: int) -> npt.NDArray[np.uint16]:
    single = np.unpackbits(packed, count=cells * bits, bitorder="little").reshape(cells, bits)
    padded = np.zeros((cells, 16), np.uint8)
    padded[:, :bits] = single
    return np.packbits(padded, axis=1, bitorder="little").view("<u2").reshape(cells).astype(np.uint16)
