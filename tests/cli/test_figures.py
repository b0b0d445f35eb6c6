"""Numbers as they are printed: short, and with bounds that stay true."""

import math

import numpy as np
import pytest

from sketches import Estimate
from sketches.cli.figures import bytes_, count_figures, figure, item_text, value_figures


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (16470.0, "16,470"),
        (999_999_999, "999,999,999"),
        (5_364_936_090, "5.365e9"),
        (-1.23456e12, "-1.235e12"),
        (1e9 - 0.5, "1e9"),
        (123456.7, "123,500"),
        (38.94321, "38.94"),
        (0.00123456, "0.001235"),
        (1.5e-7, "1.5e-7"),
        (5e-324, "4.941e-324"),
        (math.inf, "inf"),
        (math.nan, "nan"),
    ],
)
def test_figure(value, text):
    assert figure(value) == text


def test_bounds_are_rounded_outwards():
    estimate = Estimate(1.23454, lower=1.23449, upper=1.23451, confidence=0.95)
    assert value_figures(estimate) == ("1.235", "1.234 … 1.235", "95 %")
    estimate = Estimate(5.3e9, lower=-5_201_900_000, upper=5_200_100_000)
    assert value_figures(estimate) == ("5.3e9", "-5.202e9 … 5.201e9", "always")


def test_bounds_of_counts_are_whole():
    assert count_figures(Estimate(2.0, lower=1.9999, upper=2.0001)) == ("2", "2 … 2", "always")
    assert count_figures(Estimate(16.6, lower=15.2, upper=17.9, confidence=0.999)) == ("17", "16 … 17", "99.9 %")
    assert count_figures(Estimate(1.5, lower=1.25, upper=1.75)) == ("1.5", "1.25 … 1.75", "always")
    assert count_figures(Estimate(math.inf, lower=3, upper=math.inf)) == ("inf", "3 … inf", "always")


def test_sizes():
    assert [bytes_(size) for size in (0, 1023, 1536, 150 * 1024, 2**31, 2**51)] == [
        "0 bytes",
        "1,023 bytes",
        "1.5 KiB",
        "150 KiB",
        "2.0 GiB",
        "2,097,152 GiB",
    ]


DAY = np.datetime64("2020-01-31", "s")


def test_items():
    assert [item_text(item) for item in (39, 0.5, "a b", "", " a", "a\n", b"a\xff", ("a", 1), "\ud800", DAY)] == [
        "39", "0.5", "a b", "''", "' a'", r"a\n", r"a\xff", "('a', 1)", r"\ud800", "2020-01-31"
    ]  # fmt: skip
