"""The commands `compress`, `expand`, and `show` of a compressed network."""

import numpy as np
import pytest
import safetensors.numpy
from cli.invoking import invoke, invoke_json, problem

from sketches import FlajoletMartin

RANDOM = np.random.default_rng(72)
MODEL = {
    "fc1.weight": RANDOM.normal(size=(30, 50)).astype("f4"),
    "fc1.bias": np.ones(30, "f4"),
    "steps": np.arange(5),
}


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.safetensors"
    safetensors.numpy.save_file(MODEL, path)
    return path


def test_compress_show_and_expand(model, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")
    network, output = tmp_path / "model.skn", tmp_path / "out.safetensors"
    shown = invoke("compress", model, "--sparsity", 0.9, "--bits", 3, "-o", network).stdout
    for part in (
        "fc1.weight",
        "1,500",
        "10.00 %",
        "arithmetic",
        "fc1.bias",
        "all",
        f"{network.stat().st_size:,} bytes",
    ):
        assert part in shown
    assert invoke("show", network).stdout == shown
    (json,) = invoke_json("show", network)
    assert json["bytes"] == network.stat().st_size
    assert json["dense"] == 1500 * 4 + 30 * 4 + 5 * 8
    assert json["ratio"] == json["dense"] / json["bytes"]
    (weights,) = [tensor for tensor in json["tensors"] if tensor["name"] == "fc1.weight"]
    assert (weights["kept"], weights["entries"], weights["shape"]) == (150, 8, [30, 50])
    assert str(output) in invoke("expand", network, "-o", output).stdout.replace("\n", "")
    found = safetensors.numpy.load_file(output)
    assert len(np.unique(found["fc1.weight"])) == 9
    assert (found["steps"] == MODEL["steps"]).all()


def test_lossless_and_huffman(model, tmp_path):
    network, output = tmp_path / "model.skn", tmp_path / "out.safetensors"
    invoke("compress", model, "--lossless", "-o", network)
    invoke("expand", network, "-o", output)
    assert all((array == MODEL[name]).all() for name, array in safetensors.numpy.load_file(output).items())
    json = invoke_json("compress", model, "--coder", "huffman", "-o", network)
    assert {tensor["coding"] for tensor in json["tensors"]} == {"huffman", "floats", "deflate"}


def test_a_price_of_bits(model, tmp_path):
    network, output = tmp_path / "model.skn", tmp_path / "out.safetensors"
    sizes = [invoke_json("compress", model, "--price", price, "-o", network)["bytes"] for price in (0, 0.3)]
    assert sizes[1] < sizes[0]
    invoke("expand", network, "-o", output)
    values = np.unique(safetensors.numpy.load_file(output)["fc1.weight"].astype("f8"))
    assert np.unique(values / np.diff(values).min() % 1).tolist() == [0]


def test_show_of_sketches_and_networks(model, tmp_path):
    network, sketch = tmp_path / "model.skn", tmp_path / "distinct.sk"
    invoke("compress", model, "-o", network)
    FlajoletMartin().save(sketch)
    assert [each["class"] for each in invoke_json("show", sketch, network)] == ["FlajoletMartin", "CompressedFile"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compress", "{model}", "-o", "{model}"], "would replace"),
        (["compress", "{model}", "-o", "{out}", "--lossless", "--bits", "3"], "--lossless without"),
        (["compress", "{model}", "-o", "{out}", "--bits", "11"], "bits is 11"),
        (["compress", "{model}", "-o", "{out}", "--lossless", "--price", "0"], "--lossless without"),
        (["compress", "{model}", "-o", "{out}", "--price", "-1"], "price is -1"),
        (["compress", "{model}", "-o", "{out}", "--sparsity", "1"], "sparsity is 1"),
        (["compress", "{model}", "-o", "{out}", "--include", "no*"], "matches none"),
        (["compress", "{missing}", "-o", "{out}"], "missing"),
        (["expand", "{model}", "-o", "{out}"], "does not begin with SKN"),
        (["expand", "{missing}", "-o", "{out}"], "missing"),
    ],
)
def test_problems_are_one_line(model, tmp_path, arguments, message):
    out = tmp_path / "out"
    places = {"model": model, "out": out, "missing": tmp_path / "missing"}
    assert message in problem(*[argument.format(**places) for argument in arguments])
    assert not out.exists()


def test_a_damaged_network(model, tmp_path):
    network = tmp_path / "model.skn"
    invoke("compress", model, "-o", network)
    network.write_bytes(network.read_bytes()[:-1])
    assert str(network) in problem("show", network)
