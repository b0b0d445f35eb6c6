from typing import Any

import numpy as np
import numpy.typing as npt

from sketches._ext.quantiles import QuantilesKernel
from sketches.nn.statistics.moments import Moments

def observe(
    batch: npt.NDArray[Any],
    limits: tuple[float, float] | None,
    moments: Moments,
    patterns: npt.NDArray[np.uint8],
    quantiles: QuantilesKernel,
) -> None: ...
def combine(
    counts: npt.NDArray[np.int64],
    values: npt.NDArray[np.float64],
    new_counts: npt.NDArray[np.int64],
    new_values: npt.NDArray[np.float64],
) -> bool: ...
