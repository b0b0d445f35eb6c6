"""A model that is pruned while it trains: masks from streamed scores, which hold under any optimizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sketches.core import bounds
from sketches.nn.pruning.masks import Mask, compute_pattern_mask
from sketches.nn.pruning.thresholds import SCOPES, compute_masks
from sketches.nn.statistics.streaming import StreamingStatistics
from sketches.nn.torch.scorer import Scorer
from sketches.nn.torch.weights import find_weights

__all__ = ["Pruner"]

LEAST = np.finfo(np.float32).tiny  # that a kept weight scores: a pruned one scores 0, and is not chosen in its place


class Pruner:
    """Prune weights of a PyTorch model, once or gradually, and keep them at zero while it trains.

    `prune` computes all masks before it changes any weight, so that a `prune` that fails leaves the model as it was.
    After it, exactly the weights outside the masks are zero: at once, after each step of an optimizer that was given to
    `attach`, and after `apply`. Nothing of the model but the values of its weights changes; no parameter is renamed.

    Parameters
    ----------
    model
        The model, on any devices, in any precision.
    modules
        Which modules: a type, a name, a pattern of names (``"encoder.*"``), or an iterable of these; None: linear
        layers, convolutions, attention. Of each, the parameters of two or more axes are pruned: weights, not biases.
        A tied weight is pruned once, also where it is an embedding, too; one that a parametrization computes, not.
    scores
        What a weight is worth: "magnitude"; "activation" (Wanda), magnitude times the norm of its input in
        `statistics`; "taylor", the mean of ``abs(weight * gradient)`` over the calls of `observe`; or a function of
        the parameter's name and values that gives a tensor or array of scores, 0 and more.
    scope
        Which weights are compared: "global", "layer" or "row", as in `sketches.nn.compute_masks`.
    pattern
        (n, m): keep the n best of each m inputs in a row, instead of a share (`sketches.nn.compute_pattern_mask`).
    statistics
        Of the modules' inputs, layers named ``"fc1:input"``, such as ``watch(model, what="inputs")`` gives.
    regrow
        Whether weights may come back. If not, what was pruned stays pruned, and its gradients are zero. If so, a
        pruned weight goes on learning outside of the model, from the gradient at zero in its place, and `prune` scores
        it by that value (dynamic network surgery, Guo et al. 2016; dynamic pruning with feedback, Lin et al. 2020).
    hysteresis
        With `regrow`: by what share a pruned weight's score must exceed that of a weight whose place it takes. Near 0,
        masks may not settle: outside of the model, a weight grows for as long as it is missed.

    Raises
    ------
    TypeError, ValueError
        If an argument is not accepted, or there is nothing to prune.

    Notes
    -----
    Scores are compared as float32, without sorting; they take 4 bytes a weight during `prune`, on the CPU. A mask takes
    1 byte a weight where the weight is; `regrow` takes the memory of the weights once more, as float32 at least.
    Where a parameter is replaced, as by ``load_state_dict(…, assign=True)``, masks hold, but its gradients are no
    longer set to zero: make the pruner, as the optimizer, after that.

    References
    ----------
    Y. Guo, A. Yao and Y. Chen, "Dynamic network surgery for efficient DNNs", NeurIPS 2016.
    T. Lin, S. U. Stich, L. Barba, D. Dmitriev and M. Jaggi, "Dynamic model pruning with feedback", ICLR 2020.

    Examples
    --------
    >>> import torch
    >>> from sketches.nn import Pruner, cubic_schedule
    >>> model = torch.nn.Sequential(torch.nn.Linear(20, 30), torch.nn.ReLU(), torch.nn.Linear(30, 5))
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    >>> with Pruner(model) as pruner:
    ...     pruner.attach(optimizer)
    ...     for step in range(10):
    ...         optimizer.zero_grad()
    ...         model(torch.ones(8, 20)).square().sum().backward()
    ...         optimizer.step()
    ...         _ = pruner.prune(cubic_schedule(step, 9, 0.9))
    >>> pruner.sparsity  # 675 of 750: no two weights have the same magnitude
    0.9
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        modules: Any = None,
        scores: str | Callable[[str, Tensor], Any] = "magnitude",
        scope: str = "global",
        pattern: tuple[int, int] | None = None,
        statistics: StreamingStatistics | None = None,
        regrow: bool = False,
        hysteresis: float = 1.0,
    ) -> None:
        if scope not in SCOPES:
            raise ValueError(f"scope is {scope!r}; {', '.join(map(repr, SCOPES))} are accepted")
        if not 0 <= hysteresis < float("inf"):
            raise ValueError(f"hysteresis is {hysteresis}; a finite number of 0 or more is accepted")
        if pattern is not None:
            m = bounds.check_integer("pattern[1]", pattern[1], 1, 2**20)
            bounds.check_integer("pattern[0]", pattern[0], 1, m)
        self.scope, self.pattern, self.regrow, self.hysteresis = scope, pattern, bool(regrow), float(hysteresis)
        self._scorer = Scorer(scores, statistics)
        self._weights = find_weights(model, modules)
        self._masks = {
            name: torch.ones_like(weight.parameter, dtype=torch.bool) for name, weight in self._weights.items()
        }
        self._shadows = {name: self._shadow(name) for name in self._weights} if regrow else {}
        self._handles: list[Any] = []
        self._mask_gradients()

    @torch.no_grad()
    def observe(self) -> None:
        """Take in the gradients of a batch, after ``backward()`` and before the optimizer's step: for "taylor" scores.

        Raises
        ------
        ValueError
            If a weight has no gradient, or one that is not finite; nothing is taken in then.
        """
        self._scorer.observe(self._weights, self._dense)

    def prune(self, sparsity: float | None = None) -> float:
        """Compute the masks, and set the weights outside of them to zero.

        Parameters
        ----------
        sparsity
            The share of weights to prune, in [0, 1); None if there is a pattern.

        Returns
        -------
        float
            The share that is pruned now. Without `regrow`, it never falls.

        Raises
        ------
        TypeError, ValueError
            If sparsity is not accepted, a weight or score is NaN or infinite, or statistics or gradients are missing;
            the message names the parameter, and the model stays as it was.
        """
        masks = self.compute_masks(sparsity)
        self._set({name: torch.from_numpy(mask) for name, mask in masks.items()})
        self._scorer.reset()
        return self.sparsity

    @torch.no_grad()
    def compute_masks(self, sparsity: float | None = None) -> dict[str, Mask]:
        """Compute the masks that `prune` would set, by the parameter's name; the model does not change."""
        if (sparsity is None) == (self.pattern is None):
            raise ValueError(f"sparsity is {sparsity}, and pattern is {self.pattern}; one of them is accepted")
        scores = {name: self._scores(name) for name in self._weights}
        if self.pattern is None:
            masks = compute_masks(scores, sparsity, scope=self.scope)  # type: ignore[arg-type]
        else:
            masks = {name: compute_pattern_mask(values, *self.pattern) for name, values in scores.items()}
        masks = {name: self._weights[name].outputs_first(mask) for name, mask in masks.items()}
        if self.regrow:
            return masks
        return {name: mask & self._masks[name].cpu().numpy() for name, mask in masks.items()}

    def attach(self, optimizer: torch.optim.Optimizer) -> None:
        """Apply the masks after each step of an optimizer, whatever its momentum and decay do."""
        self._handles.append(optimizer.register_step_post_hook(lambda *_: self.apply()))

    @torch.no_grad()
    def apply(self) -> None:
        """Set the weights outside of the masks to zero again."""
        for name, weight in self._weights.items():
            if self.regrow:
                self._shadows[name] = self._dense(name)
            weight.parameter.masked_fill_(~self._mask(name), 0)

    @property
    def masks(self) -> dict[str, Tensor]:
        """The masks by the parameter's name: True where a weight is kept."""
        return {name: self._mask(name) for name in self._weights}

    @property
    def kept(self) -> dict[str, tuple[int, int]]:
        """How many weights are kept, and how many there are, by the parameter's name."""
        return {name: (int(mask.sum()), mask.numel()) for name, mask in self._masks.items()}

    @property
    def sparsity(self) -> float:
        """The share of weights that are pruned."""
        kept, size = map(sum, zip(*self.kept.values(), strict=True))
        return (size - kept) / size if size else 0.0

    def state_dict(self) -> dict[str, Any]:
        """Give what to save beside the model's and the optimizer's states, so that training can be resumed."""
        return {
            "masks": self.masks,
            "shadows": dict(self._shadows),
            "sums": self._scorer.sums,
            "observed": self._scorer.observed,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state, after the model has its own, and apply its masks.

        Raises
        ------
        ValueError
            If a mask is missing, is one too many, or has another shape; nothing changes then.
        """
        masks, shadows = state["masks"], state["shadows"]
        self._check("mask", masks, self._masks)
        self._check("shadow", shadows, self._shadows)
        self._masks = {name: masks[name].to(torch.bool, copy=True) for name in self._weights}
        self._shadows = {name: shadows[name].clone() for name in self._shadows}
        self._scorer.sums, self._scorer.observed = dict(state["sums"]), int(state["observed"])
        self.apply()

    def remove(self) -> None:
        """Remove all hooks: the model stays as it is, pruned, but nothing keeps it so."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_handles": []}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._mask_gradients()

    def __repr__(self) -> str:
        kept, size = map(sum, zip(*self.kept.values(), strict=True))
        return f"<Pruner: {kept:,} of {size:,} weights kept in {len(self._weights)} parameters>"

    def _mask_gradients(self) -> None:
        if self.regrow:
            return
        for name, weight in self._weights.items():
            if weight.parameter.requires_grad:
                register: Any = weight.parameter.register_hook  # untyped in some versions
                self._handles.append(register(partial(self._mask_gradient, name)))

    def _mask_gradient(self, name: str, gradient: Tensor) -> Tensor:
        return gradient if gradient.is_sparse else gradient.masked_fill(~self._mask(name), 0)

    def _check(self, kind: str, found: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
        for name in {**own, **found}:
            if name not in own or name not in found:
                raise ValueError(f"{name} has no {kind} {'here' if name in found else 'in the state'}")
            if found[name].shape != own[name].shape:
                shapes = f"{tuple(found[name].shape)} in the state, {tuple(own[name].shape)} here"
                raise ValueError(f"{name}: the {kind} has shape {shapes}")

    def _mask(self, name: str) -> Tensor:
        """Give a mask where its weight is, which may have moved."""
        mask = self._masks[name] = self._masks[name].to(self._weights[name].parameter.device)
        return mask

    def _shadow(self, name: str) -> Tensor:
        values = self._weights[name].parameter.detach()
        return values.to(torch.promote_types(values.dtype, torch.float32), copy=True)

    def _dense(self, name: str) -> Tensor:
        """Give all weights, those that are pruned with what they have learnt since they were applied."""
        values, mask = self._weights[name].parameter.detach(), self._mask(name)
        if not self.regrow:
            return values.masked_fill(~mask, 0)
        shadow = self._shadows[name].to(values.device)
        return torch.where(mask, values, shadow + values)

    def _scores(self, name: str) -> npt.NDArray[np.float32]:
        """Give the scores that are compared, outputs first: what is pruned has 0, or its own if it may come back."""
        weight = self._weights[name]
        scores = self._scorer.scores(name, weight, self._dense(name))
        mask = weight.outputs_first(self._masks[name].cpu().numpy())
        if not self.regrow:
            return np.where(mask, np.where((scores >= 0) & (scores < LEAST), LEAST, scores), np.float32(0))
        return np.where(mask, scores * np.float32(1 + self.hysteresis), scores)

    @torch.no_grad()
    def _set(self, masks: dict[str, Tensor]) -> None:
        masks = {name: mask.to(self._weights[name].parameter.device) for name, mask in masks.items()}
        dense = {name: self._dense(name) for name in self._shadows}
        self._masks, self._shadows = masks, dense
        for name, weight in self._weights.items():
            if self.regrow:
                weight.parameter.copy_(dense[name])
            weight.parameter.masked_fill_(~masks[name], 0)
