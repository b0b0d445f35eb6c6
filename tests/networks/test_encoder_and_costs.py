"""The jobs of the transformer and of the statistics' costs, at toy scale: they run, and what must hold holds."""

import numpy as np
import pytest
import torch

from benchmarks.networks.embedding import batches, cosine, embed
from benchmarks.networks.jobs import costs, transformer
from benchmarks.networks.measure import Row
from benchmarks.networks.sentences import SETS, _split


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    layers = [torch.nn.Embedding(50, 16), torch.nn.Linear(16, 32), torch.nn.GELU(), torch.nn.Linear(32, 16)]
    return torch.nn.Sequential(*layers).eval()


def parts(seed, count=24):
    random = np.random.default_rng(seed)
    return batches([random.integers(0, 50, random.integers(3, 7)).tolist() for _ in range(count)])


def test_batches_have_every_sentence_once_and_no_padding():
    tokens = [[1, 2], [3], [4, 5], [6]]
    found = batches(tokens)
    assert {i: row.tolist() for members, ids in found for i, row in zip(members, ids, strict=True)} == dict(
        enumerate(tokens)
    )


def test_embeddings_come_in_the_order_of_the_sentences(encoder):
    tokens = [[1, 2], [3], [4, 5], [6]]
    expected = torch.cat([encoder(torch.tensor([ids])).mean(1) for ids in tokens])
    torch.testing.assert_close(embed(encoder, batches(tokens)), expected)
    torch.testing.assert_close(cosine(expected, 2 * expected), torch.ones(4, dtype=torch.float64))


def test_sentences_are_whole_and_without_markup():
    text = (
        "Return the greatest common divisor of two numbers. See also `lcm`. Too short.\n\n    >>> code(1, 2, 3, 4, 5)"
    )
    assert list(_split(text)) == ["Return the greatest common divisor of two numbers."]
    assert SETS == ("calibration", "validation", "test")


def test_every_method_prunes_its_share_and_leaves_the_model(encoder):
    known = transformer.Known(encoder, parts(1))
    before = {name: weights.copy() for name, weights in known.weights.items()}
    total = sum(weights.size for weights in before.values())
    for name, pruned, _ in (*known.pruned(0.5), *known.patterned()):
        zeros = sum(int((layer.weight == 0).sum()) for layer in transformer.linears(pruned).values())
        assert abs(zeros / total - 0.5) < 0.01, name  # ties and rounding: a few of 1,024
    for name, layer in transformer.linears(encoder).items():
        assert (layer.weight.detach().numpy() == before[name]).all()


def test_biases_keep_the_means_of_the_first_layer(encoder):
    known = transformer.Known(encoder, parts(1))
    for _, pruned, how in known.pruned(0.5):
        if how == transformer.FITTED:
            outputs = [torch.cat([m[1](m[0](ids)).flatten(0, 1) for _, ids in parts(1)]) for m in (encoder, pruned)]
            torch.testing.assert_close(outputs[0].mean(0), outputs[1].mean(0), rtol=1e-4, atol=1e-5)
            assert (outputs[0] - outputs[1]).abs().max() > 1e-3


def test_moments_of_layers_with_one_input_are_shared():
    class Heads(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.query, self.key, self.out = (torch.nn.Linear(4, 4) for _ in range(3))

        def forward(self, x):
            return self.out(self.query(x) * self.key(x))

    x = torch.rand(5, 3, 4)
    found = transformer.input_moments(Heads(), [([0], x), ([1], x + 1)])
    assert found["query"] is found["key"]
    assert found["query"].samples == found["out"].samples == 30
    np.testing.assert_allclose(found["query"].mean, x.mean((0, 1)).numpy() + 0.5, rtol=1e-5)


@pytest.mark.filterwarnings("ignore")  # torch.ao's and torchao's own
def test_the_table_has_peers_and_ours(encoder):
    found = list(transformer.figures(encoder, {"calibration": parts(1), "test": parts(2)}, (0.5,), "toy"))
    rows = [row for row in found if isinstance(row, Row)]
    assert {row.role for row in rows} == {"ours", "peer"}
    assert all(0 <= row.value < 2 for row in rows)
    (goal,) = [row for row in rows if row.goal is not None]
    assert goal.goal.at_most == min(row.value for row in rows if row.role == "peer" and row.x == 50)


@pytest.mark.filterwarnings("ignore")
def test_a_quick_run_of_the_encoder_is_not_judged(encoder, monkeypatch):
    tokens = [[i, i + 1, i + 2] for i in range(24)]
    monkeypatch.setattr(transformer, "minilm", lambda: (encoder, lambda texts: texts))
    monkeypatch.setattr(transformer, "sentences", lambda: {"calibration": tokens, "test": tokens})
    monkeypatch.setattr(transformer, "find_spec", lambda name: None if name == "torchao" else name)
    rows = [row for row in transformer.run(True) if isinstance(row, Row)]
    assert rows
    assert all(row.goal is None for row in rows)


@pytest.mark.filterwarnings("ignore")
def test_costs_are_those_of_the_observed_pass():
    added, forward = costs.paired(costs.lenet().eval(), torch.rand(2, 1, 28, 28), 3, 0.1)
    assert set(added) == {costs.OURS, "HistogramObserver", "MinMaxObserver", "PerChannelMinMaxObserver"}
    assert all(len(shares) == 3 for shares in added.values())
    assert forward > 0


@pytest.mark.filterwarnings("ignore")
def test_memory_and_percentiles_keep_their_bounds():
    rows = [row for job in (costs.lengths, costs.percentiles) for row in job(True) if isinstance(row, Row)]
    goals = [row for row in rows if row.goal is not None]
    assert {row.measure for row in goals} == {costs.MEMORY, costs.ERROR}
    assert all(row.goal.reached(row.value) for row in goals)
