"""Estimate is a float that carries its bounds."""

import copy
import pickle

from sketches import Estimate


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
