"""FlajoletMartin: when tokens become registers, what bytes may say, and counts against the twin and the formulas."""

import math
import pickle
import struct
import time
import zlib

import numpy as np
import pytest
from scipy import special, stats

from sketches import FlajoletMartin, FormatError, from_bytes, plain
from sketches.core import bounds, wire
from sketches.flajolet_martin import KINDS

EVERY_KIND = pytest.mark.parametrize("kind", KINDS)


def filled(n: int, precision: int = 8, kind: str = "ell", seed: int = 0) -> FlajoletMartin:
    sketch = FlajoletMartin(precision, kind)
    sketch.update(np.random.default_rng(seed).integers(0, 2**62, n))
    return sketch


def from_fields(**changes: object) -> FlajoletMartin:
    """Read bytes of the first layout that are well-formed except for what the changes break."""
    fields = {"kind": 3, "precision": 4, "tokens": [], "registers": [], **changes}
    total = fields.pop("total", 10_000)
    return from_bytes(wire.encode("FlajoletMartin", wire.Envelope(1, 0, total, total, 0, 1), fields))


def registers(value: int, dtype: str = "<u4") -> np.ndarray:
    return np.full(16, value, dtype).view(np.uint8)


@EVERY_KIND
@pytest.mark.parametrize("n", [0, 1, 30, 200, 20_000])
def test_count_equals_twin(kind, n):
    sketch, twin = FlajoletMartin(6, kind), plain.FlajoletMartin(6, kind)
    sketch.update(range(n))
    for item in range(n):
        twin.add(item)
    assert sketch.count() == pytest.approx(twin.count(), rel=1e-9)


@EVERY_KIND
@pytest.mark.parametrize("cut", [5, 2995])
def test_merging_tokens_with_registers_equals_twin(kind, cut):
    sketch, other = FlajoletMartin(6, kind), FlajoletMartin(6, kind)
    twin, twin_other = plain.FlajoletMartin(6, kind), plain.FlajoletMartin(6, kind)
    for item in range(3000):
        (sketch if item < cut else other).add(item)
        (twin if item < cut else twin_other).add(item)
    sketch.merge(other)
    twin.merge(twin_other)
    assert sketch.registers.tolist() == twin.registers()


@EVERY_KIND
@pytest.mark.parametrize("precision", [4, 5, 12, 16])
def test_merging_many_equals_merging_one_by_one(kind, precision):
    """Tables of a part of a step and of several parts of the nearest cache, in several runs of 256 sketches."""
    sizes = 20, 3 << precision, 0, 9 << precision, 5
    others = [filled(size, precision, kind, seed) for seed, size in enumerate(sizes)]
    at_once, one_by_one, counted = (FlajoletMartin(precision, kind) for _ in range(3))
    repeated = others * (130 if precision < 12 else 1)
    at_once.merge(*repeated)
    for other in repeated:
        one_by_one.merge(other)
    assert at_once == one_by_one
    assert at_once.registers.any()
    for seed, size in enumerate(sizes):
        counted.update(np.random.default_rng(seed).integers(0, 2**62, size))
    assert (at_once.registers == counted.registers).all()


