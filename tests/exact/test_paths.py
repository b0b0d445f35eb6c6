"""Every way that a loop may be compiled gives the state that the kernel gives.

The kernel picks a way by the processor. Here the same headers are compiled again, without intrinsics and clones
(`SKETCHES_PORTABLE`), and so for processors of several levels.
"""

import ctypes
import platform
import shutil
import subprocess
from functools import partial, reduce
from pathlib import Path

import numpy as np
import pytest

from sketches import FlajoletMartin, Quantiles
from sketches._ext import register_code
from sketches._ext.activations import observe
from sketches._ext.ams import AMSKernel
from sketches._ext.binary_fuse import BinaryFuseKernel, solve
from sketches._ext.bloom import BloomKernel
from sketches._ext.count_min import CountMinKernel
from sketches._ext.entropy import EntropyKernel, set_tables
from sketches._ext.hashing import Hasher
from sketches.core.filter_bounds import binary_fuse_shape
from sketches.core.memory import aligned_words
from sketches.core.skewed_stable import tables
from sketches.flajolet_martin import KINDS
from sketches.nn.statistics.moments import Moments
from sketches.plain.hashing import mix64

INCLUDE = Path(__file__).parents[2] / "cython_ext" / "include"
COMPILER = shutil.which("cc") or shutil.which("gcc")
CPU = Path("/proc/cpuinfo")
P = 2**61 - 1
SOURCE = """
#include "count_min.h"
#include "ams.h"
#include "entropy.h"
#include "flajolet_martin.h"
#include "bloom.h"
#include "binary_fuse.h"
#include "fm_martingale.h"
#include "register_code.h"
int64_t encode(const void *registers, int kind, int p, uint8_t *bytes, int64_t size) {
    make_models();
    return encode_registers(registers, kind, p, bytes, size);
}
int decode(void *registers, int kind, int p, int most, const uint8_t *bytes, int64_t size) {
    return decode_registers(registers, kind, p, most, bytes, size);
}
void count_changes(martingale *changes, void *registers, int kind, int p, const uint64_t *hashes, int64_t n) {
    changes->chance = registers_chance(registers, kind, p);
    for (int64_t i = 0; i < n; i++) insert_counted(changes, registers, kind, p, hashes[i]);
}
void merge(void *mine, const void *const *theirs, int64_t n, int kind, int p) { merge_all(mine, theirs, n, kind, p); }
#include "counter_passes.h"
static void read(const counter_rows *rows, int64_t *counters) {
    for (int64_t i = 0; i < rows->size; i += COUNTER_CHUNK)
        counters_read(rows, i, counters + i, rows->size - i < COUNTER_CHUNK ? rows->size - i : COUNTER_CHUNK);
}
static counter_rows rows;
int begin(int64_t size) { return counter_rows_make(&rows, size, 1, 0); }
void end(void) { counter_rows_free(&rows); }
void count_min(int64_t *counters, int64_t depth, uint64_t width, const uint64_t *odd, int conservative, int signs,
               const uint64_t *hashes, const int64_t *counts, int64_t n, int64_t *estimates) {
    count_min_table table = {&rows, depth, width, {0}, 0, 0};
    for (int64_t r = 0; r < depth; r++) table.odd[r] = odd[r];
    count_min_put(&table, conservative, hashes, counts, n);
    count_min_ask(&table, signs, hashes, estimates, n);
    read(&rows, counters);
}
void ams(int64_t *counters, int64_t depth, uint64_t width, const uint64_t *coefficients,
         const uint64_t *hashes, const int64_t *counts, int64_t n, int64_t *estimates) {
    ams_table table = {&rows, depth, width, {{0}}, {{0}}};
    for (int64_t r = 0; r < depth; r++) ams_set_row(&table, r, coefficients + 4 * r);
    ams_put(&table, hashes, counts, n);
    ams_ask(&table, hashes, estimates, n);
    read(&rows, counters);
}
void bloom(uint64_t *words, int64_t n_words, int lines, int probes, const uint64_t *hashes, const int64_t *counts,
           int64_t n, uint8_t *answers, double *rate) {
    block_table table = {words, (uint64_t)n_words / (LANES * (lines ? lines : 1)), lines};
    if (lines) {
        block_add_all(&table, hashes, counts, n);
        block_has_all(&table, hashes, answers, n);
        *rate = sum_of_products(words, n_words / LANES, lines);
        return;
    }
    classic_add_all(words, 64 * n_words, probes, hashes, counts, n);
    classic_has_all(words, 64 * n_words, probes, hashes, answers, n);
}
int fuse(const uint64_t *hashes, uint32_t n, uint32_t log_length, uint32_t size, int bits, fuse_room *room, void *table,
         const uint64_t *asked, int64_t n_asked, uint8_t *answers) {
    fuse_shape shape = {size - (2 << log_length), FUSE_ODD, 1u << log_length, bits};
    int solved = fuse_solve(&shape, hashes, n, size, room, table);
    fuse_has_all(&shape, table, asked, answers, n_asked);
    return solved;
}
void entropy(const entropy_tables *tables, entropy_sum *sums, int64_t k, const uint64_t *hashes, const int64_t *counts,
             int64_t n) {
    entropy_add_all(tables, sums, k, hashes, counts, n);
}
"""
ACTIVATIONS = """
#include "activations.h"
#include "heads.h"
#include "signs.h"
#define DEFINE(TYPE) \\
    int TYPE##_batch(const TYPE *x, const activation_shape *shape, int64_t *counts, double *values, uint8_t *bits) { \\
        const int64_t size = shape->units * shape->places; \\
        TYPE##_rows(x, shape->chunks, size, bits, (size + 7) / 8); \\
        return TYPE##_block(x, shape, counts, values); \\
    }
DEFINE(float)
DEFINE(double)
int64_t heads(const float *x, int64_t n, head_counters *counters, bin_window *window, int64_t *table, double low,
              double high) {
    count_heads(counters, x, n);
    const head_range range = widen_to_heads(window, counters, low, high, n);
    window->zero = window->negative_high - window->negative_low + 2;
    return gather_heads(table, window, counters, &range);
}
"""
PRODUCTS = """
#include "shared_csr.h"
void product(const shared_csr *m, int used, const float *x, float *out, int64_t rows) {
    csr_vector(m, used, x, out, 0, rows);
}
void panel(const shared_csr *m, const float *x, float *out, int64_t rows) { csr_panel(m, x, out, 0, rows); }
int product_avx2(const shared_csr *m, int used, const float *x, float *out, int64_t rows) {
#ifdef SKETCHES_AVX512
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return 0;
    vector_avx2(m, used, x, out, 0, rows); /* which processors with AVX-512 do not take */
    return 1;
#else
    return 0;
#endif
}
"""
WAYS = {
    "by processor": [],
    "portable": ["-DSKETCHES_PORTABLE"],
    "v3": ["-DSKETCHES_PORTABLE", "-march=x86-64-v3"],
    "v4": ["-DSKETCHES_PORTABLE", "-march=x86-64-v4"],
}
NEEDS = {"v3": "avx2", "v4": "avx512dq"}

