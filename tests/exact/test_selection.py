"""`Quantiles.exact` beside NumPy, on every kind of data and source, and through every number of passes."""

import tracemalloc

import numpy as np
import pyarrow as pa
import pytest

from sketches import Quantiles
from sketches.core import selection

RANDOM = np.random.default_rng(77)
N = 30_000
NUMBERS = {
    "normal": RANDOM.normal(size=N),
    "float32": RANDOM.lognormal(0, 3, N).astype(np.float32),
    "one octave": 1 + RANDOM.random(N),
    "far from zero": 1e9 + RANDOM.normal(size=N),
    "neighbours": np.array([1.0, np.nextafter(1, 2), np.nextafter(1, 0), -1.0, np.nextafter(-1, 0)])[
        RANDOM.integers(0, 5, N)
    ],
    "zipf": RANDOM.zipf(1.3, N) % 10**6,
    "constant": np.full(N, -3.7),
    "zeros": np.where(RANDOM.random(N) < 0.6, -0.0, RANDOM.normal(size=N)),
    "infinities": np.where(RANDOM.random(N) < 0.3, np.inf, -np.inf),
    "tiny": RANDOM.integers(-500, 500, N) * 5e-324,
    "huge": RANDOM.choice([-1.7e308, 1.7e308, 1e-300], N) * RANDOM.random(N),
    "int8": RANDOM.integers(-128, 128, N).astype(np.int8),
    "bool": RANDOM.random(N) < 0.4,
    "one number": np.array([2.5]),
}
Q = np.concatenate([[0, 1, 0.5], RANDOM.random(40), np.arange(11) / 10])


def expected(numbers, q):
    return np.quantile(numbers.astype(np.float64), q, method="inverted_cdf")


@pytest.mark.parametrize("most", [2**22, 100, 1])
@pytest.mark.parametrize("name", NUMBERS)
def test_equals_numpy(name, most, monkeypatch):
    monkeypatch.setattr(selection, "MOST_GATHERED", most)  # fewer: up to five passes in between
    numbers = NUMBERS[name]
    assert (Quantiles.exact(numbers, Q) == expected(numbers, Q)).all()
    assert Quantiles.exact(numbers, 0.37) == expected(numbers, 0.37)


@pytest.mark.parametrize("counters", [1, 50])
def test_few_counters_take_more_passes(counters, monkeypatch):
    monkeypatch.setattr(selection, "MOST_GATHERED", 1)
    monkeypatch.setattr(selection, "MOST_COUNTERS", counters)
    monkeypatch.setattr(selection, "MOST_DIRECT", counters)
    numbers = NUMBERS["normal"]
    assert (Quantiles.exact(numbers, Q) == expected(numbers, Q)).all()


def test_passes_in_between_are_few(monkeypatch):
    """Numbers that are all the same in a bin, such as integers, are not narrowed down bit by bit."""
    monkeypatch.setattr(selection, "MOST_GATHERED", 100)
    passes = []
    for name in ("zipf", "int8", "bool"):
        passes.clear()
        numbers = NUMBERS[name]
        found = Quantiles.exact(lambda numbers=numbers: passes.append(1) or [numbers], Q[:3])
        assert (found == expected(numbers, Q[:3])).all()
        assert len(passes) <= 2, name  # the sketch, and the range of each bin


def test_many_quantiles_take_little_memory(monkeypatch):
    monkeypatch.setattr(selection, "MOST_GATHERED", 1000)
    numbers, q = 1 + RANDOM.random(20_000) / 2048, np.linspace(0, 1, 20_001)
    tracemalloc.start()
    found = Quantiles.exact(numbers, q)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (found == expected(numbers, q)).all()
    assert peak < 150e6  # a row of counters for each q would take 650 MB


def test_sources(tmp_path):
    numbers = NUMBERS["normal"]
    path = tmp_path / "numbers"
    numbers.tofile(path)
    parts = np.array_split(numbers, 7)
    calls = []

    def factory():
        calls.append(1)
        return (part for part in parts)

    for source in (
        np.memmap(path, mode="r"),
        numbers.tolist(),
        pa.chunked_array(parts),
        pa.array([None, *numbers.tolist(), float("nan")]),
        np.repeat(numbers, 2)[::2],
        numbers.astype(">f8"),
        factory,
        lambda: [parts[0].tolist(), np.array([]), *map(pa.array, parts[1:])],
    ):
        source = source.view(np.float64) if isinstance(source, np.memmap) else source
        assert (Quantiles.exact(source, Q) == expected(numbers, Q)).all()
    assert len(calls) == 2


def test_shapes():
    numbers = NUMBERS["normal"]
    assert type(Quantiles.exact(numbers, 0.5)) is float
    q = np.array([[0.1, 0.2], [0.3, 0.4]])
    assert (Quantiles.exact(numbers, q) == expected(numbers, q)).all()
    assert Quantiles.exact(numbers, []).shape == (0,)


def test_nan_has_no_rank():
    numbers = np.array([np.nan, 3.0, 1.0, -np.nan, 2.0])
    assert Quantiles.exact(numbers, [0, 0.5, 1]).tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match="no quantile exists"):
        Quantiles.exact([float("nan")], 0.5)


@pytest.mark.parametrize("most", [2**22, 1])
def test_what_changes_between_passes_is_refused(most, monkeypatch):
    monkeypatch.setattr(selection, "MOST_GATHERED", most)
    for second in (np.concatenate([NUMBERS["normal"]] * 2), NUMBERS["normal"][:100], -np.abs(NUMBERS["normal"])):
        parts = [second, NUMBERS["normal"]]
        with pytest.raises(RuntimeError, match="not the same in every pass"):
            Quantiles.exact(lambda parts=parts: [parts.pop() if len(parts) > 1 else parts[0]], [0.2, 0.3])


def test_arguments():
    with pytest.raises(TypeError, match="generator, which can be read only once"):
        Quantiles.exact((x for x in [1.0]), 0.5)
    with pytest.raises(TypeError, match="str"):
        Quantiles.exact(["a"], 0.5)
    with pytest.raises(ValueError, match=r"q is 1.5; numbers in \[0, 1\]"):
        Quantiles.exact([1.0], 1.5)
    with pytest.raises(TypeError, match="q is 'x'"):
        Quantiles.exact([1.0], "x")
    with pytest.raises(ValueError, match="no quantile exists"):
        Quantiles.exact([], 0.5)
