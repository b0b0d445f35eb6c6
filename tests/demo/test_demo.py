"""The demo, once with small sizes: its answers, its networks, its page, and how it ends where it cannot write."""

import io
import re
import stat
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from rich.console import Console
from threadpoolctl import threadpool_limits
from typer.testing import CliRunner

from sketches import demo
from sketches.cli.app import app
from sketches.demo import Sizes, mlp, network, report, stream, tables, text

SMALL = Sizes(events=60_000, batches=4, epochs=6, repairs=1)


class Page(HTMLParser):
    """Collects what a page refers to, and whether its elements are closed."""

    VOID = ("meta", "br", "path", "use")

    def __init__(self, html):
        super().__init__()
        self.links, self.open, self.count = [], [], {}
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.links += [value for name, value in attributes if name in ("src", "href", "xlink:href")]
        self.count[tag] = self.count.get(tag, 0) + 1
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Matrices as small as these only lose by threads that wait for each other."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Run it: what it printed, and the page."""
    path = tmp_path_factory.mktemp("demo") / "report.html"
    printed = io.StringIO()
    demo.run(path, Console(file=printed, width=80), 3, SMALL)
    return printed.getvalue(), path


def test_it_prints_tables_and_the_place_of_the_report(ran):
    printed, path = ran
    for word in ("60,000 events", "distinct users", "hidden 1", "pruned, 90%", "pruned, 98%", "hashed, 1/8", str(path)):
        assert word in printed
    assert "✗ always" not in printed
    assert max(map(len, printed.splitlines()[:-1])) <= 80
    assert "…\n" not in printed  # nothing is cut off


def test_the_report_is_one_page_with_its_figures_inside(ran):
    _, path = ran
    html = path.read_text(encoding="utf-8")
    page = Page(html)
    assert page.open == []
    assert page.count["svg"] == page.count["figure"] == 5
    assert page.count["table"] == 3
    assert all(link.startswith("#") for link in page.links)
    assert not re.search(r"url\((?!#)|@import|<script|<link|<img", html)
    assert "nan" not in re.sub(r"<svg.*?</svg>", "", html, flags=re.DOTALL).lower().split()
    assert "trained for 6 epochs" in " ".join(html.split())
    assert not re.search(r'<svg[^>]* (width|height)="', html)  # the page scales them
    assert [name.name for name in path.parent.iterdir()] == ["report.html"]  # no temporary file is left
    assert stat.S_ISREG(path.stat().st_mode)


def test_answers_are_inside_their_bounds():
    events = stream.make_events(100_000, 5)
    found = stream.answers(events, 5)
    assert len(found) == 10
    for answer in found:
        assert answer.lower <= answer.estimate <= answer.upper or answer.percent
        if answer.confidence == 1:
            assert answer.inside, answer
    # Bounds of 95 % or more for four answers: more than one outside has a probability below 6 · 0.05² = 1.5 %, and the
    # seed is fixed.
    assert sum(not answer.inside for answer in found) <= 1
    by_question = {answer.question: answer for answer in found}
    assert by_question["distinct users"].exact == len(np.unique(events.users))
    assert by_question["median latency, ms"].exact == np.quantile(events.milliseconds, 0.5, method="inverted_cdf")
    assert by_question["99.9 % of latencies, ms"].exact == np.sort(events.milliseconds)[99_899]
    assert by_question["visits of the top user"].exact == np.unique(events.users, return_counts=True)[1].max()


def test_the_same_seed_gives_the_same_events():
    first, again, other = (stream.make_events(1000, seed) for seed in (1, 1, 2))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert (first.users != other.users).any()