RANDOM = np.random.default_rng(6)
EDGES = np.array([0, 1, 2**31, 2**32 - 1, 2**32, P - 1, P, P + 1, 2 * P, 7 * P, 8 * P, 2**63, 2**64 - 1], np.uint64)
HASHES = np.concatenate([EDGES, np.repeat(EDGES[:3], 40), RANDOM.integers(0, 2**64, 2000, np.uint64)])
COUNTS = RANDOM.integers(-(2**40), 2**40, len(HASHES))
SIZES = [1, 2, 7, 8, 9, 15, 16, 17, 63, 64, 65, 127, 128, 129, 1000, len(HASHES)]


def compiled(way, folder, text, *flags):
    if COMPILER is None or not INCLUDE.exists():
        pytest.skip("needs a C compiler and the sources")
    if way in NEEDS and not (
        platform.machine() == "x86_64" and CPU.exists() and f" {NEEDS[way]} " in CPU.read_text(encoding="utf-8")
    ):
        pytest.skip(f"needs a processor with {NEEDS[way]}")
    source, target = folder / "loops.c", folder / "loops.so"
    source.write_text(text, encoding="utf-8")
    flags = ["-O3", "-fno-strict-aliasing", "-shared", "-fPIC", f"-I{INCLUDE}", *WAYS[way], *flags]
    subprocess.run([COMPILER, *flags, "-o", target, source], check=True)
    return ctypes.CDLL(str(target))


@pytest.fixture(scope="module", params=list(WAYS))
def library(request, tmp_path_factory):
    return compiled(request.param, tmp_path_factory.mktemp("paths"), SOURCE)


@pytest.fixture(scope="module", params=list(WAYS))
def activations(request, tmp_path_factory):
    return compiled(request.param, tmp_path_factory.mktemp("activations"), ACTIVATIONS, "-ffp-contract=off")


def pointer(array):
    return None if array is None else ctypes.c_void_p(array.ctypes.data)


