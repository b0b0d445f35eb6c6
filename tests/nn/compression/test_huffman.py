"""Huffman codes of weights: bitarray reads them, relative indices are the paper's, hostile bytes are refused."""

import itertools

import numpy as np
import pytest
from bitarray import bitarray
from bitarray.util import canonical_decode
from nn.coded import SHAPES, entropy, same, stands_hostile_bytes, weights

from sketches import FormatError
from sketches.nn.compression.fields import Fields
from sketches.nn.compression.huffman import CanonicalCode, decode_huffman, encode_huffman
from sketches.nn.compression.relative_index import positions_of, relative_indices
from sketches.nn.compression.shared import SharedWeights


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("entries", [1, 2, 3, 16, 256])
@pytest.mark.parametrize("sparse", [False, True])
def test_what_is_decoded_is_what_was_coded(shape, entries, sparse):
    shared = weights(shape, entries, sparse, 1)
    same(decode_huffman(encode_huffman(shared), shape), shared)


@pytest.mark.parametrize("index_bits", [1, 2, 5, 8, 16])
def test_sparse_weights_at_any_bound_of_gaps(index_bits):
    rng = np.random.default_rng([2, index_bits])
    for share in (0.001, 0.02, 0.2):
        indices = np.where(rng.random((300, 400)) < share, rng.integers(1, 300, (300, 400)), 0).astype(np.uint16)
        shared = SharedWeights(indices, np.arange(300, dtype=np.float32), True)
        same(decode_huffman(encode_huffman(shared, index_bits), (300, 400)), shared)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_bitarray_reads_the_codes(dtype):
    rng = np.random.default_rng(3)
    for n, symbols in itertools.product((1, 10, 5000), (rng.geometric(0.02, 5000), rng.geometric(0.6, 5000))):
        symbols = np.minimum(symbols[:n], 250).astype(dtype)
        frequencies = np.bincount(symbols, minlength=256)
        code = CanonicalCode.of(frequencies)
        bits = bitarray()
        bits.frombytes(code.encode(symbols, frequencies))
        lengths = np.repeat(np.arange(len(code.count)), code.count)
        used = int((frequencies[code.symbols] * lengths).sum())
        assert 0 <= len(bits) - used < 8
        assert list(canonical_decode(bits[:used], code.count.tolist(), code.symbols.tolist())) == symbols.tolist()
        again = CanonicalCode.read(Fields(code.lengths(256)), 256)
        assert (again.count == code.count).all()
        assert (again.symbols == code.symbols).all()
        # Huffman's code takes less than one bit a symbol more than the entropy
        assert used / 8 <= entropy(symbols) + n / 8


def test_long_codes():
    # Counts of Fibonacci make the longest codes: 23 symbols of them, up to 22 bits, beyond the table's 12.
    counts = [1, 1]
    while len(counts) < 23:
        counts.append(counts[-1] + counts[-2])
    symbols = np.random.default_rng(4).permutation(np.repeat(np.arange(23), counts)).astype(np.uint8)
    frequencies = np.bincount(symbols)
    code = CanonicalCode.of(frequencies)
    assert np.flatnonzero(code.count).max() == 22
    out = np.empty_like(symbols)
    code.decode(code.encode(symbols, frequencies), out)
    assert (out == symbols).all()
    far = CanonicalCode.of(np.array([2**k for k in range(40)]))  # 39 bits would be needed
    assert np.flatnonzero(far.count).max() <= 24


def test_gaps_are_the_papers():
    # Figure 2 of Han et al. (2016): weights at 1, 4, 15 with gaps of 3 bits; steps of 8 at most make a filler at 12.
    gaps, kept = relative_indices(np.array([1, 4, 15]), 3)
    assert (gaps + 1).tolist() == [2, 3, 8, 3]
    assert kept.tolist() == [0, 1, 3]


@pytest.mark.parametrize("bits", [1, 3, 5, 8, 16])
def test_gaps_lead_back_to_positions(bits):
    rng = np.random.default_rng([5, bits])
    for n in (0, 1, 50):
        positions = np.sort(rng.choice(200_000, n, replace=False))
        gaps, kept = relative_indices(positions, bits)
        assert (gaps < 2**bits).all()
        assert (positions_of(gaps)[kept] == positions).all()


@pytest.mark.parametrize("sparse", [False, True])
def test_hostile_bytes(sparse):
    rng = np.random.default_rng(6)
    indices = np.where(rng.random((20, 30)) < 0.2, rng.integers(1, 16, (20, 30)), 0).astype(np.uint8)
    code = encode_huffman(SharedWeights(indices, np.arange(16, dtype=np.float32), sparse))
    stands_hostile_bytes(decode_huffman, code, (20, 30), 1000, rng)


def test_a_large_shape_takes_no_memory_that_bytes_do_not_fill():
    code = encode_huffman(SharedWeights(np.ones(100, np.uint8), np.arange(3, dtype=np.float32), False))
    with pytest.raises(FormatError, match="symbols"):
        decode_huffman(code, (2**39,))


@pytest.mark.parametrize("index_bits", [0, 17])
def test_bad_arguments(index_bits):
    with pytest.raises(ValueError, match="index_bits"):
        encode_huffman(weights((3, 4), 3, True, 1), index_bits)
