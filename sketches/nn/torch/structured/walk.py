"""Units on their way through a model's graph.

Every result that has units carries an axis and the unit of each position along it. A layer that makes units gives new
ones; one that takes them in notes them as its columns; a sum ties the units of its terms; reshaping and concatenation
carry them along. What is unknown, or would need another size than it is written with, freezes them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
from torch import fx, nn

from sketches.nn.pruning.unit_ties import Ties
from sketches.nn.torch.structured import coupling_rules as rules
from sketches.nn.torch.structured.axes import Integers, Units, flat, indexed, moved, operation, reshaped, sized

__all__ = ["Walk"]


class Walk:
    """Takes the nodes of a graph in order; `ties` is what it finds."""

    def __init__(self, modules: dict[str, nn.Module], ignore: Collection[str], depthwise: Collection[str]) -> None:
        self.modules = modules
        self.ignore = ignore
        self.depthwise = depthwise
        self.names = {id(module): name for name, module in modules.items()}
        self.ties = Ties()
        self.values: dict[fx.Node, Units | None] = {}
        self.sizes: dict[fx.Node, Units] = {}  # numbers and shapes that depend on how many units there are
        self.multiply_adds: dict[str, int] = {}
        self.opaque: set[str] = set()  # modules whose weights are used in unknown ways

    def step(self, node: fx.Node) -> None:
        """Take the next node."""
        if node.op == "output":
            self.block(node, "the model's output has them")
        elif node.op == "get_attr":
            owner = self.modules[""].get_submodule(str(node.target).rpartition(".")[0])
            self.opaque.add(self.names[id(owner)])
        elif node.op == "call_module":
            self.values[node] = self.module(node, str(node.target))
        elif node.op in ("call_function", "call_method") and node.meta["tensors"]:
            self.values[node] = self.function(node, operation(node))
        elif node.op in ("call_function", "call_method"):
            self.size(node, operation(node))

    def block(self, node: fx.Node, reason: str) -> None:
        """Freeze all that goes into a node."""
        for known in (self.values, self.sizes):
            for value in map(known.get, node.all_input_nodes):
                if value is not None:
                    self.ties.freeze(value.units, reason)

    def size(self, node: fx.Node, name: str) -> None:
        """Note which units a number or a shape counts."""
        index = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
        for source in node.all_input_nodes:
            of_tensor = name in ("size", "numel", "nelement") or index == "shape"
            value = self.values.get(source) if of_tensor else self.sizes.get(source)
            value = value and sized(name, value, source.meta["length"], index)
            if value is not None:
                before = [self.sizes[node].units] if node in self.sizes else []
                self.sizes[node] = Units(value.axis, np.concatenate([*before, value.units]))

    def first(self, node: fx.Node) -> Units | None:
        """Give the units of the first argument, if the only ones."""
        first = node.args[0] if node.args else node.kwargs.get("input")
        value = self.values.get(first) if isinstance(first, fx.Node) else None
        others = [other for other in node.all_input_nodes if other is not first and self.values.get(other) is not None]
        return None if others else value

    def module(self, node: fx.Node, name: str) -> Units | None:
        """Give the units of a module's result."""
        module: Any = self.modules[name]
        value, shape, kind = self.first(node), node.meta["shape"], type(module)
        single = len(node.all_input_nodes) == 1 and shape is not None
        if name not in self.ignore and single and rules.is_plain(module):
            if isinstance(module, nn.Linear | nn.Embedding):
                return self.dense(node, name, module, value)
            if kind in rules.CONVOLUTIONS:
                return self.convolution(node, name, module, value, len(shape) - 1 - rules.CONVOLUTIONS[kind])
            if kind in rules.ELEMENTWISE_MODULES or (kind is nn.PReLU and module.num_parameters == 1):
                return value
            channels = len(shape) - 1 - int(kind.__name__[-2]) if kind in rules.INSTANCE_NORMS else 1
            if kind in rules.CHANNELWISE_MODULES and (value is None or value.axis == channels):
                self.ties.put(name, "along", None if value is None else value.units)
                return value
            if value is not None:
                if kind in rules.PLACEWISE_MODULES and value.axis == len(shape) - 1 - rules.PLACEWISE_MODULES[kind]:
                    return value
                if kind is nn.Flatten:
                    return self.reshape(node, value, ())
                if kind in rules.NORMS and value.axis < len(shape) - len(module.normalized_shape):
                    return value
        self.block(node, f"{name!r} ({kind.__name__}) takes them in")
        self.opaque.update(self.names[id(inner)] for inner in module.modules())
        if name not in self.ignore:
            self.transformer_layers(node, name)
        return None

    def dense(self, node: fx.Node, name: str, module: Any, value: Units | None) -> Units:
        """Follow units into and out of a linear or embedding layer."""
        shape = node.meta["shape"]
        if value is not None and (isinstance(module, nn.Embedding) or value.axis != len(shape) - 1):
            self.ties.freeze(value.units, f"{name!r} keeps them as places")
            value = None
        if isinstance(module, nn.Linear):
            self.ties.put(name, "in", None if value is None else value.units)
            self.count(name, math.prod(shape) * module.in_features)
        made = self.ties.made(name, shape[-1])
        if isinstance(module, nn.Embedding) and module.max_norm is not None:
            self.ties.freeze(made, f"{name!r} limits their norm")
        return Units(len(shape) - 1, made)

    def convolution(self, node: fx.Node, name: str, module: Any, value: Units | None, axis: int) -> Units:
        """Follow units into and out of a convolution with channels along an axis."""
        groups, inputs, outputs = module.groups, module.in_channels, module.out_channels
        self.count(name, math.prod(node.meta["shape"]) * inputs // groups * math.prod(module.kernel_size))
        if value is not None and value.axis != axis:
            self.ties.freeze(value.units, f"{name!r} does not take them as channels")
            value = None
        if name in self.depthwise:  # channel i makes outputs of i alone
            if value is None:
                self.ties.put(name, "along", None)
                made = self.ties.made(name, outputs)
                self.ties.freeze(made, f"{name!r} is depthwise on what has no units")
                return Units(axis, made)
            units = np.repeat(value.units, outputs // groups)
            self.ties.put(name, "along", units)
            return Units(axis, units)
        if value is not None and groups > 1:  # all groups stay, and stay equally wide
            columns = value.units.reshape(groups, -1)
            for others in columns[1:]:
                self.ties.tie(columns[0], others)
        self.ties.put(name, "in", None if value is None else value.units)
        return Units(axis, self.ties.made(name, outputs, groups))

    def count(self, name: str, multiply_adds: int) -> None:
        """Add to a layer's multiply-adds."""
        self.multiply_adds[name] = self.multiply_adds.get(name, 0) + multiply_adds

    def transformer_layers(self, node: fx.Node, name: str) -> None:
        """Follow the units between the two linear layers of PyTorch's own transformer layers, which are not traced."""
        for inner, layer in self.modules[name].named_modules(prefix=name):
            if not isinstance(layer, nn.TransformerEncoderLayer | nn.TransformerDecoderLayer):
                continue
            parts = [f"{inner}.linear1", f"{inner}.linear2"]
            if any(f"{part}.".startswith(f"{other}.") for part in parts for other in self.ignore):
                continue
            known = layer.activation in (nn.functional.relu, nn.functional.gelu)
            known = known or type(layer.activation) in rules.ELEMENTWISE_MODULES
            if known and rules.is_plain(layer.linear1) and rules.is_plain(layer.linear2):
                shape = node.all_input_nodes[0].meta["shape"]
                for part in parts:
                    self.opaque.discard(part)
                    self.count(part, math.prod(shape) * layer.linear1.out_features)
                hidden = self.ties.made(parts[0], layer.linear1.out_features)
                self.ties.put(parts[0], "in", None)
                self.ties.put(parts[1], "in", hidden)

    def function(self, node: fx.Node, name: str) -> Units | None:
        """Give the units of a function's or method's result."""
        value, shape = self.first(node), node.meta["shape"]
        if value is None or name not in rules.RESHAPES:
            self.freeze_counted(node)
        if shape is not None and name in rules.BINARY:
            return self.binary(node)
        if name in ("cat", "concat", "concatenate"):
            return self.cat(node)
        in_place = isinstance(node.target, str) and node.target.endswith("_")
        unknown = shape is None or (in_place and name in rules.MOVES)
        result = None if value is None or unknown else self.carried(node, name, value)
        if result is None:
            self.block(node, f"operation {node.name!r} ({name}) takes them in")
            if in_place:  # its operand is another from now on
                self.values[node.all_input_nodes[0]] = None
        return result

    def freeze_counted(self, node: fx.Node) -> None:
        """Freeze units whose number goes into a node."""
        for size in map(self.sizes.get, node.all_input_nodes):
            if size is not None:
                self.ties.freeze(size.units, f"operation {node.name!r} computes with their number")

    def carried(self, node: fx.Node, name: str, value: Units) -> Units | None:
        """Give where one operand's units are in the result; None if that is unknown."""
        shape, before = node.meta["shape"], node.all_input_nodes[0].meta["shape"]
        axis, rest = value.axis, node.args[1:]
        if name in rules.ELEMENTWISE:
            others = [other.meta["shape"] or () for other in node.all_input_nodes[1:]]
            return value if name == "to" or all(math.prod(other) == 1 for other in others) else None
        if name in rules.PLACEWISE:
            return value if axis == len(shape) - 1 - rules.PLACEWISE[name] else None
        if name in ("interpolate", "upsample"):
            return value if axis == 1 else None
        if name == "pad":
            padding = rest[0] if rest else node.kwargs.get("pad")
            return value if isinstance(padding, list | tuple) and axis < len(shape) - len(padding) // 2 else None
        if name == "flatten":
            return self.reshape(node, value, ())
        if name in rules.RESHAPES:
            return self.reshape(node, value, flat(rest or node.kwargs.get("shape", ())))
        if name in rules.MOVES:
            return moved(name, value, [*flat(rest), *flat(tuple(node.kwargs.values()))], len(before))
        if name in rules.REDUCTIONS:
            asked = flat(rest[0] if rest else node.kwargs.get("dim"))
            axes = [i % len(before) for i in asked if isinstance(i, int) and not isinstance(i, bool)]
            if len(axes) < len(asked) or axis in axes:
                return None
            return Units(axis - sum(i < axis for i in axes) if len(shape) < len(before) else axis, value.units)
        if name == "getitem":
            return indexed(value, rest[0])
        return None

    def reshape(self, node: fx.Node, value: Units, sizes: Iterable[Any]) -> Units | None:
        """Reshape units like the tensor; the sizes asked for may not be literal where there are units."""
        result = reshaped(value, node.all_input_nodes[0].meta["shape"], node.meta["shape"])
        if result is None:
            return None
        for axis, size in enumerate(sizes):
            if isinstance(size, fx.Node) and size in self.sizes:
                self.ask_for(node, axis == result.axis, value.units, self.sizes[size].units)
            elif isinstance(size, int) and axis == result.axis and size != -1:
                self.ties.freeze(value.units, f"operation {node.name!r} has their number {size} as a literal")
        return result

    def ask_for(self, node: fx.Node, same_axis: bool, units: Integers, counted: Integers) -> None:
        """Follow units through a reshape to a size that is the number of some units."""
        if same_axis and len(units) == len(counted):
            self.ties.tie(units, counted)
        elif not np.isin(counted, units).all():
            self.ties.freeze(np.concatenate([units, counted]), f"operation {node.name!r} computes with their number")

    def binary(self, node: fx.Node) -> Units | None:
        """Tie the units of what is added or multiplied."""
        shape, result = node.meta["shape"], None
        others: list[tuple[int, ...]] = []
        for operand in node.all_input_nodes:
            size, value = operand.meta["shape"], self.values.get(operand)
            if value is None:
                others += [] if size is None else [size]
                continue
            value = Units(value.axis + len(shape) - len(size), value.units)
            if len(value.units) != shape[value.axis] or (result is not None and result.axis != value.axis):
                self.block(node, f"operation {node.name!r} combines unlike axes")
                return None
            if result is not None:
                self.ties.tie(result.units, value.units)
            result = value
        if result is not None:
            behind = len(shape) - result.axis
            if any(len(size) >= behind and size[-behind] > 1 for size in others):
                self.block(node, f"operation {node.name!r} combines them with what has no units")
        return result

    def cat(self, node: fx.Node) -> Units | None:
        """Put units side by side, or tie them."""
        parts: Any = node.args[0] if node.args else node.kwargs.get("tensors")
        if not isinstance(parts, list | tuple):  # what another operation gave
            self.block(node, f"operation {node.name!r} (cat) takes them in")
            return None
        values = [self.values.get(part) for part in parts]
        known = next((value for value in values if value is not None), None)
        if known is None:
            return None
        dim = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", node.kwargs.get("axis", 0))
        axis = dim % len(node.meta["shape"]) if isinstance(dim, int) else -1
        if any(value is not None and value.axis != known.axis for value in values) or (
            axis != known.axis and None in values
        ):
            self.block(node, f"operation {node.name!r} (cat) combines unlike axes")
            return None
        if axis != known.axis:
            for value in values:
                if value is not None:
                    self.ties.tie(known.units, value.units)
            return known
        columns = []
        for part, value in zip(parts, values, strict=True):
            columns.append(self.ties.new(part.meta["shape"][axis]) if value is None else value.units)
            if value is None:
                self.ties.freeze(columns[-1], "no layer makes them")
        return Units(axis, np.concatenate(columns))

    def freeze_opaque(self) -> None:
        """Freeze layers whose weights are used in unknown ways, or by two layers."""
        users: dict[int, set[str]] = {}
        for name, module in self.modules.items():
            for parameter in module.parameters(recurse=False):
                users.setdefault(id(parameter), set()).add(name)
        shared = {name for names in users.values() if len(names) > 1 for name in names}
        for (layer, _), units in self.ties.places.items():
            if units is not None and layer in self.opaque | shared:
                how = "used outside of it" if layer in self.opaque else "shared with another layer"
                self.ties.freeze(units, f"weights of {layer!r} are {how}")
