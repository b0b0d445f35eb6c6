"""Files of weights pruned: beside the functions of arrays, what stays byte for byte, failures that leave nothing."""

import ml_dtypes
import numpy as np
import pytest
import safetensors
import safetensors.numpy

from sketches import FormatError
from sketches.nn import (
    StreamingStatistics,
    TensorFile,
    activation_scores,
    compute_masks,
    compute_pattern_mask,
    compute_row_mask,
    prune_file,
    tensor_file,
)

RANDOM = np.random.default_rng(70)
MODEL = {
    "fc1.weight": RANDOM.normal(size=(300, 50)).astype("f4"),
    "fc1.bias": RANDOM.normal(size=300).astype("f4"),
    "conv.weight": RANDOM.normal(0, 0.1, (8, 6, 3, 3)),
    "half.weight": RANDOM.normal(size=(7, 30)).astype("f2"),
    "embeddings.weight": RANDOM.normal(size=(40, 8)).astype("f4"),
    "ids": RANDOM.integers(0, 99, (3, 4)),
    "empty": np.zeros((0, 4), "f4"),
}
PRUNED = ("conv.weight", "fc1.weight", "half.weight")


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setattr(tensor_file.TensorFile.blocks, "__defaults__", (1000,))  # so that tensors have many blocks
    path = tmp_path / "model.safetensors"
    safetensors.numpy.save_file(MODEL, path, metadata={"format": "pt"})
    return path


@pytest.fixture
def target(tmp_path):
    return tmp_path / "pruned.safetensors"


def check(source, target, masks, tensors):
    """Check that exactly the weights outside of the masks are zero, and every other byte is what it was."""
    found = safetensors.numpy.load_file(target)
    assert found.keys() == MODEL.keys()
    for name, values in MODEL.items():
        expected = np.where(masks[name], values, 0).astype(values.dtype) if name in masks else values
        assert found[name].dtype == values.dtype
        assert found[name].tobytes() == expected.tobytes()
    with TensorFile(source) as before, TensorFile(target) as after:
        assert before.names == after.names
        assert before.metadata == after.metadata
    assert {tensor.name: tensor.kept for tensor in tensors} == {name: int(mask.sum()) for name, mask in masks.items()}


@pytest.mark.parametrize("scope", ["global", "layer", "row"])
@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.95])
def test_masks_are_those_of_arrays(source, target, scope, sparsity):
    masks = compute_masks({name: np.abs(MODEL[name]) for name in PRUNED}, sparsity, scope=scope)
    check(source, target, masks, prune_file(source, target, sparsity, scope=scope))


def test_patterns(source, target):
    masks = {name: compute_pattern_mask(np.abs(MODEL[name]), 2, 4) for name in PRUNED}
    check(source, target, masks, prune_file(source, target, pattern=(2, 4)))


def statistics(**inputs) -> StreamingStatistics:
    made = StreamingStatistics()
    for layer, values in inputs.items():
        made.observe(f"{layer}:input", values)
    return made


def test_statistics_of_inputs(source, target):
    inputs = RANDOM.normal(size=(100, 50)) * RANDOM.random(50)
    found = prune_file(
        source, target, 0.5, scope="row", statistics=statistics(fc1=inputs, other=inputs), include=["fc*"]
    )
    mask = compute_row_mask(activation_scores(MODEL["fc1.weight"], np.linalg.norm(inputs, axis=0)), 0.5)
    check(source, target, {"fc1.weight": mask}, found)


def test_names_choose_tensors(source, target):
    def pruned(**options):
        return [tensor.name for tensor in prune_file(source, target, 0.5, **options)]

    assert sorted(pruned()) == sorted(PRUNED)
    assert pruned(include=["*conv*", "embed*"]) == ["conv.weight"]
    assert sorted(pruned(include=["*conv*", "embed*"], exclude=[])) == ["conv.weight", "embeddings.weight"]


def test_bfloat16_stays_bfloat16(source, target):
    values = RANDOM.normal(size=(64, 65)).astype(ml_dtypes.bfloat16)
    with tensor_file.TensorWriter(source, {"w": ("BF16", values.shape)}) as writer:
        writer.write("w", values.view(np.uint16))
    (found,) = prune_file(source, target, 0.5, scope="row")
    with TensorFile(target) as file:
        bits = np.concatenate(list(file.blocks("w")))
        assert file.dtype("w") == found.dtype == "BF16"
    mask = compute_row_mask(np.abs(values.astype(np.float32)), 0.5)
    assert (bits == np.where(mask, values.view(np.uint16), 0)).all()
    assert found.kept == mask.sum() == 64 * 33


def damaged(name, value, source):
    model = {key: values.copy() for key, values in MODEL.items()}
    model[name].flat[-1] = value
    safetensors.numpy.save_file(model, source)


@pytest.mark.parametrize("scope", ["global", "layer", "row"])
@pytest.mark.parametrize("exists", [False, True])
def test_a_failure_leaves_no_file(source, target, tmp_path, scope, exists):
    if exists:
        target.write_bytes(b"old")
    damaged("half.weight", np.nan, source)  # the last that is pruned
    with pytest.raises(ValueError, match=r"tensor 'half\.weight': weights hold NaN"):
        prune_file(source, target, 0.5, scope=scope)
    assert sorted(tmp_path.iterdir()) == sorted([source, target] if exists else [source])
    assert not exists or target.read_bytes() == b"old"


def test_bad_arguments(source, target, tmp_path):
    few = statistics(fc1=np.ones((2, 49)), conv=np.ones((2, 6)))
    link = tmp_path / "link"
    link.symlink_to(source)
    for arguments, options, error, message in (
        ((source, target), {}, ValueError, "sparsity is None, and pattern is None"),
        ((source, target, 0.5), {"pattern": (2, 4)}, ValueError, r"sparsity is 0\.5, and pattern is \(2, 4\)"),
        ((source, target, 1.0), {}, ValueError, r"sparsity is 1\.0"),
        ((source, target, 0.5), {"scope": "all"}, ValueError, "scope is 'all'"),
        ((source, target), {"pattern": (5, 4)}, ValueError, "n is 5"),
        ((source, source, 0.5), {}, ValueError, "the target is the source"),
        ((source, link, 0.5), {}, ValueError, "the target is the source"),
        ((source, tmp_path / "no" / "x", 0.5), {}, FileNotFoundError, "No such file"),
        ((tmp_path / "none", target, 0.5), {}, FileNotFoundError, "none"),
        ((source, target, 0.5), {"include": ["fc3*"]}, ValueError, r"'fc3\*' matches none of 7 tensors"),
        ((source, target, 0.5), {"include": ["*bias"]}, ValueError, "no tensor to prune"),
        ((source, target, 0.5), {"exclude": ["*"]}, ValueError, "no tensor to prune"),
        (
            (source, target, 0.5),
            {"statistics": few},
            ValueError,
            "the statistics have no layer 'half:input'",
        ),
        (
            (source, target, 0.5),
            {"statistics": few, "include": ["fc1*"]},
            ValueError,
            r"'fc1.weight': .* shape \(49,\)",
        ),
    ):
        with pytest.raises(error, match=message):
            prune_file(*arguments, **options)
    source.write_bytes(source.read_bytes()[:-1])
    with pytest.raises(FormatError, match=r"tensor '.*' ends at byte"):
        prune_file(source, target, 0.5)
    assert sorted(tmp_path.iterdir()) == [link, source]
