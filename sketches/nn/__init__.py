"""Networks in bounded memory: weights hashed into fewer values, and layers pruned while their weights stream past."""

from sketches.nn.hashed_weights import HashedWeights

__all__ = ["HashedWeights"]
