"""Overlaps of FlajoletMartin sketches: beside the plain twin, of different precisions, of empty and full ones."""

import math

import numpy as np
import pytest

from sketches import CountMin, FlajoletMartin, from_bytes, plain
from sketches.core import wire
from sketches.flajolet_martin import KINDS

EVERY_KIND = pytest.mark.parametrize("kind", KINDS)


def two(kind: str, only_first: int, only_second: int, both: int, precision: int = 6, make=FlajoletMartin) -> list:
    sketches = [make(precision, kind), make(precision, kind)]
    first, second = range(only_first + both), range(only_first, only_first + both + only_second)
    for sketch, items in zip(sketches, (first, second), strict=True):
        for item in items:
            sketch.add(item)
    return sketches


@EVERY_KIND
@pytest.mark.parametrize(("x", "y", "z"), [(800, 500, 700), (900, 5, 300), (5, 800, 6), (4, 3, 2)])
def test_overlaps_equal_the_twins(kind, x, y, z):
    first, second = two(kind, x, y, z)
    found = first.overlap(second)
    expected = two(kind, x, y, z, make=plain.FlajoletMartin)
    expected = expected[0].overlap(expected[1])
    assert (found.only_self, found.only_other, found.intersection) == pytest.approx(expected, rel=1e-4, abs=1e-3)
    assert found.union == pytest.approx(sum(expected), rel=1e-6)
    assert found.jaccard == pytest.approx(found.intersection / found.union)


@EVERY_KIND
@pytest.mark.parametrize(("x", "y", "z"), [(5000, 3000, 4000), (3, 2, 4), (100, 10, 0), (50, 2000, 0)])
def test_overlaps_are_symmetric_and_ordered(kind, x, y, z):
    first, second = two(kind, x, y, z)
    found, mirrored = first.overlap(second), second.overlap(first)
    for name in ("union", "intersection", "jaccard"):
        assert getattr(found, name) == pytest.approx(getattr(mirrored, name), rel=1e-5, abs=1e-4)
    assert found.only_self == pytest.approx(mirrored.only_other, rel=1e-5, abs=1e-3)
    assert found.only_self + found.only_other + found.intersection == pytest.approx(found.union)
    for estimate in found:
        assert 0 <= estimate.lower <= estimate <= estimate.upper
    assert found.jaccard.upper <= 1
    wide = first.overlap(second, confidence=0.999)
    for narrow, wider in zip(found, wide, strict=True):
        assert wider == narrow
        assert wider.lower <= narrow.lower <= narrow.upper <= wider.upper


@EVERY_KIND
def test_few_items_are_told_apart(kind):
    x, y, z = (2, 1, 3)
    found = two(kind, x, y, z)
    found = found[0].overlap(found[1])
    truth = (x + y + z, z, x, y, z / (x + y + z))
    for estimate, true in zip(found, truth, strict=True):
        assert estimate.lower <= true <= estimate.upper or abs(estimate - true) < 1e-5
        assert abs(estimate - true) < 1e-4


@EVERY_KIND
def test_the_lower_precision_is_used(kind):
    first, second = two(kind, 900, 800, 700, precision=8)
    for a, b in ((first, second.downsize(5)), (first.downsize(5), second)):
        assert a.overlap(b) == first.downsize(5).overlap(second.downsize(5))
    assert (first.precision, second.precision) == (8, 8)


def test_a_sketch_with_itself():
    sketch = two("ell", 5000, 0, 0)[0]
    found = sketch.overlap(sketch)
    assert found.jaccard == found.jaccard.upper == 1
    assert found.only_self == found.only_other == 0
    assert found.union == found.intersection == pytest.approx(sketch.count(), rel=1e-6)


def test_the_empty_and_the_full():
    empty, some = FlajoletMartin(6), two("ell", 5000, 0, 0)[0]
    nothing = empty.overlap(FlajoletMartin(6))
    assert nothing[:4] == (0, 0, 0, 0)
    assert math.isnan(nothing.jaccard)
    for found, index in ((empty.overlap(some), 3), (some.overlap(empty), 2)):
        assert found[index] == found.union == pytest.approx(some.count(), rel=1e-6)
        assert found.intersection == found.jaccard == found.intersection.lower == 0
    full = FlajoletMartin(4, "hll")
    full._insert(np.arange(16, dtype=np.uint64), None)  # zeros but for the register's number
    assert math.isinf(full.overlap(full).union)
    assert math.isnan(full.overlap(full).intersection)


def test_bad_arguments():
    sketch = FlajoletMartin(6)
    with pytest.raises(TypeError, match="other is of type CountMin; a FlajoletMartin is accepted"):
        sketch.overlap(CountMin(10, 2))
    with pytest.raises(ValueError, match="kind is ell here and hll there"):
        sketch.overlap(FlajoletMartin(6, "hll"))
    with pytest.raises(ValueError, match="hashes differ"):
        sketch.overlap(FlajoletMartin(6, seed=1))
    with pytest.raises(ValueError, match="confidence is 2"):
        sketch.overlap(sketch, confidence=2)


def from_registers(kind: str, registers: list[int]) -> FlajoletMartin:
    number, *_, dtype = KINDS[kind]
    precision = len(registers).bit_length() - 1
    fields = {"kind": number, "precision": precision, "tokens": [], "registers": np.array(registers, dtype).view("u1")}
    return from_bytes(wire.encode("FlajoletMartin", wire.Envelope(1, 0, 2**40, 2**40, 0, 1), fields))


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [
        ("ell", [0] + [236 << 24 | 2**24 - 1] * 15, [236 << 24] * 15 + [0]),  # the bounds' exp overflows
        ("hll", [12] * 32, [56] * 2 + [60] * 30),  # the information's inverse does
    ],
)
def test_registers_that_no_stream_leaves_have_bounds(kind, first, second):
    for estimate in from_registers(kind, first).overlap(from_registers(kind, second)):
        assert 0 <= estimate.lower <= estimate <= estimate.upper
