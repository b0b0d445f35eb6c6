from typing import Any

import numpy as np
import numpy.typing as npt

def add(
    block: npt.NDArray[Any],
    limits: tuple[float, float] | None,
    counts: npt.NDArray[np.int64],
    values: npt.NDArray[np.float64],
) -> int: ...
