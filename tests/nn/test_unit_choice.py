"""Which units are chosen, against all choices there are; and scores of units, against NumPy in plain words."""

import itertools

import numpy as np
import pytest

from sketches.nn import (
    Coupling,
    Place,
    choose_units,
    contribution_scores,
    refit_weights,
    taylor_unit_scores,
    unit_elimination_scores,
)
from sketches.nn.pruning.unit_reconstruction import fit_to_inputs


def chain(widths, inputs=3, outputs=2, fixed=()):
    """Layers one after the other; the last one's outputs stay, as do the units in `fixed`."""
    places, groups, start, before = [], [], 0, None
    costs = {}
    for number, width in enumerate(widths):
        units = np.arange(start, start + width)
        places.append(Place(f"{number}", "out", units))
        if before is not None:
            places.append(Place(f"{number}", "in", before))
        costs[f"{number}"] = width * (inputs if before is None else len(before))
        groups += [number] * width
        start, before = start + width, units
    places.append(Place("last", "in", before))
    costs["last"] = len(before) * outputs
    removable = np.ones(start, bool)
    removable[list(fixed)] = False
    return Coupling(tuple(places), np.array(groups), removable, {}, costs)


class TestShare:
    @pytest.mark.parametrize("share", [0, 0.2, 0.5, 0.6, 0.99])
    def test_the_lowest_of_each_group_go(self, share):
        coupling = chain([5, 4], fixed=[0])
        scores = np.array([0, 3, 1, 2, 4, 1, 1, 0, 2.0])
        keep = choose_units(coupling, scores, share=share)
        for group, most in ((0, 4), (1, 3)):  # one unit stays; of the first group that is unit 0, which may not go
            members = np.flatnonzero(coupling.groups == group)
            gone = members[~keep[members]]
            assert len(gone) == min(int(share * len(members)), most)
            going = members[coupling.removable[members]]
            assert gone.tolist() == sorted(sorted(going, key=lambda unit: (scores[unit], unit))[: len(gone)])

    def test_of_some_layers(self):
        keep = choose_units(chain([4, 4]), np.arange(8.0), share={"1": 0.5})
        assert np.flatnonzero(~keep).tolist() == [4, 5]

    @pytest.mark.parametrize(
        ("share", "message"),
        [
            ({"9": 0.5}, "share has '9'; layers with units that may go are '0', '1'"),
            ({"1": 1.0}, "share of '1' is 1.0"),
            ({"1": True}, "share of '1' is True"),
        ],
    )
    def test_bad_shares(self, share, message):
        with pytest.raises(ValueError, match=message):
            choose_units(chain([4, 4]), np.arange(8.0), share=share)

    def test_tied_layers_have_one_share(self):
        units = np.arange(4)
        places = (Place("a", "out", units), Place("b", "out", units), Place("c", "in", units))
        coupling = Coupling(places, np.zeros(4, int), np.ones(4, bool), {}, {})
        assert choose_units(coupling, np.arange(4.0), share={"a": 0.5, "b": 0.5}).sum() == 2
        with pytest.raises(ValueError, match=r"share of 'b' is 0\.25, but that of a layer tied to it is 0\.5"):
            choose_units(coupling, np.arange(4.0), share={"a": 0.5, "b": 0.25})


class TestMultiplyAdds:
    @pytest.mark.parametrize("seed", range(8))
    @pytest.mark.parametrize("target", [0.9, 0.75, 0.6])
    def test_every_step_is_the_cheapest_for_what_it_saves(self, seed, target):
        """One step at a time, by the cost of every mask with one unit less."""
        random = np.random.default_rng(seed)
        coupling = chain(random.integers(2, 5, 3).tolist(), inputs=1, outputs=30, fixed=[1])
        scores = random.integers(0, 4, len(coupling.groups)).astype(float)  # with ties
        keep = np.ones(len(scores), bool)
        whole = coupling.cost(keep)
        while coupling.cost(keep) > target * whole + 1e-9:
            prices = []
            for unit in np.flatnonzero(keep & coupling.removable):
                others = keep & (np.arange(len(keep)) != unit)
                if others[coupling.groups == coupling.groups[unit]].any():
                    saved = coupling.cost(keep) - coupling.cost(others)
                    prices.append((round(scores[unit] / saved, 12), coupling.groups[unit], scores[unit], unit))
            keep[min(prices)[-1]] = False
        found = choose_units(coupling, scores, multiply_adds=target)
        assert found.tolist() == keep.tolist()

    @pytest.mark.parametrize("target", [1.0, 0.8, 0.5, 0.3])
    def test_the_target_is_met_and_one_unit_less_gone_would_miss_it(self, target):
        """And of one group, it is the choice of the least score of all that meet it."""
        coupling = chain([6], inputs=5)
        scores = np.array([3, 1, 4, 1, 5, 9.0])
        keep = choose_units(coupling, scores, multiply_adds=target)
        masks = [np.array(mask) for mask in itertools.product([False, True], repeat=6) if any(mask)]
        meeting = [mask for mask in masks if coupling.cost(mask) <= target * coupling.cost(np.ones(6, bool)) + 1e-9]
        assert any((keep == mask).all() for mask in meeting)
        assert scores[~keep].sum() == min(scores[~mask].sum() for mask in meeting)

    def test_one_unit_of_each_group_stays(self):
        coupling = chain([3, 2])
        least = coupling.cost(np.array([1, 0, 0, 1, 0], bool)) / coupling.cost(np.ones(5, bool))
        keep = choose_units(coupling, np.array([0, 1, 2, 4, 3.0]), multiply_adds=least)
        assert keep.tolist() == [False, False, True, True, False]
        with pytest.raises(ValueError, match="are left when all that may go has gone"):
            choose_units(coupling, np.zeros(5), multiply_adds=0.99 * least)


