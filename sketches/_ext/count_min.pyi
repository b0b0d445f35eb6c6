from typing_extensions import disjoint_base

from sketches._ext.counter_rows import CounterRows

@disjoint_base
class CountMinKernel(CounterRows):
    @property
    def conservative(self) -> bool: ...
    def _setup(self, depth: int, width: int, conservative: bool) -> None: ...
