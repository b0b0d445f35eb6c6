"""Estimate is a float that carries its bounds."""

import copy
import pickle

import pytest

from sketches import CountMin, Estimate, LossyCounting, SpaceSaving
from sketches.core.estimate import at_least, at_most


def test_it_is_a_float_and_survives_travel():
    estimate = Estimate(10.5, lower=9, upper=12, confidence=0.9, standard_error=0.7)
    assert estimate + 1 == 11.5
    assert f"{estimate:.2f} {estimate}" == "10.50 10.5"
    names = ("lower", "upper", "confidence", "standard_error")
    for again in (
        copy.copy(estimate),
        copy.deepcopy(estimate),
        *(pickle.loads(pickle.dumps(estimate, p)) for p in range(6)),
    ):
        assert type(again) is Estimate
        assert again == estimate
        assert [getattr(again, name) for name in names] == [9.0, 12.0, 0.9, 0.7]
    assert eval(repr(estimate), {"Estimate": Estimate}) == estimate  # noqa: S307
    certain = Estimate(3, lower=3, upper=3)
    assert certain.confidence == 1
    assert certain.standard_error != certain.standard_error


def test_counts_beyond_the_integers_of_a_float_are_rounded_outwards():
    for count in (0, 1, 2**53, 2**53 + 1, 2**62 + 1, 2**63 - 1):
        assert at_most(count) <= count <= at_least(count)
        assert at_least(count) - at_most(count) <= 2**10
        assert (at_least(-count), at_most(-count)) == (-at_most(count), -at_least(count))


@pytest.mark.parametrize("sketch", [CountMin(9), SpaceSaving(9), LossyCounting(0.1)])
def test_no_count_is_too_small_however_large(sketch):
    sketch.add("x", 2**53 + 1)  # its nearest float is 2**53
    assert sketch["x"].lower <= 2**53 + 1 <= sketch["x"] == sketch["x"].upper
