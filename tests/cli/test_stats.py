"""The command `stats`."""

import ml_dtypes
import numpy as np
import pytest
from cli.invoking import invoke, invoke_json, problem

from sketches import AMS
from sketches.nn import StreamingStatistics, TensorWriter

RANDOM = np.random.default_rng(1)
WEIGHT = RANDOM.normal(size=(7, 3, 5)).astype(np.float32)
HALF = RANDOM.normal(size=(6, 4)).astype(ml_dtypes.bfloat16)
BIAS = np.array([0.0, 1.0, np.nan], np.float16)


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.safetensors"
    layout = {
        "conv.weight": ("F32", WEIGHT.shape),
        "fc.weight": ("BF16", HALF.shape),
        "fc.bias": ("F16", BIAS.shape),
        "scale": ("F64", ()),
        "none": ("F32", (0, 3)),
        "ids": ("I64", (2,)),
    }
    with TensorWriter(path, layout) as writer:
        writer.write("conv.weight", WEIGHT)
        writer.write("fc.weight", HALF.view(np.uint16))
        writer.write("fc.bias", BIAS)
        writer.write("scale", np.array(2.5))
        writer.write("ids", np.arange(2))
    return path


def test_tensors(model, tmp_path):
    page, saved = tmp_path / "x.html", tmp_path / "x.stats"
    found = invoke_json("stats", model, "-o", saved, "--report", page)
    assert found["file"] == str(model)
    assert found["skipped"] == {"none": "empty", "ids": "I64"}
    rows = {row["tensor"]: row for row in found["layers"]}
    assert list(rows) == ["conv.weight", "fc.weight", "fc.bias", "scale"]
    conv, half, bias = rows["conv.weight"], rows["fc.weight"], rows["fc.bias"]
    assert (conv["units"], conv["samples"]) == (7, 15)
    assert conv["mean"] == pytest.approx(WEIGHT.mean(dtype=float))
    assert (conv["min"], conv["max"]) == (WEIGHT.min(), WEIGHT.max())
    assert (half["units"], half["samples"]) == (6, 4)
    assert half["std"] == pytest.approx(HALF.astype(float).std())
    assert (bias["units"], bias["samples"], bias["NaN"], bias["mean"]) == (1, 3, 1, 0.5)
    assert rows["scale"]["max"] == 2.5
    assert "dead" not in conv
    statistics = StreamingStatistics.load(saved)
    assert np.allclose(statistics.summary("conv.weight").mean, WEIGHT.reshape(7, -1).mean(axis=1))
    assert page.read_text().startswith("<!doctype html>")
    again = invoke_json("stats", saved)
    assert [row["layer"] for row in again["layers"]] == list(rows)
    assert "dead" in again["layers"][0]


def test_text(model, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    lines = invoke("stats", model).stdout.splitlines()
    assert lines[0] == f"{model}: 4 tensors"
    assert lines[1].split()[:3] == ["tensor", "samples", "units"]
    assert lines[2].split()[:3] == ["conv.weight", "15", "7"]
    assert lines[-1] == "skipped: none (empty), ids (I64)"


def test_bad_files(model, tmp_path):
    cut, sketch, saved = tmp_path / "cut", tmp_path / "sketch", tmp_path / "saved"
    cut.write_bytes(model.read_bytes()[:-3])
    AMS().save(sketch)
    assert problem("stats", cut).startswith(f"{cut}: ")
    assert problem("stats", tmp_path / "none") == f"{tmp_path / 'none'}: No such file or directory"
    assert problem("stats", tmp_path) == f"{tmp_path}: Is a directory"
    assert problem("stats", sketch).startswith(f"{sketch}: the bytes hold a AMS, not StreamingStatistics")
    assert problem("stats", model, "-o", tmp_path / "no" / "x").startswith(f"{tmp_path / 'no' / 'x'}: No such file")
    assert problem("stats", model, "--report", tmp_path / "no" / "x").startswith(f"{tmp_path / 'no' / 'x'}: No such")
    StreamingStatistics().save(saved)
    saved.write_bytes(saved.read_bytes()[:-1])
    assert problem("stats", saved).startswith(f"{saved}: ")


def test_nothing_that_is_read_is_replaced(model, tmp_path):
    before, link, new = model.read_bytes(), tmp_path / "link", tmp_path / "new"
    link.symlink_to(model)
    for output in (model, link):
        for option in ("-o", "--report"):
            assert problem("stats", model, option, output) == f"{output}: would replace {model}; give another file"
    assert problem("stats", model, "-o", new, "--report", new) == f"{new}: would replace {new}; give another file"
    assert model.read_bytes() == before
    assert not new.exists()
    invoke("stats", model, "-o", "/dev/null", "--report", "/dev/null")
