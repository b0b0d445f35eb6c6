from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from sketches._ext.kernel import Kernel

_Hashes = npt.NDArray[np.uint64]
_Counts = npt.NDArray[np.int64]

@disjoint_base
class CounterTable(Kernel):
    @property
    def _memory(self) -> int: ...
    def __len__(self) -> int: ...
    def add(self, item: Any, count: int = 1) -> None: ...
    def _load(
        self,
        offset: int,
        fill: int,
        hashes: _Hashes,
        counts: _Counts,
        errors: _Counts,
        items: list[Any],
        merged: Kernel | None = None,
    ) -> None: ...
    def _insert(self, hashes: _Hashes, counts: _Counts | None, fetch: Callable[[_Counts], list[Any]]) -> None: ...
    def _insert_integers(
        self, integers: _Counts, counts: _Counts | None, fetch: Callable[[_Counts], list[Any]]
    ) -> None: ...
    def _entries(self) -> tuple[_Hashes, _Counts, _Counts, list[Any]]: ...
