"""Networks in bounded memory: statistics of activations, weights hashed into fewer values, pruning of layers.

What works on plain arrays is here at once; what needs PyTorch is imported when it is first asked for.
"""

from importlib import import_module
from typing import Any

from sketches.nn.hashed_weights import HashedWeights
from sketches.nn.layer import LayerSummary
from sketches.nn.masks import compute_mask, compute_pattern_mask, compute_row_mask
from sketches.nn.pruning import StreamingPruner, compute_masks, cubic_schedule
from sketches.nn.reconstruction import InputMoments, elimination_scores, exchange, output_errors, refit
from sketches.nn.reduction import Reduction, reduce
from sketches.nn.scores import (
    activation_scores,
    compensated_bias,
    input_norms,
    magnitude_scores,
    redundant_units,
    taylor_scores,
)
from sketches.nn.statistics import StreamingStatistics
from sketches.nn.tensor_file import TensorFile, TensorWriter

__all__ = [
    "HashedWeights",
    "InputMoments",
    "LayerSummary",
    "Reduction",
    "StreamingPruner",
    "StreamingStatistics",
    "TensorFile",
    "TensorWriter",
    "activation_scores",
    "compensated_bias",
    "compute_mask",
    "compute_masks",
    "compute_pattern_mask",
    "compute_row_mask",
    "cubic_schedule",
    "elimination_scores",
    "exchange",
    "input_norms",
    "magnitude_scores",
    "output_errors",
    "reduce",
    "redundant_units",
    "refit",
    "taylor_scores",
]

_TORCH: dict[str, str] = {
    "Pruner": "sketches.nn.torch.pruner",
    "gather": "sketches.nn.torch.gather",
    "watch": "sketches.nn.torch.watch",
}  # name -> module that has it, of those that need PyTorch


def __getattr__(name: str) -> Any:
    if name in _TORCH:
        return getattr(import_module(_TORCH[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
