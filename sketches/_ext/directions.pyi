import numpy as np
import numpy.typing as npt

def centred(
    rows: npt.NDArray[np.float32], largest: float
) -> tuple[npt.NDArray[np.float64], int, npt.NDArray[np.float32], float]: ...
def joined(
    mean: npt.NDArray[np.float64], count: int, other: npt.NDArray[np.float64], more: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float32], float]: ...
def shrink(rows: npt.NDArray[np.float32], size: int) -> tuple[int, float]: ...
