import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from sketches._ext.hash_kernel import HashKernel

@disjoint_base
class CountMinKernel(HashKernel):
    @property
    def depth(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def conservative(self) -> bool: ...
    @property
    def counters(self) -> npt.NDArray[np.int64]: ...
    def _setup(self, table: npt.NDArray[np.int64], conservative: bool) -> None: ...
