from typing import TypeVar

import numpy as np
import numpy.typing as npt

LONGEST: int

Symbol = TypeVar("Symbol", np.uint8, np.uint16)

def encode(symbols: npt.NDArray[Symbol], codes: npt.NDArray[np.uint64], bits: int) -> bytes: ...
def decode(
    code: npt.NDArray[np.uint8],
    out: npt.NDArray[Symbol],
    count: npt.NDArray[np.int64],
    symbols: npt.NDArray[np.uint16],
) -> bool: ...
