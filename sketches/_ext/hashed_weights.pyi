import numpy as np
import numpy.typing as npt

from sketches._ext.hashing import Hasher

def expand(
    hasher: Hasher,
    values: npt.NDArray[np.float32 | np.float64],
    start: int,
    out: npt.NDArray[np.float32 | np.float64],
    rows: npt.NDArray[np.int64] | None = None,
) -> None: ...
def collect(
    hasher: Hasher,
    dense: npt.NDArray[np.float32 | np.float64],
    start: int,
    sums: npt.NDArray[np.float64],
    counts: npt.NDArray[np.int64] | None,
    rows: npt.NDArray[np.int64] | None = None,
) -> None: ...
def locate(hasher: Hasher, start: int, size: int, out: npt.NDArray[np.int64]) -> None: ...
