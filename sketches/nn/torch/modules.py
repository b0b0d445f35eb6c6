"""Which modules of a model are meant: all that compute, or those of a type, a name, a pattern."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

__all__ = ["ROOT", "choose_modules"]

ROOT = "model"  # the name of the model itself, which PyTorch calls ""


def choose_modules(model: nn.Module, modules: Any = None) -> dict[str, nn.Module]:
    """Give the chosen modules by name, in the order of registration; each once, by the first of its names.

    Parameters
    ----------
    model
        The root; its own name is ``"model"``.
    modules
        None: all without submodules, and `torch.nn.MultiheadAttention`, which never calls its own. A type; a name or
        a pattern of names as `fnmatch` has it (``"encoder.*.fc?"``; `*` matches dots, too; the model itself is only
        meant by its name, if no submodule has it); an iterable that mixes these.

    Raises
    ------
    TypeError, ValueError
        If `model` is no module, `modules` is none of these, or one of them matches nothing.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is {model!r}; a torch.nn.Module is accepted")
    names: dict[str, nn.Module] = {name or ROOT: module for name, module in model.named_modules(remove_duplicate=False)}
    if modules is None:
        return _first_names({name: module for name, module in names.items() if _computes(name, module)})
    found: set[nn.Module] = set()
    for choice in _choices(modules):
        matches = [module for name, module in names.items() if _matches(choice, name, module, module is model)]
        if not matches:
            kind = "type" if isinstance(choice, type) else "name or pattern"
            raise ValueError(f"modules: the {kind} {choice!r} matches no module of {type(model).__name__}")
        found.update(matches)
    return _first_names({name: module for name, module in names.items() if module in found})


def _choices(modules: Any) -> list[Any]:
    single = isinstance(modules, (str, type))
    choices = [modules] if single else list(modules) if isinstance(modules, Iterable) else []
    for choice in choices or [modules]:
        if not isinstance(choice, str) and not (isinstance(choice, type) and issubclass(choice, nn.Module)):
            raise TypeError(f"modules: {choice!r} is neither a type of module nor a name or pattern (str)")
    return choices


def _matches(choice: Any, name: str, module: nn.Module, is_root: bool) -> bool:
    if isinstance(choice, type):
        return isinstance(module, choice)
    return bool(choice == name or (not is_root and fnmatchcase(name, choice)))


def _computes(name: str, module: nn.Module) -> bool:
    """Tell whether a module has no submodules but those that reparametrise its weights, and is none of those."""
    if "parametrizations" in name.split(".") or isinstance(module, _UNCALLED):
        return False
    return isinstance(module, nn.MultiheadAttention) or all(
        child == "parametrizations" for child, _ in module.named_children()
    )


_UNCALLED = nn.modules.linear.NonDynamicallyQuantizableLinear  # of MultiheadAttention


def _first_names(names: dict[str, nn.Module]) -> dict[str, nn.Module]:
    first = {id(module): name for name, module in reversed(names.items())}
    return {name: module for name, module in names.items() if first[id(module)] == name}
