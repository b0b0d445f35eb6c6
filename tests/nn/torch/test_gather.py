"""Statistics of several processes become those of all data."""

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as processes

from sketches import FlajoletMartin
from sketches.nn import StreamingStatistics, gather

PROCESSES = 2


def part(rank):
    """The statistics of one process; only the second has a layer "late", and both differ in size."""
    statistics = StreamingStatistics()
    random = np.random.default_rng(rank)
    statistics.observe("hidden", random.normal(size=(100 * (rank + 1), 5)))
    if rank == 1:
        statistics.observe("late", random.normal(size=(10, 300)))
    return statistics


def whole():
    statistics = part(0)
    statistics.merge(part(1))
    return statistics


def run(rank, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=PROCESSES)
    try:
        for job in JOBS:
            result = job(rank)
            (folder / f"{job.__name__}{rank}").write_bytes(result if isinstance(result, bytes) else result.to_bytes())
    finally:
        dist.destroy_process_group()


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What each job gave in each process."""
    folder = tmp_path_factory.mktemp("gather")
    processes.spawn(run, (folder,), PROCESSES)  # once: starting processes takes longer than all jobs
    return {job: [(folder / f"{job.__name__}{rank}").read_bytes() for rank in range(PROCESSES)] for job in JOBS}


def everywhere(rank):
    return gather(part(rank))


def at_the_second(rank):
    gathered = gather(part(rank), destination=1)
    return b"nothing" if gathered is None else gathered


def in_a_group(rank):
    group = dist.new_group([1])
    if rank == 1:
        return gather(part(1), group)
    with pytest.raises(RuntimeError, match="this process is not of the group"):
        gather(part(0), group)
    return b"refused"


def unlike(rank):
    with pytest.raises(ValueError, match="cannot merge: seed is 0 here and 1 there"):
        gather(StreamingStatistics(seed=rank))
    return b"refused"


def distinct(rank):
    sketch = FlajoletMartin()
    sketch.update(range(1000 * rank, 1000 * rank + 1500))
    return gather(sketch)


def union():
    sketch = FlajoletMartin()
    sketch.update(range(1500))
    other = FlajoletMartin()
    other.update(range(1000, 2500))
    return sketch | other


JOBS = (everywhere, at_the_second, in_a_group, unlike, distinct)


def test_all_processes_get_the_merged_statistics(results):
    assert results[everywhere] == [whole().to_bytes()] * 2


def test_only_a_destination_gets_them(results):
    assert results[at_the_second] == [b"nothing", whole().to_bytes()]


def test_only_the_processes_of_a_group_take_part(results):
    assert results[in_a_group] == [b"refused", part(1).to_bytes()]


def test_unlike_statistics_are_refused_everywhere(results):
    assert results[unlike] == [b"refused"] * 2


def test_any_sketch_is_gathered(results):
    assert results[distinct] == [union().to_bytes()] * 2


def test_they_are_those_of_all_data(results):
    gathered = StreamingStatistics.from_bytes(results[everywhere][0]).summary("hidden")
    values = np.concatenate([np.random.default_rng(rank).normal(size=(100 * (rank + 1), 5)) for rank in (0, 1)])
    assert gathered.samples == 300
    assert np.allclose(gathered.mean, values.mean(axis=0), rtol=0, atol=1e-14)


def test_without_a_group_it_says_what_to_do():
    with pytest.raises(RuntimeError, match=r"call torch\.distributed\.init_process_group first"):
        gather(StreamingStatistics())


def test_the_device_is_the_cpu_where_the_backend_can(monkeypatch):
    from sketches.nn.torch import gather as module

    for backends, kind in (("cpu:gloo,cuda:nccl", "cpu"), ("cuda:nccl", "cuda")):
        monkeypatch.setattr(dist, "get_backend_config", lambda group, found=backends: found)
        monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
        assert module._device(None).type == kind
