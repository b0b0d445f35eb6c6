"""What the weights of a PyTorch model are worth, as arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from sketches.nn.pruning.scores import Floats, activation_scores, floats, magnitude_scores, taylor_scores
from sketches.nn.statistics.streaming import StreamingStatistics
from sketches.nn.torch.weights import Weight, array

__all__ = ["Scorer"]

KINDS = ("magnitude", "activation", "taylor")


class Scorer:
    """Scores by magnitude, activation or gradient, or by a function; for the parameters see `Pruner`."""

    def __init__(self, kind: str | Callable[[str, Tensor], Any], statistics: StreamingStatistics | None) -> None:
        if not callable(kind) and kind not in KINDS:
            raise ValueError(f"scores is {kind!r}; {', '.join(map(repr, KINDS))} or a function are accepted")
        if (kind == "activation") != (statistics is not None):
            raise ValueError(
                f"statistics is {statistics!r}, but scores is {kind!r}; 'activation', and no other, uses them"
            )
        self.kind, self.statistics = kind, statistics
        self.sums: dict[str, Tensor] = {}  # of Taylor scores
        self.observed = 0  # batches in the sums

    def observe(self, weights: Mapping[str, Weight], dense: Callable[[str], Tensor]) -> None:
        """Add the Taylor scores of a batch; nothing changes if a gradient is missing or not finite."""
        found = {}
        for name, weight in weights.items():
            gradient = weight.parameter.grad
            if gradient is None:
                raise ValueError(f"{name} has no gradient; call observe() after backward()")
            with _named(name):
                found[name] = torch.from_numpy(taylor_scores(array(dense(name)), array(gradient)))
        self.sums = {name: self.sums[name] + scores if self.sums else scores for name, scores in found.items()}
        self.observed += 1

    def reset(self) -> None:
        """Forget what `observe` took in."""
        self.sums, self.observed = {}, 0

    def scores(self, name: str, weight: Weight, dense: Tensor) -> Floats:
        """Give the scores of a weight with the values `dense`, outputs first; an error names the parameter."""
        with _named(name):
            if self.kind == "taylor":
                if not self.observed:
                    raise ValueError("no gradients since the last prune(); call observe() after backward()")
                return weight.outputs_first(self.sums[name].numpy() / self.observed)
            if callable(self.kind):
                given = self.kind(name, dense)
                found = array(given) if isinstance(given, Tensor) else floats("scores", given)
                if found.shape != dense.shape:
                    raise ValueError(f"scores have shape {found.shape}, the weight has {tuple(dense.shape)}")
                return weight.outputs_first(found)
            values = weight.outputs_first(array(dense))
            if self.statistics is None:
                return magnitude_scores(values)
            layer = f"{weight.layer}:input"
            if layer not in self.statistics.layers:
                hint = f"observe the inputs of {weight.layer!r}, or choose modules without it"
                raise ValueError(f"the statistics have no layer {layer!r}; {hint}")
            return activation_scores(values, self.statistics.summary(layer).norms, groups=weight.groups)


@contextmanager
def _named(name: str) -> Iterator[None]:
    try:
        yield
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from error
