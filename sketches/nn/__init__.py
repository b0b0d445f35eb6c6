"""Networks in bounded memory: statistics of activations, weights hashed into fewer values, pruning of layers."""

from sketches.nn.hashed_weights import HashedWeights
from sketches.nn.layer import LayerSummary
from sketches.nn.pruning import StreamingPruner, activation_scores, compute_mask, cubic_schedule, magnitude_scores
from sketches.nn.statistics import StreamingStatistics

__all__ = [
    "HashedWeights",
    "LayerSummary",
    "StreamingPruner",
    "StreamingStatistics",
    "activation_scores",
    "compute_mask",
    "cubic_schedule",
    "magnitude_scores",
]
