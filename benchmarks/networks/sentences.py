"""English sentences that are there without a download: those in the documentation of installed Python modules.

Every module (a file) belongs to one of three sets, by a hash of its path, and a sentence belongs to the set of the
first module that has it, so that no sentence is in two.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

__all__ = ["SETS", "sentences"]

SETS = ("calibration", "validation", "test")
PACKAGES = ("numpy", "scipy", "sklearn", "pandas", "matplotlib")  # besides the standard library
PARAGRAPH = re.compile(r"\n\s*\n")
END = re.compile(r"(?<=[a-z)][.!?])\s+(?=[A-Z])")
WHOLE = re.compile(r"[A-Z][A-Za-z0-9 ,;:'\"()/-]*[a-z)][.!?]")  # no markup, no code
MARKUP = re.compile(r"--| : ")
WORDS = range(6, 41)


def sentences() -> dict[str, list[str]]:
    """Give the sentences of each set, in an order that looks random but is always the same."""
    owners: dict[str, str] = {}
    for path, source in _sources():
        name = SETS[crc32(path.encode()) % len(SETS)]
        for text in _documentation(source):
            for sentence in _split(text):
                owners.setdefault(sentence, name)
    shuffled = sorted(owners, key=lambda sentence: crc32(sentence.encode()))
    return {name: [sentence for sentence in shuffled if owners[sentence] == name] for name in SETS}


def _sources() -> Iterator[tuple[str, str]]:
    """Give the modules' paths, relative to where their package lies, and their text."""
    library = Path(sysconfig.get_path("stdlib"))
    files = [(library, file) for file in library.rglob("*.py") if "site-packages" not in file.parts]
    for package in PACKAGES:
        found = importlib.util.find_spec(package)
        if found is not None and found.origin is not None:
            root = Path(found.origin).parent
            files += [(root.parent, file) for file in root.rglob("*.py")]
    for root, file in sorted(files, key=lambda both: both[1].relative_to(both[0]).as_posix()):
        path = file.relative_to(root).as_posix()
        if "test" not in path:
            yield path, file.read_text("utf-8", errors="replace")


def _documentation(source: str) -> Iterator[str]:
    """Give the docstrings of a module's text; of pydoc's topics, all strings."""
    try:
        with warnings.catch_warnings(action="ignore"):  # of escapes
            tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text is not None:
                yield text
        elif isinstance(node, ast.Dict):
            yield from (v.value for v in node.values if isinstance(v, ast.Constant) and isinstance(v.value, str))


def _split(text: str) -> Iterator[str]:
    for paragraph in PARAGRAPH.split(text):
        for part in END.split(" ".join(paragraph.split())):
            if WHOLE.fullmatch(part) and not MARKUP.search(part) and len(part.split()) in WORDS:
                yield part
