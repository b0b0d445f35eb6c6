"""However PyTorch runs a model, its modules are observed: compiled, checkpointed, fused, in threads."""

import threading

import pytest
import torch
from nn.torch.models import convolutional, images, observed
from torch import nn
from torch.utils.checkpoint import checkpoint

from sketches.nn import watch


def expected_of(model, given):
    with watch(model) as statistics:
        model(given)
    return statistics


@pytest.mark.parametrize("before", [True, False])
def test_compiled_models(before):
    torch.compiler.reset()
    model, given = nn.Sequential(nn.Linear(4, 3), nn.Tanh()), torch.ones(2, 4)
    expected = expected_of(model, given)
    compiled = torch.compile(model, backend="eager")
    if before:
        compiled(given)
    with watch(compiled, what=("outputs", "gradients")) as statistics:
        assert torch.equal(compiled(given), model(given))
        compiled(given).sum().backward()
    assert statistics.layers[:2] == ("_orig_mod.0", "_orig_mod.1")
    assert statistics.summary("_orig_mod.1").samples == 3 * expected.summary("1").samples
    assert "_orig_mod.0:gradient" in statistics.layers
    assert torch.equal(compiled(given), model(given))  # as before
    samples = statistics.summary("_orig_mod.1").samples
    assert samples == statistics.summary("_orig_mod.1").samples


def test_models_compiled_in_place():
    torch.compiler.reset()
    model, given = nn.Sequential(nn.Linear(4, 3), nn.Tanh()), torch.ones(2, 4)
    expected = expected_of(model, given)
    model.compile(backend="eager")
    model(given)
    assert expected_of(model, given) == expected


@pytest.mark.filterwarnings("ignore")  # PyTorch deprecates torch.jit
def test_scripted_modules_are_refused_by_name():
    model = nn.Sequential(nn.Linear(2, 2), torch.jit.script(nn.Sequential(nn.ReLU())))
    with pytest.raises(TypeError, match=r"module '1\.0' was made by torch\.jit, which runs without hooks"):
        watch(model)
    with watch(model, modules="0") as statistics:
        model(torch.ones(1, 2))
    assert statistics.layers == ("0",)


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpoints_are_observed_once(reentrant):
    class Checkpointed(nn.Module):
        def __init__(self, through):
            super().__init__()
            torch.manual_seed(1)
            self.part = nn.Sequential(nn.Linear(3, 4), nn.Tanh())
            self.through = through

        def forward(self, given):
            return checkpoint(self.part, given, use_reentrant=reentrant) if self.through else self.part(given)

    def steps(model):
        with watch(model, what=("outputs", "inputs", "gradients"), every=2) as statistics:
            for step in range(4):
                model(torch.full((2, 3), float(step)).requires_grad_()).square().sum().backward()
        return statistics

    found, expected = steps(Checkpointed(True)), steps(Checkpointed(False))
    assert {layer: found.summary(layer).mean.tolist() for layer in found.layers} == {
        layer: expected.summary(layer).mean.tolist() for layer in expected.layers
    }
    assert found.summary("part.0").samples == 2 * 2


def encoder(**options):
    torch.manual_seed(1)
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, **options)
    return nn.TransformerEncoder(layer, 2).eval()


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("masked", [False, True])
def test_attention_is_not_fused_while_it_is_watched(masked):
    model, given = encoder(), torch.randn(3, 5, 16, generator=torch.Generator().manual_seed(1))
    mask = torch.tensor([[False] * 5, [False] * 3 + [True] * 2, [False] * 5]) if masked else None
    fused = torch.backends.mha.get_fastpath_enabled()
    with torch.inference_mode(), watch(model) as statistics:
        output = model(given, src_key_padding_mask=mask)
    assert torch.backends.mha.get_fastpath_enabled() == fused
    parts = ("self_attn[0]", "dropout1", "norm1", "linear1", "dropout", "linear2", "dropout2", "norm2")
    assert statistics.layers == tuple(f"layers.{i}.{part}" for i in range(2) for part in parts)
    assert {statistics.summary(layer).samples for layer in statistics.layers} == {15}
    with torch.inference_mode():
        plain = model(given, src_key_padding_mask=mask)
    kept = torch.ones(3, 5, dtype=torch.bool) if mask is None else ~mask
    # the fused path adds in another order; normalised values are about 1, and float32 has 6e-8
    assert torch.allclose(output[kept], plain[kept], rtol=0, atol=1e-5)


def test_threads_share_the_statistics():
    model, barrier = convolutional().eval(), threading.Barrier(4)

    def work(seed):
        barrier.wait()
        for step in range(5):
            model(images(seed=10 * seed + step))

    with watch(model) as statistics:
        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with watch(model) as expected:
        for seed in range(4):
            for step in range(5):
                model(images(seed=10 * seed + step))
    for layer in expected.layers:
        ours, other = statistics.summary(layer), expected.summary(layer)
        assert (ours.count == other.count).all()
        assert ours.values == other.values


def test_replicas_of_data_parallel_modules_feed_one_layer():
    model = convolutional().eval()
    with watch(model) as statistics:
        replica = nn.Sequential(*(part._replicate_for_data_parallel() for part in model))
        for part, original in zip(replica, model, strict=True):
            part._parameters = original._parameters
        replica(images())
        model(images())
    assert statistics.layers == tuple("01234567")
    assert statistics.summary("7").samples == 12


def test_lazy_modules():
    model = nn.Sequential(nn.LazyConv1d(4, 1), nn.ReLU())
    given = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(1))
    with watch(model) as statistics:
        output = model[0](given).clone()
        model(given)
    assert statistics.summary("0").samples == 20
    assert statistics.summary("1").mean.shape == (4,)  # channels, as the convolution before it
    again = observed(("0", output, 1))
    assert (statistics.summary("0").mean == again.summary("0").mean).all()
