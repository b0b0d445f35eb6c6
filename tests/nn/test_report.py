"""The report: well-formed, complete, safe."""

import os
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from nn.layers import fed, rectified

from sketches import Quantiles
from sketches.nn import StreamingStatistics
from sketches.nn.statistics import plots
from sketches.nn.statistics.report import html

VOID = {"meta", "br", "line", "rect", "path"}


class Checker(HTMLParser):
    """Follows the tags of a page, which must nest."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.text = [], [], []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


HOSTILE = '"><script>alert(1)</script>&\udc80\x1b'


def statistics():
    found = fed(rectified())
    found.observe(HOSTILE, np.array([[1.0, np.nan], [-np.inf, 2.0]]))
    found.observe("empty", np.empty((0, 2)))
    found.observe("one", np.array([[3.0]]))
    found.observe("huge", np.array([[1e308, -1e308], [-1e308, 1e-308]]))
    found.observe("nothing", np.full((3, 2), np.nan))
    found.observe("zeros", np.zeros((20, 4)))
    found.observe("wide", np.random.default_rng(1).normal(size=(4, 3000)))
    return found


def test_the_page_is_whole_and_loads_nothing():
    page = html(statistics(), fed(rectified(seed=2)))
    checker = Checker(page)
    names = {tag for tag, _ in checker.tags}
    assert "script" not in names
    for _, attributes in checker.tags:
        assert not {"src", "onload", "onclick"} & attributes.keys()
        assert attributes.get("href", "#").startswith("#")
    assert "url(" not in page
    assert "@import" not in page
    assert not re.search(r"[ \"=,](nan|inf|NaN)[ \"VHML]", "".join(re.findall(r"<svg.*?</svg>", page)))
    assert [a["id"] for tag, a in checker.tags if tag == "details"] == [f"layer-{i}" for i in range(8)]
    text = " ".join(checker.text)
    for part in ("What to look at", "What changed", "All layers", "Only now", "<script>alert(1)</script>"):
        assert part in text
    assert "\x1b" not in page


def test_every_target_of_a_link_exists():
    checker = Checker(html(statistics()))
    identifiers = {attributes.get("id") for _, attributes in checker.tags}
    links = [attributes["href"][1:] for tag, attributes in checker.tags if tag == "a"]
    assert len(links) >= 8
    assert set(links) <= identifiers


def test_a_file_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "x.html"
    known = statistics()
    known.report(path)
    before = path.read_bytes()
    assert before.startswith(b"<!doctype html>")
    before.decode("utf-8")
    known.observe("more", np.ones((2, 2)))

    def broken(*_):
        raise OSError("no space")

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(OSError, match="no space"):
        known.report(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["x.html"]


def test_nothing_and_many():
    Checker(html(StreamingStatistics()))
    many = StreamingStatistics()
    for i in range(200):
        many.observe(f"encoder.{i}", np.random.default_rng(i).normal(size=(20, 16)) * (np.arange(16) != 3))
    page = html(many)
    Checker(page)
    assert "170 more" in page  # of 200 problems 30 are listed at once
    assert len(page) < 200 * 15_000
    assert "<details id=layer-0>" in page  # folded


def svg(text):
    return ElementTree.fromstring(re.sub(r"=([a-z]+)([ />])", r'="\1"\2', text))  # noqa: S314  # our own text


@pytest.mark.parametrize(
    "numbers", [np.random.default_rng(1).normal(size=999), [5.0] * 9, [0.0, 1.0], [-1e-300, 1e300]]
)
def test_bars_hold_all_values(numbers):
    """Share an octave times octaves, summed over the bars, and the share in the middle are everything."""
    sketch = Quantiles()
    sketch.update(np.asarray(numbers))
    part = plots.histogram(sketch)
    axis = plots._axis([part])
    edges, heights, middle = plots._bars(part, axis)
    assert (edges[:, 0] <= edges[:, 1]).all()
    assert (edges[1:, 0] >= edges[:-1, 1] - 1e-9).all()
    octaves = np.diff(edges, axis=1)[:, 0] * (axis.low + axis.high)
    inside = (edges[:, 0] > 0) & (edges[:, 1] < 1)  # the outermost are cut off at the extremes
    assert (heights * octaves)[inside].sum() <= 1 - middle + 1e-9
    assert (heights * octaves)[inside].sum() >= 1 - middle - heights[~inside].sum() - 1e-9
    assert svg(plots.values(sketch)).tag == "svg"
    assert svg(plots.sparkline(sketch)).tag == "svg"


def test_the_zero_of_the_axis_is_where_values_change_sign():
    sketch = Quantiles()
    sketch.update(np.random.default_rng(2).normal(size=500))
    axis = plots._axis([plots.histogram(sketch)])
    places = axis.place(np.array([-4.0, -1.0, 0.0, 1.0, 4.0]))
    assert (np.diff(places) > 0).all()
    assert places[2] == pytest.approx(axis.low / (axis.low + axis.high))
