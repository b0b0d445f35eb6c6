"""The command `show`, and files that are no sketches."""

from cli.invoking import COUNTS, ITEMS, invoke, invoke_json, problem, saved

from sketches import (
    AMS,
    BloomFilter,
    CountMin,
    Entropy,
    FlajoletMartin,
    LossyCounting,
    Quantiles,
    SlidingWindow,
    SpaceSaving,
    SubsetSum,
)


def test_show(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    numbers = [float(item) for item in ITEMS]
    files = [
        saved(tmp_path, FlajoletMartin()),
        saved(tmp_path, BloomFilter(5000)),
        saved(tmp_path, CountMin(width=100)),
        saved(tmp_path, AMS()),
        saved(tmp_path, SpaceSaving(100)),
        saved(tmp_path, SpaceSaving(10), range(100), "unique.sketch"),
        saved(tmp_path, LossyCounting(0.01)),
        saved(tmp_path, Quantiles(), [*numbers, None]),
        saved(tmp_path, Quantiles(), [], "empty.sketch"),
        saved(tmp_path, Entropy(64)),
        saved(tmp_path, Entropy(64), [], "even.sketch"),
        saved(tmp_path, SubsetSum(64)),
    ]
    found = invoke_json("show", *files)
    assert [entry["file"] for entry in found] == [str(path) for path in files]
    parts = {
        "FlajoletMartin": " distinct items (",
        "BloomFilter": " % false positives",
        "AMS": "second moment ",
        "SpaceSaving": f"most frequent: {COUNTS.most_common(1)[0][0]} (",
    }
    for entry in found[:5]:
        assert parts.get(entry["class"], "") in entry["answer"]
    assert found[2]["parameters"] == {"width": 100, "depth": 4, "conservative": False}
    assert found[5]["answer"] == "no item is known to repeat"
    assert found[7]["answer"].startswith("median ")
    assert found[9]["answer"].startswith("entropy ")
    assert found[10]["answer"].startswith("standard error ")
    assert found[11]["answer"].startswith("a sum T within ")
    assert (found[7]["total"], found[7]["nulls"]) == (20_000, 1)
    monkeypatch.chdir(tmp_path)
    output = invoke("show", *(path.name for path in files)).stdout
    assert max(map(len, output.splitlines())) <= 120
    for part in ("FlajoletMartin.sketch", "width=100", "20,000", "1 nulls", "distinct items ("):
        assert part in output


def test_bad_sketch_files(tmp_path, text):
    path = saved(tmp_path, AMS())
    cut, keyed = tmp_path / "cut", tmp_path / "keyed"
    window = tmp_path / "window"
    SlidingWindow(AMS(), 10, 6).save(window)
    cut.write_bytes(path.read_bytes()[:-10])
    AMS(key=bytes(16)).save(keyed)
    fingerprint = f"{AMS(key=bytes(16)).hasher.fingerprint:016x}"
    for file, message in (
        (cut, "truncated: "),
        (text, "the bytes start with "),
        (window, "the bytes hold a SlidingWindow, not a Sketch; read them with SlidingWindow.from_bytes"),
        (tmp_path, "Is a directory"),
        (tmp_path / "none", "No such file or directory"),
        (keyed, f"the sketch was made with a key (fingerprint {fingerprint}); sketches.load in Python takes it"),
    ):
        for arguments in (("show", file), ("query", file, "x"), ("merge", file, path, "-o", tmp_path / "c")):
            assert problem(*arguments).startswith(f"{file}: {message}")
