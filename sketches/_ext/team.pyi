from collections.abc import Callable

from typing_extensions import disjoint_base

@disjoint_base
class Work:
    def __call__(self) -> None: ...

def find(library: bytes) -> int: ...
def run(start: int, function: Callable[[], None], members: int) -> None: ...
