"""Networks in bounded memory: activations watched, weights hashed into fewer values, layers pruned while data streams."""

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
