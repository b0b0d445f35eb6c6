import numpy as np
import numpy.typing as npt

LONGEST: int

def encode(symbols: npt.NDArray[np.uint8 | np.uint16], codes: npt.NDArray[np.uint64], bits: int) -> bytes: ...
def decode(
    code: npt.NDArray[np.uint8],
    out: npt.NDArray[np.uint8 | np.uint16],
    count: npt.NDArray[np.int64],
    symbols: npt.NDArray[np.uint16],
) -> bool: ...
