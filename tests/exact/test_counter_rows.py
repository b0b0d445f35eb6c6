"""Counters that grow: their values never tell how, and their memory is small while most of them are."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import sketches
from sketches import AMS, CountMin, FormatError, plain
from sketches.core import wire

INCLUDE = Path(__file__).parents[2] / "cython_ext" / "include"
MAKERS = {
    "CountMin": lambda: CountMin(1024, 4),
    "conservative": lambda: CountMin(1024, 4, conservative=True),
    "AMS": lambda: AMS(1024, 5),
}


@pytest.fixture(params=MAKERS)
def make(request):
    return MAKERS[request.param]


def test_a_mostly_small_table_takes_a_quarter_or_less(make):
    sketch = make()
    full = 8 * sketch.width * sketch.depth
    assert sketch.nbytes == full // 8
    sketch.update(range(5000))
    assert sketch.nbytes == full // 8
    sketch.update([f"heavy {i}" for i in range(5)], [10 ** (3 * i + 3) for i in range(5)])  # up to 10**15
    assert full // 8 < sketch.nbytes <= full // 4
    assert sketch.counter_bytes == 1
    assert sketch.estimate(["heavy 4"])[0] >= 10**15 - 10**12


def test_cells_widen_when_many_outgrow_them(make):
    widths = []
    for bits in (5, 13, 29, 40):
        sketch = make()
        sketch.update(range(5000), [1 << bits] * 5000)
        widths.append(sketch.counter_bytes)
        assert (np.abs(sketch.counters) >= 0).all()
        assert sketch.nbytes <= 1.25 * sketch.counter_bytes * sketch.width * sketch.depth
    assert widths[-1] == 8
    assert widths == sorted(widths)


def test_steps_across_every_limit():
    """One counter, up and down by ones, by twos and by more than a cell holds; a Python integer beside it."""
    for start in (0, 2**6, 2**7, 2**14, 2**15, 2**30, 2**31, 2**40):
        for step in (1, 2, 100, 2**20, 2**33):
            for sketch in (AMS(1, 1), AMS(1000, 1), CountMin(1000, 1)):
                truth = start - 3 * step
                sketch.add("x", truth)
                for count in [step] * 6 + [-step] * 9 + [start, -start]:
                    truth += count
                    if count % 2:
                        sketch.add("x", count)
                    else:
                        sketch.update(["x"] * 16, [count // 2, 0, 0, count // 2] + [0] * 12)
                    if isinstance(sketch, AMS):
                        assert sketch.estimate(["x"]).tolist() == [truth]
                    assert np.abs(sketch.counters).sum() == abs(truth)


@pytest.mark.parametrize("signs", [False, True])
@pytest.mark.parametrize("bits", [4, 7, 11, 15, 31, 40])
def test_questions_of_any_number_are_answered_by_the_values(bits, signs):
    """Few questions look up what outgrew a cell, or know that others are less; many are put to a copy of the values."""
    random = np.random.default_rng(bits)
    items = random.integers(0, 400, 1500)
    counts = 2 ** random.integers(0, bits, 1500)
    counts[random.integers(0, 1500, 1400)] = 1
    for sketch, twin in (
        (CountMin(500, 4), plain.CountMin(500, 4)),
        (CountMin(300, 3, conservative=not signs), plain.CountMin(300, 3)),
        (AMS(500, 5), plain.AMS(500, 5)),
        (AMS(700, 3), plain.AMS(700, 3)),
    ):
        sketch.update(items, counts)
        if signs:  # some counters fall back below what their cells hold, and further
            sketch.update(items[::2], -counts[::2] + random.integers(-50, 50, 750))
        twin.rows = sketch.counters.tolist()
        truth = np.array([int(twin[item]) for item in range(2500)])
        truth = truth if isinstance(sketch, AMS) else np.maximum(truth, 0)
        for size in (1, 7, 8, 64, 65, 129, 899, 2500):
            assert sketch.estimate(np.arange(size)).tolist() == truth[:size].tolist()
            assert sketch.estimate([*range(size)]).tolist() == truth[:size].tolist()
        assert (sketch.counters == twin.rows).all()


@pytest.mark.parametrize("limit", [2**6, 2**14, 2**30])
def test_counts_at_the_limit_of_a_cell(limit):
    """The least count that a cell takes has a negative that it does not take: it is added, taken back, turned."""
    random = np.random.default_rng(limit)
    for make in (lambda: CountMin(37, 3), lambda: AMS(37, 3)):
        for start in (0, limit - 1, 1 - limit):
            first = (np.arange(20), np.full(20, start))
            items, counts = random.integers(0, 100, 64), random.choice([-limit - 1, -limit, 1 - limit, limit], 64)
            batch, single = make(), make()
            batch.update(*first)
            batch.update(items, counts)
            for part in (first, (items, counts)):
                for item, count in zip(*part, strict=True):
                    single.add(item, count)
            assert (batch.counters == single.counters).all()


def test_bytes_do_not_tell_how_the_cells_grew(make):
    random = np.random.default_rng(3)
    items, counts = random.integers(0, 3000, 4000), random.integers(1, 30, 4000)
    counts[::100] = 2 ** random.integers(3, 40, 40)
    first, second = make(), make()
    first.update(items, counts)
    if sketches.CountMin is type(first) and first.conservative:
        second.update(items[:2000], counts[:2000])
        second.update(items[2000:], counts[2000:])
    else:  # the largest first, and then far more that is taken away again
        order = np.argsort(-counts)
        second.update(items[order], counts[order])
        many = random.integers(0, 10**6, 20_000)
        second.update(many, np.full(20_000, 2**33))
        second.update(many, np.full(20_000, -(2**33)))
        assert second.nbytes > first.nbytes
        assert second.weight > first.weight
        assert second._fields()["cells"].tolist() == first._fields()["cells"].tolist()
        assert second._fields()["counter_bytes"] < second.counter_bytes
    assert (first.counters == second.counters).all()
    read = sketches.from_bytes(second.to_bytes())
    assert (read.counters == first.counters).all()
    assert read.nbytes <= 1.25 * first.nbytes
    assert (read.estimate(items) == second.estimate(items)).all()


def test_merges_of_any_widths():
    random = np.random.default_rng(5)
    items = random.integers(0, 1500, 3000)
    parts = []
    for bits in (1, 5, 9, 20, 40):  # few and many that outgrow their cells
        for share in (1, 30):
            counts = np.ones(3000, np.int64)
            counts[::share] = random.integers(0, 2**bits, len(counts[::share]))
            parts.append((items, counts * random.choice([-1, 1], 3000)))
    for maker in (lambda: CountMin(500, 3), lambda: AMS(500, 5)):
        for first in parts:
            for second in parts:
                one, other, both = maker(), maker(), maker()
                one.update(*first)
                other.update(*second)
                before = other.counters
                both.update(*first)
                both.update(*second)
                one.merge(other)
                assert one == both
                assert (other.counters == before).all()


GOOD = {
    "conservative": 0,
    "depth": 1,
    "width": 40,
    "counter_bytes": 1,
    "cells": np.r_[5, 0, np.ones(38)],
    "places": [1],
    "values": [200],
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"places": [40]}, "place 40 is not after the last and below 40"),
        ({"places": [1, 1], "values": [200, 200]}, "place 1 is not after the last"),
        ({"values": []}, "1 places for 0 values"),
        ({"values": [127]}, "the value 127 fits 1 bytes"),
        ({"places": [0]}, "there are two values at 0"),
        (
            {"counter_bytes": 2, "cells": np.r_[5, 0, 200, 0, np.tile([1, 0], 38)], "places": [], "values": []},
            "shortest",
        ),
        ({"values": [201]}, "counters exceed the total count"),
        ({"cells": np.r_[4, 0, np.ones(38)]}, "a row's sum is not the total count"),
        ({"conservative": 1, "cells": np.r_[253, 0, np.ones(38)], "values": [202]}, "negative counters"),
    ],
)
def test_bytes_that_no_sketch_writes(changes, message):
    total = 5 + 200 + 38
    envelope = wire.Envelope(1, 0, total, total, 0)
    good = wire.encode("CountMin", envelope, GOOD)
    assert CountMin.from_bytes(good).to_bytes() == good
    assert CountMin.from_bytes(good).counters[0, :3].tolist() == [5, 200, 1]
    with pytest.raises(FormatError, match=message):
        CountMin.from_bytes(wire.encode("CountMin", envelope, GOOD | changes))


def test_a_table_larger_than_memory_is_one_clear_error():
    with pytest.raises(MemoryError, match="no memory for 16 rows of 1099511627776 counters"):
        CountMin(2**40, 16)


SOURCE = """
#include <stdlib.h>
static int left;
static void *some_memory(size_t n, size_t size) { return left-- > 0 ? calloc(n, size) : NULL; }
#define calloc some_memory
#include "ams.h"
#include "count_min.h"
#include "counter_passes.h"
/* Adds all, of which memory may refuse the rest after some allocations; gives how many items, and all values. */
int64_t add(int kind, int64_t depth, int64_t width, const uint64_t *numbers, const uint64_t *hashes,
            const int64_t *counts, int64_t n, int allocations, int64_t *values) {
    counter_rows rows;
    count_min_table count_min = {&rows, depth, width, {0}, 0, 0};
    ams_table ams = {&rows, depth, width, {{0}}, {{0}}};
    for (int64_t r = 0; r < depth; r++) {
        ams_set_row(&ams, r, numbers + 4 * r);
        count_min.odd[r] = numbers[r] | 1;
    }
    left = 1;
    counter_rows_make(&rows, depth * width, 1, 0);
    left = allocations;
    const int64_t done = kind == 2 ? ams_put(&ams, hashes, counts, n)
                                   : count_min_put(&count_min, kind, hashes, counts, n);
    for (int64_t i = 0; i < rows.size; i += COUNTER_CHUNK)
        counters_read(&rows, i, values + i, rows.size - i < COUNTER_CHUNK ? rows.size - i : COUNTER_CHUNK);
    counter_rows_free(&rows);
    return done;
}
/* Merges two tables, in place of `first`; gives whether there was memory for it. */
int merge(int64_t size, const int64_t *first, const int64_t *second, int allocations, int64_t *values) {
    counter_rows mine, theirs;
    left = 1000;
    counter_rows_make(&mine, size, 1, 0);
    counter_rows_make(&theirs, size, 1, 0);
    for (int64_t i = 0; i < size; i++) {
        counter_add_all(&mine, &i, first + i, 1, 1);
        counter_add_all(&theirs, &i, second + i, 1, 1);
    }
    left = allocations;
    const int merged = counters_merge(&mine, &theirs);
    for (int64_t i = 0; i < size; i += COUNTER_CHUNK)
        counters_read(&mine, i, values + i, size - i < COUNTER_CHUNK ? size - i : COUNTER_CHUNK);
    counter_rows_free(&mine);
    counter_rows_free(&theirs);
    return merged;
}
"""


@pytest.fixture(scope="module", params=[[], ["-DSKETCHES_PORTABLE"]], ids=["by processor", "portable"])
def library(request, tmp_path_factory):
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not INCLUDE.exists():
        pytest.skip("needs a C compiler and the sources")
    folder = tmp_path_factory.mktemp("memory")
    source, target = folder / "memory.c", folder / "memory.so"
    source.write_text(SOURCE, encoding="utf-8")
    flags = ["-O1", "-fwrapv", "-fno-strict-aliasing", "-shared", "-fPIC", f"-I{INCLUDE}", *request.param]
    subprocess.run([compiler, *flags, "-o", target, source], check=True)
    library = ctypes.CDLL(str(target))
    library.add.restype = ctypes.c_int64
    return library


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_without_memory_the_items_before_are_counted_and_no_others(kind, library):
    random = np.random.default_rng(kind)
    numbers = random.integers(0, 2**61 - 1, 20, np.uint64)
    hashes = random.integers(0, 2**64, 200, np.uint64)[random.zipf(1.2, 3000) % 200]
    counts = random.integers(1, 20, 3000)
    counts[::50] = 2 ** random.integers(0, 40, 60)
    if kind != 1:
        counts *= random.choice([-1, 1, 1], 3000)

    def add(n: int, allocations: int) -> tuple[int, list[int]]:
        values = np.empty(5 * 100, np.int64)
        arrays = (ctypes.c_void_p(array.ctypes.data) for array in (numbers, hashes, counts))
        done = library.add(
            kind, ctypes.c_int64(5), ctypes.c_int64(100), *arrays, ctypes.c_int64(n), allocations,
            ctypes.c_void_p(values.ctypes.data),
        )  # fmt: skip
        return done, values.tolist()

    stops = set()
    for allocations in range(12):
        done, values = add(3000, allocations)
        assert (done, values) == add(done, 1000)
        stops.add(done)
    assert len(stops) >= 3
    assert max(stops) == 3000


@pytest.mark.parametrize("bits", [6, 9, 20, 45])
@pytest.mark.parametrize("few", [1, 40])
def test_without_memory_a_merge_changes_nothing(bits, few, library):
    random = np.random.default_rng(bits)
    size, merged = 7000, []
    first, second = random.integers(-40, 40, (2, size))
    second[5000::few] = random.integers(-(2**bits), 2**bits, len(second[5000::few]))
    first[::100] = 2 ** random.integers(0, bits, 70)
    for allocations in range(10):
        values = np.empty(size, np.int64)
        pointers = (ctypes.c_void_p(array.ctypes.data) for array in (first, second))
        merged.append(library.merge(ctypes.c_int64(size), *pointers, allocations, ctypes.c_void_p(values.ctypes.data)))
        assert (values == (first + second if merged[-1] else first)).all()
    assert merged[-1]
    assert merged == sorted(merged)
    assert bits == 6 or not merged[0]
