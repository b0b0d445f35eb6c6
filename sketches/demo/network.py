"""The network part: scikit-learn's perceptron on its digits, watched, pruned and hashed; accuracy and bytes of each.

Every choice (the schedule, the epochs, the rates) was made on the validation part; the test part is only reported.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from sketches.demo import mlp
from sketches.nn import HashedWeights, StreamingPruner, StreamingStatistics, activation_scores, cubic_schedule

__all__ = ["HIDDEN", "Digits", "Variant", "dense", "digits", "hashed", "pruned", "stream", "trained", "watched"]

HIDDEN = (300, 100)
LAYERS = ("pixels", "hidden 1", "hidden 2")  # what enters each matrix of weights
BATCH = 64
SPARSITIES = (*(cubic_schedule(step, 5, 0.9) for step in range(1, 6)), 0.93, 0.95, 0.97, 0.98)
FACTORS = (8, 16)  # weights for each number that is stored

Array = npt.NDArray[np.float32]


class Digits(NamedTuple):
    """Images as rows of 64 numbers in [0, 1], and their labels, in three parts."""

    train: Array
    train_labels: npt.NDArray[np.int64]
    validation: Array
    validation_labels: npt.NDArray[np.int64]
    test: Array
    test_labels: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Variant:
    """A network: how it was made, the bytes of its parameters, and its accuracies."""

    name: str
    sparsity: float
    parameters: int
    nbytes: int
    validation: float
    test: float


def digits(seed: int) -> Digits:
    """Load the digits: 60 % to train, 15 % to validate, 25 % to test, each with its share of every class."""
    images, labels = load_digits(return_X_y=True)
    rest, test, rest_labels, test_labels = train_test_split(
        (images / 16).astype(np.float32), labels, test_size=0.25, stratify=labels, random_state=seed
    )
    train, validation, train_labels, validation_labels = train_test_split(
        rest, rest_labels, test_size=0.2, stratify=rest_labels, random_state=seed
    )
    return Digits(train, train_labels, validation, validation_labels, test, test_labels)


def trained(data: Digits, epochs: int, seed: int) -> Any:
    """Train the dense network."""
    network = MLPClassifier(HIDDEN, batch_size=BATCH, max_iter=epochs, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is chosen, not reached
        return network.fit(data.train, data.train_labels)


def stream(data: Digits, batches: int, seed: int) -> Iterator[Array]:
    """Yield batches of training images, each shifted by up to a pixel and with a little noise."""
    random = np.random.default_rng(seed)
    for _ in range(batches):
        images = data.train[random.integers(len(data.train), size=512)].reshape(-1, 8, 8)
        shifted = np.roll(images, tuple(random.integers(-1, 2, size=2)), axis=(1, 2)).reshape(-1, 64)
        yield np.clip(shifted + random.normal(0, 0.05, shifted.shape), 0, 1).astype(np.float32)


def watched(network: Any, batches: Iterator[Array], seed: int) -> StreamingStatistics:
    """Send a stream through the network and keep the statistics of what enters each matrix of weights."""
    statistics = StreamingStatistics(seed=seed)
    for images in batches:
        layers = mlp.activations(network.coefs_, network.intercepts_, images)
        for name, activations in zip(LAYERS, layers, strict=False):
            statistics.observe(name, activations)
    return statistics


def _measured(name: str, weights: Any, biases: Any, data: Digits, nbytes: int, parameters: int) -> Variant:
    total = sum(matrix.size for matrix in weights)
    zeros = total - sum(np.count_nonzero(matrix) for matrix in weights)
    return Variant(
        name,
        zeros / total,
        parameters + sum(bias.size for bias in biases),
        nbytes + sum(bias.nbytes for bias in biases),
        mlp.accuracy(weights, biases, data.validation, data.validation_labels),
        mlp.accuracy(weights, biases, data.test, data.test_labels),
    )


def dense(network: Any, data: Digits) -> Variant:
    """Measure the dense network: 4 bytes a weight."""
    weights = network.coefs_
    nbytes, count = (sum(getattr(matrix, what) for matrix in weights) for what in ("nbytes", "size"))
    return _measured("dense", weights, network.intercepts_, data, nbytes, count)


def sparse_nbytes(matrix: Array) -> int:
    """Give the bytes of a sparse matrix: 4 a weight that is left, and the smaller of two ways to say where it lies.

    Either a bit for every weight, or compressed rows: 2 bytes for the column of each weight left (layers are narrower
    than 65,536 units), 4 for where each row begins.
    """
    left = int(np.count_nonzero(matrix))
    return 4 * left + min(-(-matrix.size // 8), 2 * left + 4 * (len(matrix) + 1))


def pruned(network: Any, data: Digits, batches: int, epochs: int, seed: int) -> list[Variant]:
    """Remove weights step by step, train what is left after each step, and measure.

    Before each step a part of the stream runs through the network as it is then. A weight's score is its size times the
    norm of its input in that stream; one threshold serves all layers.
    """
    network = copy.deepcopy(network)
    random = np.random.default_rng(seed)
    weights = network.coefs_  # changed in place
    variants = []
    for sparsity in SPARSITIES:
        masks = _masks(weights, watched(network, stream(data, batches, seed), seed), sparsity)
        _apply(masks, weights)
        for rows in mlp.minibatches(random, len(data.train), BATCH, epochs):
            network.partial_fit(data.train[rows], data.train_labels[rows])
            _apply(masks, weights)
        left = sum(int(np.count_nonzero(matrix)) for matrix in weights)
        nbytes = sum(map(sparse_nbytes, weights))
        variants.append(_measured(f"pruned, {sparsity:.0%}", weights, network.intercepts_, data, nbytes, left))
    return variants


def _masks(weights: Sequence[Array], statistics: StreamingStatistics, sparsity: float) -> list[npt.NDArray[np.bool_]]:
    """Choose the weights that stay."""
    pruner = StreamingPruner(sparsity)
    scores = {}
    for name, matrix in zip(LAYERS, weights, strict=True):
        found = statistics.summary(name)
        norms = np.sqrt((found.mean**2 + found.variance) * found.count)
        scores[name] = activation_scores(matrix.T, norms).T
    for take in (pruner.update, pruner.refine):  # the two passes
        for name, score in scores.items():
            take(name, score)
    return [pruner.mask(name, score) for name, score in scores.items()]


def _apply(masks: Sequence[npt.NDArray[np.bool_]], weights: Sequence[Array]) -> None:
    for matrix, mask in zip(weights, masks, strict=True):
        matrix *= mask


def hashed(network: Any, data: Digits, epochs: int, seed: int) -> list[Variant]:
    """Hash each matrix of weights into one number for every `factor` weights, train those numbers, and measure."""
    variants = []
    for factor in FACTORS:
        random = np.random.default_rng(seed)
        layers = [
            HashedWeights.from_matrix(matrix, -(-matrix.size // factor), seed=seed ^ number)
            for number, matrix in enumerate(network.coefs_)
        ]
        biases = [bias.copy() for bias in network.intercepts_]
        optimiser = mlp.Adam([*(layer.values for layer in layers), *biases], rate=0.002)
        for rows in mlp.minibatches(random, len(data.train), BATCH, epochs):
            matrices = [layer.matrix() for layer in layers]
            for_weights, for_biases = mlp.gradients(matrices, biases, data.train[rows], data.train_labels[rows])
            slopes = [layer.gradient(slope) for layer, slope in zip(layers, for_weights, strict=True)]
            optimiser.step([*slopes, *for_biases])
        matrices = [layer.matrix() for layer in layers]
        nbytes, count = (sum(getattr(layer, what) for layer in layers) for what in ("nbytes", "size"))
        variants.append(_measured(f"hashed, 1/{factor}", matrices, biases, data, nbytes, count))
    return variants
