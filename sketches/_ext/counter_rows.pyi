from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from sketches._ext.hash_kernel import HashKernel

@disjoint_base
class CounterRows(HashKernel):
    @property
    def depth(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def counters(self) -> npt.NDArray[np.int64]: ...
    @property
    def counter_bytes(self) -> int: ...
    def _memory(self) -> int: ...
    def _packed(self) -> tuple[int, npt.NDArray[Any], npt.NDArray[np.int64], npt.NDArray[np.int64]]: ...
    def _fill(self, reader: RowReader) -> None: ...

@disjoint_base
class RowReader:
    def __init__(
        self,
        width: int,
        bytes: int,  # noqa: A002
        cells: npt.NDArray[np.uint8],
        places: npt.NDArray[np.int64],
        values: npt.NDArray[np.int64],
        packed: bool = True,
    ) -> None: ...
    @property
    def weights(self) -> list[int]: ...
    @property
    def sums(self) -> list[int]: ...
    @property
    def least(self) -> int: ...
