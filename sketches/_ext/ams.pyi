import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from sketches._ext.counter_rows import CounterRows

@disjoint_base
class AMSKernel(CounterRows):
    def _setup(self, width: int, coefficients: npt.NDArray[np.uint64]) -> None: ...
