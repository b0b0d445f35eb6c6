"""A model as a graph of operations with the shapes of their results."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn

__all__ = ["trace"]

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def trace(model: nn.Module, example_inputs: Any, leaves: frozenset[str]) -> fx.Graph:
    """Trace a model; ``node.meta["shape"]`` is the shape of a node's result, or None if that is no tensor.

    ``node.meta["length"]`` is how many axes a tensor has, or numbers a tuple.

    The model is run once on the example inputs, in eval mode, without gradients and without its hooks; modes and hooks
    are as before when this returns. Modules named in `leaves`, and those of `torch.nn`, are not looked into.

    Raises
    ------
    TypeError
        If the inputs do not fit the model's `forward`.
    ValueError
        If the model cannot be traced, or fails; the message names the module.
    """
    arguments = _arguments(model, example_inputs)
    given = set(_names(example_inputs, arguments))
    tracer = _Tracer(leaves)
    with _quiet(model):
        constants = {name: value for name, value in arguments.items() if name not in given}
        try:
            graph = tracer.trace(model, concrete_args=constants or None)
        except Exception as error:
            where = tracer.path[-1] if tracer.path else "model"
            raise ValueError(
                f"module {where!r} ({type(model.get_submodule(where if tracer.path else '')).__name__}) cannot be "
                f"traced by torch.fx: {error}; name it in ignore, and it is left as it is and not looked into"
            ) from error
        runner = _Shapes(fx.GraphModule(model, graph))
        try:
            runner.run(*arguments.values())
        except Exception as error:
            message = str(error).strip().split("\n")[0]
            raise ValueError(f"the model fails on example_inputs at {runner.at}: {message}") from error
    return graph


def _arguments(model: nn.Module, example_inputs: Any) -> dict[str, Any]:
    signature = inspect.signature(model.forward)
    if isinstance(example_inputs, Mapping):
        bound = signature.bind(**example_inputs)
    else:
        bound = signature.bind(*(example_inputs if isinstance(example_inputs, tuple) else (example_inputs,)))
    bound.apply_defaults()
    kinds = {signature.parameters[name].kind for name in bound.arguments}
    if kinds & {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}:
        raise ValueError(f"forward{signature} has *, ** or keyword-only parameters; named positional ones are accepted")
    return bound.arguments


def _names(example_inputs: Any, arguments: dict[str, Any]) -> list[str]:
    if isinstance(example_inputs, Mapping):
        return list(example_inputs)
    return list(arguments)[: len(example_inputs) if isinstance(example_inputs, tuple) else 1]


class _Tracer(fx.Tracer):
    """Keeps the path of the module that is being traced."""

    def __init__(self, leaves: frozenset[str]) -> None:
        super().__init__()
        self.leaves = leaves
        self.path: list[str] = []

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return module_qualified_name in self.leaves or super().is_leaf_module(m, module_qualified_name)

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        self.path.append(self.path_of_module(m))
        result = super().call_module(m, forward, args, kwargs)
        self.path.pop()  # not after an error: the path then says where
        return result


class _Shapes(fx.Interpreter):
    """Runs a graph and notes the shapes."""

    at = "its first operation"

    def run_node(self, n: fx.Node) -> Any:
        self.at = f"{n.op} {n.target!r}"
        result = super().run_node(n)
        n.meta["shape"] = tuple(result.shape) if isinstance(result, Tensor) else None
        n.meta["length"] = (
            result.ndim if isinstance(result, Tensor) else len(result) if isinstance(result, tuple) else 0
        )
        n.meta["tensors"] = any(isinstance(leaf, Tensor) for leaf in torch.utils._pytree.tree_leaves(result))
        return result


@contextmanager
def _quiet(model: nn.Module) -> Iterator[None]:
    """Keep hooks from being called and modules from learning, and the constants that `torch.fx` adds from staying."""
    modules = list(model.modules())
    attributes, modes = set(vars(model)), [module.training for module in modules]
    hooks = [{name: getattr(module, name) for name in _HOOKS if hasattr(module, name)} for module in modules]
    try:
        model.eval()
        for module, theirs in zip(modules, hooks, strict=True):
            for name, registered in theirs.items():
                setattr(module, name, type(registered)())
        with torch.no_grad():
            yield
    finally:
        for name in vars(model).keys() - attributes:
            delattr(model, name)
        for module, mode, theirs in zip(modules, modes, hooks, strict=True):
            module.training = mode
            for name, registered in theirs.items():
                setattr(module, name, registered)
