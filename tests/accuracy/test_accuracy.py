"""The benchmark's own code: every job at the smallest scale, and the page that shows it."""

import html
import json
import math
import re

import numpy as np
import pytest

from benchmarks.accuracy import peers, streams
from benchmarks.accuracy.__main__ import as_json
from benchmarks.accuracy.jobs import JOBS
from benchmarks.accuracy.measure import SCALES, Goal, Row, Value, largest, mean, root_mean_square, share
from benchmarks.accuracy.page import HEADINGS, html_page, verdict
from benchmarks.accuracy.worker import run

TINY = SCALES["tiny"]


@pytest.fixture(scope="module")
def results():
    return {job: run(job, "tiny")[:2] for job in JOBS}


def rows_of(results, job, measure, role="ours"):
    found = [row for row in results[job][0] if row.measure.startswith(measure) and row.role == role]
    assert found, f"{job} has no {measure}"
    return found


@pytest.mark.parametrize("job", JOBS)
def test_every_figure_is_complete_and_sane(results, job):
    rows, remarks = results[job]
    assert any(row.role == "ours" for row in rows)
    places = [(row.name, row.measure, row.stream, row.n, row.nbytes, row.setting) for row in rows]
    assert len(set(places)) == len(places)
    for row in rows:
        value = row.value
        assert math.isfinite(value.value), row
        assert value.low - 1e-12 <= value.value <= value.high + 1e-12, row
        assert value.replicas >= 1
        assert row.name.startswith("ours") == (row.role == "ours")
        if row.role == "exact" and "÷ that of" in row.measure:
            assert value.value == 1
        if row.goal is not None:
            assert row.role == "ours"
        if row.measure.startswith("coverage"):
            assert 0 <= value.value <= 1
        if row.limit is not None and row.measure != "worst error × (k + 1) ÷ N":
            assert row.to_limit > 0.9, row  # nobody can be below, but for chance
    for plot in JOBS[job].plots:
        assert any(row.measure == plot.measure for row in rows)
        assert any(row.measure == plot.measure and plot.only in (None, row.stream) for row in rows)
    for peer in peers.PEERS:  # a peer that is missing is named, once
        assert sum(remark.startswith(f"{peer} is not measured") for remark in remarks) <= 1


def test_ours_are_as_good_as_theory_says(results):
    # 40 replicas: a root mean square of standard normal errors has a standard error of 0.11; six of them.
    for row in rows_of(results, "distinct", "RMSE ÷ standard error"):
        assert row.value.value < 1.7, row
    for row in rows_of(results, "distinct", "bias ÷ standard error"):
        assert abs(row.value.value) < 6 / math.sqrt(TINY.many), row
    for row in rows_of(results, "moments", "second moment of a row: RMSE"):
        assert row.value.value < 1.7, row
    for job in ("bounds", "heavy-hitters", "membership"):
        for measure in ("bounds broken", "members not found"):
            for row in results[job][0]:
                if row.measure.startswith(measure) and row.role == "ours":
                    assert row.value.value == 0, row
    for row in rows_of(results, "membership", "bits a key"):
        assert 1 < row.to_limit < 2.2, row
    for row in rows_of(results, "quantiles", "largest error of value"):
        assert row.value.value <= row.theory if row.name == "ours" else row.theory is None, row
    for row in rows_of(results, "subsets", "RMSE ÷ √(threshold · T)"):  # 5 replicas, no larger than 1 on average
        assert row.value.value < 3, row
    for row in rows_of(results, "counts", "mean |error| ÷ that"):
        if "CountMin" in row.name:
            assert row.value.value <= 1.2, row
    assert len(rows_of(results, "distinct-bytes", "bits written × RMSE²")) >= 4


def test_the_page_shows_every_row_and_plot_and_needs_no_other_file(results):
    rows = {job: found for job, (found, _) in results.items()}
    remarks = {job: words for job, (_, words) in results.items()}
    text = html_page(rows, remarks, {"numpy": "2.0"})
    assert text.count("<svg") == sum(len(job.plots) for job in JOBS.values())
    assert not re.search(r'(src|href)="http', text.replace('xlink:href="#', ""))
    for job in JOBS:
        assert f"id={job}>" in text
    assert f"Of {sum(row.goal is not None for found in rows.values() for row in found)}, " in text
    for row in (row for found in rows.values() for row in found):
        assert html.escape(row.name) in text
        assert html.escape(row.measure) in text
    stored = json.loads(as_json(rows, remarks, {"numpy": "2.0"}))
    assert len(stored["rows"]) == sum(map(len, rows.values()))
    assert {"job", "name", "measure", "value", "to_theory", "to_limit", "goal", "reached"} <= set(stored["rows"][0])
    assert "÷ theory" in HEADINGS
    assert "÷ limit" in HEADINGS


def test_intervals_hold_as_often_as_they_say():
    # Of 1,000 intervals of 200 values each, 950 hold on average, with a standard deviation of 7: five of them, and 5
    # for the normal approximation.
    random = np.random.default_rng(1)
    held = np.zeros(3)
    for _ in range(1000):
        values = random.standard_normal(200) + 3
        hits = int((random.random(200) < 0.9).sum())
        for place, (found, truth) in enumerate(
            ((mean(values), 3), (root_mean_square(values - 3), 1), (share(hits, 200), 0.9))
        ):
            held[place] += found.low <= truth <= found.high
    assert (held >= 910).all()
    assert (held <= 985).all()
    assert share(0, 10).low == 0
    assert largest([1, 5, 2]) == Value(5, 5, 5, 3)
    assert Value(1, 0.5, 2, 9).scaled(2) == Value(2, 1, 4, 9)
    assert mean([4]).high == math.inf


def test_goals_are_judged_by_the_value_and_excused_by_its_interval():
    def judged(value, low, high, goal):
        return verdict(Row("ours", "ours", "error", Value(value, low, high, 9), goal=goal))

    assert judged(1.0, 0.9, 1.1, Goal(1.0)) == "reached"
    assert judged(1.05, 0.9, 1.1, Goal(1.0)) == "missed, within the interval"
    assert judged(1.05, 1.01, 1.1, Goal(1.0)) == "missed"
    assert judged(0.93, 0.91, 0.95, Goal(0.97, 0.94)) == "missed, within the interval"
    assert judged(0.98, 0.975, 0.985, Goal(0.97, 0.94)) == "missed"
    assert [str(goal) for goal in (Goal(1.5), Goal(at_least=2), Goal(0.97, 0.94))] == ["≤ 1.5", "≥ 2", "0.94 to 0.97"]


@pytest.mark.parametrize("name", streams.available()[0])
def test_streams_are_seeded_and_counted(name):
    first, again, other = (streams.stream(name, 2000, seed) for seed in (1, 1, 2))
    assert (first.items == again.items).all()
    assert len(first.items) == first.counts.sum() == 2000
    assert not set(first.keys.tolist()) & set(other.keys.tolist())
    assert first.moment == (first.counts**2).sum()
    keys, counts = np.unique(first.items, return_counts=True)
    assert (keys == first.keys).all()
    assert (counts == first.counts).all()


def test_counts_of_long_streams():
    data = streams.counted("Zipf 1.0", 10**8, 1)
    assert data.counts.sum() == 10**8
    # The most frequent of a million keys has a share of 1 / (ln(10**6) + 0.577), 6.95 %; with a standard deviation of
    # sqrt(N p (1 - p)), 2,543.
    assert abs(data.counts.max() - 6_948_000) < 6 * 2543 + 1000
