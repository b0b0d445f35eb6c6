"""Every Python block of the README and of the pages in docs/ runs, in order, as one program a page."""

import re
from pathlib import Path

import pytest

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


def test_the_readme_names_the_commands_and_every_folder():
    text = (ROOT / "README.md").read_text()
    for command in ("make demo", "make test", "sketches profile"):
        assert command in text
    folders = [path.name for path in ROOT.iterdir() if path.is_dir() and (path / "__init__.py").exists()]
    for name in [*folders, "cython_ext", "tests", "docs"]:
        assert f"{name}/" in text, name
