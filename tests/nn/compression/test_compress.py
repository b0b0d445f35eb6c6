"""Models are compressed and expanded: files, dicts of tensors and PyTorch models."""

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from sketches import FormatError
from sketches.nn import CompressedFile, SharedWeights, TensorFile, TensorWriter, compress, expand, tensor_rates

RANDOM = np.random.default_rng(3)
MODEL = {
    "conv.weight": RANDOM.normal(size=(8, 3, 5, 5)).astype("f4"),
    "fc.weight": RANDOM.normal(size=(60, 50)).astype("f4"),
    "fc.bias": RANDOM.normal(size=60).astype("f4"),
    "embed.weight": RANDOM.normal(size=(40, 8)).astype("f2"),
    "steps": np.array(12, np.int64),
    "flags": RANDOM.random(9) < 0.5,
}


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "model.safetensors"
    safetensors.numpy.save_file(MODEL, path, {"format": "pt"})
    return path


@pytest.fixture
def target(tmp_path):
    return tmp_path / "model.skn"


@pytest.mark.parametrize("coder", ["huffman", "arithmetic"])
def test_weights_share_few_values_and_the_rest_is_exact(source, target, tmp_path, coder):
    entries = compress(source, target, bits=4, coder=coder)
    assert {entry.name: entry.coding for entry in entries}["fc.weight"] == coder
    expand(target, tmp_path / "out.safetensors")
    found = safetensors.numpy.load_file(tmp_path / "out.safetensors")
    with TensorFile(source) as before, TensorFile(tmp_path / "out.safetensors") as after:
        assert (before.names, before.metadata) == (after.names, after.metadata)
    for name, array in MODEL.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        if array.ndim < 2:
            assert (found[name] == array).all()
        else:
            assert len(np.unique(found[name])) <= 16
            # 16 levels for a normal variable have a mean squared error of 0.0095 (Max, 1960); the best ones for these
            # numbers have no larger one than those for the distribution, but chance moves it: by much less than half
            assert ((found[name] - array) ** 2).mean() < 1.5 * 0.0095


def test_bits_by_default(source, target):
    compress(source, target)
    with CompressedFile(target) as file:
        rates = {each.name: each for each in tensor_rates(file)}
    assert rates["fc.weight"].entries == 32
    assert rates["conv.weight"].entries == 256
    assert rates["fc.bias"].entries == 0


def step_of(shared):
    """Give the step of which all entries of a codebook are multiples, and neighbours differ by one."""
    values = np.sort(shared.codebook.astype("f8"))
    step = np.diff(values).min()
    assert (values == np.rint(values / step) * step).all()
    assert (np.diff(values) == step).all()
    return step


@pytest.mark.parametrize("coder", ["huffman", "arithmetic"])
def test_without_a_price_of_bits_values_are_the_nearest_multiples(source, target, tmp_path, coder):
    compress(source, target, bits=4, price=0, coder=coder)
    compress(source, tmp_path / "other.skn", bits=4, coder=coder)
    with CompressedFile(target) as file, CompressedFile(tmp_path / "other.skn") as other:
        for name in ("conv.weight", "fc.weight"):
            weights = MODEL[name].astype("f8")
            step = step_of(file.weights(name))
            errors = weights - file[name]
            assert (np.abs(errors) <= step / 2).all()
            # Uniform errors: the square's standard deviation is 0.9 of its mean, for 600 weights a 27th of it; the step
            # is rounded by up to a 256th
            assert (errors**2).mean() == pytest.approx(step**2 / 12, rel=5 / 27)
            assert step**2 / 12 == pytest.approx(((weights - other[name]) ** 2).mean(), rel=0.01)
            if coder == "arithmetic":  # 16 clusters of a normal variable, and multiples of a step: 0.1 bits apart
                assert file.entries[name].length < other.entries[name].length
        assert file["fc.bias"].tobytes() == MODEL["fc.bias"].tobytes()


def test_a_price_makes_files_smaller_and_errors_larger(source, target):
    weights, sizes, errors, steps = MODEL["fc.weight"].astype("f8"), [], [], set()
    for price in (0, 0.1, 0.3):
        compress(source, target, sparsity=0.5, bits=5, price=price)
        with CompressedFile(target) as file:
            found = file["fc.weight"]
            sizes.append(file.entries["fc.weight"].length)
            steps.add(step_of(file.weights("fc.weight")) if price == 0 else min(steps))
        assert (found == np.rint(found / min(steps)) * min(steps)).all()
        assert (found[np.abs(weights) < 0.5] == 0).all()  # half of all weights are below 0.67
        errors.append(((weights - found) ** 2).sum())
    assert sizes == sorted(set(sizes), reverse=True)
    assert errors == sorted(set(errors))


