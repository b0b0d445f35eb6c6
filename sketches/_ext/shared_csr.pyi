from typing import Self, final

import numpy as np
import numpy.typing as npt

from sketches._ext.team import Work

PANEL: int
ROOM: int

@final
class Product(Work):
    def __new__(
        cls,
        starts: npt.NDArray[np.int64],
        entries: npt.NDArray[np.uint8],
        columns: npt.NDArray[np.uint16],
        codebook: npt.NDArray[np.float32],
        used: int,
        x: npt.NDArray[np.float32],
        out: npt.NDArray[np.float32],
        ends: npt.NDArray[np.int64],
    ) -> Self: ...
