"""Sketches of several processes become one: their bytes travel through `torch.distributed`."""

from __future__ import annotations

from typing import Any, Protocol, Self, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

__all__ = ["gather"]


class Mergeable(Protocol):
    """What has bytes and merges: `StreamingStatistics` and every sketch that merges."""

    def to_bytes(self) -> bytes: ...

    @classmethod
    def from_bytes(cls, data: bytes) -> Self: ...

    def merge(self, other: Self) -> None: ...


T = TypeVar("T", bound=Mergeable)


def gather(statistics: T, group: Any = None, destination: int | None = None) -> T | None:
    """Give the statistics of all processes together. All processes of the group must call this.

    Bytes are exchanged and checked as `from_bytes` does; nothing is unpickled. Every process that gives a result merges
    in the order of ranks, so all results are equal. The statistics given stay as they are.

    Parameters
    ----------
    statistics
        This process's `StreamingStatistics`, or any sketch that merges.
    group
        A process group; None: all processes.
    destination
        The rank (among all processes, as in `torch.distributed.gather`) that gets the result; None: all get it.

    Returns
    -------
    The merged statistics; None in processes that are not the destination.

    Raises
    ------
    RuntimeError
        If `torch.distributed` is not initialised, or this process is not of the group.
    ValueError, FormatError
        If the statistics of some processes do not merge (other parameters, other widths of a layer), in each process
        that would get the result.

    Examples
    --------
    >>> import torch.distributed as dist
    >>> from sketches.nn import StreamingStatistics, gather
    >>> dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    >>> statistics = StreamingStatistics()
    >>> statistics.observe("hidden", [[1.0, 2.0]])
    >>> gather(statistics) == statistics  # there is one process
    True
    >>> dist.destroy_process_group()
    """
    if not dist.is_available() or not dist.is_initialized():
        raise RuntimeError("torch.distributed is not initialised; call torch.distributed.init_process_group first")
    rank, world = dist.get_rank(group), dist.get_world_size(group)
    if rank < 0:
        raise RuntimeError("this process is not of the group")
    device = _device(group)
    data = torch.from_numpy(np.frombuffer(statistics.to_bytes(), np.uint8).copy()).to(device)
    sizes = [torch.zeros(1, dtype=torch.int64, device=device) for _ in range(world)]
    dist.all_gather(sizes, torch.tensor([len(data)], device=device), group=group)
    lengths = [int(size) for size in sizes]
    padded = torch.nn.functional.pad(data, (0, max(lengths) - len(data)))
    parts: list[Tensor] | None = None
    if destination is None or destination == dist.get_rank():
        parts = [torch.empty_like(padded) for _ in range(world)]
    if destination is None:
        dist.all_gather(parts, padded, group=group)
    else:
        dist.gather(padded, parts, destination, group=group)
    if parts is None:
        return None
    read = type(statistics).from_bytes
    merged, *others = (read(part[:length].cpu().numpy().tobytes()) for part, length in zip(parts, lengths, strict=True))
    for other in others:
        merged.merge(other)
    return merged


def _device(group: Any) -> torch.device:
    """Give the device of the tensors that a group exchanges: the CPU where it can, else its first."""
    kinds = [pair.split(":")[0] for pair in dist.get_backend_config(group).split(",")]
    if "cpu" in kinds:
        return torch.device("cpu")
    return torch.device(kinds[0], getattr(torch, kinds[0]).current_device())
