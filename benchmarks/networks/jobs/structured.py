"""LeNet-5 with half of its multiply-adds, beside torch-pruning: `python -m benchmarks.networks.jobs.structured`.

Each side prunes the same dense network once in two ways, both are fine-tuned alike, and the one of the lower error on
the held-out images counts. The test images are looked at only for the figures. Then times: of LeNet-5, and of a block
of a ResNet and of a transformer that lose half of their units.
"""

from __future__ import annotations

import bisect
import copy
import json
import os
import statistics
import time
from typing import Any

import numpy as np
import torch
import torch_pruning
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.networks import mnist
from benchmarks.networks.mnist import Images
from benchmarks.networks.models import lenet_5
from sketches.nn import StreamingStatistics, choose_units, couple, shrink, taylor_unit_scores

LEFT = 0.5  # of the multiply-adds
BATCH = 64
DENSE = 5, 2e-3  # epochs, largest learning rate
TUNED = 1, 1e-3
CALIBRATION = 2_000  # images for statistics and gradients of either side
ONE = torch.zeros(1, 1, 28, 28)
LAYERS = ("conv1", "conv2", "fc1")


def fit(model: nn.Module, images: Images, epochs: int, rate: float, seed: int) -> None:
    """Train with Adam; the learning rate rises and falls once."""
    random = torch.Generator().manual_seed(seed)
    steps = len(images) // BATCH
    optimiser = torch.optim.Adam(model.parameters(), rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=epochs * steps)
    model.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(images), generator=random)[: steps * BATCH].split(BATCH):
            optimiser.zero_grad()
            functional.cross_entropy(model(images.pixels[batch]), images.labels[batch]).backward()
            optimiser.step()
            schedule.step()
    model.eval()


@torch.no_grad()
def error(model: nn.Module, images: Images) -> float:
    """Give the share of images that are taken for another digit, in per cent."""
    parts = zip(images.pixels.split(1000), images.labels.split(1000), strict=True)
    return 100 * sum(int((model(pixels).argmax(1) != labels).sum()) for pixels, labels in parts) / len(images)


def batches_with_gradients(model: nn.Module, images: Images) -> Any:
    """Yield after each batch's gradient, which is of that batch alone."""
    for pixels, labels in zip(images.pixels.split(50), images.labels.split(50), strict=True):
        model.zero_grad()
        functional.cross_entropy(model(pixels), labels).backward()
        yield