def inputs(conservative=False):
    """Blocks of all sizes, one each and with counts that grow from those that a byte holds."""
    counts = np.abs(COUNTS) if conservative else COUNTS
    return [(HASHES[:n], some) for bits in (35, 28, 14, 0) for n in SIZES for some in (None, counts[:n] >> bits)]


def answers(kernel, hashes):
    found = np.empty(len(hashes), np.int64)
    kernel._ask(hashes, found.view(np.uint8))
    return found.tolist()


@pytest.mark.parametrize("conservative", [False, True])
@pytest.mark.parametrize(("depth", "width"), [(1, 1), (4, 97), (3, 4096), (4, 2**16 + 1), (16, 1000)])
def test_count_min(library, depth, width, conservative):
    kernel, counters = CountMinKernel(), np.zeros((depth, width), np.int64)
    kernel._setup(depth, width, conservative)
    kernel._open(Hasher())
    assert library.begin(ctypes.c_int64(depth * width))
    odd = np.array([mix64(row + 1) | 1 for row in range(depth)], np.uint64)
    for hashes, counts in inputs(conservative):
        kernel._insert(hashes, counts)
        estimates, n = np.empty(len(hashes), np.int64), ctypes.c_int64(len(hashes))
        shape = ctypes.c_int64(depth), ctypes.c_uint64(width), pointer(odd), int(conservative)
        signs = int(kernel.total != kernel.weight)
        library.count_min(pointer(counters), *shape, signs, pointer(hashes), pointer(counts), n, pointer(estimates))
        assert (counters == kernel.counters).all()
        assert estimates.tolist() == answers(kernel, hashes)
    library.end()


@pytest.mark.parametrize(("depth", "width"), [(1, 1), (5, 97), (5, 4096), (3, 2**16 + 1), (15, 1000)])
def test_ams(library, depth, width):
    coefficients = RANDOM.integers(0, P, (depth, 4), np.uint64)
    coefficients[0] = P - 1
    kernel, counters = AMSKernel(), np.zeros((depth, width), np.int64)
    kernel._setup(width, coefficients)
    kernel._open(Hasher())
    assert library.begin(ctypes.c_int64(depth * width))
    for hashes, counts in inputs():
        kernel._insert(hashes, counts)
        estimates, n = np.empty(len(hashes), np.int64), ctypes.c_int64(len(hashes))
        shape = ctypes.c_int64(depth), ctypes.c_uint64(width), pointer(coefficients)
        library.ams(pointer(counters), *shape, pointer(hashes), pointer(counts), n, pointer(estimates))
        assert (counters == kernel.counters).all()
        assert estimates.tolist() == answers(kernel, hashes)


