"""The benchmark of hashed weights: files fit the budget, and the net comes back from them."""

import pytest
import torch

from benchmarks.compression import hashed
from sketches.nn import TensorFile


@pytest.mark.parametrize(("name", "ratio"), hashed.SETTINGS)
def test_the_file_fits_and_holds_the_net(name, ratio, tmp_path):
    setting, path = hashed.SETTINGS[name, ratio], tmp_path / "net.safetensors"
    torch.manual_seed(1)
    model = hashed.network(setting, seed=3).eval()
    nbytes = hashed.write(model, setting, path)
    assert nbytes == path.stat().st_size <= setting.budget == 4 * (795_010 // ratio)
    unit = 4 * 795 if name == hashed.DENSE else 1  # of a hidden unit, or a value
    assert nbytes > setting.budget - hashed.HEADER - unit
    read = hashed.read(path)
    images = torch.rand(5, 1, 28, 28)
    if setting.bits == 32:
        assert torch.equal(read(images), model(images))
        return
    for layer in ("fc1", "fc2"):
        stored, kept = (net.get_parameter(f"{layer}.values").detach() for net in (read, model))
        half_a_step = kept.abs().max() / 127 / 2
        assert (stored - kept).abs().max() <= half_a_step * 1.001
        assert read.get_submodule(layer).seed == model.get_submodule(layer).seed
    with TensorFile(path) as file:
        assert file.dtype("fc1.values") == "I8"


def test_the_known_figures_stand_at_the_bytes_of_the_goals():
    rows = list(hashed.known(True))
    assert {row.x for row in rows} == {397_504, 49_688} == {setting.budget for setting in hashed.SETTINGS.values()}
    assert all(row.value > hashed.GOALS[64 if row.x == 49_688 else 8].at_most for row in rows)
