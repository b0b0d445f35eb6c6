"""Merge trees of any shape keep the bounds of a single sketch, for streams of every kind, weights and deletions."""

from functools import partial, reduce

import numpy as np
import pytest

from sketches import LossyCounting, SpaceSaving
from sketches.core import bounds

K, PARTS, DISTINCT = 23, 40, 400
RANDOM = np.random.default_rng(404)


def zipf(n):
    weights = np.arange(1, DISTINCT + 1) ** -1.1
    return RANDOM.choice(DISTINCT, n, p=weights / weights.sum())


STREAMS = {
    "zipf": zipf(20_000),
    "uniform": RANDOM.integers(0, DISTINCT, 20_000),
    "sorted": np.sort(zipf(20_000)),
    "distinct": np.arange(20_000),
    **{f"round robin of {m}": np.arange(20_000) % m for m in (K + 1, K + K // 8 + 1, 2 * K)},
    "each part alone": np.repeat(np.arange(PARTS), 20_000 // PARTS),
}
MAKERS = {
    "SpaceSaving": (partial(SpaceSaving, K), bounds.space_saving_share(K)),
    "LossyCounting": (partial(LossyCounting, 1 / K), 1 / K),
}


def merged(sketch, other):
    sketch.merge(other)
    return sketch


def chain(parts, make):
    return reduce(merged, parts)


def reversed_chain(parts, make):
    return reduce(lambda whole, part: merged(part, whole), parts)


def star(parts, make):
    return reduce(merged, parts, make())


def balanced(parts, make):
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    return merged(balanced(parts[:half], make), balanced(parts[half:], make))


def random_tree(parts, make):
    random = np.random.default_rng(len(parts))
    while len(parts) > 1:
        i, j = random.permutation(len(parts))[:2]
        whole = parts[i] | parts[j]
        parts = [part for place, part in enumerate(parts) if place not in (i, j)] + [whole]
    return parts[0]


SHAPES = (chain, reversed_chain, star, balanced, random_tree)


def check(sketch, truth, share, inserted):
    lower, upper = sketch.bounds(np.arange(len(truth)))
    assert (lower <= truth).all()
    assert (truth <= upper).all()
    assert (upper - lower <= sketch.max_error).all()
    assert sketch.max_error <= share * inserted
    assert sketch.total == truth.sum()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("name", MAKERS)
def test_every_shape(name, stream, weighted):
    make, share = MAKERS[name]
    stream = STREAMS[stream]
    counts = np.exp2(RANDOM.uniform(0, 45, len(stream))).astype(np.int64) if weighted else np.ones_like(stream)
    truth = np.zeros(stream.max() + 2, np.int64)
    np.add.at(truth, stream, counts)
    for shape in SHAPES:
        parts = [make() for _ in range(PARTS)]
        for part, items, weights in zip(
            parts, np.array_split(stream, PARTS), np.array_split(counts, PARTS), strict=True
        ):
            part.update(items, weights)
        check(shape(parts, make), truth, share, truth.sum())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kept", [0.01, 0.5])
def test_every_shape_with_deletions(shape, kept):
    # Each part inserts, then takes back most of what it inserted, in another order.
    make = partial(SpaceSaving, K, deletions=True)
    random = np.random.default_rng(5)
    parts, truth, inserted = [], np.zeros(DISTINCT + 1, np.int64), 0
    for items in np.array_split(STREAMS["zipf"], PARTS):
        counts = random.integers(1, 1000, len(items))
        back = random.permutation(len(items))[int(kept * len(items)) :]
        parts.append(make())
        parts[-1].update(np.concatenate([items, items[back]]), np.concatenate([counts, -counts[back]]))
        np.add.at(truth, items, counts)
        np.add.at(truth, items[back], -counts[back])
        inserted += counts.sum()
    whole = shape(parts, make)
    check(whole, truth, bounds.space_saving_share(K), inserted)
    assert set(np.flatnonzero(truth > whole.max_error)) <= set(whole.top()["item"])
