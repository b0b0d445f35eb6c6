from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from sketches._ext.counter_table import CounterTable

_Hashes = npt.NDArray[np.uint64]
_Counts = npt.NDArray[np.int64]

@disjoint_base
class FrequentItems(CounterTable):
    @property
    def _limit(self) -> int: ...
    @property
    def _width(self) -> int: ...
    @property
    def _deletions(self) -> bool: ...
    @property
    def max_error(self) -> int: ...
    def _setup(self, limit: int, width: int, deletions: bool = False) -> None: ...
    def _bounds(self, hashes: _Hashes, lower: _Counts, upper: _Counts) -> None: ...
    def _union(self, other: FrequentItems) -> tuple[_Hashes, _Counts, _Counts, list[Any]]: ...
