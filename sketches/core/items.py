"""What may be fed to a sketch: any column, array or iterable, validated once and handed on in blocks.

Each block is small enough to stay in the processor's cache between hashing and the kernel, and large enough that its
Python overhead vanishes. Only `Blocks` knows about sources; sketches see hashes (or numbers), counts and nulls.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from importlib.util import find_spec
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sketches._ext.hashing import Hasher
from sketches.core import arrow
from sketches.core.columns import Column, Objects, from_numpy

__all__ = [
    "BLOCK",
    "Block",
    "HashBlock",
    "NumberBlock",
    "blocks",
    "from_dlpack",
    "hash_all",
    "hash_block",
    "is_sized",
    "number_block",
    "readable",
]

BLOCK = 16_384  # items: 128 KiB of hashes, half of a small L2 cache
IN_PLACE = 1 << 17  # items that a kernel reads where they are, a few at a time

Hashes = npt.NDArray[np.uint64]
Counts = npt.NDArray[np.int64]


class Block(NamedTuple):
    """The slots [start, stop) of a column, with their counts (None: one each)."""

    column: Column
    start: int
    stop: int
    counts: Counts | None

    def items(self, indices: npt.NDArray[np.int64]) -> list[Any]:
        """Give the canonical items at some indices of the block."""
        return self.column.items(indices + self.start)


class HashBlock(NamedTuple):
    """A block of hashed items, nulls removed.

    Attributes
    ----------
    hashes
        uint64.
    counts
        int64 of the same length; None: one each.
    nulls
        How many nulls were removed.
    column, start, kept
        Where the items lie: slots `kept` (None: all) of the column, counted from `start`.
    """

    hashes: Hashes
    counts: Counts | None
    nulls: int
    column: Column
    start: int
    kept: npt.NDArray[np.int64] | None

    def items(self, indices: npt.NDArray[np.int64]) -> list[Any]:
        """Give the canonical items at some indices of the block."""
        return self.column.items((indices if self.kept is None else self.kept[indices]) + self.start)


class NumberBlock(NamedTuple):
    """A block of numbers, float32 or float64 as kernels read them, without nulls; counts None: one each."""

    numbers: npt.NDArray[Any]
    counts: Counts | None
    nulls: int


def columns(items: Any, name: str = "items") -> Iterator[Column]:
    """Yield the columns of anything that `update` accepts; iterables are consumed a block at a time."""
    if isinstance(items, str | bytes | bytearray | memoryview):
        raise TypeError(f"{name} is one {type(items).__name__}; pass a list or an array (add() takes a single item)")
    if isinstance(items, Mapping):
        raise TypeError(f"{name} is a {type(items).__name__}; pass its keys, and its values as counts")
    if isinstance(items, np.ndarray):
        yield from_numpy(items)
    elif _is_pandas_series(items):
        yield from _pandas_columns(items)
    elif _is_polars_objects(items):
        yield Objects(items.to_list())
    elif arrow.is_arrow(items):
        yield from arrow.columns(items)
    elif type(items) is list:  # a subclass may be read otherwise: as an iterable
        yield Objects(items)
    elif hasattr(items, "__dlpack__"):
        yield from_numpy(from_dlpack(items, name))
    elif isinstance(items, Iterable):
        iterator = iter(items)
        while chunk := list(islice(iterator, BLOCK)):
            yield Objects(chunk)
    else:
        raise TypeError(
            f"{name} is of type {type(items).__name__}; an array, an Arrow column or an iterable is accepted"
        )


def is_sized(items: Any) -> bool:
    """Tell whether items have a length; an array without dimensions has none, although it has ``__len__``."""
    return hasattr(items, "__len__") and getattr(items, "shape", None) != ()


def readable(tensor: Any) -> Any:
    """Make of a PyTorch tensor one that NumPy can read: apart from its gradients, and not bfloat16 but float32."""
    if not (hasattr(tensor, "detach") and hasattr(tensor, "__dlpack__")):
        return tensor
    tensor = tensor.detach()
    return tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor


def from_dlpack(items: Any, name: str) -> npt.NDArray[Any]:
    """Read a tensor in place, where NumPy can."""
    try:
        return np.from_dlpack(readable(items))
    except (BufferError, RuntimeError, ValueError, TypeError) as error:
        raise TypeError(f"{name} is a {type(items).__name__} that NumPy cannot read: {error}") from error


def _is_pandas_series(items: Any) -> bool:
    kind = type(items)
    return kind.__module__.split(".")[0] == "pandas" and kind.__name__ in ("Series", "Index")


def _is_polars_objects(items: Any) -> bool:
    """Tell whether Arrow would show the objects' addresses instead of the objects."""
    return type(items).__module__.split(".")[0] == "polars" and str(getattr(items, "dtype", None)) == "Object"


