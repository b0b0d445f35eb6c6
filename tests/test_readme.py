"""Every Python block of the README and of the pages in docs/ runs, in order, as one program a page."""

import gzip
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from sketches.nn import TensorWriter

ROOT = Path(__file__).parents[1]
PAGES = [
    path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if "```python" in path.read_text()
]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = page.read_text()
    names: dict = {"__name__": "readme"}
    for match in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        line = text[: match.start()].count("\n") + 1
        exec(compile("\n" * line + match[1], str(page), "exec"), names)  # noqa: S102  # our own page
    assert len(names) > 2


def test_commands_run(tmp_path):
    """Every line of the README's blocks that runs the command, in a folder that holds the files it names."""
    rows = {"user": ["ann", "eve", "ann"], "latency": [3.5, 4.5, 2.5]}
    with gzip.open(tmp_path / "monday.csv.gz", "wt") as file:
        file.write("user,latency\nann,3.5\neve,4.5\nann,2.5\n")
    pa.parquet.write_table(pa.table(rows), tmp_path / "tuesday.parquet")
    (tmp_path / "words.txt").write_text("a\nb\na\n")
    with TensorWriter(tmp_path / "model.safetensors", {"fc.weight": ("F32", (4, 8))}) as file:
        file.write("fc.weight", np.arange(32, dtype=np.float32).reshape(4, 8))
    blocks = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("sketches ")]
    assert len(lines) > 4
    command = f'sketches() {{ {shlex.quote(sys.executable)} -c "from sketches.cli import main; main()" "$@"; }}'
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["/bin/sh", "-ec", "\n".join([command, *lines])],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"ann +4 +4 … 4 +always *\n *eve +2 ", done.stdout)


def test_the_readme_names_the_commands_and_every_folder():
    text = (ROOT / "README.md").read_text()
    for command in ("make demo", "make test", "sketches profile"):
        assert command in text
    folders = [path.name for path in ROOT.iterdir() if path.is_dir() and (path / "__init__.py").exists()]
    for name in [*folders, "cython_ext", "tests", "docs"]:
        assert f"{name}/" in text, name