@EVERY_KIND
def test_registers_follow_when_tokens_would_outgrow_them(kind):
    sketch = FlajoletMartin(8, kind)
    size = KINDS[kind].register_bytes << 8
    for n in range(1, size * 3 // 16 + 1):
        sketch.add(n)
        assert (len(sketch.tokens), len(sketch.registers)) == (n, 0)
        assert 4 * n * 4 / 3 <= sketch.nbytes <= size
        sketch.add(n)
    sketch.add(0)
    assert (len(sketch.tokens), len(sketch.registers), sketch.nbytes) == (0, 256, size)
    assert sketch.registers.any()


@EVERY_KIND
@pytest.mark.parametrize("precision", [4, 18])
def test_order_batches_and_merges_do_not_matter(kind, precision):
    limit = (KINDS[kind].register_bytes << precision) * 3 // 16
    items = np.random.default_rng(3).integers(0, 2**62, limit + limit // 3)
    whole = FlajoletMartin(precision, kind)
    whole.update(items)
    for cut in (0, limit // 5, limit, len(items)):  # tokens with tokens, with registers, and the reverse
        first, second = FlajoletMartin(precision, kind), FlajoletMartin(precision, kind)
        first.update(items[cut:][::-1])
        second.update(items[:cut])
        assert first | second == second | first == whole
    whole.merge(whole)
    assert whole.total == 2 * len(items)


@EVERY_KIND
@pytest.mark.parametrize("n", [0, 3, 12, 13, 100, 700, 20_000])
def test_downsized_is_built_at_the_lower_precision(kind, n):
    items = np.random.default_rng(n).integers(0, 2**62, n)
    sketch, twin = FlajoletMartin(8, kind, seed=5), plain.FlajoletMartin(8, kind, seed=5)
    sketch.update([*items.tolist(), None])
    for item in items.tolist():
        twin.add(item)
    for precision in range(4, 9):
        small, built = sketch.downsize(precision), FlajoletMartin(precision, kind, seed=5)
        built.update([*items.tolist(), None])
        assert small.to_bytes() == built.to_bytes()
        assert (small.nbytes, small.nulls, small.total) == (built.nbytes, 1, n)
        plain_small = twin.downsize(precision)
        assert small.registers.tolist() == (plain_small.registers() if plain_small.tokens is None else [])
        assert {(t >> 6, t & 63) for t in small.tokens.tolist()} == (plain_small.tokens or set())


@EVERY_KIND
def test_downsizing_counts_zeros_on(kind):
    # Hashes with all zeros where they are counted, at every precision, and with few zeros and none beyond.
    random = np.random.default_rng(4)
    low = random.integers(0, 2**20, 40_000, np.uint64)
    hashes = np.concatenate([low, low >> random.integers(0, 18, len(low), np.uint64), low | np.uint64(2**45)])
    large = FlajoletMartin(14, kind)
    large._insert(hashes, None)
    for precision in range(4, 14):
        built = FlajoletMartin(precision, kind)
        built._insert(hashes, None)
        assert large.downsize(precision) == built


@EVERY_KIND
def test_precisions_merge_to_the_lower(kind):
    for large_n, small_n in ((5000, 5000), (5000, 5), (5, 5000), (5, 5), (60, 5)):
        items = np.random.default_rng(large_n).integers(0, 2**62, large_n + small_n)
        large, small, both = FlajoletMartin(9, kind), FlajoletMartin(5, kind), FlajoletMartin(5, kind)
        large.update(items[:large_n])
        small.update(items[large_n:])
        both.update(items)
        assert large | small == small | large == both
        assert (large.precision, small.precision) == (9, 5)
        before = large.to_bytes()
        with pytest.raises(ValueError, match=r"precision is 9 here and 5 there; downsize\(5\) this one first"):
            large.merge(small)
        assert large.to_bytes() == before
        small.merge(large)
        assert small == both


def test_downsizing_refuses():
    sketch = FlajoletMartin(8)
    with pytest.raises(ValueError, match="precision is 9; at most the sketch's own, 8, is accepted"):
        sketch.downsize(9)
    with pytest.raises(ValueError, match=r"precision is 3; an integer in \[4, 18\]"):
        sketch.downsize(3)
    for other in (FlajoletMartin(9, "hll"), FlajoletMartin(9, seed=1), FlajoletMartin(9, key=bytes(16))):
        with pytest.raises(ValueError, match="cannot merge"):
            sketch.merge(other)
        with pytest.raises(ValueError, match="cannot merge"):
            other | sketch


def test_registers_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        filled(10_000).registers[0] = 255


def test_counts():
    sketch = FlajoletMartin()
    sketch.update(["a", "b", "a", "c"], [3, 1, 2, 0])
    sketch.add("d", 0)
    sketch.add("b", 10)
    assert round(sketch.count(), 6) == 2
    assert sketch.total == 16
    for count in (-1, [-1]):
        with pytest.raises(ValueError, match="count"):
            sketch.add("a", count) if isinstance(count, int) else sketch.update(["a"], count)
    with pytest.raises(TypeError, match="count"):
        sketch.add("a", 1.5)


@EVERY_KIND
def test_few_items_are_exact(kind):
    for n in range(12):
        count = filled(n, 12, kind).count()
        assert n == count.lower <= count <= count.upper < n + 1e-4
        assert count.standard_error < 1e-3


@EVERY_KIND
def test_bounds_of_a_count(kind):
    sketch = filled(100_000, 8, kind)
    narrow, wide = sketch.count(0.5), sketch.count(0.999)
    assert wide.lower < narrow.lower < narrow == wide < narrow.upper < wide.upper
    assert narrow.standard_error == pytest.approx(narrow * sketch.relative_error, rel=0.1)
    # 0.6745 standard errors on each side hold one half of a normal distribution.
    assert math.log(narrow.upper / narrow) == pytest.approx(0.6745 * narrow.standard_error / narrow, rel=1e-4)
    assert sketch.count(1e-9).lower <= sketch.count() <= sketch.count(1e-9).upper


def test_tokens_collide_as_often_as_bounds_say():
    sketch = filled(300_000, 18, "pcsa")
    # Two items share a token with probability 2**-26 / 3, the sum of (2**-i)**2: n² / 6 / 2**26 = 224 are hidden.
    hidden = 300_000 - len(sketch.tokens)
    count = sketch.count()
    assert abs(hidden - 223.5) < 5 * 223.5**0.5
    assert count.standard_error == pytest.approx(223.5**0.5, rel=0.01)
    assert len(sketch.tokens) < count.lower < count < count.upper < count.lower + 80


@EVERY_KIND
def test_full_registers_count_infinitely_many(kind):
    full = {"pcsa": 2**61 - 1, "hll": 61, "ull": 61 << 2 | 3, "ell": 236 << 24 | 2**24 - 1}[kind]
    number, *_, dtype = KINDS[kind]
    count = from_fields(kind=number, registers=registers(full, dtype)).count()
    assert math.isinf(count)
    assert math.isinf(count.upper)
    assert 16 <= count.lower < 1000


def test_nearly_full_registers_still_count():
    found = [from_fields(kind=1, registers=registers(u, "u1")).count() for u in range(1, 61)]
    assert all(math.isfinite(count.upper) and count.lower <= count <= count.upper for count in found)
    assert found == sorted(found)
    mixed = np.full(16, 2**60 - 1, "<u8")
    mixed[:8] = 1 << 60
    assert 488 <= from_fields(kind=0, registers=mixed.view(np.uint8)).count() < 2**60


def test_precision_from_error_and_memory():
    for kind in KINDS:
        for error in (0.2, 0.01, 0.0025):
            sketch = FlajoletMartin(kind=kind, error=error)
            assert sketch.relative_error <= error
            assert sketch.precision == 4 or FlajoletMartin(sketch.precision - 1, kind).relative_error > error
        least = 16 * KINDS[kind].register_bytes
        for nbytes, precision in ((least, 4), (2 * least - 1, 4), (2 * least, 5), (2**30, 18)):
            sketch = FlajoletMartin.for_memory(nbytes, kind=kind, seed=3)
            assert (sketch.precision, sketch.kind, sketch.hasher.seed) == (precision, kind, 3)
            sketch.update(range(1000))
            assert sketch.nbytes <= nbytes
    assert FlajoletMartin().precision == 12


def test_theory():
    # The constants of the papers: HyperLogLog's is 1.04, ExaLogLog's 0.3438.
    known = {"pcsa": 0.6491, "hll": 1.0367, "ull": 0.7608, "ell": 0.3438}
    for kind, constant in known.items():
        assert FlajoletMartin(12, kind).relative_error * 64 == pytest.approx(constant, abs=1e-4)
    for s in (2, 3):
        for q in (0.1, 1.0, 1.0826, 2.0, 30.0):
            assert bounds.hurwitz_zeta(s, q) == pytest.approx(special.zeta(s, q), rel=1e-11)
    for mean in (1e-9, 0.1, 1.0, 30.0, 600.0):
        for probability in (1e-6, 0.025, 0.5, 0.975, 1 - 1e-6):
            assert bounds.poisson_quantile(mean, probability) == stats.poisson.ppf(probability, mean)
    assert bounds.poisson_quantile(30.0, 1.0) >= 30


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"precision": 3}, ValueError, r"precision is 3; an integer in \[4, 18\]"),
        ({"precision": 19}, ValueError, "precision is 19"),
        ({"precision": 12.0}, TypeError, "precision is 12.0"),
        ({"kind": "loglog"}, ValueError, "kind is 'loglog'; one of pcsa, hll, ull, ell"),
        ({"kind": 3}, TypeError, "kind is 3"),
        ({"error": 0.0}, ValueError, "error is 0.0"),
        ({"error": 1e-5}, ValueError, "error is 1e-05; this kind reaches 0.00067 at best"),
        ({"error": "1%"}, TypeError, "error is '1%'"),
        ({"error": 0.01, "precision": 12}, TypeError, "precision is given beside error"),
        ({"seed": -1}, ValueError, "seed is -1"),
        ({"martingale": 1}, TypeError, "martingale is 1; True or False is accepted"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        FlajoletMartin(**arguments)


def test_bad_arguments_elsewhere():
    with pytest.raises(ValueError, match="nbytes is 63"):
        FlajoletMartin.for_memory(63)
    for confidence in (0, 1, 95):
        with pytest.raises(ValueError, match="confidence is"):
            FlajoletMartin().count(confidence)
    with pytest.raises(ValueError, match="kind is ell here and hll there"):
        FlajoletMartin().merge(FlajoletMartin(kind="hll"))


@EVERY_KIND
@pytest.mark.parametrize("n", [0, 1, 12, 13, 40, 3000])
def test_bytes_round_trip(kind, n):
    sketch = filled(n, 6, kind)
    again = from_bytes(sketch.to_bytes())
    assert again == sketch == pickle.loads(pickle.dumps(sketch))
    assert (again.nbytes, again.count()) == (sketch.nbytes, sketch.count())
    sketch.update(range(500))
    again.update(range(500))
    assert again == sketch


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tokens": [64], "registers": registers(0)}, "tokens beside registers"),
        ({"registers": registers(0)[:-1]}, "63 bytes of registers, not 64"),
        ({"tokens": range(0, 64 * 13, 64)}, "13 tokens, more than"),
        ({"tokens": [64, 64]}, "ascend"),
        ({"tokens": [64, 0]}, "ascend"),
        ({"tokens": [39]}, "leading zeros"),
        ({"tokens": [2**32 - 1]}, "leading zeros"),
        ({"tokens": [0, 64], "total": 1}, "2 tokens for a total count of 1"),
        ({"registers": registers(0), "total": 12}, "registers for a total count of 12"),
        ({"registers": registers(237 << 24)}, "a value above 236, or below 1"),
        ({"registers": registers(1)}, "below 1"),
        ({"registers": registers(3 << 24 | 1 << 21)}, "below 1"),
        ({"registers": registers(24 << 24 | 1)}, "below 1"),
        ({"kind": 1, "registers": registers(62, "u1")}, "above 61"),
        ({"kind": 2, "registers": registers(62 << 2, "u1")}, "above 61"),
        ({"kind": 2, "registers": registers(1 << 2 | 2, "u1")}, "below 1"),
        ({"kind": 2, "registers": registers(2 << 2 | 1, "u1")}, "below 1"),
        ({"kind": 0, "registers": registers(1 << 61, "<u8")}, "above 61"),
        ({"kind": 4}, "kind is 4"),
        ({"precision": 19}, "precision is 19"),
    ],
)
def test_impossible_states_are_refused(fields, message):
    with pytest.raises(FormatError, match=message):
        from_fields(**fields)


