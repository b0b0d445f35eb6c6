from collections.abc import Callable
from typing import Any

from typing_extensions import disjoint_base

@disjoint_base
class Work:
    def __call__(self, *args: Any, **kwargs: Any) -> None: ...  # as compiled; it takes none

def find(library: bytes) -> int: ...
def run(start: int, function: Callable[[], None], members: int) -> None: ...
