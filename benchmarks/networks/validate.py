"""What settings are chosen by: the error on held-out training images; `python -m benchmarks.networks.validate -h`.

Nothing here looks at the test images.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import torch

from benchmarks.networks import mnist
from benchmarks.networks.jobs.lenet import RECIPES
from benchmarks.networks.models import NETWORKS
from benchmarks.networks.recipe import error, kept, train


def main() -> None:
    """Train on the first 50,000 images, and print the error on the last 10,000 after each stage."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.networks.validate", description=__doc__)
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, help="another rate of learning")
    parser.add_argument("--warp", type=float, nargs=2, metavar=("FIRST", "LAST"), help="other strengths of deformation")
    options = parser.parse_args()
    recipe = RECIPES[options.network]
    if options.rate is not None:
        recipe = replace(recipe, rate=options.rate)
    if options.warp is not None:
        recipe = replace(recipe, warp=options.warp[0], final_warp=options.warp[1])
    torch.set_flush_denormal(True)
    torch.manual_seed(options.seed)
    model, begun = NETWORKS[options.network](), time.process_time()
    chosen, held_out = mnist.split()
    for stage in train(model, chosen, recipe, options.seed):
        left = sum(weights for weights, _ in kept(model).values())
        wrong = f"{error(model, held_out):.2f} % wrong, {error(model, chosen):.2f} % of those that it learnt from"
        print(f"{100 * stage.share:g} %, {left} weights: {wrong}; {time.process_time() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    main()
