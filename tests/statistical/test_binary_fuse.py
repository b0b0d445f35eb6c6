"""The rate of false positives is 2**-bits."""

import numpy as np
import pytest

from sketches import BinaryFuseFilter


@pytest.mark.parametrize(("bits", "sizes"), [(8, [1, 2, 50, 3000, 100_000]), (16, [3000])])
def test_rate(bits, sizes):
    # N strangers, each found with probability p = 2**-bits: five standard errors of their number, sqrt(N p), are 5.7 %
    # of it with N = 2,000,000 at 8 bits, and 20 % with 40,000,000 at 16. A bit less would double it.
    for size in sizes:
        fuse, found, asked = BinaryFuseFilter(np.arange(size), bits), 0, 2_000_000 if bits == 8 else 40_000_000
        for start in range(0, asked, 10**6):
            found += int(fuse.contains(np.arange(size + start, size + start + 10**6)).sum())
        expected = asked / 2**bits
        assert abs(found - expected) <= 5 * expected**0.5, size
