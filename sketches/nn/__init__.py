"""Networks in bounded memory: weights hashed into fewer values, and layers pruned while their weights stream past."""

from sketches.nn.hashed_weights import HashedWeights
from sketches.nn.pruning import StreamingPruner, activation_scores, compute_mask, cubic_schedule, magnitude_scores

__all__ = [
    "HashedWeights",
    "StreamingPruner",
    "activation_scores",
    "compute_mask",
    "cubic_schedule",
    "magnitude_scores",
]