@pytest.mark.parametrize(
    ("kind", "value"),
    [(0, 2**61 - 1), (1, 61), (2, 61 << 2 | 3), (2, 2 << 2 | 2), (3, 236 << 24 | 1), (3, 2 << 24 | 1 << 23)],
)
def test_extreme_states_are_accepted(kind, value):
    dtype = list(KINDS.values())[kind].dtype
    sketch = from_fields(kind=kind, registers=registers(value, dtype))
    before = sketch.to_bytes()
    sketch.merge(sketch)
    assert sketch.registers.tolist() == [value] * 16
    sketch.update(range(100))
    assert from_bytes(sketch.to_bytes()).count() > 0
    assert zlib.crc32(before[:-4]) == struct.unpack("<I", before[-4:])[0]


def test_crafted_tokens_are_read_quickly():
    # All have one of 78 values in the low bits of their hash. A table placed by those alone would be one long run of
    # 389,376 slots, searched from its start for each token: minutes.
    low = np.add.outer(np.arange(128) << 19, np.arange(78)).ravel()
    tokens = np.add.outer(low << 6, np.arange(39)).ravel()
    sketch = from_fields(kind=0, precision=18, tokens=tokens, total=2**20)
    assert sketch.tokens.tolist() == tokens.tolist()


def test_tables_merge_as_fast_as_they_fill():
    # Were tokens taken over in the order of their places, they would fill a small table from one end to the other: each
    # would be searched for along all that came before, 10^10 slots in all, for seconds.
    full, empty = FlajoletMartin(precision=18), FlajoletMartin(precision=18)
    start = time.process_time()
    full.update(np.arange(180_000))
    filling = time.process_time() - start
    start = time.process_time()
    empty.merge(full)
    merging = time.process_time() - start
    assert len(empty.tokens) == len(full.tokens) > 170_000
    assert merging < 20 * filling + 0.05, (merging, filling)  # about as long; with one order for all, 130 times


def test_a_merge_without_memory_changes_nothing(monkeypatch):
    sketch, dense = filled(100, 12), filled(10_000, 12)
    before = sketch.to_bytes()

    def no_memory(*arguments):
        raise MemoryError("no registers")

    with monkeypatch.context() as patch:
        patch.setattr(np, "zeros", no_memory)
        with pytest.raises(MemoryError, match="no registers"):
            sketch.merge(dense)
    assert sketch.to_bytes() == before
    sketch.merge(dense)
    assert sketch.total == 10_100


def test_repr():
    assert repr(filled(10_000, 12)) == (
        "<FlajoletMartin(precision=12, kind='ell'): 16,384 bytes, standard error ≤ 0.54%, total 10,000>"
    )


def test_confidence_next_to_one():
    almost = filled(10_000).count(confidence=1 - 2**-53)
    assert almost.lower < filled(10_000).count(0.95).lower
    assert almost.upper > filled(10_000).count(0.95).upper
