from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from sketches._ext.counter_table import CounterTable

_Hashes = npt.NDArray[np.uint64]
_Counts = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]

@disjoint_base
class SubsetSumKernel(CounterTable):
    @property
    def k(self) -> int: ...
    @property
    def threshold(self) -> int: ...
    def _setup(self, k: int) -> None: ...
    def _sample(self, hashes: _Hashes, counts: _Counts, errors: _Counts, variances: _Floats) -> int: ...
    def _load_sampled(
        self,
        threshold: int,
        hashes: _Hashes,
        counts: _Counts,
        errors: _Counts,
        variances: _Floats,
        items: list[Any],
        merged: SubsetSumKernel | None = None,
    ) -> None: ...
    def _sampled_entries(self) -> tuple[int, _Hashes, _Counts, _Counts, _Floats, list[Any]]: ...