def test_few_values_stay_exact_at_any_price(target):
    weights = np.tile(np.array([0, -1.5, 0.3, 7e8], "f4"), (50, 3))
    compress({"w": weights}, target, bits=2, price=1)
    with CompressedFile(target) as file:
        assert (file["w"] == weights).all()


OUTLIER = np.where(np.arange(600).reshape(20, 30) == 77, 50_000, np.random.default_rng(8).normal(size=(20, 30)))


@pytest.mark.parametrize(
    "weights",
    [
        pytest.param(OUTLIER.astype("f4"), id="steps too many"),
        pytest.param(np.tile([0.1, 0.7, 0], (20, 10)), id="few values, that float32 rounds"),
        pytest.param((OUTLIER.clip(-3, 3) * 2.0**-120).astype("f4"), id="steps too short"),
        pytest.param((OUTLIER.clip(-3, 3) * 2.0**126).astype("f4"), id="steps too long"),
        pytest.param((OUTLIER.clip(-1, 1) * 65504).astype("f2"), id="the next multiple is infinite"),
    ],
)
def test_where_multiples_of_a_step_do_not_fit_values_are_any(target, tmp_path, weights):
    compress({"w": weights}, target, bits=4, price=0.1)
    compress({"w": weights}, tmp_path / "any.skn", bits=4)
    with CompressedFile(target) as file, CompressedFile(tmp_path / "any.skn") as other:
        assert file.weights("w").codebook.tolist() == other.weights("w").codebook.tolist()
        assert (file["w"] == other["w"]).all()
        assert np.isfinite(file["w"]).all()


def test_nothing_but_zeros_has_a_price(target):
    compress({"a": np.zeros((3, 4), "f4"), "b": np.zeros((0, 2), "f4")}, target, price=0.1)
    with CompressedFile(target) as file:
        assert (file["a"] == 0).all()
        assert file["b"].shape == (0, 2)


def test_lossless(source, target, tmp_path):
    compress(source, target, lossless=True)
    expand(target, tmp_path / "out.safetensors")
    for name, array in safetensors.numpy.load_file(tmp_path / "out.safetensors").items():
        assert array.tobytes() == MODEL[name].tobytes()


def test_pruned_weights_are_the_least_of_all(source, target):
    compress(source, target, sparsity=0.8, bits=10)
    chosen = np.concatenate([np.abs(MODEL[name].ravel()) for name in ("conv.weight", "fc.weight")])
    with CompressedFile(target) as file:
        kept = np.concatenate([np.ravel(file[name] != 0) for name in ("conv.weight", "fc.weight")])
        assert (file["embed.weight"] != 0).all()
    assert kept.sum() == len(chosen) // 5
    assert chosen[kept].min() > chosen[~kept].max()


@pytest.mark.parametrize("sparsity", [0.1, 0.5, 0.6])
def test_zeros_stay_zeros_whatever_is_pruned(target, sparsity):
    weights = np.where(RANDOM.random((50, 60)) < 0.5, 0, RANDOM.normal(size=(50, 60))).astype("f4")
    compress({"w": weights}, target, sparsity=sparsity, bits=1)
    with CompressedFile(target) as file:
        assert (file["w"][weights == 0] == 0).all()
        kept = np.count_nonzero(file["w"])
    assert kept == min(np.count_nonzero(weights), round(3000 * (1 - sparsity)))


def test_chosen_tensors(source, target):
    compress(source, target, bits=2, include=["*.weight"], exclude=["embed*"])
    with CompressedFile(target) as file:
        assert [name for name, entry in file.entries.items() if entry.coding == "arithmetic"] == [
            name for name in file.entries if name in ("conv.weight", "fc.weight")
        ]
        assert (file["embed.weight"] == MODEL["embed.weight"]).all()


def test_a_dict_of_tensors(target):
    shared = SharedWeights(np.array([[0, 1], [2, 0]], np.uint8), np.array([0, -1.5, 3], np.float32), sparse=True)
    brain = RANDOM.normal(size=(4, 5)).astype(ml_dtypes.bfloat16)
    compress({"w": shared, "b": brain, "i": np.arange(3), "big": np.arange(3, dtype=">f4")}, target, lossless=True)
    with CompressedFile(target) as file:
        assert file["w"].tolist() == [[0, -1.5], [3, 0]]
        assert (file["b"] == brain.astype(np.float32)).all()
        assert file.entries["b"].dtype == "BF16"
        assert file["i"].tolist() == file["big"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lossless": True, "bits": 3}, "lossless with sparsity None, bits 3 and price None"),
        ({"lossless": True, "price": 0}, "price 0"),
        ({"price": -0.1}, "price is -0.1"),
        ({"price": np.nan}, "price is nan"),
        ({"sparsity": 1.0}, "sparsity is 1.0"),
        ({"bits": 11}, "bits is 11"),
        ({"bits": 0}, "bits is 0"),
        ({"coder": "zip"}, "coder is 'zip'"),
        ({"include": ["nothing*"]}, "pattern 'nothing\\*' matches none"),
    ],
)
def test_bad_options(source, target, options, message):
    with pytest.raises(ValueError, match=message):
        compress(source, target, **options)
    assert not target.exists()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite(target, value):
    weights = np.ones((3, 4), np.float32)
    weights[1, 2] = value
    with pytest.raises(ValueError, match=rf"tensor 'fc.weight': weights hold {value} at \[1, 2\]"):
        compress({"a": np.ones((2, 2), np.float32), "fc.weight": weights}, target)
    with pytest.raises(ValueError, match=f"tensor 'fc.weight': weights hold {value}"):
        compress({"fc.weight": weights}, target, price=0.1)
    assert not target.exists()
    compress({"fc.weight": weights}, target, lossless=True)
    with CompressedFile(target) as file:
        assert file["fc.weight"].tobytes() == weights.tobytes()


