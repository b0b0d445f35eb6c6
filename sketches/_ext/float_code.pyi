import numpy as np
import numpy.typing as npt

def encode(words: npt.NDArray[np.uint8], columns: int, width: int, exponent: int, zeros: int) -> bytes: ...
def decode(
    code: npt.NDArray[np.uint8], words: npt.NDArray[np.uint8], columns: int, width: int, exponent: int, zeros: int
) -> bool: ...
