"""What do the layers of a PyTorch model do while it runs? Hooks feed their activations to `StreamingStatistics`.

Hooks are called between a module and the next, so that an in-place module has not yet overwritten what it is given.
Gradients are taken by hooks of the output tensors: hooks of modules' backward passes break models that have in-place
modules.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from numbers import Real
from threading import Lock
from typing import Any
from zlib import crc32

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from sketches.core import bounds
from sketches.nn.statistics.streaming import StreamingStatistics
from sketches.nn.torch.modules import choose_modules
from sketches.nn.torch.reduce import reduce_batch
from sketches.nn.torch.tensors import is_activation, named_tensors, readable_array
from sketches.nn.torch.units import Guide, arranged, guides, saturation_limits

__all__ = ["watch"]

KINDS = ("outputs", "inputs", "gradients")


def watch(
    model: nn.Module,
    *,
    modules: Any = None,
    what: str | Collection[str] = "outputs",
    every: int = 1,
    share: float = 1.0,
    statistics: StreamingStatistics | None = None,
    seed: int = 0,
) -> AbstractContextManager[StreamingStatistics]:
    """Observe what modules of a model give, take, or get back as gradients, for as long as a block lasts.

    The model computes the same, bit by bit; no activation is kept; all hooks are gone when the block ends, also by an
    error. Of tensors elsewhere than on the CPU only reductions are copied, with one synchronisation a tensor.

    Layers are named after modules: ``"encoder.fc1"`` is what the module of that name gives, ``"encoder.fc1:input"``
    what it takes first, ``"encoder.fc1:gradient"`` the gradient of what it gives; ``"model"`` is the model itself.
    Where a module gives or takes not one tensor but a structure, index or key follow in brackets: ``"lstm[0]"``,
    ``"lstm[1.0]"``, ``"bert[logits]"``, ``"attention:input[1]"``. A module that is called several times, or has
    several names, is one layer, by its first name; where it has another width than at first, as a ReLU that blocks
    of several widths share, that is another layer, ``"relu (128 units)"``. A module that is never called has no layer.

    Parameters
    ----------
    model
        A module in any mode, dtype and on any devices.
    modules
        Which of its modules. None: all without submodules. A type, a name, a pattern (``"encoder.*.fc?"``), or an
        iterable of these.
    what
        "outputs", "inputs", "gradients", or several of these.
    every
        Observe only the first of each `every` calls of a module, counted for each kind.
    share
        Observe each time only this share of the batch, elements chosen at random: each with the same probability,
        whatever its values, so that means and shares are unbiased. Batch elements are the slices along the first
        dimension. Sampled or not, counts and bounds of the statistics are those of what was observed.
    statistics
        Statistics to go on with; None: new ones.
    seed
        Of the choice of batch elements: the same calls of a module observe the same ones again.

    Yields
    ------
    StreamingStatistics
        The statistics, which may be read at any time.

    Raises
    ------
    TypeError, ValueError
        For arguments of other types or ranges, modules that match nothing, a module made by ``torch.jit`` (which runs
        without hooks).

    Notes
    -----
    Units are the channels of convolutions and normalisations of them, whatever the memory format, each place a sample;
    the last axis of linear, embedding, recurrent and attention modules; activation functions and the like follow the
    last such module registered before them, if the size fits; else tensors from four dimensions on have units at axis
    1, others at the last.

    `limits` of saturation are given for the outputs of Sigmoid (0.05, 0.95), Tanh (-0.95, 0.95), Hardtanh, ReLU6 and
    Hardsigmoid (their ends).

    Tensors of integers, bools, complex or quantised numbers, sparse and nested tensors are passed over, and so
    are tensors inside `torch.func` transforms and `torch.export`, which hold no values, the weights that
    `torch.nn.MultiheadAttention` gives, and repetitions of a forward pass by activation checkpoints. Compiled
    models run uncompiled inside the block (from PyTorch 2.6 on; older ones leave hooks out of what they have
    compiled before), and attention without the fused inference path, which leaves hooks out, too: rounding may
    then differ, and `torch.nn.TransformerEncoder` gives no zeros for padding, as its fused path does.

    On the CPU tensors are read in place. Of tensors on other devices `sketches.nn.torch.reduce.reduce_batch` makes a
    `Reduction` there, whose counts, bins and patterns are the same as on the CPU.

    Examples
    --------
    Of the inputs 0 to 9 to a unit that gives x - 5, the four above 5 make it fire:

    >>> import torch
    >>> from sketches.nn import watch
    >>> model = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.ReLU())
    >>> _ = model.requires_grad_(False)[0].weight.fill_(1), model[0].bias.fill_(-5)
    >>> with watch(model) as statistics:
    ...     _ = model(torch.arange(10.0).reshape(10, 1))
    >>> statistics.layers
    ('0', '1')
    >>> statistics.summary("1").samples, statistics.summary("1").fires.tolist()
    (10, [0.4])
    """
    chosen = choose_modules(model, modules)
    kinds = (what,) if isinstance(what, str) else tuple(what)
    if not kinds or any(kind not in KINDS for kind in kinds):
        raise ValueError(f"what is {what!r}; 'outputs', 'inputs', 'gradients' or several of these are accepted")
    every = bounds.check_integer("every", every, 1, 2**63 - 1)
    if isinstance(share, bool) or not isinstance(share, Real):
        raise TypeError(f"share is {share!r}; a number in (0, 1] is accepted")
    if not 0 < share <= 1:
        raise ValueError(f"share is {share}; a number in (0, 1] is accepted")
    seed = bounds.check_integer("seed", seed, 0, 2**64 - 1)
    if statistics is not None and not isinstance(statistics, StreamingStatistics):
        raise TypeError(f"statistics is {statistics!r}; StreamingStatistics or None is accepted")
    for name, module in chosen.items():
        if isinstance(module, torch.jit.ScriptModule):
            raise TypeError(f"module {name!r} was made by torch.jit, which runs without hooks; watch the original")
    feed = _Feed(StreamingStatistics() if statistics is None else statistics, every, float(share), seed)
    return _watching(model, chosen, frozenset(kinds), feed)


@contextmanager
def _watching(
    model: nn.Module, chosen: dict[str, nn.Module], kinds: frozenset[str], feed: _Feed
) -> Iterator[StreamingStatistics]:
    guide_of = guides(model)
    with ExitStack() as stack:
        stack.enter_context(_hooks_called(model))
        for name, module in chosen.items():
            hooks = _Hooks(feed, name, guide_of[module], kinds)
            if "inputs" in kinds:
                stack.callback(module.register_forward_pre_hook(hooks.before, with_kwargs=True).remove)
            if kinds - {"inputs"}:
                stack.callback(module.register_forward_hook(hooks.after).remove)
            stack.callback(hooks.end)
        yield feed.statistics


@contextmanager
def _hooks_called(model: nn.Module) -> Iterator[None]:
    """Keep PyTorch from the ways of running modules that leave hooks out."""
    with ExitStack() as stack:
        if "torch._dynamo" in sys.modules and hasattr(torch.compiler, "set_stance"):  # torch >= 2.6
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        fused = nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerEncoder
        mha = torch.backends.mha
        if mha.get_fastpath_enabled() and any(isinstance(module, fused) for module in model.modules()):
            stack.callback(mha.set_fastpath_enabled, True)
            mha.set_fastpath_enabled(False)
        yield


class _Feed:
    """What goes from hooks, in any thread, into the statistics."""

    def __init__(self, statistics: StreamingStatistics, every: int, share: float, seed: int) -> None:
        self.statistics = statistics
        self._every, self._share, self._seed = every, share, seed
        self._calls: dict[tuple[str, str], int] = {}
        self._random: dict[str, np.random.Generator] = {}
        self._lock = Lock()

    def is_due(self, name: str, kind: str) -> bool:
        """Count a call of a module, and tell whether it is to be observed."""
        with self._lock:
            calls = self._calls.get((name, kind), 0)
            self._calls[name, kind] = calls + 1
        return calls % self._every == 0

    def take(self, layer: str, module: nn.Module, guide: Guide | None, tensor: Tensor, limits: Any = None) -> None:
        """Observe a tensor, if it is one of activations."""
        if not is_activation(tensor):
            return
        rows, axis = arranged(module, guide, tensor.detach())
        with self._lock:
            layer = self._of_width(layer, rows.shape[axis])
            rows = self._sampled(layer, rows)
            if not rows.shape[axis] or (not len(rows) and self._share < 1):
                return
            if not rows.numel():
                rows = rows[:0]  # an image without places is no sample, but its layer was called
            if _is_elsewhere(rows):
                self.statistics.absorb(layer, reduce_batch(rows, axis, limits), limits=limits)
            else:
                self.statistics.observe(layer, readable_array(rows), axis=axis, limits=limits)

    def _of_width(self, layer: str, units: int) -> str:
        """Give the name of a layer of so many units: the first width that a module has goes without saying."""
        known = self.statistics.units(layer)
        return layer if known in (None, units) else f"{layer} ({units} units)"

    def _sampled(self, layer: str, rows: Tensor) -> Tensor:
        """Choose floor(share * n + u) of n batch elements, u uniform in [0, 1)."""
        if self._share == 1:
            return rows
        if layer not in self._random:
            self._random[layer] = np.random.default_rng([self._seed, crc32(layer.encode("utf-8", "surrogatepass"))])
        random = self._random[layer]
        size = int(self._share * len(rows) + random.random())
        chosen = np.sort(random.choice(len(rows), min(size, len(rows)), replace=False, shuffle=False))
        return rows[torch.from_numpy(chosen).to(rows.device, non_blocking=True)]


def _is_elsewhere(tensor: Tensor) -> bool:
    return tensor.device.type != "cpu"


class _Hooks:
    """The hooks of one module. Copies, as of a model that is copied or pickled while it is watched, do nothing."""

    def __init__(
        self,
        feed: _Feed | None = None,
        name: str = "",
        guide: Guide | None = None,
        kinds: frozenset[str] = frozenset(),
    ) -> None:
        self.feed, self.name, self.guide, self.kinds = feed, name, guide, kinds
        self._leaves: Any = WeakTensorKeyDictionary()  # of a tensor that outlives its graph, the handles of its hooks

    def __reduce__(self) -> Any:
        return _Hooks, ()

    def before(self, module: nn.Module, positional: tuple[Any, ...], named: dict[str, Any]) -> None:
        """Observe inputs."""
        feed = self.feed
        if feed is None or _is_repeated() or not feed.is_due(self.name, "inputs"):
            return
        for path, tensor in named_tensors({**dict(enumerate(positional)), **named}):
            layer = f"{self.name}:input" if path == "0" else f"{self.name}:input[{path}]"
            feed.take(layer, module, self.guide, tensor)

    def after(self, module: nn.Module, positional: tuple[Any, ...], outputs: Any) -> None:
        """Observe outputs, and prepare to observe their gradients."""
        feed = self.feed
        if feed is None:
            return
        observed = "outputs" in self.kinds and not _is_repeated() and feed.is_due(self.name, "outputs")
        if not observed and "gradients" not in self.kinds:
            return
        limits = saturation_limits(module)
        for path, tensor in named_tensors(outputs):
            if path == "1" and isinstance(module, nn.MultiheadAttention):
                continue  # attention weights: their last axis are positions, as many as the sequence has
            place = f"[{path}]" if path else ""
            if observed:
                feed.take(f"{self.name}{place}", module, self.guide, tensor, limits)
            if "gradients" in self.kinds and tensor.requires_grad:
                self._await(f"{self.name}:gradient{place}", module, tensor)

    def _await(self, layer: str, module: nn.Module, tensor: Tensor) -> None:
        """Register a hook for the gradient of an output; once, if it stays for the next call, as a parameter."""
        handles = self._leaves.setdefault(tensor, {}) if tensor.is_leaf else {}
        if layer not in handles:
            handles[layer] = tensor.register_hook(partial(self.back, layer, module))  # type: ignore[no-untyped-call]

    def end(self) -> None:
        """Observe nothing more, and remove hooks of tensors that stay."""
        self.feed = None
        for handles in list(self._leaves.values()):
            for handle in handles.values():
                handle.remove()
        self._leaves.clear()

    def back(self, layer: str, module: nn.Module, gradient: Tensor) -> None:
        """Observe a gradient."""
        feed = self.feed
        if feed is not None and feed.is_due(layer, "gradients"):
            feed.take(layer, module, self.guide, gradient)


def _is_repeated() -> bool:
    """Tell whether a backward pass runs the module again, for an activation checkpoint."""
    return torch._C._current_graph_task_id() != -1
