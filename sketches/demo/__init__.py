"""The command `sketches demo`: what the sketches are for, on data that comes with a package, in one report."""

from __future__ import annotations

import errno
import os
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

__all__ = ["FULL", "Sizes", "run"]


@dataclass(frozen=True)
class Sizes:
    """How much the demo does."""

    events: int
    batches: int  # of 512 samples that stream through the network
    epochs: int  # of training the dense network; the hashed one takes twice as many
    repairs: int  # epochs after each pruning step


FULL = Sizes(events=2_000_000, batches=200, epochs=40, repairs=20)


def run(output: Path, console: Console, seed: int, sizes: Sizes = FULL) -> None:
    """Run the demo, print its tables, and write its report.

    Parameters
    ----------
    output
        The report's file; its folder must exist.
    console
        Where the tables go.
    seed
        Of everything that is drawn; the same seed gives the same answers.
    sizes
        How much to do; tests do less.

    Raises
    ------
    OSError
        If the report cannot be written there; before anything is computed, where that can be known.
    """
    _check_writable(output)
    # Only here, since these load scikit-learn and matplotlib.
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

    from sketches.core.contract import write_atomically
    from sketches.demo import network, report, stream, tables

    start = time.perf_counter()
    # Matrices as small as these only lose by threads that wait for each other.
    with threadpool_limits(1), console.status("") as status:
        status.update(f"drawing {sizes.events:,} events")
        events = stream.make_events(sizes.events, seed)
        status.update("asking the stream seven questions")
        answers = stream.answers(events, seed)
        console.print(tables.of_answers(answers, sizes.events))
        status.update("training a perceptron on handwritten digits")
        data = network.digits(seed)
        model = network.trained(data, sizes.epochs, seed)
        status.update("watching it while data streams through")
        statistics = network.watched(model, network.stream(data, sizes.batches, seed), seed)
        console.print(tables.of_layers(statistics))
        status.update("pruning it step by step")
        variants = [network.dense(model, data)]
        variants += network.pruned(model, data, max(1, sizes.batches // 20), sizes.repairs, seed)
        status.update("hashing its weights")
        variants += network.hashed(model, data, 2 * sizes.epochs, seed)
        console.print(tables.of_variants(variants))
        status.update("drawing the report")
        page = report.html(
            answers,
            statistics,
            variants,
            events=sizes.events,
            tests=len(data.test),
            epochs=sizes.epochs,
            repairs=sizes.repairs,
            hashed_epochs=2 * sizes.epochs,
            seconds=time.perf_counter() - start,
            seed=seed,
        )
        write_atomically(output, page.encode())
    console.print(
        f"Done in {time.perf_counter() - start:.0f} s. The report: [bold]{output.resolve()}[/]", soft_wrap=True
    )


def _check_writable(output: Path) -> None:
    """Raise the error that writing the report would raise, as far as it can be foreseen."""
    folder = output.parent
    if not folder.exists():
        raise FileNotFoundError(errno.ENOENT, "the folder does not exist", str(folder))
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "not a folder", str(folder))
    if output.is_dir():
        raise IsADirectoryError(errno.EISDIR, "a folder; a file's name is accepted", str(output))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "the folder is not writable", str(folder))
