"""Quantised weights in nearly as few bits as they hold information, by what stands around each of them.

An adaptive binary arithmetic coder whose probabilities are mixed from eight contexts: a weight's row, its column, its
neighbours in both, and, in images and convolutions, what lies a row of pixels or a kernel before it. Masks of pruned
networks are not random: whole rows and columns are dead, their neighbours sparse, and signs go together.

M. Mahoney, "Adaptive weighing of context models for lossless data compression", Florida Tech CS-2005-16, 2005, gives
the mixing; S. Wiedemann et al., "DeepCABAC: a universal compression algorithm for deep neural networks", IEEE JSTSP
14 (4), 2020, the choices that a weight is coded as; the contexts are our own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sketches._ext import weight_code
from sketches.core.wire import FormatError
from sketches.nn.compression.codebook import check_shared, read_head, write_head
from sketches.nn.compression.fields import Fields, check_shape, integer_bytes
from sketches.nn.compression.shared import SharedWeights

__all__ = ["decode_arithmetic", "encode_arithmetic"]

Levels = npt.NDArray[np.int32]

MOST_LAG = 4096
TRIED = 2**17  # weights that lags are tried on, and columns that they are sought in
LARGE = 2**20  # weights, from which on dense ones are coded by two contexts: some times as fast
DENSE = 0.25


def encode_arithmetic(shared: SharedWeights, live: npt.ArrayLike | None = None) -> bytes:
    """Code weights; `decode_arithmetic` gives back the same indices and the same codebook, to the bit.

    Every machine reads every machine's bytes. Many weights that are independent take about a percent more than their
    entropy, what is more regular takes less. From 2**20 weights on, of which more than a quarter are not zero, two
    contexts take the place of eight.

    Parameters
    ----------
    shared
        The weights. The first axis is rows, all others are columns; one axis alone is a single row.
    live
        Which columns are expected to hold more than zeros, bool, one each: where they are the units of the layer
        before, those that are not dead. Any is coded exactly; those that meet the expectation cost nearly nothing. The
        decoder must be given the same.

    Raises
    ------
    TypeError, ValueError
        If indices, codebook or `live` do not fit.

    Examples
    --------
    A matrix of 200 × 500 weights, of which every tenth column holds signs at random: 10,000 bits.

    >>> indices = np.zeros((200, 500), np.uint8)
    >>> indices[:, ::10] = np.random.default_rng(1).integers(1, 3, (200, 50))
    >>> weights = SharedWeights(indices, np.array([0, -1, 1], np.float32), sparse=True)
    >>> code = encode_arithmetic(weights)
    >>> 10_000 / 8 < len(code) < 10_000 / 8 * 1.1
    True
    >>> decoded = decode_arithmetic(code, (200, 500))
    >>> bool((decoded.dense() == weights.dense()).all())
    True
    """
    check_shared(shared)
    shape = shared.indices.shape
    flags = _live(live, _matrix(shape)[1])
    table, zero = _levels_of(shared.codebook, shared.sparse)
    levels = np.ascontiguousarray(table[shared.indices]).reshape(_matrix(shape))
    quick = levels.size >= LARGE and bool(np.count_nonzero(levels) > DENSE * levels.size)
    least, most = int(table.min(initial=0)), int(table.max(initial=0))
    lag = _best_lag(levels, shape, zero, least, most)
    code = weight_code.encode(levels, lag, zero, quick, least, most, flags)
    return write_head(shared, quick) + integer_bytes(lag) + code


def decode_arithmetic(
    data: bytes | bytearray | memoryview, shape: Sequence[int], live: npt.ArrayLike | None = None
) -> SharedWeights:
    """Give the weights that `encode_arithmetic` coded.

    Memory and time are bounded by the shape: altered bytes give other weights, or are refused.

    Raises
    ------
    TypeError, ValueError
        If `data`, `shape` or `live` is none.
    FormatError
        If the bytes are no code of weights of this shape.
    """
    shape = check_shape(shape)
    flags = _live(live, _matrix(shape)[1])
    fields = Fields(data)
    head = read_head(fields)
    lag = fields.integer(MOST_LAG)
    if lag == 0:
        raise FormatError("a lag of 0 in the code; from 1 on are accepted")
    table, zero = _levels_of(head.codebook, head.sparse)
    if math.prod(shape) and not len(table):
        raise FormatError(f"the code has no codebook, but the shape is {shape}")
    least, most = int(table.min(initial=0)), int(table.max(initial=0))
    levels = np.zeros(_matrix(shape), np.int32)
    code = np.frombuffer(fields.rest(), np.uint8)
    if not weight_code.decode(code, levels, lag, zero, head.option, least, most, flags):
        raise FormatError(f"{len(code)} bytes are no code of weights of shape {shape}")
    entries = np.zeros(most - least + 1, head.dtype)
    entries[table - least] = np.arange(len(table), dtype=head.dtype)
    levels -= least
    return SharedWeights(entries[levels].reshape(shape), head.codebook, head.sparse)


def _matrix(shape: tuple[int, ...]) -> tuple[int, int]:
    rows = shape[0] if len(shape) > 1 else 1
    return rows, math.prod(shape) // rows if rows else 0


def _live(live: npt.ArrayLike | None, columns: int) -> npt.NDArray[np.uint8] | None:
    if live is None:
        return None
    flags = np.asarray(live)
    if flags.dtype != np.bool_ or flags.shape != (columns,):
        raise ValueError(f"live is {flags.dtype} of shape {flags.shape}; bool of shape ({columns},) is accepted")
    return flags.astype(np.uint8)


def _levels_of(codebook: npt.NDArray[np.float32], sparse: bool) -> tuple[Levels, bool]:
    """Give each entry's level: 0 for zero, if there is one, others counted from there by their order."""
    order = np.argsort(codebook, kind="stable")
    ranks = np.empty(len(codebook), np.int32)
    ranks[order] = np.arange(len(codebook), dtype=np.int32)
    zeros = np.flatnonzero(codebook == 0)
    if sparse or len(zeros):
        return ranks - ranks[0 if sparse else zeros[0]], True
    negative = np.int32(np.count_nonzero(codebook < 0))
    return np.where(ranks < negative, ranks - negative, ranks - negative + 1).astype(np.int32), False


def _best_lag(levels: Levels, shape: tuple[int, ...], zero: bool, least: int, most: int) -> int:
    """Give the distance at which columns are most alike: that of the shortest code of the first rows."""
    columns = levels.shape[1]
    lags = {1}
    if len(shape) > 2:
        lags |= {shape[-1], math.prod(shape[2:])}
    if columns > 4:
        sizes = np.abs(levels[:, :TRIED]).mean(0)
        sizes -= sizes.mean()
        spectrum = np.fft.rfft(sizes, 2 * len(sizes))
        alike = np.fft.irfft(spectrum * spectrum.conj(), 2 * len(sizes))[2 : min(columns // 2, MOST_LAG) + 1]
        lags |= {2 + int(at) for at in np.argsort(-alike, kind="stable")[:2]}
    lags = {lag for lag in lags if lag <= min(columns, MOST_LAG)}
    if len(lags) < 2:
        return 1
    part = levels[: TRIED // columns] if columns <= TRIED else levels[:1, :TRIED]
    return min(sorted(lags), key=lambda lag: len(weight_code.encode(part, lag, zero, False, least, most, None)))
