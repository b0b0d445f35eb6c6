import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from sketches._ext.team import Work

PANEL: int
ROOM: int

@disjoint_base
class Product(Work):
    def __init__(
        self,
        starts: npt.NDArray[np.int64],
        entries: npt.NDArray[np.uint8],
        columns: npt.NDArray[np.uint16],
        codebook: npt.NDArray[np.float32],
        used: int,
        x: npt.NDArray[np.float32],
        out: npt.NDArray[np.float32],
        panel: bool,
        ends: npt.NDArray[np.int64],
    ) -> None: ...
