"""Networks in bounded memory: statistics of activations, weights hashed into fewer values, pruning of layers.

What works on plain arrays is here at once; what needs PyTorch is imported when it is first asked for.
"""

from importlib import import_module
from typing import Any

from sketches.nn.hashed_weights import HashedWeights
from sketches.nn.layer import LayerSummary
from sketches.nn.pruning import StreamingPruner, activation_scores, compute_mask, cubic_schedule, magnitude_scores
from sketches.nn.statistics import StreamingStatistics
from sketches.nn.unit_choice import Coupling, Place, choose_units
from sketches.nn.unit_scores import contribution_scores, filter_norms, folded_bias, taylor_unit_scores

__all__ = [
    "Coupling",
    "HashedWeights",
    "LayerSummary",
    "Place",
    "StreamingPruner",
    "StreamingStatistics",
    "activation_scores",
    "choose_units",
    "compute_mask",
    "contribution_scores",
    "cubic_schedule",
    "filter_norms",
    "folded_bias",
    "magnitude_scores",
    "taylor_unit_scores",
]

_TORCH = {  # name -> module that has it, of those that need PyTorch
    "Shrunk": "sketches.nn.torch.shrinking",
    "couple": "sketches.nn.torch.coupling",
    "remove_units": "sketches.nn.torch.removal",
    "shrink": "sketches.nn.torch.shrinking",
}


def __getattr__(name: str) -> Any:
    if name in _TORCH:
        return getattr(import_module(_TORCH[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
