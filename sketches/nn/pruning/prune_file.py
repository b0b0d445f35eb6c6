"""A file of weights is pruned into another, block by block: no tensor need fit in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import numpy.typing as npt

from sketches.core import bounds
from sketches.nn.pruning.masks import Mask, check_sparsity, compute_pattern_mask, compute_row_mask
from sketches.nn.pruning.scores import Floats, activation_scores, magnitude_scores
from sketches.nn.pruning.thresholds import SCOPES, StreamingPruner
from sketches.nn.statistics.streaming import StreamingStatistics
from sketches.nn.tensor_file import TensorFile, TensorWriter, real
from sketches.nn.tensor_source import TensorSource

__all__ = ["EMBEDDINGS", "PrunedTensor", "Score", "chosen_tensors", "masks_of", "prune_file"]

EMBEDDINGS = "*embed*"  # a token's vector is looked up, not multiplied
_FLOATS = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2")

Score = Callable[[npt.NDArray[Any]], Floats]


@dataclass(frozen=True)
class PrunedTensor:
    """What became of one tensor: `kept` of its `size` weights."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    size: int
    kept: int


def prune_file(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    sparsity: float | None = None,
    *,
    scope: str = "global",
    pattern: tuple[int, int] | None = None,
    statistics: StreamingStatistics | None = None,
    include: str | Sequence[str] = "*",
    exclude: str | Sequence[str] = EMBEDDINGS,
) -> list[PrunedTensor]:
    """Prune the tensors of a safetensors file that have floating point numbers and two axes or more.

    Everything else is copied, byte for byte; dtypes, shapes, order and metadata stay. The target appears when it is
    whole, or not at all.

    Parameters
    ----------
    source, target
        The files; not the same.
    sparsity
        The share to prune, in [0, 1); None if there is a pattern.
    scope
        Which weights are compared: "global", "layer" or "row", as in `sketches.nn.compute_masks`.
    pattern
        (n, m): keep the n best of each m along axis 1 instead, as `sketches.nn.compute_pattern_mask` does.
    statistics
        Of inputs: weights of the tensor ``"fc1.weight"`` are scored by their absolute value times the norm of the layer
        ``"fc1:input"`` (Wanda). None: by their absolute value alone.
    include, exclude
        Patterns of names as `fnmatch` has them, or one: a tensor is pruned if one includes, and none excludes it.

    Returns
    -------
    list of PrunedTensor
        The tensors that were pruned, in the order of the file.

    Raises
    ------
    OSError, FormatError
        If a file cannot be read or written.
    TypeError, ValueError
        If an argument is not accepted, a weight is NaN or infinite, statistics of a tensor are missing or of another
        width, or there is nothing to prune. The message names the tensor.

    Notes
    -----
    The file is read three times ("row" and patterns: once). Memory is a few times the size of a block, which is 4 MB or
    one row of a tensor, and that of a `StreamingPruner`.
    """
    if (sparsity is None) == (pattern is None):
        raise ValueError(f"sparsity is {sparsity}, and pattern is {pattern}; one of them is accepted")
    if scope not in SCOPES:
        raise ValueError(f"scope is {scope!r}; {', '.join(map(repr, SCOPES))} are accepted")
    if sparsity is not None:
        check_sparsity("sparsity", sparsity)
    if pattern is not None:
        bounds.check_integer("n", pattern[0], 1, bounds.check_integer("m", pattern[1], 1, 2**20))
    if os.path.exists(target) and os.path.samefile(source, target):
        raise ValueError(f"the target is the source, {os.fspath(source)!r}; give another file")
    with TensorFile(source) as file:
        scores = {name: _score(name, statistics) for name in chosen_tensors(file, include, exclude)}
        if not scores:
            raise ValueError("no tensor to prune: none that is chosen has floating point numbers and two axes or more")
        masks = masks_of(file, scores, sparsity, scope, pattern)
        layout = {name: (file.dtype(name), file.shape(name)) for name in file.names}
        kept = dict.fromkeys(scores, 0)
        with TensorWriter(target, layout, file.metadata) as writer:
            for name in file.names:
                mask_of = masks(name) if name in scores else None
                for block in file.blocks(name):
                    if mask_of is not None:
                        mask = mask_of(_scored(name, block, file.dtype(name), scores[name]))
                        block[~mask] = 0
                        kept[name] += int(np.count_nonzero(mask))
                    writer.write(name, block)
    sizes = {name: int(np.prod(layout[name][1])) for name in kept}
    return [PrunedTensor(name, *layout[name], sizes[name], kept[name]) for name in kept]