@pytest.mark.parametrize("k", [16, 64, 100])
def test_entropy(library, k):
    angles, waits = tables()
    set_tables(angles, waits)  # as the first sketch does
    first = np.where(np.arange(len(waits)) < len(waits) // 64, 0, angles[0])
    parts = np.array([first, waits], np.int32), angles[1:]  # the struct's, in its order
    packed = np.concatenate([part.ravel().view(np.uint8) for part in parts])
    kernel, sums = EntropyKernel(), np.zeros((k, 2), np.uint64)
    kernel._setup(np.zeros((k, 2), np.uint64))
    kernel._open(Hasher())
    for hashes, counts in inputs():
        kernel._insert(hashes, counts)
        n = ctypes.c_int64(len(hashes))
        library.entropy(pointer(packed), pointer(sums), ctypes.c_int64(k), pointer(hashes), pointer(counts), n)
        assert (sums == kernel.words).all()


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("precision", [4, 7, 13])
def test_merge_of_registers(library, kind, precision):
    others = []
    for size in (1, 30, 3000, 40_000):  # registers that saw nothing, that differ by more than a window, and by little
        sketch, dense = FlajoletMartin(precision, kind), FlajoletMartin(precision, kind)
        sketch.update(RANDOM.integers(0, 2**62, size))
        dense.update(RANDOM.integers(0, 2**62, 20_000) if size == 1 else np.arange(20_000))
        dense.merge(sketch)
        others.append(dense)
    empty = np.zeros_like(others[0].registers)
    rare = empty.copy()
    rare[::3] = others[0].registers[::3]
    states = [*(other.registers for other in others), rare]
    mine = empty.copy()
    addresses = (ctypes.c_void_p * len(states))(*(table.ctypes.data for table in states))
    library.merge(pointer(mine), addresses, ctypes.c_int64(len(states)), KINDS[kind].number, precision)
    others[0].merge(*others[1:])
    assert (mine == others[0].registers).all()
    assert (mine == reduce(partial(merged, kind=KINDS[kind]), states, empty)).all()


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("precision", [4, 9, 12])
@pytest.mark.parametrize("n", [20_000, 600_000])
def test_codes_of_registers(library, kind, precision, n):
    sketch = FlajoletMartin(precision, kind)
    sketch.update(np.random.default_rng(n).integers(0, 2**62, n))
    registers, number = sketch.registers, KINDS[kind].number
    room, again = np.zeros(registers.nbytes + 8, np.uint8), np.zeros_like(registers)
    library.encode.restype = ctypes.c_int64
    size = library.encode(pointer(registers), number, precision, pointer(room), ctypes.c_int64(registers.nbytes))
    expected = register_code.encode(registers.view(np.uint8), number, precision, registers.nbytes)
    assert room[:size].tolist() == expected.tolist()
    most = KINDS[kind].most(precision)
    assert library.decode(pointer(again), number, precision, most, pointer(room), ctypes.c_int64(size)) == 1
    assert (again == registers).all()


@pytest.mark.parametrize("kind", list(KINDS))
def test_martingales_round_alike(library, kind):
    sketch = FlajoletMartin(9, kind, martingale=True)
    sketch._insert(RANDOM.integers(0, 2**64, 3000, np.uint64), None)
    registers = sketch.registers.copy()
    changes = np.array([*sketch._martingale, 0.0])
    hashes = RANDOM.integers(0, 2**64, 50_000, np.uint64)
    n = ctypes.c_int64(len(hashes))
    library.count_changes(pointer(changes), pointer(registers), KINDS[kind].number, 9, pointer(hashes), n)
    sketch._insert(hashes, None)
    assert (registers == sketch.registers).all()
    assert tuple(changes[:2].tolist()) == sketch._martingale


def merged(x, y, kind):
    """Two arrays of registers, by sets of values."""
    pairs = zip(x.tolist(), y.tolist(), strict=True)
    return np.array([register(values(a, kind) | values(b, kind), kind) for a, b in pairs], x.dtype)


def values(register, kind):
    """The values that a register knows to have been seen."""
    if kind.window == 64:
        return {bit for bit in range(64) if register >> bit & 1}
    top, d = register >> kind.window, kind.window
    return {top} | {top - d + bit for bit in range(d) if register >> bit & 1} if top else set()


def register(values, kind):
    if kind.window == 64:
        return sum(1 << value for value in values)
    top, d = max(values, default=0), kind.window
    return top << d | sum(1 << d - (top - value) for value in values if 0 < top - value <= d)


@pytest.mark.parametrize(("words", "lines", "probes"), [
    (8, 1, 8), (808, 1, 8), (2**18 + 8, 1, 8), (16, 2, 14), (816, 2, 14), (2**18 + 16, 2, 14), (1, 0, 1), (999, 0, 13),
])  # fmt: skip
def test_bloom(library, words, lines, probes):
    kernel, table = BloomKernel(), aligned_words(words)
    kernel._setup(aligned_words(words), lines, probes)
    kernel._open(Hasher())
    for hashes, counts in inputs(conservative=True):
        some = None if counts is None else counts * (np.arange(len(counts)) % 3)
        kernel._insert(hashes, some)
        found, expected = np.empty((2, len(hashes)), np.uint8)
        rate, n = ctypes.c_double(), ctypes.c_int64(len(hashes))
        shape = ctypes.c_int64(words), lines, probes
        library.bloom(pointer(table), *shape, pointer(hashes), pointer(some), n, pointer(found), ctypes.byref(rate))
        kernel._ask(hashes, expected)
        assert (table == kernel.words).all()
        assert (found == expected).all()
        if lines == 1:
            assert rate.value / (words // 8) / 2**48 == kernel._block_rate()


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("size", [1, 2, 100, 3000, 100_000])
def test_binary_fuse(library, size, bits):
    hashes = np.sort(RANDOM.integers(0, 2**64, size, np.uint64))
    log_length, segments = binary_fuse_shape(size)
    slots = segments + 2 << log_length
    tables = np.zeros((2, slots * bits // 8), np.uint8)
    room = [np.zeros(slots + 64, kind) for kind in (np.uint64, np.uint8, np.uint32, np.uint64)]
    addresses = (ctypes.c_void_p * 4)(*(part.ctypes.data for part in room))
    asked = np.concatenate((HASHES, hashes))
    found, expected = np.empty((2, len(asked)), np.uint8)
    n = ctypes.c_uint32(size), ctypes.c_uint32(log_length), ctypes.c_uint32(slots)
    answers = pointer(asked), ctypes.c_int64(len(asked)), pointer(found)
    solved = library.fuse(pointer(hashes), *n, bits, ctypes.byref(addresses), pointer(tables[0]), *answers)
    assert solved == solve(hashes, tables[1], log_length, bits, 0)
    assert (tables[0] == tables[1]).all()
    kernel = BinaryFuseKernel()
    kernel._setup(tables[1], log_length, bits, 0)
    kernel._open(Hasher())
    kernel._ask(asked, expected)
    assert (found == expected).all()
    assert not solved or found[len(HASHES) :].all()


class Shape(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in ("chunks", "units", "places")]
    _fields_ += [("low", ctypes.c_double), ("high", ctypes.c_double), ("limited", ctypes.c_int)]


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1, 1), (37, 300, 1), (9, 5, 7), (6, 3, 64), (5, 4, 65), (3, 2, 600)])
def test_moments_and_bits_of_activations(activations, shape, dtype, special):
    values = np.random.default_rng(7).normal(0.5, 3, shape)
    if special:
        values.flat[::7] = np.resize([0, -0.0, np.nan, np.inf, -np.inf, 1e-40], len(values.flat[::7]))
    values = values.astype(dtype)
    size = shape[1] * shape[2]
    add = activations.float_batch if dtype is np.float32 else activations.double_batch
    for limits in (None, (-1.0, 2.5)):
        counts, moments = np.zeros((6, shape[1]), np.int64), np.zeros((4, shape[1]))
        bits = np.zeros((shape[0], -(-size // 8)), np.uint8)
        c_shape = Shape(*shape, *(limits or (0, 0)), limits is not None)
        add(pointer(values), ctypes.byref(c_shape), pointer(counts), pointer(moments), pointer(bits))
        expected, patterns = Moments(shape[1]), np.zeros_like(bits)
        observe(values, limits, [expected], patterns, None, None, Quantiles(), lambda work, members: work(), 1)
        assert (counts == expected.counts).all()
        assert moments.tobytes() == expected.values.tobytes()
        assert (bits == patterns).all()
        assert (bits == np.packbits(values.reshape(shape[0], size) > 0, axis=1)).all()


def test_heads_of_activations(activations):
    random = np.random.default_rng(8)
    values = (random.normal(size=100_003) * 10.0 ** random.integers(-30, 30, 100_003)).astype(np.float32)
    table, counters = np.zeros(65_536, np.int64), np.zeros((65_536, 4), np.uint32)
    window = np.array([45, 0, 0, 0, 0, 2, 3], np.int64)
    ends = ctypes.c_double(values.min()), ctypes.c_double(values.max())
    n = ctypes.c_int64(len(values))
    activations.heads.restype = ctypes.c_int64
    taken = activations.heads(pointer(values), n, pointer(counters), pointer(window), pointer(table), *ends)
    expected = Quantiles()
    expected.update(values)
    assert taken == len(values)
    assert not counters.any()
    assert table[table > 0].tolist() == expected.bins()[1].tolist()


@pytest.fixture(scope="module", params=list(WAYS))
def products(request, tmp_path_factory):
    return compiled(request.param, tmp_path_factory.mktemp("products"), PRODUCTS)


@pytest.mark.parametrize("entries", [1, 16, 17, 32, 33, 256])
def test_products_of_shared_weights(products, entries):
    random = np.random.default_rng(9)
    dense = random.integers(1, entries + 1, (99, 300)) * (random.random((99, 300)) < random.random((99, 1)))
    columns, weights = np.nonzero(dense)[1].astype(np.uint16), (dense[dense > 0] - 1).astype(np.uint8)
    starts, codebook = np.append(0, np.cumsum((dense > 0).sum(1))), np.arange(1, 257, dtype=np.float32)
    matrix = (ctypes.c_void_p * 4)(*(part.ctypes.data for part in (starts, weights, columns, codebook)))
    x = random.integers(-9, 9, 300).astype(np.float32)
    for product in (products.product, products.product_avx2):
        out = np.zeros(99, np.float32)
        taken = product(ctypes.byref(matrix), entries, pointer(x), pointer(out), ctypes.c_int64(99))
        if product is products.product or taken:
            assert (out == dense @ x.astype(np.int64)).all()  # whole numbers: exact in any order
    factors, panel = random.integers(-9, 9, (300, 16)).astype(np.float32), np.zeros((99, 16), np.float32)
    products.panel(ctypes.byref(matrix), pointer(factors), pointer(panel), ctypes.c_int64(99))
    assert (panel == dense @ factors.astype(np.int64)).all()
