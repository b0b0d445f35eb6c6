import numpy as np
import numpy.typing as npt

def optimal_runs(
    masses: npt.NDArray[np.float64], sums: npt.NDArray[np.float64], squares: npt.NDArray[np.float64], runs: int
) -> npt.NDArray[np.int64]: ...
