"""Runs the benchmark: `python -m benchmarks.accuracy [--quick] [--job NAME …] [--output DIR]`.

Each job is a process of its own, as many at once as there are processors.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from importlib import metadata
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.accuracy.jobs import JOBS
from benchmarks.accuracy.measure import Row
from benchmarks.accuracy.page import goals, html_page, tally
from benchmarks.accuracy.peers import PEERS
from benchmarks.accuracy.worker import run


def main() -> None:
    """Run, print the goals, and write accuracy.json and accuracy.html."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter streams and fewer replicas: two minutes")
    parser.add_argument("--job", action="append", choices=JOBS, help="only this one; may be given several times")
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "results")
    options = parser.parse_args()
    scale = "quick" if options.quick else "full"
    console = Console()
    wanted = list(dict.fromkeys(options.job or JOBS))
    results: dict[str, tuple[list[Row], list[str], float]] = {}
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(run, job, scale): job for job in wanted}
        for future in as_completed(futures):
            job = futures[future]
            results[job] = future.result()
            console.print(f"{job}: {results[job][2]:.0f} s", style="dim")
    rows = {job: results[job][0] for job in wanted}
    remarks = {job: results[job][1] for job in wanted}
    about = describe(scale)
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "accuracy.json").write_text(as_json(rows, remarks, about))
    (options.output / "accuracy.html").write_text(html_page(rows, remarks, about))
    print_goals(rows, Console(width=200) if not console.is_terminal else console)
    console.print(f"Written: {options.output / 'accuracy.html'}")


def as_json(rows: dict[str, list[Row]], remarks: dict[str, list[str]], about: dict[str, str]) -> str:
    """Give everything that the page shows."""
    figures = [
        {"job": job}
        | asdict(row)
        | {"value": row.value._asdict(), "to_theory": row.to_theory, "to_limit": row.to_limit}
        | {"goal": str(row.goal) if row.goal else None}
        | {"reached": row.goal.reached(row.value.value) if row.goal else None}
        for job, found in rows.items()
        for row in found
    ]
    everything = {"about": about, "remarks": remarks, "rows": figures}
    return json.dumps(everything, indent=1, ensure_ascii=False, default=lambda number: number.item())  # of NumPy


def print_goals(rows: dict[str, list[Row]], console: Console) -> None:
    """Print the table of goals."""
    shown = Table("job", "contender", "measure", "where", "goal", "measured", "95 % interval", "")
    for kind, line in goals(rows):
        shown.add_row(*line, style="" if kind == "yes" else "red")
    console.print(shown)
    console.print(tally(rows))


def describe(scale: str) -> dict[str, str]:
    """Say with what the run was made."""
    about = {"python": platform.python_version(), "platform": platform.platform(), "scale": scale}
    for package in ("stream-sketches", "numpy", *PEERS):
        try:
            about[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            about[package] = "not installed"
    return about


if __name__ == "__main__":
    main()
