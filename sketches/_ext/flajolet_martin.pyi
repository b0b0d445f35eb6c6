from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from sketches._ext.hash_kernel import HashKernel

@disjoint_base
class FlajoletMartinKernel(HashKernel):
    @property
    def precision(self) -> int: ...
    @property
    def kind_number(self) -> int: ...
    @property
    def tokens(self) -> npt.NDArray[np.uint32]: ...
    @property
    def registers(self) -> npt.NDArray[np.unsignedinteger[Any]]: ...
    @property
    def _nbytes(self) -> int: ...
    def _setup(
        self,
        kind_number: int,
        precision: int,
        tokens: npt.NDArray[np.uint32] | None,
        registers: npt.NDArray[np.unsignedinteger[Any]] | None = None,
    ) -> None: ...
    def _sound(self, most: int) -> bool: ...
    def _read(self, tops: npt.NDArray[np.int64], seen: npt.NDArray[np.int64]) -> None: ...
