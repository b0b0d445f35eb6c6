"""Networks in bounded memory: statistics of activations, weights hashed into fewer values, pruning of layers.

What works on plain arrays is here at once; what needs PyTorch is imported when it is first asked for.
"""

from importlib import import_module
from typing import Any

from sketches.nn.calibration import CalibrationRange, calibration_range, unit_ranges
from sketches.nn.drift import Drift, LayerDrift, drift
from sketches.nn.hashed_weights import HashedWeights
from sketches.nn.layer import LayerSummary
from sketches.nn.masks import compute_mask, compute_pattern_mask, compute_row_mask
from sketches.nn.prune_file import PrunedTensor, prune_file
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
from sketches.nn.table import Table
from sketches.nn.tensor_file import TensorFile, TensorWriter
from sketches.nn.unit_choice import Coupling, Place, choose_units
from sketches.nn.unit_reconstruction import unit_elimination_scores
from sketches.nn.unit_scores import contribution_scores, taylor_unit_scores

__all__ = [
    "CalibrationRange",
    "Coupling",
    "Drift",
    "HashedWeights",
    "InputMoments",
    "LayerDrift",
    "LayerSummary",
    "Place",
    "PrunedTensor",
    "Reduction",
    "StreamingPruner",
    "StreamingStatistics",
    "Table",
    "TensorFile",
    "TensorWriter",
    "activation_scores",
    "calibration_range",
    "choose_units",
    "compensated_bias",
    "compute_mask",
    "compute_masks",
    "compute_pattern_mask",
    "compute_row_mask",
    "contribution_scores",
    "cubic_schedule",
    "drift",
    "elimination_scores",
    "exchange",
    "input_norms",
    "magnitude_scores",
    "output_errors",
    "prune_file",
    "reduce",
    "redundant_units",
    "refit",
    "taylor_scores",
    "taylor_unit_scores",
    "unit_elimination_scores",
    "unit_ranges",
]

_TORCH = {  # name -> module that has it, of those that need PyTorch
    "Pruner": "sketches.nn.torch.pruner",
    "Shrunk": "sketches.nn.torch.shrinking",
    "calibrate": "sketches.nn.torch.calibration",
    "couple": "sketches.nn.torch.coupling",
    "fixed_observer": "sketches.nn.torch.calibration",
    "gather": "sketches.nn.torch.gather",
    "input_moments": "sketches.nn.torch.input_moments",
    "remove_units": "sketches.nn.torch.removal",
    "shrink": "sketches.nn.torch.shrinking",
    "watch": "sketches.nn.torch.watch",
}


def __getattr__(name: str) -> Any:
    if name in _TORCH:
        return getattr(import_module(_TORCH[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
