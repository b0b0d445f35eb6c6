"""The benchmark's own code, without peers and without pyperf, which the tests do not install."""

import io
import re

import mmh3
import pytest
from rich.console import Console

from benchmarks.speed import page
from benchmarks.speed.contender import SCALES, Contender, Goal
from benchmarks.speed.floor import floor
from benchmarks.speed.jobs import JOBS
from benchmarks.speed.results import facts_of, rows_of
from benchmarks.speed.streams import KEYS, Streams, counts_of, scramble, unscramble


@pytest.fixture(scope="session")
def streams(tmp_path_factory):
    return Streams(tmp_path_factory.mktemp("streams"))


def facts(name, role, *goals, column="", nbytes=8, job="count-min"):
    contender = Contender(
        name,
        role,
        10,
        object,
        id,
        size=lambda state: nbytes,
        error=lambda state, result: "none",
        goals=goals,
        column=column,
        x=len(column),
    )
    return facts_of(job, contender, None, None)


@pytest.mark.parametrize("name", JOBS)
def test_ours_and_the_floor_run(name, streams):
    contenders = JOBS[name].build(streams, SCALES["tiny"])
    names = [(contender.name, contender.column) for contender in contenders]
    assert len(set(names)) == len(names)
    for contender in contenders:
        if contender.role in ("ours", "floor"):
            state = contender.prepare()
            found = facts_of(name, contender, state, contender.run(state))
            assert contender.items > 0
            assert "nan" not in found["error"]
            for goal in contender.goals:
                known = {"peer", "floor"} & {other.role for other in contenders}
                assert goal.against.partition(" | ")[0] in known | {other.name for other in contenders}


def test_streams_are_seeded_and_scrambled(streams, tmp_path):
    keys = streams.zipf(1000)
    assert (keys == Streams(tmp_path).zipf(1000)).all()
    ranks = unscramble(keys)
    assert ranks.min() >= 1
    assert ranks.max() <= KEYS
    assert (scramble(ranks) == keys).all()
    assert counts_of(keys).sum() == 1000
    assert counts_of(keys).argmax() == 1
    assert len(set(streams.distinct(1000).tolist())) == 1000
    assert streams.strings(1000)[0].as_py() == f"user-{ranks[0]}"


def test_ratios_are_those_of_the_fastest_rival():
    ours, slow, fast, _ = rows_of(
        [
            (facts("ours", "ours", Goal("peer", faster=3), Goal("floor", at_most=1.5)), 2.0),
            (facts("slow", "peer"), 40.0),
            (facts("fast", "peer"), 5.0),
            (facts("floor", "floor"), 1.6),
        ]
    )
    assert (ours.speedup, ours.floors) == (2.5, 1.25)
    assert [(verdict.measured, verdict.reached) for verdict in ours.verdicts] == [("2.50×", False), ("1.25×", True)]
    assert slow.speedup is fast.speedup is None


def test_only_rivals_are_compared_with():
    contender = Contender("ours", "ours", 1, object, id, rivals=("slow",))
    ours, *_ = rows_of(
        [
            (facts_of("add", contender, None, None), 2.0),
            (facts("slow", "peer", job="add"), 6.0),
            (facts("of another kind", "peer", job="add"), 4.0),
        ]
    )
    assert ours.speedup == 3


def test_a_goal_may_name_a_contender_in_another_column():
    goals = Goal("ours | short", at_most=1.05), Goal("ours | short", at_most=1.05, quantity="bytes")
    _, long = rows_of(
        [
            (facts("ours", "ours", column="short", nbytes=100, job="growth"), 4.0),
            (facts("ours", "ours", *goals, column="long", nbytes=200, job="growth"), 2.0),
        ]
    )
    assert [(verdict.measured, verdict.reached) for verdict in long.verdicts] == [("0.50×", True), ("2.00×", False)]


def test_the_page_shows_every_row_and_plot_and_needs_no_other_file():
    rows = rows_of(
        [
            (facts("ours <1>", "ours", Goal("peer", faster=3)), 2.0),
            (facts("theirs", "peer"), 8.0),
            (facts("ours", "ours", column="10", job="growth"), 3.0),
            (facts("ours", "ours", column="100", job="growth"), 1234.5),
        ]
    )
    text = page.html_page(rows, {"numpy": "2.0"})
    assert "ours &lt;1&gt;" in text
    assert "4.00×" in text
    assert "<svg" in text
    assert "1,234" in text
    assert not re.search(r'(src|href)="http', text.replace('xlink:href="#', ""))
    console = Console(width=200, record=True, file=io.StringIO())
    page.print_tables(rows, console)
    assert "1 of 1 goals reached" in console.export_text()


@pytest.mark.parametrize("n", [1, 5, 1023, 1024, 1048, 1049, 3000])
def test_the_floor_hashes_every_string_as_sketches_do(n, streams):
    strings = streams.strings(3000)[3000 - n :]
    loop, *_ = floor(streams.folder, strings)
    hashes = [mmh3.hash64(text.encode(), 0, signed=False)[0] for text in strings.to_pylist()]
    assert loop.run(loop.prepare()) == sum(hashes) % 2**64


@pytest.mark.parametrize(("rows", "width"), [(1, 1), (4, 100), (5, 2**16)])
def test_the_floor_touches_a_word_of_each_row_for_each_key(rows, width, streams):
    keys = streams.distinct(3000)
    for contender in floor(streams.folder, keys, rows, width):
        table = contender.prepare()
        contender.run(table)
        assert table.reshape(rows, width).sum(axis=1).tolist() == [3000] * rows
