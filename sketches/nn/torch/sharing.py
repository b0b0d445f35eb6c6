"""A model that trains with shared weights: a layer's weight is a codebook, which learns, and indices, which do not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.parameter import UninitializedParameter
from torch.nn.utils import parametrize

from sketches.nn.compression.codebook import check_shared
from sketches.nn.compression.shared import SharedWeights
from sketches.nn.compression.sharing import share_weights
from sketches.nn.torch.weights import array, find_weights

__all__ = ["load_shared_", "share_", "shared_places", "shared_weights", "unshare_"]

SHARED = (nn.Linear, _ConvNd, nn.MultiheadAttention, nn.Embedding, nn.EmbeddingBag)


def share_(
    model: nn.Module,
    bits: int | None = None,
    *,
    entries: int | None = None,
    modules: Any = None,
    start: str = "optimal",
    seed: int = 0,
) -> dict[str, SharedWeights]:
    """Let the weights of a model's layers share few values, in place; training then changes these values only.

    Each chosen weight becomes ``codebook[indices]`` by a parametrization (`torch.nn.utils.parametrize`) whose only
    parameter is the codebook, so that its gradient is the sum of its weights' gradients, in float32 at least. Weights
    that are zero stay exactly zero, under any optimizer: they have no entry that could learn. Call it with other
    `modules` again where layers shall have other bits.

    Parameters
    ----------
    model
        The model, on any devices, in any floating point precision.
    bits, entries, start, seed
        As for `sketches.nn.share_weights`.
    modules
        Which modules, as in `sketches.nn.Pruner`; None: linear layers, convolutions, attention and embeddings. Of each,
        the parameters of two or more axes are shared, not biases. Tied weights share one codebook, and stay tied.

    Returns
    -------
    dict
        What `shared_weights` gives.

    Raises
    ------
    TypeError, ValueError
        If an argument is not accepted, there is no weight to share, a weight is not finite, or an embedding has sparse
        gradients; the message names the parameter, and the model stays as it was.

    Notes
    -----
    The parameter objects stay, but have other shapes: an optimizer without a state goes on as it is; make one that has
    momentum anew. Call ``Pruner.remove()`` before. Indices take 1 byte a weight (2 for more than 256 entries), also in
    ``state_dict()``, which is what can be saved: PyTorch pickles no module that has parametrizations. It is loaded into
    a model whose layers were shared by as many entries, whatever their weights.

    Examples
    --------
    >>> model = nn.Linear(20, 30, bias=False)
    >>> shared = share_(model, bits=2)
    >>> model.weight.unique().numel(), sum(p.numel() for p in model.parameters())
    (4, 4)
    >>> model(torch.ones(1, 20)).sum().backward()
    >>> model.parametrizations.weight.original.grad.sum()  # 600 weights, each with the gradient 1
    tensor(600.)
    """
    found = _find(model, modules)
    shared = {}
    for name, parameter in found.items():
        try:
            shared[name] = share_weights(array(parameter), bits, entries=entries, start=start, seed=seed)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    for name, parameter in found.items():
        _share(model, parameter, shared[name])
    return shared_weights(model)


def load_shared_(model: nn.Module, shared: Mapping[str, SharedWeights], *, trained: bool = True) -> None:
    """Set the weights of a model to shared ones, in place; their codebooks are what training changes.

    Parameters
    ----------
    model
        The model.
    shared
        By the name of a parameter, such as ``"fc1.weight"``, as `share_`, `shared_weights` and
        ``BloomierWeights.shared()`` give them. A weight that is shared already is replaced.
    trained
        Whether codebooks are trained. If not, these weights are fixed, as those of a layer whose code is final are
        while later layers learn to make up for its errors (Reagen et al. 2018).

    Raises
    ------
    TypeError, ValueError
        If a name is none of a parameter of two or more axes, shapes differ, or an index is beyond its codebook, as
        `SharedWeights` describes these; the model stays as it was.
    """
    present, own = _shared(model), dict(model.named_parameters())
    for name, weights in shared.items():
        if not isinstance(weights, SharedWeights):
            raise TypeError(f"{name}: it is of type {type(weights).__name__}; SharedWeights are accepted")
        if name not in present:
            if name not in own or not _has_axes(own[name]):
                raise ValueError(f"shared: {name!r} is no weight of {type(model).__name__} that can be shared")
            _check(model, name, own[name])
        shape = tuple((present[name].codebook.indices if name in present else own[name]).shape)
        if weights.indices.shape != shape:
            raise ValueError(f"{name}: indices have shape {weights.indices.shape}; {shape} is accepted")
        try:
            check_shared(weights)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{name}: {error}") from error
    unshare_(model, [name for name in shared if name in present])
    for name, weights in shared.items():
        parameter = present[name].parameter if name in present else own[name]
        _share(model, parameter, weights)
        parameter.requires_grad_(trained)


def shared_weights(model: nn.Module) -> dict[str, SharedWeights]:
    """Give the weights of a model that are shared, with the codebooks as they are now, by the parameter's name.

    A tied weight is given once, by its first name.
    """
    return {name: place.weights() for name, place in _shared(model).items()}


def unshare_(model: nn.Module, names: str | Iterable[str] | None = None) -> None:
    """Make the shared weights of a model ordinary parameters again, with the values that they have, in place.

    Parameters
    ----------
    model
        The model.
    names
        A name as `shared_weights` gives it, or an iterable of these; None: all.

    Raises
    ------
    ValueError
        If a name is none of them; the model stays as it was.

    Notes
    -----
    In ``module.parameters()`` these come last, as PyTorch's own ``remove_parametrizations`` leaves them.
    """
    present = _shared(model)
    chosen = list(present) if names is None else [names] if isinstance(names, str) else list(names)
    for name in chosen:
        if name not in present:
            raise ValueError(f"names: {name!r} is no shared weight; {', '.join(present) or 'there are none'}")
    for name in chosen:
        parameter = present[name].parameter
        first = True
        for module in list(model.modules()):
            for attribute, parts in _parametrizations(module):
                if parts.original is parameter:
                    _own_class(module)
                    parametrize.remove_parametrizations(module, attribute, leave_parametrized=first)
                    first = False
        parameter.grad = None


class _Codebook(nn.Module):
    """The parametrization: from a codebook to weights, and from weights to the codebook that is nearest to them."""

    indices: Tensor

    def __init__(self, shared: SharedWeights, device: torch.device) -> None:
        super().__init__()
        entries = len(shared.codebook)
        dtype = torch.uint8 if entries <= 256 else torch.int16 if entries <= 2**15 else torch.int32
        indices = torch.from_numpy(shared.indices.astype(np.int32)).to(device, dtype)
        self.register_buffer("indices", indices)
        self.sparse, self.trained = bool(shared.sparse), entries - bool(shared.sparse)

    def forward(self, codebook: Tensor) -> Tensor:
        weights = self.entries(codebook).index_select(0, self.indices.reshape(-1).int())
        return weights.view(self.indices.shape).to(codebook.dtype)

    def entries(self, codebook: Tensor) -> Tensor:
        """Give all entries, at least as float32, so that their gradients are added up with so many digits."""
        wide = codebook.to(torch.promote_types(codebook.dtype, torch.float32))
        return torch.cat([wide.new_zeros(1), wide]) if self.sparse else wide

    def right_inverse(self, weights: Tensor) -> Tensor:
        if weights.ndim == 1:
            return weights  # a codebook, of a weight that is tied to one that is shared already
        places, wide = self.indices.reshape(-1).int(), weights.reshape(-1).to(torch.float32)
        size = self.trained + self.sparse
        sums, counts = (wide.new_zeros(size).index_add(0, places, part) for part in (wide, torch.ones_like(wide)))
        return (sums / counts.clamp(min=1))[int(self.sparse) :].to(weights.dtype)

    def get_extra_state(self) -> Tensor:
        """Give what is saved beside the indices: whether index 0 is the zero of pruned weights."""
        return torch.tensor(self.sparse, device="cpu")

    def set_extra_state(self, state: Tensor) -> None:
        """Do nothing: `_load_from_state_dict` has taken it."""

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *others: Any) -> None:
        """Take weights that were pruned where these were not, or the reverse: of as many trained entries."""
        sparse, indices = (state_dict.get(prefix + key) for key in ("_extra_state", "indices"))
        if isinstance(sparse, Tensor) and isinstance(indices, Tensor) and indices.shape == self.indices.shape:
            self.sparse, self.indices = bool(sparse), self.indices.to(indices.dtype)
        super()._load_from_state_dict(state_dict, prefix, *others)


@dataclass(frozen=True)
class _Place:
    """A weight that is shared: the parametrization, and the parameter that is its codebook."""

    codebook: _Codebook
    parameter: nn.Parameter

    def weights(self) -> SharedWeights:
        codebook = array(self.codebook.entries(self.parameter)).copy()
        dtype: type[np.uint8 | np.uint16] = np.uint8 if len(codebook) <= 256 else np.uint16
        indices: npt.NDArray[Any] = self.codebook.indices.cpu().numpy().astype(dtype)
        return SharedWeights(indices, codebook, self.codebook.sparse)


def shared_places(model: nn.Module) -> dict[str, _Place]:
    """Give the weights that are shared, and by nothing else changed, by name; those that are tied by each name."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is {model!r}; a torch.nn.Module is accepted")
    return {
        f"{layer}.{attribute}" if layer else attribute: _Place(parts[0], parts.original)
        for layer, module in model.named_modules(remove_duplicate=False)
        for attribute, parts in _parametrizations(module)
    }


