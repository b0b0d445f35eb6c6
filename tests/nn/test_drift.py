"""Two statistics side by side."""

import math

import numpy as np
import pytest
from nn.layers import fed, rectified
from scipy.stats import ks_2samp, wasserstein_distance

from sketches.nn import StreamingStatistics, drift


def test_a_layer_that_changed_beside_one_that_did_not():
    random = np.random.default_rng(1)
    before, after = StreamingStatistics(), StreamingStatistics()
    moved = random.normal(size=(3000, 5)) * [1, 1, 2, 1, 1]
    for statistics, shift in ((before, 0), (after, 1)):
        values = moved + shift * np.array([0, 0, -1, 0, 0.1])
        values[:, 3] = -1 if shift else 5
        values[:, 4] = 1 if shift else -1
        statistics.observe("moved", values)
        statistics.observe("same", random.normal(size=(3000, 5)))
    found = drift(before, after)
    assert [layer.layer for layer in found.layers] == ["moved", "same"]
    layer = found["moved"]
    assert layer.drifted
    assert not found["same"].drifted
    assert layer.most_shifted(3).tolist() == [3, 4, 2]  # constant units that differ are infinitely far
    assert layer.shift[3] == -math.inf
    assert layer.shift[2] == pytest.approx(-1 / moved[:, 2].std())
    assert layer.shift[0] == 0
    assert 0 not in layer.most_shifted()
    assert layer.died.tolist() == [3]
    assert layer.revived.tolist() == [4]


def test_distances_are_those_of_the_values():
    one, other = rectified(seed=1), rectified(2500, seed=2) * 1.5
    found = drift(fed(one), fed(other))["hidden"]
    truth = ks_2samp(one.ravel(), other.ravel(), method="asymp").statistic
    assert found.distance.lower - 1e-12 <= truth <= found.distance.upper + 1e-12
    truth = wasserstein_distance(one.ravel(), other.ravel())
    assert found.moved.lower <= truth <= found.moved.upper
    expected = (other.mean(axis=0) - one.mean(axis=0)) / np.sqrt((one.var(axis=0) + other.var(axis=0)) / 2 + 1e-300)
    assert found.shift == pytest.approx(expected)


def test_what_cannot_be_compared_is_said():
    before, after = StreamingStatistics(), StreamingStatistics()
    before.observe("gone", np.ones((4, 2)))
    after.observe("new", np.ones((4, 2)))
    before.observe("wider", np.ones((4, 2)))
    after.observe("wider", np.ones((4, 3)))
    before.observe("nan", np.full((4, 2), np.nan))
    after.observe("nan", np.ones((4, 2)))
    after.observe("empty", np.ones((4, 2)))
    before.observe("empty", np.ones((0, 2)))
    found = drift(before, after)
    assert (found.only_before, found.only_after) == (("gone",), ("new",))
    assert [layer.layer for layer in found.layers] == ["wider", "nan", "empty"]
    assert found["wider"].distance == 0
    assert not len(found["wider"].shift)
    assert not len(found["wider"].died)
    for name in ("nan", "empty"):
        layer = found[name]
        assert math.isnan(layer.distance)
        assert math.isnan(layer.moved)
        assert np.isnan(layer.shift).all()
        assert not layer.drifted
        assert not len(layer.most_shifted())
    with pytest.raises(KeyError, match="layer is 'gone'; both have 'wider', 'nan', 'empty'"):
        found["gone"]
    with pytest.raises(ValueError, match="confidence is 2"):
        drift(StreamingStatistics(), StreamingStatistics(), confidence=2)
    text = str(found)
    assert "only before: gone" in text
    assert "only after: new" in text
    assert "<td" in found._repr_html_()
    assert str(drift(StreamingStatistics(), StreamingStatistics())).startswith("drift of 0 layers")
