from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from sketches._ext.hashing import Hasher
from sketches._ext.quantiles import QuantilesKernel
from sketches._ext.team import Work
from sketches.nn.statistics.layer import Layer
from sketches.nn.statistics.moments import Moments

@disjoint_base
class Reading(Work): ...

def observe(
    array: npt.NDArray[Any],
    limits: tuple[float, float] | None,
    parts: list[Moments],
    patterns: npt.NDArray[np.uint8],
    hasher: Hasher | None,
    hashes: npt.NDArray[np.uint64] | None,
    quantiles: QuantilesKernel,
    share: Callable[[Callable[[], None], int], None],
    members: int,
    layer: Layer | None = None,
) -> None: ...
def take_in(
    layer: Layer,
    parts: list[Moments],
    samples: int,
    hashes: npt.NDArray[np.uint64],
    values: QuantilesKernel | None = None,
) -> None: ...
def combine(
    counts: npt.NDArray[np.int64],
    values: npt.NDArray[np.float64],
    new_counts: npt.NDArray[np.int64],
    new_values: npt.NDArray[np.float64],
) -> bool: ...