def _pandas_columns(series: Any) -> Iterator[Column]:
    """Read NumPy-backed dtypes in place, everything else through Arrow or as objects; missing values are nulls."""
    values = series.array
    if isinstance(series.dtype, np.dtype):
        array = series.to_numpy()
        yield from_numpy(array, None if array.dtype.kind in "iubM" else ~series.isna().to_numpy())
    elif hasattr(values, "__arrow_array__") and hasattr(series, "__arrow_c_stream__") and find_spec("pyarrow"):
        yield from arrow.columns(series)
    else:
        yield from_numpy(series.to_numpy(dtype=object), ~series.isna().to_numpy())


class _Counts:
    """The counts beside the items: sliced if they are an array, drawn item by item otherwise."""

    def __init__(self, counts: Any, signed: bool) -> None:
        self._signed = signed
        self._array: Counts | None = None
        self._iterator: Iterator[Any] | None = None
        self._used = 0
        if counts is None:
            return
        if isinstance(counts, str | bytes | Mapping) or not (
            isinstance(counts, Iterable) or hasattr(counts, "__array__")
        ):
            raise TypeError(f"counts is of type {type(counts).__name__}; an array or iterable of integers is accepted")
        if hasattr(counts, "__array__") or isinstance(counts, list | tuple):
            self._array = self._checked(counts)
        else:
            self._iterator = iter(counts)

    def _checked(self, counts: Any) -> Counts:
        array = np.asarray(counts)
        if not array.size:
            array = array.astype(np.int64)
        if array.ndim != 1:
            raise ValueError(f"counts have shape {array.shape}; one dimension is accepted")
        if array.dtype.kind not in "iu":
            what = f"dtype {array.dtype}" if array.dtype != object else "an element that is no 64-bit integer"
            raise TypeError(f"counts have {what}; integers are accepted")
        if array.size and (int(array.max()) > 2**63 - 1 or int(array.min()) < -(2**63) + 1):
            raise ValueError(f"counts hold {array.max()}; at most {2**63 - 1} in absolute value is accepted")
        if array.size and not self._signed and array.min() < 0:
            raise ValueError(f"counts hold {array.min()}; this sketch accepts counts of 0 and more")
        return np.ascontiguousarray(array, np.int64)

    def expect(self, length: int) -> None:
        """Refuse an array of counts that cannot match, before anything was added."""
        if self._array is not None and len(self._array) != length:
            raise ValueError(f"counts have length {len(self._array)}, items have length {length}")

    def take(self, length: int) -> Counts | None:
        if self._array is None and self._iterator is None:
            return None
        if self._array is not None:
            block = self._array[self._used : self._used + length].copy()  # the caller may change its own meanwhile
        else:
            block = self._checked(list(islice(self._iterator or iter(()), length)))
        self._used += len(block)
        if len(block) < length:
            raise ValueError(f"counts have length {self._used}, but there are more items")
        return block

    def finish(self) -> None:
        if (self._array is not None and self._used < len(self._array)) or (
            self._iterator is not None and next(self._iterator, None) is not None
        ):
            raise ValueError(f"counts are longer than the {self._used} items")


def blocks(
    items: Any,
    counts: Any = None,
    signed: bool = False,
    in_place: Collection[npt.DTypeLike] = (),
    size: int = BLOCK,
) -> Iterator[Block]:
    """Yield all items, block by block.

    Parameters
    ----------
    items
        A list or other iterable, a NumPy array, an Arrow column, a pandas or Polars Series, a DLPack tensor.
    counts
        One integer an item, or None.
    signed
        Whether counts may be negative.
    in_place
        The dtypes that the kernel reads where they are: blocks are large where nothing is copied or written.
    size
        The size of any other block.
    """
    weights = _Counts(counts, signed)
    if counts is not None and is_sized(items):
        weights.expect(len(items))
    for column in columns(items):
        step = IN_PLACE if column.in_place in in_place else size
        for start in range(0, column.length, step):
            stop = min(start + step, column.length)
            yield Block(column, start, stop, weights.take(stop - start))
    weights.finish()


def hash_block(block: Block, hasher: Hasher) -> HashBlock:
    """Hash the items of a block."""
    column, start, stop, weights = block
    out = np.empty(stop - start, np.uint64)
    valid = column.hash(hasher, start, stop, out)
    if valid is None or valid.all():
        return HashBlock(out, weights, 0, column, start, None)
    kept = np.flatnonzero(valid)
    weights = None if weights is None else weights[kept]
    return HashBlock(out[kept], weights, stop - start - len(kept), column, start, kept)


def number_block(block: Block) -> NumberBlock:
    """Give the numbers of a block; ``TypeError`` where items are not numbers."""
    numbers, valid = block.column.numbers(block.start, block.stop)
    if valid is None or valid.all():
        return NumberBlock(numbers, block.counts, 0)
    return NumberBlock(numbers[valid], None if block.counts is None else block.counts[valid], int((~valid).sum()))


def hash_all(items: Any, hasher: Hasher) -> Hashes:
    """Hash all items of a query into one array; nulls are refused."""
    hashes = []
    for block in blocks(items):
        hashed = hash_block(block, hasher)
        if hashed.nulls:
            raise ValueError(f"items hold {hashed.nulls} nulls; a query accepts none")
        hashes.append(hashed.hashes)
    return np.concatenate(hashes) if hashes else np.empty(0, np.uint64)
