"""Compile every ``cython_ext/*.pyx`` into ``sketches._ext.*``; all other metadata is in pyproject.toml."""

import os
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

UTILITY = "sketches._ext._cyutility"
INCLUDE = "cython_ext/include"
HEADERS = sorted(path.as_posix() for path in Path(INCLUDE).glob("*.h"))
# What CFLAGS says has the last word. Without symbols for a debugger, wheels are a quarter as large and built sooner.
WANTED = [flag for flag in ("-O3", "-g0") if flag[:2] not in os.environ.get("CFLAGS", "")]
UNIX = sys.platform != "win32"
COMPILE_ARGS = [*WANTED, "-fno-strict-aliasing", "-Wno-unused-function"] if UNIX else ["/O2"]
MORE_ARGS = {
    "activations": ["-ffp-contract=off"],  # sums are the same on every processor if products are rounded before
    "shared_csr": ["-falign-loops=64"],  # a loop over two cache lines of code takes up to a fifth longer
}


def extension(source: Path) -> Extension:
    return Extension(
        f"sketches._ext.{source.stem}",
        [source.as_posix()],
        include_dirs=[INCLUDE],
        depends=HEADERS,
        extra_compile_args=[*COMPILE_ARGS, *(MORE_ARGS.get(source.stem, []) if UNIX else [])],
    )


setup(
    options={"build_ext": {"parallel": os.cpu_count()}},
    ext_modules=cythonize(
        [extension(source) for source in sorted(Path("cython_ext").glob("*.pyx"))] + [Extension(UTILITY, [])],
        include_path=["."],
        build_dir="build/cython",
        shared_utility_qualified_name=UTILITY,
        compiler_directives={
            "language_level": "3",
            "boundscheck": False,
            "wraparound": False,
            "cdivision": True,
            "initializedcheck": False,
            "auto_pickle": False,
            "embedsignature": True,
            "embedsignature.format": "python",
        },
    ),
)
