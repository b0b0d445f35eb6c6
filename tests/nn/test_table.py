"""Tables of layers and units, and what is listed as wrong."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from nn.layers import UNITS, fed, rectified

from sketches.nn import StreamingStatistics, Table
from sketches.nn.statistics.overview import QUANTILES, pooled, problems
from sketches.nn.statistics.table import Column


def test_a_row_a_layer():
    values = rectified()
    statistics = fed(values)
    statistics.observe("empty", np.empty((0, 3)))
    statistics.observe("bad", np.array([[1.0, np.nan], [np.inf, np.nan]]))
    table = statistics.table()
    assert len(table) == 3
    row = table[0]
    assert (row["layer"], row["samples"], row["units"]) == ("hidden", len(values), UNITS)
    assert row["mean"] == pytest.approx(values.mean())
    assert row["std"] == pytest.approx(values.std())
    assert (row["min"], row["max"]) == (0, values.max())
    for level, name in QUANTILES.items():
        exact = np.quantile(values, level, method="inverted_cdf")
        assert abs(row[name] - exact) <= 2**-8 * exact
    assert row["zeros"] == pytest.approx((values == 0).mean())
    assert (row["dead"], row["constant"], row["NaN"], row["Inf"]) == (1, 1, 0, 0)
    assert row["patterns"] == pytest.approx(len(np.unique(values > 0, axis=0)), rel=0.1)
    assert 1 <= row["rank"] <= UNITS
    assert math.isnan(table[1]["mean"])
    assert table[1]["dead"] is None
    assert (table[2]["NaN"], table[2]["Inf"], table[2]["mean"]) == (2, 1, 1.0)


def test_a_row_a_unit():
    values = np.tanh(rectified() - 1)
    statistics = StreamingStatistics()
    statistics.observe("tanh", values, limits=(-0.7, 0.95))
    table = statistics.table("tanh")
    assert len(table) == UNITS
    for unit in (0, 5, UNITS - 1):
        column, row = values[:, unit], table[unit]
        assert row["unit"] == unit
        assert row["mean"] == pytest.approx(column.mean())
        assert row["std"] == pytest.approx(column.std(), abs=1e-12)
        assert (row["min"], row["max"]) == (column.min(), column.max())
        assert row["fires"] == (column > 0).mean()
        assert row["beyond"] == ((column <= -0.7) | (column >= 0.95)).mean()
    with pytest.raises(KeyError, match="layer is 'no'; known are 'tanh'"):
        statistics.table("no")


def test_records_for_pandas_and_json():
    statistics = fed(rectified())
    statistics.observe("empty", np.empty((0, 3)))
    frame = pd.DataFrame(statistics.table())
    assert list(frame["layer"]) == ["hidden", "empty"]
    assert frame["samples"].dtype == np.int64
    records = statistics.table().records(finite=True)
    assert json.loads(json.dumps(records, allow_nan=False))[1]["mean"] is None
    assert statistics.table()[0:1] == statistics.table().records()[:1]
    assert all(type(value) in (int, float, str, type(None)) for record in records for value in record.values())


def test_it_prints_as_wide_as_the_terminal(monkeypatch):
    statistics = fed(rectified())
    statistics.observe("a" * 70 + "\x1b[31m\nred", np.ones((2, 2)))
    blocks = []
    for width in (60, 90, 400):
        monkeypatch.setenv("COLUMNS", str(width))
        text = str(statistics.table())
        assert max(map(len, text.splitlines())) <= width
        blocks.append(text.count("hidden"))
        assert "\x1b" not in text
        assert len({len(line) for line in text.splitlines()[1:4]}) == 1  # columns of numbers end at one place
    assert blocks[0] > blocks[1] > blocks[2] == 1  # each begins with the name
    assert repr(statistics.table()) == text


def test_names_are_escaped_in_html():
    table = Table("<b>", [Column("layer", ["<script>alert(1)</script>"]), Column("n", [3], "count")])
    html = table._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "<b>" not in html
    assert "text-align:right" in html


def test_numbers_are_written_shortly():
    column = Column("x", [0.0, 1234567.0, 0.12345, 1e-7, math.inf, -math.inf, math.nan, 2.5e9, 1e300, None], "number")
    assert column.texts() == ["0", "1,234,567", "0.1235", "1e-07", "∞", "-∞", "–", "2.5 bn", "1e+300", ""]
    shares = Column("x", [0.0, 1.0, 0.0001, 0.99999, 0.5, math.nan], "share")
    assert shares.texts() == ["0 %", "100 %", "<0.1 %", ">99.9 %", "50.0 %", "–"]


def test_pooled_moments_survive_nan_and_emptiness():
    statistics = StreamingStatistics()
    statistics.observe("a", np.array([[1.0, np.nan], [3.0, np.nan], [np.inf, 8.0]]))
    mean, deviation = pooled(statistics.summary("a"))
    assert mean == pytest.approx(4)
    assert deviation == pytest.approx(np.std([1, 3, 8]))


def test_problems_are_listed_by_gravity():
    random = np.random.default_rng(1)
    statistics = StreamingStatistics()

    def observe(layer, values, **options):
        for batch in np.array_split(values, 10):
            statistics.observe(layer, batch, **options)

    healthy = random.normal(size=(400, 100))
    observe("healthy", healthy)
    observe("logarithms", -np.abs(healthy))  # never above zero, and nothing is wrong
    thin = random.normal(size=(400, 2)) @ random.normal(size=(2, 100))
    observe("thin", thin)
    odd = np.maximum(healthy, 0)
    odd[:, [3, 4]], odd[:, 9] = 0, 7.0
    observe("odd", odd)
    below = healthy.copy()
    below[:, 6], below[:, 8] = -np.abs(below[:, 6]), -2.0  # one varies, and may be as healthy as the others
    observe("below", below)
    observe("same", np.full((400, 100), 5.0))  # its rank says nothing besides
    bad = healthy.copy()
    bad[5, 7], bad[6, 8] = np.nan, -np.inf
    observe("bad", bad)
    observe("tanh", np.tanh(healthy * np.where(np.arange(100) < 2, 1000, 1)), limits=(-0.95, 0.95))
    found = problems(statistics.summary(name) for name in statistics.layers)
    assert [(problem.layer, problem.kind, problem.units.tolist()) for problem in found] == [
        ("bad", "NaN", [7]),
        ("bad", "Inf", [8]),
        ("tanh", "saturated", [0, 1]),
        ("odd", "dead", [3, 4]),
        ("same", "constant", list(range(100))),
        ("odd", "constant", [9]),
        ("below", "constant", [8]),
        ("below", "negative", [6]),
        ("thin", "low rank", []),
    ]
    assert found[0].detail == "1 value"