def test_networks_shrink_and_still_know_digits():
    data = network.digits(0)
    model = network.trained(data, 10, 0)
    dense = network.dense(model, data)
    assert dense.parameters == 64 * 300 + 300 * 100 + 100 * 10 + 410
    assert dense.nbytes == 4 * dense.parameters
    assert dense.test == pytest.approx(model.score(data.test, data.test_labels))
    before = [matrix.copy() for matrix in model.coefs_]
    pruned = network.pruned(model, data, 1, 2, 0)
    hashed = network.hashed(model, data, 5, 0)
    assert all((matrix == old).all() for matrix, old in zip(model.coefs_, before, strict=True))
    assert [variant.sparsity for variant in pruned] == pytest.approx(network.SPARSITIES, abs=1e-4)
    assert pruned[4].parameters == round(50_200 * 0.1) + 410
    assert [variant.parameters for variant in hashed] == [50_200 // 8 + 410, 2400 // 2 + 30_000 // 16 + 63 + 410]
    for variant in (*pruned[:6], *hashed):
        assert variant.test > 0.85  # one class in ten would be right by chance


def test_sparse_bytes_take_the_smaller_index():
    matrix = np.zeros((10, 1000), np.float32)
    matrix[0, :10] = 1
    assert network.sparse_nbytes(matrix) == 10 * 4 + 10 * 2 + 4 * 11
    assert network.sparse_nbytes(np.ones((10, 1000), np.float32)) == 40_000 + 1250


def test_gradients_are_those_of_the_loss():
    random = np.random.default_rng(1)
    weights = [random.normal(size=shape) for shape in ((4, 5), (5, 3))]
    biases = [random.normal(size=5), random.normal(size=3)]
    inputs, labels = random.normal(size=(7, 4)), random.integers(3, size=7)

    def loss():
        scores = mlp.activations(weights, biases, inputs)[-1]
        return (np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(7), labels]).mean()

    slopes = mlp.gradients(weights, biases, inputs, labels)
    for values, slope in zip((*weights, *biases), (*slopes[0], *slopes[1]), strict=True):
        for place in np.ndindex(values.shape):
            kept, step = values[place], 1e-6
            values[place] = kept + step
            above = loss()
            values[place] = kept - step
            numeric = (above - loss()) / (2 * step)
            values[place] = kept
            assert slope[place] == pytest.approx(numeric, abs=1e-6)


def test_adam_finds_a_minimum():
    values = [np.array([5.0, -3.0])]
    optimiser = mlp.Adam(values, rate=0.1)
    for _ in range(500):
        optimiser.step([2 * (values[0] - 1)])
    assert values[0] == pytest.approx([1, 1], abs=1e-2)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.5, "0.5"), (12, "12"), (1234.5, "1,234"), (2.5e9, "2.5 bn"), (float("nan"), "–"), (0.123456, "0.1235")],
)
def test_numbers(value, expected):
    assert text.number(value) == expected


@pytest.mark.parametrize(
    ("nbytes", "expected"), [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (123_456, "123 kB"), (2.5e9, "2.5 GB")]
)
def test_sizes(nbytes, expected):
    assert text.size(nbytes) == expected


def test_the_widest_row_fits_a_terminal():
    top = stream.Answer(
        "users with 1% of all visits", "SpaceSaving", 1, 1, 1, 1, 1, 10, 20, 1, 1, remark="10 of top 10"
    )
    energy = stream.Answer("q", "AMS", 9.779e10, 8.877e10, 1.088e11, 9.743e10, 0.95, 41_000, 2_670_000, 0.1, 0.2)
    printed = io.StringIO()
    Console(file=printed, width=80).print(tables.of_answers([top, energy], 2_000_000))
    assert "SpaceSaving, 10 of top 10" in printed.getvalue()
    assert "88.77 bn … 108.8 bn" in printed.getvalue()


def test_an_answer_outside_its_bounds_is_marked():
    answer = stream.Answer("q", "AMS", 5, 4, 6, 7, 0.95, 10, 20, 0.1, 0.2)
    assert text.verdict(answer) == "✗ 95%"
    assert 'class="no">✗ 95%' in report._answers_table([answer])


def test_outputs_that_cannot_be_written_are_one_line(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    cases = {
        tmp_path / "missing" / "report.html": "the folder does not exist",
        tmp_path / "file" / "report.html": "not a folder",
        tmp_path: "a folder; a file's name is accepted",
    }
    for output, message in cases.items():
        result = CliRunner().invoke(app, ["demo", "--output", str(output)])
        assert result.exit_code == 2
        assert result.output.strip() == f"sketches: {output}: {message}"
    monkeypatch.setattr("os.access", lambda *_: False)
    result = CliRunner().invoke(app, ["demo", "--output", str(tmp_path / "report.html")])
    assert (result.exit_code, result.output.strip().endswith("the folder is not writable")) == (2, True)


def test_missing_packages_are_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    monkeypatch.delitem(sys.modules, "sketches.demo.network", raising=False)
    monkeypatch.delattr(demo, "network", raising=False)
    result = CliRunner().invoke(app, ["demo", "--output", str(tmp_path / "report.html")])
    assert result.exit_code == 2
    assert "pip install 'stream-sketches[demo]'" in result.output