def test_other_sources(target, tmp_path):
    with pytest.raises(TypeError, match="model is a int"):
        compress(3, target)
    with pytest.raises(TypeError, match="tensor 'x' is of object"):
        compress({"x": np.array([None])}, target)
    with pytest.raises(TypeError, match="tensor 'x' is of list"):
        compress({"x": [1.0]}, target)
    with pytest.raises(TypeError, match="3 is no name"):
        compress({3: np.ones(3)}, target)
    (tmp_path / "text").write_text("no tensors", encoding="utf-8")
    with pytest.raises(FormatError):
        compress(tmp_path / "text", target)
    with pytest.raises(FormatError):
        expand(tmp_path / "text", target)
    assert not target.exists()


def test_nothing_at_all(target, tmp_path):
    assert compress({}, target) == []
    expand(target, tmp_path / "out.safetensors")
    compress(tmp_path / "out.safetensors", target, sparsity=0.5)
    with CompressedFile(target) as file:
        assert not file.entries


def test_one_pattern_may_stand_alone(target):
    compress(MODEL, target, include="fc.weight", exclude="conv*")
    with CompressedFile(target) as file:
        assert [name for name, entry in file.entries.items() if entry.coding == "arithmetic"] == ["fc.weight"]
    with pytest.raises(TypeError, match=r"exclude is \[3\]; a pattern of names"):
        compress(MODEL, target, exclude=[3])
    with pytest.raises(TypeError, match="lossless is 'no'"):
        compress(MODEL, target, lossless="no")


def test_extreme_weights_warn_of_nothing(target):
    compress({"w": np.array([[3.4e38, -3.4e38], [1, 0]], np.float32)}, target)  # warnings are errors in tests
    with CompressedFile(target) as file:
        assert file["w"].tolist() == np.array([[3.4e38, -3.4e38], [1, 0]], np.float32).tolist()


def test_a_file_is_not_compressed_onto_itself(source):
    before = source.read_bytes()
    with pytest.raises(ValueError, match="target is the source"):
        compress(source, source)
    assert source.read_bytes() == before


def test_nothing_to_share(tmp_path, target):
    with TensorWriter(tmp_path / "m", {"b": ("F32", (3,))}) as writer:
        writer.write("b", np.ones(3, np.float32))
    compress(tmp_path / "m", target, sparsity=0.5, bits=3)
    with CompressedFile(target) as file:
        assert file["b"].tolist() == [1, 1, 1]


def test_rates_are_those_of_the_stages(target):
    # 64 weights, three of which are kept, at 0, 40 and 41: gaps of 5 bits are below 32, so that a filler stands at 32.
    indices = np.zeros((2, 32), np.uint8)
    indices.flat[[0, 40, 41]] = 1, 2, 2
    compress({"w": SharedWeights(indices, np.array([0, 1, 2], np.float32), True), "b": np.ones(2, np.float32)}, target)
    with CompressedFile(target) as file:
        weights, bias = tensor_rates(file)
    assert (weights.size, weights.kept, weights.entries, weights.weight_bits, weights.index_bits) == (64, 3, 2, 2, 5)
    assert weights.dense == 64 * 4
    assert weights.pruned == (4 * (32 + 5) + 7) // 8
    assert weights.shared == (4 * (2 + 5) + 3 * 32 + 7) // 8
    assert weights.coded_weight_bits == (1 + 2 + 1 + 2 + 0) / 4  # 2 has a code of one bit, 1 and the filler of two
    assert weights.coded_index_bits == (1 + 2 + 2 + 1) / 4  # gaps 0, 31, 7, 0
    brain = RANDOM.normal(size=(4, 5)).astype(ml_dtypes.bfloat16)
    compress({"b": brain}, target)
    with CompressedFile(target) as file:
        (rates,) = tensor_rates(file)
    assert (rates.dense, rates.pruned) == (40, 40)  # weights are not pruned, and have 16 bits
    assert (bias.dense, bias.pruned, bias.shared, bias.kept) == (8, 8, 8, 2)
