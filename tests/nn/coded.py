"""Shared weights to code, and what to ask of the codes."""

import numpy as np

from sketches import FormatError
from sketches.nn.compression.shared import SharedWeights

SHAPES = [(), (0,), (1,), (17,), (0, 5), (5, 0), (1, 1), (30, 40), (8, 3, 5, 5), (3, 2, 7), (2000, 3), (3, 2000)]


def weights(shape, entries, sparse, seed, dtype=np.uint8):
    rng = np.random.default_rng([seed, entries])
    codebook = rng.permutation(np.linspace(-1, 1, entries, dtype=np.float32))
    indices = np.minimum(rng.geometric(0.3, size=shape) - 1, entries - 1).astype(dtype)
    if sparse:
        codebook[0] = 0
    return SharedWeights(indices, codebook, sparse)


def entropy(symbols):
    share = np.unique(symbols, return_counts=True)[1] / symbols.size
    return float(-(share * np.log2(share)).sum()) * symbols.size / 8


def same(a, b):
    assert a.indices.dtype == b.indices.dtype
    assert a.indices.shape == b.indices.shape
    assert a.sparse == b.sparse
    assert (a.indices == b.indices).all()
    assert a.codebook.tobytes() == b.codebook.tobytes()


def stands_hostile_bytes(decode, code, shape, tries, rng):
    """Alter and cut a code, and make noise: each is refused, or read as weights of the shape."""
    refused = 0
    for _ in range(tries):
        altered = bytearray(code)
        for at in rng.integers(0, len(code), rng.integers(1, 4)):
            altered[at] = rng.integers(0, 256)
        if rng.random() < 0.3:
            altered = altered[: rng.integers(0, len(altered))]
        refused += refuses(decode, bytes(altered), shape)
    assert 0 < refused < tries
    for n in range(200):
        refuses(decode, rng.bytes(n), (5, 7))


def refuses(decode, code, shape):
    try:
        found = decode(code, shape)
    except FormatError:
        return True
    assert found.indices.shape == shape
    assert int(found.indices.max()) < len(found.codebook)
    assert np.isfinite(found.codebook).all()
    return False
