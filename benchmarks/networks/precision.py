"""In which numbers networks are trained."""

import torch

FAST = any(torch.cpu.get_capabilities().get(name) for name in ("amx_bf16", "avx512_bf16"))
TRAINING = torch.bfloat16 if FAST else torch.float32


def training_precision() -> torch.autocast:
    """Compute in bfloat16 where the processor multiplies it: elsewhere that takes seven times as long as float32."""
    return torch.autocast("cpu", torch.bfloat16, enabled=FAST)
