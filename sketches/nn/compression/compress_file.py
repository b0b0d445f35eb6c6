"""A file of weights is compressed into another, tensor by tensor, and expanded again."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import numpy.typing as npt

from sketches.core import bounds
from sketches.nn.compression.coding import CODERS, SHARED
from sketches.nn.compression.compressed_file import CompressedFile, CompressedWriter
from sketches.nn.compression.directory import TensorEntry
from sketches.nn.compression.sharing import share_weights
from sketches.nn.pruning.masks import check_sparsity
from sketches.nn.pruning.prune_file import EMBEDDINGS, Score, chosen_tensors, masks_of
from sketches.nn.pruning.scores import magnitude_scores
from sketches.nn.tensor_file import TensorFile, TensorWriter, real

__all__ = ["compress_file", "expand_file"]

DENSE_BITS, FILTER_BITS = 5, 8  # of a weight with two axes and with more, as Han, Mao and Dally have them


def compress_file(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    sparsity: float | None = None,
    bits: int | None = None,
    lossless: bool = False,
    coder: str = "arithmetic",
    include: Sequence[str] = ("*",),
    exclude: Sequence[str] = (),
) -> list[TensorEntry]:
    """Compress the tensors of a safetensors file: prune, share and code weights, or keep every bit of them.

    Shared are the tensors of floating point numbers with two axes or more that are chosen; what has fewer axes, or is
    not chosen, keeps every bit, and so do integers, bools and whatever else a file may hold. Weights that are zero stay
    zero. The target appears when it is whole, or not at all.

    Parameters
    ----------
    source, target
        A safetensors file, and the compressed one (`CompressedFile` reads it); not the same.
    sparsity
        The share of the chosen weights to prune before, in [0, 1), the least of all tensors together; but none of
        tensors named ``*embed*``, whose rows are looked up and not multiplied. None: none.
    bits
        A tensor's weights share up to ``2**bits`` values, 1 to 10. None: 8 bits for filters, 5 for matrices.
    lossless
        Keep every bit instead.
    coder
        "arithmetic", or "huffman" as the paper has it.
    include, exclude
        Patterns of names as `fnmatch` has them: a tensor is chosen if one includes, and none excludes it.

    Returns
    -------
    list of TensorEntry
        What was written, in the order of the file.

    Raises
    ------
    OSError, FormatError
        If a file cannot be read or written.
    TypeError, ValueError
        If an argument is not accepted, or a weight that is to be shared is NaN or infinite. The message names the
        tensor.

    Notes
    -----
    One tensor at a time is in memory, a few times over. Without retraining, networks do not bear much sparsity, nor few
    bits: see docs/compression.md.
    """
    if lossless and (sparsity is not None or bits is not None):
        raise ValueError(f"lossless with sparsity {sparsity} and bits {bits}; it is accepted without them")
    if sparsity is not None:
        check_sparsity("sparsity", sparsity)
    if bits is not None:
        bounds.check_integer("bits", bits, 1, 10)
    if coder not in CODERS:
        raise ValueError(f"coder is {coder!r}; {', '.join(map(repr, CODERS))} are accepted")
    if os.path.exists(target) and os.path.samefile(source, target):
        raise ValueError(f"the target is the source, {os.fspath(source)!r}; give another file")
    with TensorFile(source) as file, CompressedWriter(target, file.metadata) as writer:
        chosen = [] if lossless else chosen_tensors(file, include, exclude, SHARED)
        mask_of = _masks(file, chosen, sparsity)
        for name in file.names:
            dtype, shape = file.dtype(name), file.shape(name)
            stored = _whole(file, name)
            if name not in chosen:
                writer.write(name, dtype, stored, shape=shape)
                continue
            weights = real(stored, dtype)
            most = bits or (DENSE_BITS if len(shape) == 2 else FILTER_BITS)
            try:
                shared = share_weights(weights, bits=most, mask=mask_of(name, weights))
            except ValueError as error:
                raise ValueError(f"tensor {name!r}: {error}") from error
            writer.write(name, dtype, shared, coder=coder)
    return writer.entries


def _masks(
    file: TensorFile, chosen: Sequence[str], sparsity: float | None
) -> Callable[[str, npt.NDArray[Any]], npt.NDArray[np.bool_]]:
    """Give what tells the weights of a tensor that stay."""
    scores: dict[str, Score] = {
        name: magnitude_scores for name in chosen if sparsity and not fnmatchcase(name, EMBEDDINGS)
    }
    masks = masks_of(file, scores, sparsity, "global", None) if sparsity and scores else None
    return lambda name, weights: masks(name)(magnitude_scores(weights)) if masks and name in scores else weights != 0


def expand_file(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Write the tensors of a compressed file to a safetensors file, one at a time.

    The target appears when it is whole, or not at all. Names, order, dtypes, shapes and metadata are those of the file
    that was compressed.

    Raises
    ------
    OSError, FormatError
        If a file cannot be read or written, or the source is damaged.
    ValueError
        If the target is the source.
    """
    if os.path.exists(target) and os.path.samefile(source, target):
        raise ValueError(f"the target is the source, {os.fspath(source)!r}; give another file")
    with CompressedFile(source) as file:
        layout = {name: (entry.dtype, entry.shape) for name, entry in file.entries.items()}
        with TensorWriter(target, layout, file.metadata) as writer:
            for name in layout:
                writer.write(name, file.stored(name))


def _whole(file: TensorFile, name: str) -> npt.NDArray[Any]:
    """Read a tensor as it is stored."""
    blocks = list(file.blocks(name))
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
