"""The command `merge`."""

from cli.invoking import ITEMS, invoke, problem, saved

import sketches
from sketches import AMS, FlajoletMartin


def test_merge(tmp_path):
    first, second = (
        saved(tmp_path, FlajoletMartin(), ITEMS[:9000], "a"),
        saved(tmp_path, FlajoletMartin(), ITEMS[9000:], "b"),
    )
    output = tmp_path / "c"
    whole = FlajoletMartin()
    whole.update(ITEMS)
    assert invoke("merge", first, second, "-o", output).stdout.startswith(f"{output}: FlajoletMartin of 20,000 items, ")
    assert sketches.load(output) == whole
    invoke("merge", first, second, first, "-o", first)
    assert sketches.load(first).total == 29_000


def test_merge_refuses(tmp_path):
    first, output = saved(tmp_path, FlajoletMartin()), tmp_path / "out"
    for other, message in (
        (FlajoletMartin(10), "cannot merge: precision is 12 here and 10 there"),
        (FlajoletMartin(seed=1), "cannot merge: hashes differ"),
        (AMS(), "cannot merge a FlajoletMartin with a AMS"),
    ):
        second = saved(tmp_path, other, name="other")
        assert problem("merge", first, second, "-o", output).startswith(f"{second}: {message}")
    assert problem("merge", first, "-o", output) == "merge takes two files or more; 1 is given"
    assert problem("merge", first, first, "-o", tmp_path / "no" / "out").endswith(": No such file or directory")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["FlajoletMartin.sketch", "other"]
