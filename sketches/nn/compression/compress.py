"""A model's weights are written in few bits, tensor by tensor, and read again."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import numpy.typing as npt

from sketches.core import bounds
from sketches.nn.compression.bloomier import BloomierWeights
from sketches.nn.compression.coding import CODERS, SHARED
from sketches.nn.compression.compressed_file import CompressedFile, CompressedWriter
from sketches.nn.compression.directory import TensorEntry
from sketches.nn.compression.rate_distortion import check_price, quantize, short_step
from sketches.nn.compression.shared import SharedWeights
from sketches.nn.compression.sharing import share_weights
from sketches.nn.compression.tensors import StateTensors
from sketches.nn.pruning.masks import check_sparsity
from sketches.nn.pruning.prune_file import EMBEDDINGS, Score, chosen_tensors, masks_of
from sketches.nn.pruning.scores import magnitude_scores
from sketches.nn.tensor_file import TensorFile, TensorWriter, real
from sketches.nn.tensor_source import TensorSource

__all__ = ["compress", "expand"]

MATRIX_BITS, FILTER_BITS = 5, 8  # of a weight with two axes and with more, as Han, Mao and Dally have them
FINEST = 2**14  # steps to the largest weight


def compress(
    model: Any,
    target: str | os.PathLike[str],
    *,
    sparsity: float | None = None,
    bits: int | None = None,
    price: float | None = None,
    lossless: bool = False,
    coder: str = "arithmetic",
    include: str | Sequence[str] = "*",
    exclude: str | Sequence[str] = (),
) -> list[TensorEntry]:
    """Write the weights of a model in few bits: prune, share and code them, or keep every bit.

    Shared are the tensors of floating point numbers with two axes or more that are chosen; what has fewer axes, or is
    not chosen, keeps every bit, and so do integers, bools and whatever else a model may hold. Weights that are zero
    stay zero. The target appears when it is whole, or not at all.

    Parameters
    ----------
    model
        The path of a safetensors file, of which one tensor at a time is read; or a dict of arrays, PyTorch's tensors
        `SharedWeights` and `BloomierWeights` by name; or a PyTorch model. Shared weights, as `share_` and training make
        them, stay as they are.
    target
        The path of the compressed file, another than the model's; `CompressedFile` reads it.
    sparsity
        The share of the chosen weights to prune before, in [0, 1), the least of all tensors together; but none of
        tensors named ``*embed*``, whose rows are looked up and not multiplied. None: none.
    bits
        A tensor's weights share up to ``2**bits`` values, 1 to 10. None: 8 bits for filters, 5 for matrices.
    price
        Of a bit, in squared steps, from 0 on. With it the values are multiples of a step: that of which rounding has
        about the error of ``2**bits`` values, whose mean square is ``step**2 / 12``. Each weight becomes the one, of
        the two multiples around it and 0, that has the least ``(error / step)**2 + price * bits``, by an estimate of
        its bits (`sketches.nn.compression.rate_distortion.quantize`). With a price of 0 that is the nearest: no error
        is above ``step / 2``. Where steps are fine, a bit is worth 0.1155: ``step**2 / 12`` falls by
        ``log(2) / 6 * step**2`` a bit. None, or where ``2**bits`` values have no error, where the largest weight is
        more than 2**14 steps, or where multiples would leave the range of numbers: values are those with the least
        squared error, wherever they lie.
    lossless
        Keep every bit instead.
    coder
        Of shared weights: "arithmetic", or "huffman" as the paper has it.
    include, exclude
        Patterns of names as `fnmatch` has them, or one: a tensor is chosen if one includes, and none excludes it.

    Returns
    -------
    list of TensorEntry
        What was written, in the order of the model.

    Raises
    ------
    OSError, FormatError
        If a file cannot be read or written.
    TypeError, ValueError
        If an argument is not accepted, or a weight that is to be shared is NaN or infinite. The message names the
        tensor.

    Notes
    -----
    Besides a tensor itself, sharing and coding it takes about 10 bytes of memory a weight and 20 MB; with a price, 15
    bytes and 60 MB.

    Without training in between, networks do not bear much sparsity, nor few bits: see docs/compression.md.
    """
    if not isinstance(lossless, bool | np.bool_):
        raise TypeError(f"lossless is {lossless!r}; True or False is accepted")
    if lossless and (sparsity, bits, price) != (None, None, None):
        found = f"sparsity {sparsity}, bits {bits} and price {price}"
        raise ValueError(f"lossless with {found}; it is accepted without them")
    if sparsity is not None:
        check_sparsity("sparsity", sparsity)
    if bits is not None:
        bounds.check_integer("bits", bits, 1, 10)
    if price is not None:
        check_price(price)
    if coder not in CODERS:
        raise ValueError(f"coder is {coder!r}; {', '.join(map(repr, CODERS))} are accepted")
    if not isinstance(model, str | os.PathLike):
        state = _state(model)
        return _compress(state, target, state.shared, sparsity, bits, price, lossless, coder, include, exclude)
    _check_apart(model, target)
    with TensorFile(model) as file:
        return _compress(file, target, {}, sparsity, bits, price, lossless, coder, include, exclude)


def _compress(
    source: TensorSource,
    target: str | os.PathLike[str],
    shared: Mapping[str, SharedWeights | BloomierWeights],
    sparsity: float | None,
    bits: int | None,
    price: float | None,
    lossless: bool,
    coder: str,
    include: str | Sequence[str],
    exclude: str | Sequence[str],
) -> list[TensorEntry]:
    for name in shared:
        if lossless and source.dtype(name) == "F64":
            raise ValueError(f"tensor {name!r}: lossless, but its codebook is kept as float32; unshare_ it before")
    found = [] if lossless else chosen_tensors(source, include, exclude, SHARED)
    chosen = dict.fromkeys(name for name in found if name not in shared)  # a list would be slow to look names up in
    mask_of = _masks(source, chosen, sparsity)
    with CompressedWriter(target, source.metadata) as writer:
        for name in source.names:
            dtype, shape = source.dtype(name), source.shape(name)
            if name in shared:
                writer.write(name, dtype, shared[name], coder=coder)
                continue
            stored = _whole(source, name)
            if name not in chosen:
                writer.write(name, dtype, stored, shape=shape)
                continue
            weights = real(stored, dtype)
            most = bits or (MATRIX_BITS if len(shape) == 2 else FILTER_BITS)
            try:
                few = _shared(weights, mask_of(name, weights) & (weights != 0), most, price)
            except ValueError as error:
                raise ValueError(f"tensor {name!r}: {error}") from error
            writer.write(name, dtype, few, coder=coder)
    return list(writer.entries.values())


def _shared(weights: npt.NDArray[Any], mask: npt.NDArray[np.bool_], bits: int, price: float | None) -> SharedWeights:
    """Give weights that share few values: any, or multiples of a step with about the same error."""
    few = share_weights(weights, bits=bits, mask=mask)
    if price is None:
        return few
    kept = np.where(mask, weights, 0)
    try:
        step = short_step(math.sqrt(12 * _squared_error(kept, few) / max(1, int(np.count_nonzero(mask)))))
    except ValueError:  # the values are exact, or smaller or larger than multiples may be
        return few
    largest = float(np.abs(kept).max())
    if largest > FINEST * step or largest + step > float(np.finfo(weights.dtype).max):
        return few
    return quantize(kept, step, price * step**2)


def _squared_error(weights: npt.NDArray[Any], few: SharedWeights) -> float:
    errors = np.subtract(weights, few.dense(), dtype=np.float64).reshape(-1)
    return float(np.dot(errors, errors))


def _masks(
    source: TensorSource, chosen: Iterable[str], sparsity: float | None
) -> Callable[[str, npt.NDArray[Any]], npt.NDArray[np.bool_]]:
    """Give what tells the weights of a tensor that stay."""
    scores: dict[str, Score] = {
        name: magnitude_scores for name in chosen if sparsity and not fnmatchcase(name, EMBEDDINGS)
    }
    masks = masks_of(source, scores, sparsity, "global", None) if sparsity and scores else None
    return lambda name, weights: masks(name)(magnitude_scores(weights)) if masks and name in scores else weights != 0


def expand(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
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
    _check_apart(source, target)
    with CompressedFile(source) as file:
        layout = {name: (entry.dtype, entry.shape) for name, entry in file.entries.items()}
        with TensorWriter(target, layout, file.metadata) as writer:
            for name in layout:
                writer.write(name, file.stored(name))


def _whole(file: TensorSource, name: str) -> npt.NDArray[Any]:
    """Read a tensor as it is stored."""
    blocks = list(file.blocks(name))
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


def _state(model: Any) -> StateTensors:
    """Give the tensors of a model in memory."""
    if isinstance(model, Mapping):
        return StateTensors(model)
    if not hasattr(model, "state_dict"):
        raise TypeError(f"model is a {type(model).__name__}; a path, a dict of tensors or a PyTorch model is accepted")
    from sketches.nn.torch.compression import shared_dtypes, state

    return StateTensors(state(model), shared_dtypes(model))


def _check_apart(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    if os.path.exists(target) and os.path.exists(source) and os.path.samefile(source, target):
        raise ValueError(f"the target is the source, {os.fspath(source)!r}; give another file")