def statistics_of_inputs(model: nn.Module, images: Images) -> StreamingStatistics:
    """Observe what the layers take in."""
    seen = StreamingStatistics()

    def hook(name: str) -> Any:
        def take(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            rows = arguments[0].detach().movedim(1, -1)
            seen.observe(f"{name}:input", rows.reshape(-1, rows.shape[-1]).numpy())

        return take

    handles = [model.get_submodule(name).register_forward_pre_hook(hook(name)) for name in ("conv2", "fc1", "fc2")]
    with torch.no_grad():
        model(images.pixels)
    for handle in handles:
        handle.remove()
    return seen


def taylor(model: nn.Module, images: Images) -> dict[str, np.ndarray]:
    """Score units by what the loss changes without them."""
    model = copy.deepcopy(model)
    scores = {name: np.zeros(len(model.get_submodule(name).weight)) for name in LAYERS}
    for _ in batches_with_gradients(model, images):
        for name in LAYERS:
            layer: Any = model.get_submodule(name)
            weights, slopes = (
                torch.cat([of.flatten(1), bias[:, None]], 1).numpy()
                for of, bias in ((layer.weight.detach(), layer.bias.detach()), (layer.weight.grad, layer.bias.grad))
            )
            scores[name] += taylor_unit_scores(weights, slopes)
    return scores


def ours(model: nn.Module, images: Images) -> dict[str, nn.Module]:
    """Shrink by contributions, across layers; and by Taylor scores, an equal share of each layer."""
    seen, scores = statistics_of_inputs(model, images), taylor(model, images)
    coupling = couple(model, ONE)
    whole = coupling.cost(np.ones(len(coupling.groups), np.bool_))
    flat = np.zeros(len(coupling.groups))
    share = next(
        s for s in np.arange(0, 1, 0.002) if coupling.cost(choose_units(coupling, flat, share=s)) <= LEFT * whole
    )
    return {
        "contribution": shrink(model, ONE, multiply_adds=LEFT, statistics=seen).module,
        "Taylor": shrink(model, ONE, share=float(share), scores=scores, statistics=seen).module,
    }


def theirs(model: nn.Module, images: Images) -> dict[str, nn.Module]:
    """Prune by torch-pruning, the least share of each layer that leaves at most as many multiply-adds."""
    whole = torch_pruning.utils.count_ops_and_params(model, ONE)[0]
    kinds = {
        "magnitude": lambda: torch_pruning.importance.MagnitudeImportance(p=2),
        "Taylor": lambda: torch_pruning.importance.TaylorImportance(),
    }
    functional.cross_entropy(model(images.pixels), images.labels).backward()

    def cut(kind: str, ratio: float) -> Any:
        smaller: Any = copy.deepcopy(model)
        for mine, known in zip(smaller.parameters(), model.parameters(), strict=True):
            mine.grad = known.grad.clone()
        pruner = torch_pruning.pruner.MagnitudePruner(
            smaller, ONE, importance=kinds[kind](), pruning_ratio=ratio, ignored_layers=[smaller.fc2]
        )
        pruner.step()
        return smaller

    def fits(ratio: float) -> bool:
        return torch_pruning.utils.count_ops_and_params(cut("magnitude", ratio), ONE)[0] <= LEFT * whole

    ratios = np.arange(0.2, 0.5, 0.002).tolist()
    least = ratios[bisect.bisect_left(ratios, True, key=fits)]  # the widths follow from the ratio alone
    pruned = {kind: cut(kind, least) for kind in kinds}
    model.zero_grad()
    return pruned


def multiply_adds(model: nn.Module) -> int:
    """Count ours and theirs alike."""
    return sum(couple(model, ONE).multiply_adds.values())


def milliseconds(models: dict[str, nn.Module], inputs: Tensor, threads: int = 2, rounds: int = 30) -> dict[str, float]:
    """Time forward passes in turns; the least time of each counts."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    best = dict.fromkeys(models, float("inf"))
    with torch.no_grad():
        for _ in range(rounds):
            for name, model in models.items():
                start = time.perf_counter()
                model(inputs)
                best[name] = min(best[name], 1e3 * (time.perf_counter() - start))
    torch.set_num_threads(before)
    return {name: round(value, 3) for name, value in best.items()}


class ResNetBlock(nn.Module):
    """Two convolutions of 64 channels around which the input goes, with the layer before and after."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.before = nn.Conv2d(3, width, 3, padding=1)
        self.conv1, self.conv2 = (nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(2))
        self.bn1, self.bn2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        self.after = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Classify images."""
        x = functional.relu(self.before(x))
        x = functional.relu(x + self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x))))))
        return self.after(x.mean([2, 3]))


def blocks() -> dict[str, Any]:
    """Time a block of a ResNet and of a transformer, whole and with half of the units that may go."""
    torch.manual_seed(0)
    cases = {
        "ResNet block, 32 images of 32 × 32": (ResNetBlock(), torch.rand(32, 3, 32, 32)),
        "transformer layer, 8 texts of 128 tokens": (
            nn.Sequential(nn.TransformerEncoderLayer(384, 6, 1536, batch_first=True)),
            torch.rand(8, 128, 384),
        ),
    }
    result = {}
    for name, (model, inputs) in cases.items():
        shrunk = shrink(model.eval(), inputs[:1], share=0.5)
        times = milliseconds({"dense": model, "shrunk": shrunk.module}, inputs)
        result[name] = {"milliseconds": times, "parameters": shrunk.parameters, "multiply_adds": shrunk.multiply_adds}
    return result


def structured(seeds: tuple[int, ...] = (1, 2, 3)) -> dict[str, Any]:
    """Give errors of dense and shrunk networks for each seed, their means, and times."""
    torch.set_num_threads(1)
    images, held_out = mnist.split()
    test = mnist.test()
    runs, models = [], {}
    for seed in seeds:
        torch.manual_seed(seed)
        dense = lenet_5()
        fit(dense, images, *DENSE, seed)
        run: dict[str, Any] = {"seed": seed, "dense": {"test": error(dense, test)}}
        for side, prune in (("sketches", ours), ("torch-pruning", theirs)):
            for kind, model in prune(dense, images.part(None, CALIBRATION)).items():
                fit(model, images, *TUNED, seed)
                widths = [len(model.get_submodule(name).weight) for name in LAYERS]
                left = multiply_adds(model) / multiply_adds(dense)
                figures = {
                    "widths": widths,
                    "left": left,
                    "held out": error(model, held_out),
                    "test": error(model, test),
                }
                run[f"{side}, {kind}"] = figures
                models[f"{side}, {kind}"] = model
            run[side] = min((run[key] for key in run if key.startswith(f"{side}, ")), key=lambda it: it["held out"])
        models["dense"] = dense
        runs.append(run)
        print(json.dumps(run), flush=True)
    names = [name for name in runs[0] if name != "seed"]
    errors = {name: [run[name]["test"] for run in runs] for name in names}
    times = milliseconds(models, test.pixels[:256])
    return {
        "multiply_adds left": LEFT,
        "runs": runs,
        "mean error": {name: round(statistics.mean(values), 4) for name, values in errors.items()},
        "spread of error": {name: round(statistics.stdev(values), 4) for name, values in errors.items() if values[1:]},
        "milliseconds, batch 256, 2 threads": times,
        "time / dense": {name: round(value / times["dense"], 3) for name, value in times.items()},
        "blocks": blocks(),
    }


if __name__ == "__main__":
    os.nice(10)
    missing = mnist.absent()
    print(missing or json.dumps(structured(), indent=1, ensure_ascii=False))