def _find(model: nn.Module, modules: Any) -> dict[str, nn.Parameter]:
    """Give the weights to share by name, or raise an error that names the one that cannot be."""
    if modules is None and isinstance(model, nn.Module):
        modules = [kind for kind in SHARED if any(isinstance(module, kind) for module in model.modules())] or nn.Linear
    found = {name: weight.parameter for name, weight in find_weights(model, modules).items()}
    for name, parameter in found.items():
        _check(model, name, parameter)
    return found


def _check(model: nn.Module, name: str, parameter: nn.Parameter) -> None:
    if parameter.is_meta:
        raise ValueError(f"{name} has no values: it is on the device meta")
    if any(getattr(module, "sparse", False) for module, _ in _places(model, parameter)):
        raise ValueError(f"{name}: an embedding with sparse gradients (sparse=True) cannot be shared")


def _has_axes(parameter: nn.Parameter) -> bool:
    return not isinstance(parameter, UninitializedParameter) and parameter.ndim >= 2 and parameter.is_floating_point()


def _share(model: nn.Module, parameter: nn.Parameter, shared: SharedWeights) -> None:
    """Replace a parameter, wherever it is, by a codebook and indices."""
    codebook = _Codebook(shared, parameter.device)
    for module, attribute in _places(model, parameter):
        parametrize.register_parametrization(module, attribute, codebook, unsafe=True)
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(shared.codebook[int(shared.sparse) :]))
    parameter.grad = None


def _places(model: nn.Module, parameter: nn.Parameter) -> list[tuple[nn.Module, str]]:
    return [
        (module, attribute)
        for module in model.modules()
        for attribute, own in module.named_parameters(recurse=False, remove_duplicate=False)
        if own is parameter
    ]


def _parametrizations(module: nn.Module) -> list[tuple[str, Any]]:
    """Give the attributes of a module that are shared, and the lists of their one parametrization."""
    if not parametrize.is_parametrized(module):
        return []
    lists: Any = module.parametrizations
    return [(name, parts) for name, parts in lists.items() if len(parts) == 1 and isinstance(parts[0], _Codebook)]


def _shared(model: nn.Module) -> dict[str, _Place]:
    """Give the weights that are shared by name; those that are tied once, by the first name."""
    places = shared_places(model)
    first = {place.parameter: name for name, place in reversed(places.items())}
    return {name: place for name, place in places.items() if first[place.parameter] == name}


def _own_class(module: nn.Module) -> None:
    """Give a module a class of its own: one that was copied has that of the original, which would lose its property."""
    kind = type(module)
    parts = {name: part for name, part in vars(kind).items() if name not in ("__dict__", "__weakref__")}
    module.__class__ = type(kind.__name__, kind.__bases__, parts)
