from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from sketches._ext.hash_kernel import HashKernel

def solve(
    hashes: npt.NDArray[np.uint64], table: npt.NDArray[np.uint8], log_length: int, bits: int, attempt: int
) -> bool: ...

@disjoint_base
class BinaryFuseKernel(HashKernel):
    @property
    def attempt(self) -> int: ...
    @property
    def log_length(self) -> int: ...
    @property
    def bits(self) -> int: ...
    @property
    def _table(self) -> npt.NDArray[np.uint8]: ...
    def __contains__(self, item: Any, /) -> bool: ...
    def _setup(self, table: npt.NDArray[np.uint8], log_length: int, bits: int, attempt: int) -> None: ...
