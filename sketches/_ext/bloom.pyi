from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from sketches._ext.hash_kernel import HashKernel

@disjoint_base
class BloomKernel(HashKernel):
    @property
    def probes(self) -> int: ...
    @property
    def words(self) -> npt.NDArray[np.uint64]: ...
    def __contains__(self, item: Any, /) -> bool: ...
    def _setup(self, table: npt.NDArray[np.uint64], in_blocks: bool, probes: int) -> None: ...
    def _block_rate(self) -> float: ...