def chosen_tensors(
    file: TensorSource,
    include: str | Sequence[str],
    exclude: str | Sequence[str],
    dtypes: Collection[str] = _FLOATS,
) -> list[str]:
    """Give the tensors that patterns choose, have one of the dtypes, two axes or more, and are not empty."""
    included, excluded = _patterns("include", include), _patterns("exclude", exclude)
    matching = [
        name
        for name in file.names
        if any(fnmatchcase(name, pattern) for pattern in included)
        and not any(fnmatchcase(name, pattern) for pattern in excluded)
    ]
    for pattern in included:
        if pattern != "*" and not any(fnmatchcase(name, pattern) for name in file.names):
            raise ValueError(f"include: the pattern {pattern!r} matches none of {len(file.names)} tensors")
    shapes = {name: file.shape(name) for name in matching if file.dtype(name) in dtypes}
    return [name for name, shape in shapes.items() if len(shape) >= 2 and 0 not in shape]


def _patterns(argument: str, patterns: Any) -> list[str]:
    found = [patterns] if isinstance(patterns, str) else patterns
    if not isinstance(found, Sequence) or not all(isinstance(pattern, str) for pattern in found):
        raise TypeError(f"{argument} is {patterns!r}; a pattern of names, or a sequence of them, is accepted")
    return list(found)


def _score(name: str, statistics: StreamingStatistics | None) -> Score:
    if statistics is None:
        return magnitude_scores
    layer = f"{name.removesuffix('.weight')}:input"
    if layer not in statistics.layers:
        raise ValueError(f"tensor {name!r}: the statistics have no layer {layer!r}")
    norms = statistics.summary(layer).norms
    return lambda weights: activation_scores(weights, norms)


def _scored(name: str, block: npt.NDArray[Any], dtype: str, score: Score) -> Floats:
    with _named(name):
        return score(real(block, dtype))


def masks_of(
    file: TensorSource, scores: dict[str, Score], sparsity: float | None, scope: str, pattern: tuple[int, int] | None
) -> Callable[[str], Callable[[Floats], Mask]]:
    """Give what gives, for a tensor, the mask of a block of its scores."""
    if sparsity is None:
        assert pattern is not None  # noqa: S101  # one of them is given
        n, m = pattern
        return lambda name: lambda found: compute_pattern_mask(found, n, m)
    if scope == "row":
        return lambda name: lambda found: compute_row_mask(found, sparsity)
    together = _fitted(file, scores, sparsity, list(scores)) if scope == "global" else None

    def mask_of(name: str) -> Callable[[Floats], Mask]:
        pruner = together or _fitted(file, scores, sparsity, [name])
        threshold = pruner.threshold()
        return lambda found: found > np.float32(threshold)

    return mask_of


def _fitted(file: TensorSource, scores: dict[str, Score], sparsity: float, names: list[str]) -> StreamingPruner:
    """Find the threshold that the weights of some tensors share, in two passes over their blocks."""

    def blocks() -> Iterator[tuple[str, Floats]]:
        for name in names:
            for number, block in enumerate(file.blocks(name)):
                yield f"{name}[{number}]", _scored(name, block, file.dtype(name), scores[name])

    pruner = StreamingPruner(sparsity)
    for part, found in blocks():
        pruner.update(part, found)
    for part, found in blocks():
        pruner.refine(part, found)
    return pruner


@contextmanager
def _named(name: str) -> Iterator[None]:
    try:
        yield
    except (TypeError, ValueError) as error:
        raise type(error)(f"tensor {name!r}: {error}") from error
