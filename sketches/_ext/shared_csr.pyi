import numpy as np
import numpy.typing as npt

PANEL: int
ROOM: int

def multiply(
    starts: npt.NDArray[np.int64],
    entries: npt.NDArray[np.uint8],
    columns: npt.NDArray[np.uint16],
    codebook: npt.NDArray[np.float32],
    used: int,
    x: npt.NDArray[np.float32],
    out: npt.NDArray[np.float32],
    panel: bool,
    first: int,
    last: int,
) -> None: ...
