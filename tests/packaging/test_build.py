"""The sdist builds the wheel, the wheel holds what users need, and it works without the source tree."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KERNELS = sorted(path.stem for path in (ROOT / "cython_ext").glob("*.pyx"))


def run(*command, cwd, **environment) -> str:
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    clone = folder / "clone"
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT).splitlines()
    for name in listed:
        if (ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            (clone / name).write_bytes((ROOT / name).read_bytes())
    # Without --wheel or --sdist the wheel is built from the sdist, so that what the sdist lacks breaks it. It has only
    # the portable loops, so that what they do can be compared with what the processor's own do here.
    flags = "-O0 -g0 -DSKETCHES_PORTABLE"
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), cwd=clone, CFLAGS=flags)
    return folder


@pytest.fixture(scope="module")
def site(dist) -> Path:
    """The folder in which the wheel is installed."""
    (path,) = dist.glob("*.whl")
    target = dist / "site"
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target")
    run(*pip, str(target), path, cwd=dist)
    return target


def test_sdist_holds_the_sources(dist):
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"cython_ext/{stem}.pyx" for stem in KERNELS} <= names
    assert {"setup.py", "pyproject.toml", "LICENSE", "README.md", "cython_ext/include/hash.h"} <= names
    assert not [name for name in names if name.endswith((".so", ".pyd")) or name.startswith("build/")]


def test_wheel_holds_code_stubs_and_nothing_else(dist):
    (path,) = dist.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    modules = {Path(name).name.partition(".")[0] for name in names if name.endswith((".so", ".pyd"))}
    assert modules == {*KERNELS, "_cyutility"}
    stubs = {Path(name).stem for name in names if name.endswith(".pyi")}
    assert stubs == set(KERNELS)
    assert "sketches/py.typed" in names
    assert not [
        name for name in names if name.endswith((".pyx", ".c", ".h")) or name.startswith(("tests", "benchmarks"))
    ]


def test_wheel_works_alone(dist, site):
    code = "import sketches, sys; s = sketches.CountMin(width=9); s.update(['a'] * 3)"
    code += "; print(int(s['a']), sketches.__file__)"
    code += "; assert not {'torch', 'pandas', 'pyarrow', 'rich', 'typer', 'sklearn'} & set(sys.modules)"
    out = run(sys.executable, "-c", code, cwd=dist, PYTHONPATH=str(site))
    assert out.split() == ["3", str(site / "sketches" / "__init__.py")]


def test_portable_loops_give_the_same_states_and_answers(dist, site):
    here = run(sys.executable, str(Path(__file__).with_name("digests.py")), cwd=dist, PYTHONPATH=str(ROOT))
    there = run(sys.executable, str(Path(__file__).with_name("digests.py")), cwd=dist, PYTHONPATH=str(site))
    assert here.count("\n") > 50
    assert there.splitlines() == here.splitlines()
