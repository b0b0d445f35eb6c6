from typing import Any

import numpy as np
import numpy.typing as npt

_Floats = npt.NDArray[np.float64]
_Integers = npt.NDArray[np.int64]

def gather(
    numbers: npt.NDArray[Any],
    prefixes: _Integers,
    direct: npt.NDArray[np.int32] | None,
    shift: int,
    out: _Floats,
    filled: int,
) -> int: ...
def widen(
    numbers: npt.NDArray[Any],
    prefixes: _Integers,
    direct: npt.NDArray[np.int32] | None,
    shift: int,
    least: _Integers,
    most: _Integers,
) -> int: ...
def count(
    numbers: npt.NDArray[Any],
    prefixes: _Integers,
    direct: npt.NDArray[np.int32] | None,
    shift: int,
    bits: int,
    counts: _Integers,
) -> None: ...
def orders(numbers: _Floats, out: _Integers) -> None: ...
def numbers(orders: _Integers, out: _Floats) -> None: ...
