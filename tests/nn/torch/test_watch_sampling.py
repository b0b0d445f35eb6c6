"""`every` and `share` observe a part, chosen whatever the values are."""

import numpy as np
import pytest
import torch
from torch import nn

from sketches.nn import watch

ROWS = torch.arange(20.0).reshape(20, 1)


def test_every_third_call_of_each_module():
    model = nn.Sequential(nn.Identity(), nn.Identity())
    with watch(model, every=3, what=("inputs", "outputs")) as statistics:
        for call in range(7):
            model(torch.full((1, 1), float(call)))
        model[1](torch.full((1, 1), 100.0))  # its eighth
        model[1](torch.full((1, 1), 200.0))
        model[1](torch.full((1, 1), 300.0))  # its tenth
    for layer, samples, largest in (("0", 3, 6), ("0:input", 3, 6), ("1", 4, 300), ("1:input", 4, 300)):
        summary = statistics.summary(layer)
        assert (summary.samples, summary.maximum.tolist()) == (samples, [largest])  # 0, 3, 6


def test_every_second_gradient():
    model = nn.Linear(1, 1)
    with watch(model, every=2, what="gradients") as statistics:
        for step in range(5):
            (model(torch.ones(1, 1)) * step).sum().backward()
    summary = statistics.summary("model:gradient")
    assert (summary.samples, summary.mean.tolist()) == (3, [2.0])  # 0, 2, 4


def sampled(share, seed=0, calls=1, rows=ROWS):
    model = nn.Identity()
    with watch(model, share=share, seed=seed) as statistics:
        for _ in range(calls):
            model(rows)
    return statistics.summary("model")


@pytest.mark.parametrize("share", [0.25, 0.5, 0.95, 1.0])
def test_a_share_of_the_batch(share):
    summary = sampled(share)
    assert summary.samples == share * 20  # a whole number
    assert summary.values.total == summary.samples


def test_each_element_is_as_probable():
    # Of 20 elements 6.5 on average are chosen: sizes 6 and 7, half of the time each. One-hot rows count each.
    calls, share = 4000, 0.325
    summary = sampled(share, seed=5, calls=calls, rows=torch.eye(20))
    assert 6 * calls < summary.samples < 7 * calls
    # sizes are Bernoulli(1/2): their sum has standard deviation sqrt(calls) / 2 = 32
    assert abs(summary.samples - 6.5 * calls) < 5 * 32
    chosen = summary.fires * summary.samples  # of each element: binomial(4000, 0.325), standard deviation 29.6
    assert np.abs(chosen - share * calls).max() < 6 * 29.6  # 20 of them: six standard deviations


def test_the_seed_decides():
    def drawn(seed):
        return sampled(0.5, seed, 3).mean.tolist()

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_layers_draw_apart():
    model = nn.Sequential(nn.Identity(), nn.Identity())
    with watch(model, share=0.5) as both:
        model(ROWS)
    with watch(model, modules="1", share=0.5) as one:
        model(ROWS)
    assert both.summary("1").mean == one.summary("1").mean != both.summary("0").mean


def test_channels_stay_together():
    model = nn.Conv2d(1, 2, 1)
    with watch(model, share=0.5) as statistics:
        model(torch.ones(4, 1, 3, 5))
    assert statistics.summary("model").samples == 2 * 15  # half of the batch elements, all of their places


def test_small_batches_may_give_nothing():
    model = nn.Identity()
    with watch(model, share=0.001) as statistics:
        model(ROWS)
        model(ROWS[:0])
    assert statistics.layers == ()
