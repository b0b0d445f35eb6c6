"""The commands `compress`, `expand`, and `show` of a compressed network."""

import zlib

import numpy as np
import pytest
import safetensors.numpy
from cli.invoking import invoke, invoke_json, problem

from sketches import FlajoletMartin
from sketches.nn import CompressedFile
from sketches.nn.compression.directory import MAGIC, TensorEntry, written_directory

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
    assert {tensor["coding"] for tensor in json["tensors"]} == {"huffman", "floats", "shuffle"}


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
        (["compress", "{model}", "-o", "{out}", "--lossless", "--include", "fc*"], "--lossless without"),
        (["compress", "{model}", "-o", "{out}", "--bits", "11"], "bits is 11"),
        (["compress", "{model}", "-o", "{out}", "--lossless", "--price", "0"], "--lossless without"),
        (["compress", "{model}", "-o", "{out}", "--price", "-1"], "price is -1"),
        (["compress", "{model}", "-o", "{out}", "--sparsity", "1"], "sparsity is 1"),
        (["compress", "{model}", "-o", "{out}", "--include", "no*"], "matches none"),
        (["compress", "{missing}", "-o", "{out}"], "missing"),
        (["compress", "{pickle}", "-o", "{out}"], "is this safetensors?"),
        (["expand", "{model}", "-o", "{out}"], "does not begin with SKN"),
        (["expand", "{missing}", "-o", "{out}"], "missing"),
    ],
)
def test_problems_are_one_line(model, tmp_path, arguments, message):
    out = tmp_path / "out"
    (tmp_path / "model.pt").write_bytes(b"PK\3\4" + bytes(range(60)))
    places = {"model": model, "out": out, "missing": tmp_path / "missing", "pickle": tmp_path / "model.pt"}
    assert message in problem(*[argument.format(**places) for argument in arguments])
    assert not out.exists()


def test_lines_are_whole_on_a_narrow_terminal(model, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    network = tmp_path / "model.skn"
    (line,) = [each for each in invoke("compress", model, "-o", network).stdout.splitlines() if "fc1.weight" in each]
    name, weights, kept, *stages = line.replace(" %", "%").split()
    assert (name, weights, kept, len(stages), stages[-1]) == ("fc1.weight", "1,500", "100.00%", 4, "arithmetic")


def test_more_weights_than_memory_has_room_for(tmp_path):
    network = tmp_path / "m.skn"
    code = b"\x02\x00\x01"
    entry = TensorEntry("w", "F32", (2**60,), "arithmetic", 4, len(code), zlib.crc32(code))
    network.write_bytes(MAGIC + code + written_directory([entry], {}, zlib.crc32(code)))
    assert "m.skn: tensor 'w' would have" in problem("show", network)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(CompressedFile, "weights", no_memory)
        entry = TensorEntry("w", "F32", (3,), "arithmetic", 4, len(code), zlib.crc32(code))
        network.write_bytes(MAGIC + code + written_directory([entry], {}, zlib.crc32(code)))
        assert "m.skn: no memory" in problem("show", network)


def no_memory(*_):
    raise MemoryError("no memory")


def test_a_damaged_network(model, tmp_path):
    network = tmp_path / "model.skn"
    invoke("compress", model, "-o", network)
    network.write_bytes(network.read_bytes()[:-1])
    assert str(network) in problem("show", network)
