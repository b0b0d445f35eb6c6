"""Which weights of a model are pruned, and how their arrays lie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.parameter import UninitializedParameter

from sketches.nn.torch.modules import choose_modules

__all__ = ["Weight", "array", "find_weights"]

PRUNED = (nn.Linear, _ConvNd, nn.MultiheadAttention)


@dataclass(frozen=True)
class Weight:
    """Where a weight is: the name of its module's layer, the module, and the name of its parameter there."""

    layer: str
    module: nn.Module
    attribute: str

    @property
    def parameter(self) -> nn.Parameter:
        """The parameter, as the module has it now."""
        found: nn.Parameter = getattr(self.module, self.attribute)
        return found

    @property
    def groups(self) -> int:
        """How many groups the outputs and inputs of a convolution fall into."""
        return int(self.module.groups) if isinstance(self.module, _ConvNd) else 1

    def outputs_first(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Swap the axes of a transposed convolution, (inputs, outputs / groups, …), or swap them back."""
        if not isinstance(self.module, _ConvTransposeNd):
            return values
        first, second, *places = values.shape
        grouped = values.reshape(self.groups, first // self.groups, second, *places).swapaxes(1, 2)
        return grouped.reshape(self.groups * second, first // self.groups, *places)


def find_weights(model: nn.Module, modules: Any = None) -> dict[str, Weight]:
    """Give the weights to prune, by the name of their parameter; one that is tied is given once, by its first name.

    Parameters
    ----------
    model
        The model.
    modules
        Which modules, as in `choose_modules`; None: linear layers, convolutions and attention.

    Raises
    ------
    TypeError, ValueError
        As `choose_modules`; and if there is no weight, or one has no shape yet.
    """
    chosen = choose_modules(model, nn.Module if modules is None else modules)
    names = {id(parameter): name for name, parameter in reversed(list(model.named_parameters(remove_duplicate=False)))}
    found: dict[int, Weight] = {}
    for layer, module in chosen.items():
        if modules is None and not isinstance(module, PRUNED):
            continue
        for attribute, parameter in _own(module):
            if isinstance(parameter, UninitializedParameter):
                raise ValueError(f"{names[id(parameter)]} has no shape yet; run a batch through the model first")
            if parameter.ndim >= 2 and parameter.is_floating_point():
                found.setdefault(id(parameter), Weight(layer, module, attribute))
    if not found:
        which = "linear layer, convolution or attention" if modules is None else f"module among {modules!r}"
        raise ValueError(f"modules: no {which} of {type(model).__name__} has a weight of two or more axes of its own")
    return {names[key]: weight for key, weight in found.items()}


def array(tensor: Tensor) -> npt.NDArray[np.float32]:
    """Give the values of a tensor on any device as float32."""
    found: npt.NDArray[np.float32] = tensor.detach().to("cpu", torch.float32).numpy()
    return found


def _own(module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    return module.named_parameters(recurse=False)
