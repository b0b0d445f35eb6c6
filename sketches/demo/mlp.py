"""The few lines of a multilayer perceptron that scikit-learn keeps to itself: activations and gradients.

A network is a list of (weights, biases) as in `MLPClassifier.coefs_` and `intercepts_`: rectifiers between the layers,
a softmax after the last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["Adam", "accuracy", "activations", "gradients", "minibatches"]

Array = npt.NDArray[np.float32]
Matrices = Sequence[npt.NDArray[np.float32]]


def activations(weights: Matrices, biases: Matrices, inputs: Array) -> list[Array]:
    """Give what leaves each layer: the inputs, the hidden layers, and the scores of the classes."""
    layers = [inputs]
    for number, (matrix, bias) in enumerate(zip(weights, biases, strict=True), 1):
        scores = layers[-1] @ matrix + bias
        layers.append(scores if number == len(weights) else np.maximum(scores, 0))
    return layers


def accuracy(weights: Matrices, biases: Matrices, inputs: Array, labels: npt.NDArray[np.int64]) -> float:
    """Give the share of right answers; labels are 0, 1, …."""
    return float((activations(weights, biases, inputs)[-1].argmax(axis=1) == labels).mean())


def gradients(
    weights: Matrices, biases: Matrices, inputs: Array, labels: npt.NDArray[np.int64]
) -> tuple[list[Array], list[Array]]:
    """Give the gradients of the mean cross-entropy for the weights and for the biases."""
    layers = activations(weights, biases, inputs)
    scores: Array = np.exp(layers[-1] - layers[-1].max(axis=1, keepdims=True))
    error: Array = scores / scores.sum(axis=1, keepdims=True)
    error[np.arange(len(labels)), labels] -= 1
    error /= len(labels)
    for_weights: list[Array] = []
    for_biases: list[Array] = []
    for number in reversed(range(len(weights))):
        for_weights.insert(0, np.asarray(layers[number].T @ error, np.float32))
        for_biases.insert(0, np.asarray(error.sum(axis=0), np.float32))
        error = (error @ weights[number].T) * (layers[number] > 0)
    return for_weights, for_biases


def minibatches(random: np.random.Generator, rows: int, size: int, epochs: int) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the row numbers of each batch, in a new order each epoch."""
    for _ in range(epochs):
        yield from np.array_split(random.permutation(rows), max(1, rows // size))


class Adam:
    """Gradient descent with a step size of its own for every parameter (Kingma and Ba 2015, Algorithm 1)."""

    def __init__(self, parameters: Matrices, rate: float) -> None:
        self.parameters = parameters
        self.rate = rate
        self.steps = 0
        self.means = [np.zeros_like(values) for values in parameters]
        self.squares = [np.zeros_like(values) for values in parameters]

    def step(self, slopes: Matrices) -> None:
        """Move the parameters, in place, down their gradients."""
        self.steps += 1
        rate = self.rate * (1 - 0.999**self.steps) ** 0.5 / (1 - 0.9**self.steps)
        for values, mean, square, slope in zip(self.parameters, self.means, self.squares, slopes, strict=True):
            mean += 0.1 * (slope - mean)
            square += 0.001 * (slope * slope - square)
            values -= rate * mean / (np.sqrt(square) + 1e-8)
