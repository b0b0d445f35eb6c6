"""The command `prune`."""

import json
import os

import numpy as np
import pytest
import safetensors.numpy
from cli.invoking import invoke, invoke_json, problem, run

from sketches.nn import StreamingStatistics

RANDOM = np.random.default_rng(71)
MODEL = {
    "fc1.weight": RANDOM.normal(size=(30, 50)).astype("f4"),
    "fc1.bias": np.ones(30, "f4"),
    "embeddings.weight": RANDOM.normal(size=(40, 8)).astype("f4"),
}


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.safetensors"
    safetensors.numpy.save_file(MODEL, path)
    return path


def test_prune(model, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    output = tmp_path / "out.safetensors"
    shown = invoke("prune", model, "--sparsity", 0.9, "-o", output).stdout
    for part in ("fc1.weight", "F32", "30 × 50", "1,500", "150", "10.00 %", "all"):
        assert part in shown
    assert "embeddings" not in shown
    found = safetensors.numpy.load_file(output)
    assert np.count_nonzero(found["fc1.weight"]) == 150
    assert (found["embeddings.weight"] == MODEL["embeddings.weight"]).all()
    json = invoke_json("prune", model, "--pattern", "2:4", "-o", output, "--exclude", "nothing")
    assert (json["weights"], json["kept"]) == (1500 + 320, 30 * (24 + 2) + 160)  # 50 inputs: 12 groups of 4, one of 2
    assert json["sparsity"] == 880 / 1820
    assert [tensor["kept"] for tensor in json["tensors"]] == [160, 780]


def test_prune_with_statistics(model, tmp_path):
    statistics, path, output = StreamingStatistics(), tmp_path / "inputs", tmp_path / "out.safetensors"
    statistics.observe("fc1:input", np.eye(50) * np.where(np.arange(50) < 25, 1000.0, 0.001))
    statistics.save(path)
    invoke("prune", model, "--sparsity", 0.5, "--scope", "row", "--statistics", path, "-o", output)
    kept = safetensors.numpy.load_file(output)["fc1.weight"] != 0
    assert kept[:, :25].all()  # of weights around 1, those with large inputs
    assert not kept[:, 25:].any()
    line = problem("prune", model, "--sparsity", 0.5, "--statistics", path, "--exclude", "fc1*", "-o", output)
    assert line == f"{model}: tensor 'embeddings.weight': the statistics have no layer 'embeddings:input'"


def test_prune_explains_what_is_wrong(model, tmp_path):
    output = tmp_path / "out.safetensors"
    rest = ("-o", output)
    nowhere = tmp_path / "no" / "x"
    for arguments, expected in (
        ((model, *rest), "prune takes either --sparsity or --pattern"),
        ((model, "--sparsity", 0.5, "--pattern", "2:4", *rest), "prune takes either --sparsity or --pattern"),
        ((model, "--sparsity", 1, *rest), "sparsity is 1.0; a number in [0, 1) is accepted"),
        ((model, "--pattern", "4:2", *rest), "--pattern is 4:2; N:M with 1 <= N <= M is accepted, such as 2:4"),
        ((model, "--sparsity", 0.5, "-o", model), f"{model}: would replace {model}; give another file"),
        ((model, "--sparsity", 0.5, "-o", nowhere), f"{nowhere}: No such file or directory"),
        ((model, "--sparsity", 0.5, "-o", tmp_path), f"{tmp_path}: Is a directory"),
        ((nowhere, "--sparsity", 0.5, *rest), f"{nowhere}: No such file or directory"),
        ((tmp_path, "--sparsity", 0.5, *rest), f"{tmp_path}: Is a directory"),
        ((model, "--sparsity", 0.5, "--include", "x*", *rest), f"{model}: include: the pattern 'x*' matches none"),
        ((model, "--sparsity", 0.5, "--statistics", nowhere, *rest), f"{nowhere}: No such file or directory"),
        ((model, "--sparsity", 0.5, "--statistics", model, *rest), f"{model}: the bytes start with"),
        ((model, "--sparsity", 0.5, "--scope", "all", *rest), "invalid value for '--scope'"),
    ):
        assert problem("prune", *arguments).startswith(expected)
        assert not output.exists()
        assert sorted(tmp_path.iterdir()) == [model]
    model.write_bytes(b"nothing")
    assert problem("prune", model, "--sparsity", 0.5, *rest) == f"{model}: the file has 7 bytes: not safetensors"


def test_prune_never_replaces_the_statistics(model, tmp_path):
    statistics, path = StreamingStatistics(), tmp_path / "inputs"
    statistics.observe("fc1:input", np.ones((2, 50)))
    statistics.save(path)
    before = path.read_bytes()
    line = problem("prune", model, "--sparsity", 0.5, "--statistics", path, "-o", path)
    assert line == f"{path}: would replace {path}; give another file"
    assert path.read_bytes() == before


def test_json_is_json_whatever_the_encoding(tmp_path):
    path, name = tmp_path / "model", "Gr\u00f6\u00dfe \U0001f600"
    safetensors.numpy.save_file({name: np.eye(4, dtype=np.float32)}, path)
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    done = run("prune", path, "--sparsity", 0.5, "-o", tmp_path / "out", "--json", env=environment)
    assert [tensor["name"] for tensor in json.loads(done.stdout)["tensors"]] == [name]


def test_names_of_the_greatest_length(model, tmp_path):
    output = tmp_path / ("x" * 250)
    invoke("prune", model, "--sparsity", 0.5, "-o", output)
    assert output.is_file()
