"""Runs the command, in this process or in one of its own."""

import collections
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from typer.testing import CliRunner

from sketches.cli.app import app

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from sketches.cli import main; main()"]
ITEMS = [str(number) for number in np.random.default_rng(3).zipf(1.3, 20_000) % 5_000]
COUNTS = collections.Counter(ITEMS)


def invoke(*arguments, code=0, **options):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="sketches", **options)
    assert result.exit_code == code, result.output
    return result


def invoke_json(*arguments):
    return json.loads(invoke(*arguments, "--json").stdout)


def problem(*arguments) -> str:
    """Run a command that fails, and give its one line."""
    result = invoke(*arguments, code=2)
    assert not result.stdout
    (line,) = result.stderr.splitlines()
    return line.removeprefix("sketches: ")


def holds(answer: dict, truth: float) -> bool:
    return answer["lower"] <= truth <= answer["upper"]


def saved(tmp_path, sketch, items=ITEMS, name=None):
    path = tmp_path / (name or f"{type(sketch).__name__}.sketch")
    sketch.update(items)
    sketch.save(path)
    return path


def run(*arguments, **options) -> subprocess.CompletedProcess:
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False, **options)
