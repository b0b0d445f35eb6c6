"""The kernel's state equals the plain twin's, bit for bit."""

import numpy as np
import pytest
from cases import CASES, Case

KEY = bytes(range(16))
RANDOM = np.random.default_rng(2026)
ITEMS = {
    "skewed": (RANDOM.zipf(1.2, 3000) % 500).tolist(),
    "distinct": RANDOM.integers(-(2**63), 2**63 - 1, 3000).tolist(),
    "strings": [f"user-{i}" for i in RANDOM.zipf(1.3, 1000) % 400],
    "mixed": [0, -0.0, 1, True, 1.5, "1", "", b"", "é", (1, "a"), (1, None), None, 2**64, 2**70, -(2**63) - 1, 1e300]
    * 3,
    "empty": [],
}
NUMBERS = {
    "normal": RANDOM.normal(size=3000).tolist(),
    "whole": RANDOM.integers(-1000, 1000, 3000).tolist(),
    "odd": [0, -0.0, 1, True, 1.5, None, 5e-324, 1e308, -1e308, float("inf"), -float("inf"), float("nan"), 2**80] * 2,
    "empty": [],
}
STREAMS = [(case, name) for case in CASES for name in (NUMBERS if case.numbers else ITEMS)]
GROWING = [(case, name) for case, name in STREAMS if not case.fixed]
OPTIONS = [{}, {"seed": 7}, {"key": KEY}]


def items(case: Case, stream: str) -> list:
    return (NUMBERS if case.numbers else ITEMS)[stream]


def check_state(case, sketch, twin):
    assert case.state(sketch) == case.twin_state(twin)


@pytest.mark.parametrize(("case", "stream"), STREAMS, ids=lambda value: getattr(value, "name", value))
def test_update_equals_twin(case, stream):
    for options in [{}] if case.numbers else OPTIONS:
        sketch = case.built(items(case, stream), **options)
        twin = case.twin(*[items(case, stream)] * case.fixed, **options)
        for item in [] if case.fixed else items(case, stream):
            twin.add(item)
        check_state(case, sketch, twin)


@pytest.mark.parametrize(("case", "stream"), GROWING, ids=lambda value: getattr(value, "name", value))
def test_counts_equal_twin(case, stream):
    stream = items(case, stream)
    counts = np.random.default_rng(5).integers(-3 if case.signed else 0, 50, len(stream)).tolist()
    sketch, twin = case.make(), case.twin()
    sketch.update(stream, counts)
    for item, count in zip(stream, counts, strict=True):
        twin.add(item, count)
    check_state(case, sketch, twin)


@pytest.mark.parametrize(("case", "stream"), GROWING, ids=lambda value: getattr(value, "name", value))
def test_merge_equals_twin(case, stream):
    stream = items(case, stream)
    cut = len(stream) // 3
    sketch, other, twin, twin_other = case.make(), case.make(), case.twin(), case.twin()
    sketch.update(stream[:cut])
    other.update(stream[cut:])
    for item in stream[:cut]:
        twin.add(item)
    for item in stream[cut:]:
        twin_other.add(item)
    sketch.merge(other)
    twin.merge(twin_other)
    check_state(case, sketch, twin)
