import numpy as np
import numpy.typing as npt

def hashes(positions: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]: ...
def solve(
    hashes: npt.NDArray[np.uint64],
    values: npt.NDArray[np.uint16],
    cells: int,
    log_length: int,
    bits: int,
    attempt: int,
) -> npt.NDArray[np.uint16] | None: ...
def look_up(
    table: npt.NDArray[np.uint16],
    log_length: int,
    bits: int,
    attempt: int,
    entries: int,
    start: int,
    out: npt.NDArray[np.uint16],
) -> None: ...
