"""Networks in bounded memory: statistics of activations, weights hashed into fewer values, pruning of layers.

What works on plain arrays is here at once; what needs PyTorch is imported when it is first asked for.
"""

from importlib import import_module
from typing import Any

from sketches.nn.hashed_weights import HashedWeights
from sketches.nn.layer import LayerSummary
from sketches.nn.pruning import StreamingPruner, activation_scores, compute_mask, cubic_schedule, magnitude_scores
from sketches.nn.reduction import Reduction, reduce
from sketches.nn.statistics import StreamingStatistics

__all__ = [
    "HashedWeights",
    "LayerSummary",
    "Reduction",
    "StreamingPruner",
    "StreamingStatistics",
    "activation_scores",
    "compute_mask",
    "cubic_schedule",
    "magnitude_scores",
    "reduce",
]

_TORCH: dict[str, str] = {
    "gather": "sketches.nn.torch.gather",
    "watch": "sketches.nn.torch.watch",
}  # name -> module that has it, of those that need PyTorch


def __getattr__(name: str) -> Any:
    if name in _TORCH:
        return getattr(import_module(_TORCH[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
