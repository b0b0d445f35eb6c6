import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from sketches._ext.hash_kernel import HashKernel

def set_tables(angles: npt.NDArray[np.int64], waits: npt.NDArray[np.int64]) -> None: ...

@disjoint_base
class EntropyKernel(HashKernel):
    @property
    def k(self) -> int: ...
    @property
    def words(self) -> npt.NDArray[np.uint64]: ...
    def _setup(self, table: npt.NDArray[np.uint64]) -> None: ...
