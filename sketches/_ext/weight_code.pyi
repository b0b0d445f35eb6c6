import numpy as np
import numpy.typing as npt

def encode(
    levels: npt.NDArray[np.int32],
    lag: int,
    zero: bool,
    quick: bool,
    least: int,
    most: int,
    live: npt.NDArray[np.uint8] | None = None,
) -> bytes: ...
def decode(
    code: npt.NDArray[np.uint8],
    levels: npt.NDArray[np.int32],
    lag: int,
    zero: bool,
    quick: bool,
    least: int,
    most: int,
    live: npt.NDArray[np.uint8] | None = None,
) -> bool: ...
