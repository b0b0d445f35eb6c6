"""Every layout ever written stays readable, and the bytes of the newest are the frozen ones."""

from pathlib import Path

import pytest
from golden.golden import build, golden_files

import sketches
from sketches.core import wire

FOLDER = Path(__file__).parent
FILES = golden_files()


@pytest.mark.parametrize("name", FILES)
def test_bytes_are_frozen(name):
    frozen = (FOLDER / name).read_bytes()
    case, options, items = FILES[name]
    built = build(case, options, items)
    assert built == frozen or wire.decode(built)[1].layout != wire.decode(frozen)[1].layout
    sketch = sketches.from_bytes(frozen, key=options.get("key"))
    assert sketch == case.built(items, **options)


def test_every_frozen_file_is_tested():
    assert {path.name for path in FOLDER.glob("*.sketch")} == set(FILES)
