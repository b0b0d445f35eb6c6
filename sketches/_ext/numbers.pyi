from typing import Any

import numpy as np
import numpy.typing as npt

def read_numbers(
    objects: list[Any], start: int, numbers: npt.NDArray[np.float64], valid: npt.NDArray[np.uint8]
) -> bool: ...
