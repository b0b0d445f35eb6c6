"""Networks in bounded memory: statistics of activations, weights hashed into fewer values, pruning of layers.

What works on plain arrays is here at once; what needs PyTorch is imported when it is first asked for.
"""

from importlib import import_module
from typing import Any

from sketches.nn.compression.bloomier import BloomierWeights
from sketches.nn.compression.compress import compress, expand
from sketches.nn.compression.compressed_file import CompressedFile, CompressedWriter
from sketches.nn.compression.csr import SharedCSR
from sketches.nn.compression.rates import TensorRates, tensor_rates
from sketches.nn.compression.shared import SharedWeights
from sketches.nn.compression.sharing import StreamingSharer, centroid_gradients, share_weights
from sketches.nn.hashed_weights import HashedWeights
from sketches.nn.pruning.masks import compute_mask, compute_pattern_mask, compute_row_mask
from sketches.nn.pruning.prune_file import PrunedTensor, prune_file
from sketches.nn.pruning.reconstruction import (
    InputMoments,
    elimination_scores,
    reconstruction_errors,
    refine_mask,
    refit_weights,
)
from sketches.nn.pruning.scores import (
    activation_scores,
    compensated_bias,
    magnitude_scores,
    redundant_units,
    taylor_scores,
)
from sketches.nn.pruning.thresholds import StreamingPruner, compute_masks, cubic_schedule
from sketches.nn.pruning.unit_choice import Coupling, Place, choose_units
from sketches.nn.pruning.unit_reconstruction import unit_elimination_scores
from sketches.nn.pruning.unit_scores import contribution_scores, taylor_unit_scores
from sketches.nn.statistics.calibration import CalibrationRange, calibration_range, unit_ranges
from sketches.nn.statistics.drift import Drift, LayerDrift, drift
from sketches.nn.statistics.layer import LayerSummary
from sketches.nn.statistics.reduction import Reduction, reduce_batch
from sketches.nn.statistics.streaming import StreamingStatistics
from sketches.nn.statistics.table import Table
from sketches.nn.tensor_file import TensorFile, TensorWriter

__all__ = [
    "BloomierWeights",
    "CalibrationRange",
    "CompressedFile",
    "CompressedWriter",
    "Coupling",
    "Drift",
    "HashedWeights",
    "InputMoments",
    "LayerDrift",
    "LayerSummary",
    "Place",
    "PrunedTensor",
    "Reduction",
    "SharedCSR",
    "SharedWeights",
    "StreamingPruner",
    "StreamingSharer",
    "StreamingStatistics",
    "Table",
    "TensorFile",
    "TensorRates",
    "TensorWriter",
    "activation_scores",
    "calibration_range",
    "centroid_gradients",
    "choose_units",
    "compensated_bias",
    "compress",
    "compute_mask",
    "compute_masks",
    "compute_pattern_mask",
    "compute_row_mask",
    "contribution_scores",
    "cubic_schedule",
    "drift",
    "elimination_scores",
    "expand",
    "magnitude_scores",
    "prune_file",
    "reconstruction_errors",
    "reduce_batch",
    "redundant_units",
    "refine_mask",
    "refit_weights",
    "share_weights",
    "taylor_scores",
    "taylor_unit_scores",
    "tensor_rates",
    "unit_elimination_scores",
    "unit_ranges",
]

_TORCH = {  # name -> module that has it, of those that need PyTorch
    "HashedConv1d": "sketches.nn.torch.hashed.layers",
    "HashedConv2d": "sketches.nn.torch.hashed.layers",
    "HashedEmbedding": "sketches.nn.torch.hashed.embedding",
    "HashedLinear": "sketches.nn.torch.hashed.layers",
    "Pruner": "sketches.nn.torch.pruner",
    "QuotientRemainderEmbedding": "sketches.nn.torch.hashed.quotient_remainder",
    "Shrunk": "sketches.nn.torch.structured.shrinking",
    "calibrate": "sketches.nn.torch.calibration",
    "couple": "sketches.nn.torch.structured.coupling",
    "fixed_observer": "sketches.nn.torch.calibration",
    "gather": "sketches.nn.torch.gather",
    "load_compressed_": "sketches.nn.torch.compression",
    "hash_": "sketches.nn.torch.hashed.conversion",
    "input_moments": "sketches.nn.torch.structured.input_moments",
    "load_shared_": "sketches.nn.torch.sharing",
    "remove_units": "sketches.nn.torch.structured.removal",
    "share_": "sketches.nn.torch.sharing",
    "shared_weights": "sketches.nn.torch.sharing",
    "shrink": "sketches.nn.torch.structured.shrinking",
    "unshare_": "sketches.nn.torch.sharing",
    "watch": "sketches.nn.torch.watch",
}


def __getattr__(name: str) -> Any:
    if name not in _TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(_TORCH[name]), name)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        message = f"sketches.nn.{name} needs PyTorch: pip install 'stream-sketches[torch]'"
        raise ModuleNotFoundError(message, name="torch") from error


def __dir__() -> list[str]:
    return sorted({*globals(), *_TORCH})