class TestScores:
    def test_contributions_are_what_outputs_vary_by(self):
        random = np.random.default_rng(1)
        weights, inputs = random.normal(size=(4, 3)), random.normal(size=(50, 3)) * [1, 5, 0.1]
        alone = [np.var(np.outer(inputs[:, i], weights[:, i]), axis=0).sum() for i in range(3)]
        np.testing.assert_allclose(contribution_scores(weights, inputs.var(axis=0)), alone / np.sum(alone))

    def test_of_kernels_all_weights_count(self):
        weights = np.arange(12.0).reshape(2, 2, 3)
        expected = np.array([(0 + 1 + 4) + (36 + 49 + 64), (9 + 16 + 25) + (81 + 100 + 121)])
        np.testing.assert_allclose(contribution_scores(weights, [1, 1]), expected / expected.sum())

    def test_taylor_is_the_square_of_the_sum(self):
        assert taylor_unit_scores(
            [[[1, 2], [3, 4]], [[1, 1], [1, 1]]], [[[1, 1], [-1, 0]], [[0, 0], [0, 2]]]
        ).tolist() == [0, 4]

    @pytest.mark.parametrize(
        ("weights", "variances"), [([[1.0, 2.0]], [1.0]), ([[1.0, 2.0]], [1.0, -1.0]), ([[1.0, np.nan]], [1.0, 1.0])]
    )
    def test_bad_input(self, weights, variances):
        with pytest.raises(ValueError, match=r"variances must be|weights of shape"):
            contribution_scores(weights, variances)
        with pytest.raises(ValueError, match="gradients have shape"):
            taylor_unit_scores([[1.0, 2.0]], [[1.0]])


class TestElimination:
    def problem(self, seed, units=(0, 0, 1, 1, 2, 3, 3, 3), outputs=4):
        random = np.random.default_rng(seed)
        inputs = random.normal(size=(60, len(units))) @ random.normal(size=(len(units), len(units)))
        return random.normal(size=(outputs, len(units))), np.cov(inputs.T, bias=True), np.array(units)

    def error(self, weights, covariance, mask, ridge):
        """What `refit_weights` minimises."""
        lost = weights - refit_weights(
            weights, np.broadcast_to(mask, weights.shape), covariance, ridge=ridge, rounds=500
        )
        return np.trace(lost @ (covariance + ridge * np.diag(covariance).mean() * np.eye(len(mask))) @ lost.T)

    @pytest.mark.parametrize("seed", range(4))
    def test_each_that_goes_costs_least_of_those_left(self, seed):
        """By fitting the weights anew for every unit that might go."""
        ridge = 0.05
        weights, covariance, units = self.problem(seed)
        whole = np.trace(weights @ covariance @ weights.T)
        expected, left, before, highest = np.zeros(4), [0, 1, 2, 3], 0.0, 0.0
        while left:
            errors = [
                self.error(weights, covariance, np.isin(units, [u for u in left if u != unit]), ridge) for unit in left
            ]
            gone = int(np.argmin(errors))
            highest = max(highest, (errors[gone] - before) / whole)
            before = errors[gone]
            expected[left.pop(gone)] = highest
        # refit_weights gives float32, 2**-24 of a weight, and stops at 1e-6 of its first residual
        np.testing.assert_allclose(
            unit_elimination_scores(weights, covariance, units, ridge=ridge), expected, rtol=1e-4, atol=1e-5
        )

    def test_fitted_weights_are_those_of_refit_weights(self):
        weights, covariance, units = self.problem(6)
        kept = units != 1
        expected = refit_weights(weights, np.broadcast_to(kept, weights.shape), covariance, ridge=0.05, rounds=500)
        found = fit_to_inputs(weights, covariance, kept, ridge=0.05)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
        assert np.abs(found - np.where(kept, weights, 0)).max() > 0.1

    def test_of_copies_all_but_one_cost_nothing(self):
        weights = np.ones((2, 6))
        covariance = np.kron(np.ones((3, 3)), np.eye(2))  # unit 0, 1 and 2 are copies of two inputs
        scores = unit_elimination_scores(weights, covariance, [0, 0, 1, 1, 2, 2], ridge=1e-9)
        assert np.sort(scores)[:2].max() < 1e-6
        assert scores.max() == pytest.approx(1, abs=1e-6)

    def test_inputs_that_stay_stand_for_others(self):
        weights, covariance, _ = self.problem(5, range(4))
        covariance[3], covariance[:, 3] = covariance[0], covariance[:, 0]
        covariance[3, 3] = covariance[0, 0]
        alone = unit_elimination_scores(weights, covariance, [0, 1, 2, -1], ridge=1e-6)
        assert len(alone) == 3
        assert alone[0] < 1e-3 < alone[1:].min()

    def test_what_never_varies_costs_nothing(self):
        assert unit_elimination_scores(np.ones((2, 3)), np.zeros((3, 3))).tolist() == [0, 0, 0]
        assert unit_elimination_scores(np.zeros((2, 3)), np.eye(3)).tolist() == [0, 0, 0]

    @pytest.mark.parametrize(
        ("units", "ridge", "message"),
        [
            ([0, 1], 0.1, "units must be 3"),
            ([0, 1, -2], 0.1, "-1 and more"),
            ([0.0, 1, 2], 0.1, "integers"),
            ([0, 1, 2], 0, "ridge is 0"),
        ],
    )
    def test_bad_input(self, units, ridge, message):
        with pytest.raises(ValueError, match=message):
            unit_elimination_scores(np.ones((2, 3)), np.eye(3), units, ridge=ridge)
