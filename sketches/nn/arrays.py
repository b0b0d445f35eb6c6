"""What networks are fed: arrays of real numbers, from wherever."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sketches.core.columns import real
from sketches.core.items import from_dlpack, readable

__all__ = ["real_numbers"]


def real_numbers(name: str, numbers: Any) -> npt.NDArray[Any]:
    """Give an array of integers, bools or floats up to 64 bits, in place where that can be.

    Parameters
    ----------
    name
        What the numbers are, for the error message.
    numbers
        A NumPy array or what ``numpy.asarray`` makes one of, a DLPack tensor, a PyTorch tensor. The dtype may be any
        that a sketch's `update` takes numbers of, bfloat16 among them.

    Raises
    ------
    TypeError
        For another dtype.
    """
    numbers = readable(numbers)
    only_dlpack = hasattr(numbers, "__dlpack__") and not hasattr(numbers, "__array__")
    array = from_dlpack(numbers, name) if only_dlpack else np.asarray(numbers)
    found = real(array)
    if found is None:
        raise TypeError(
            f"{name}: dtype {array.dtype} is not supported; integers, bool, float16 to float64 and bfloat16 are"
        )
    return found
