"""The command `query`: answers against exact ones."""

import re

import pytest
from cli.invoking import COUNTS, ITEMS, holds, invoke, invoke_json, problem, saved

from sketches import AMS, BinaryFuseFilter, BloomFilter, CountMin, FlajoletMartin, LossyCounting, Quantiles


@pytest.mark.parametrize(
    "sketch", [CountMin(width=2000), AMS(), LossyCounting(0.001)], ids=lambda sketch: type(sketch).__name__
)
def test_query_counts(tmp_path, sketch):
    path = saved(tmp_path, sketch)
    item = COUNTS.most_common(1)[0][0]
    frequent, never = invoke_json("query", path, item, "never")
    assert (frequent["item"], never["item"]) == (item, "never")
    assert holds(frequent, COUNTS[item])
    assert holds(never, 0)
    output = invoke("query", path, item, "never").stdout
    assert re.search(rf"{item} +{sketch[item]:,.0f} ", output)


def test_query_types(tmp_path):
    path = saved(tmp_path, CountMin(width=2000), [7, 7, "7", 0.5])
    for kind, item, count in (("str", "7", 1), ("int", "7", 2), ("float", "7", 2), ("float", "0.5", 1)):
        assert invoke_json("query", path, item, "--type", kind)[0]["estimate"] == count
    assert problem("query", path, "x", "--type", "int") == "item 'x' is no int"


def test_query_bloom(tmp_path):
    path = saved(tmp_path, BloomFilter(5000))
    seen, unseen = invoke_json("query", path, ITEMS[0], "never")
    assert (seen["seen"], unseen["seen"]) == (True, False)
    output = invoke("query", path, ITEMS[0], "never").stdout
    assert "probably" in output
    assert "no, for certain" in output


def test_query_binary_fuse(tmp_path):
    path = tmp_path / "fuse.sketch"
    BinaryFuseFilter(ITEMS, 16).save(path)
    seen, unseen = invoke_json("query", path, ITEMS[0], "never")
    assert (seen["seen"], unseen["seen"], seen["false_positive_rate"]) == (True, False, 2**-16)
    assert "no, for certain" in invoke("query", path, "never").stdout
    assert invoke_json("show", path)[0]["answer"].endswith(" % false positives")
    assert "is a fixed set" in problem("merge", path, path, "-o", tmp_path / "merged.sketch")


def test_query_ranks(tmp_path):
    path = saved(tmp_path, Quantiles(), range(1, 1001))
    (answer,) = invoke_json("query", path, "500")
    assert holds(answer, 500)
    assert "items ≤ it" in invoke("query", path, "500").stdout
    assert "has no rank" in problem("query", path, "nan")
    assert "has no rank" in problem("query", path, "500", "--type", "str")


def test_query_of_a_sketch_without_items(tmp_path):
    path = saved(tmp_path, FlajoletMartin())
    assert problem("query", path, "x") == "FlajoletMartin answers nothing about single items; see `sketches show`"
