"""What PyTorch's operations do to units: the tables that `coupling` looks up. What is in none of them freezes units."""

from __future__ import annotations

from torch import nn

# Modules that treat every number alike.
ELEMENTWISE_MODULES: tuple[type[nn.Module], ...] = (
    nn.AlphaDropout,
    nn.CELU,
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.ELU,
    nn.FeatureAlphaDropout,
    nn.GELU,
    nn.Hardshrink,
    nn.Hardsigmoid,
    nn.Hardswish,
    nn.Hardtanh,
    nn.Identity,
    nn.LeakyReLU,
    nn.LogSigmoid,
    nn.Mish,
    nn.ReLU,
    nn.ReLU6,
    nn.SELU,
    nn.SiLU,
    nn.Sigmoid,
    nn.Softplus,
    nn.Softshrink,
    nn.Softsign,
    nn.Tanh,
    nn.Tanhshrink,
    nn.Threshold,
)

# Modules that treat every channel alike, and how many axes of places follow the channels.
PLACEWISE_MODULES: dict[type[nn.Module], int] = {
    getattr(nn, f"{name}{places}d"): places
    for name in ("AvgPool", "MaxPool", "AdaptiveAvgPool", "AdaptiveMaxPool", "ConstantPad", "ReflectionPad", "ZeroPad")
    for places in (1, 2, 3)
    if hasattr(nn, f"{name}{places}d")
}

# Modules with one parameter for each channel, and the attribute that says how many there are.
CHANNELWISE_MODULES: dict[type[nn.Module], str] = {
    nn.BatchNorm1d: "num_features",
    nn.BatchNorm2d: "num_features",
    nn.BatchNorm3d: "num_features",
    nn.InstanceNorm1d: "num_features",
    nn.InstanceNorm2d: "num_features",
    nn.InstanceNorm3d: "num_features",
    nn.SyncBatchNorm: "num_features",
    nn.PReLU: "num_parameters",
}

INSTANCE_NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)  # of a single sample, too

# Modules that normalise over their last axes.
NORMS = tuple(getattr(nn, name) for name in ("LayerNorm", "RMSNorm") if hasattr(nn, name))

CONVOLUTIONS: dict[type[nn.Module], int] = {nn.Conv1d: 1, nn.Conv2d: 2, nn.Conv3d: 3}

# Names of functions (of torch, torch.nn.functional, operator) and of methods; an ending "_" is not looked at.
# fmt: off
ELEMENTWISE = {
    "abs", "alpha_dropout", "bfloat16", "celu", "clamp", "clip", "clone", "contiguous", "cos", "cpu", "cuda",
    "detach", "double", "dropout", "dropout1d", "dropout2d", "dropout3d", "elu", "erf", "exp", "expm1",
    "feature_alpha_dropout", "float", "gelu", "half", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu",
    "log", "log1p", "logsigmoid", "mish", "neg", "pos", "reciprocal", "relu", "relu6", "rsqrt", "selu",
    "sigmoid", "silu", "sin", "softplus", "softsign", "sqrt", "square", "tanh", "tanhshrink", "threshold", "to",
    "type",
}
# fmt: on
PLACEWISE = {
    f"{name}{places}d": places
    for name in ("avg_pool", "max_pool", "adaptive_avg_pool", "adaptive_max_pool")
    for places in (1, 2, 3)
}
MOVES = {"permute", "swapaxes", "transpose", "unsqueeze"}
BINARY = {
    *("add", "sub", "subtract", "mul", "multiply", "div", "truediv", "maximum", "minimum"),
    *("iadd", "isub", "imul", "itruediv"),
}
REDUCTIONS = {"amax", "amin", "logsumexp", "mean", "prod", "std", "sum", "var"}
RESHAPES = {"reshape", "view"}


def is_plain(module: nn.Module) -> bool:
    """Say whether a layer's weight, if it has one, is its own parameter, not computed from others."""
    return "weight" in module._parameters or not hasattr(module, "weight")
