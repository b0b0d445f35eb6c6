"""Models for the tests of `watch`, and the statistics that it must give."""

import torch
from torch import nn

from sketches.nn import StreamingStatistics


def convolutional():
    """Convolutions with in-place activation functions between, then linear modules."""
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * 9, 10),
        nn.ReLU6(inplace=True),
        nn.Linear(10, 4),
    )


def images(batch=6, seed=2):
    return torch.randn(batch, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def observed(*batches, **options):
    """The statistics of batches, each a tuple of `observe`'s arguments: layer, tensor, axis, limits."""
    statistics = StreamingStatistics(**options)
    for layer, tensor, *further in batches:
        axis, limits = (*further, *(-1, None)[len(further) :])
        statistics.observe(layer, tensor.detach().float().contiguous().numpy(), axis=axis, limits=limits)
    return statistics
