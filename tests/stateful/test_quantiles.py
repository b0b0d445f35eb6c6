"""Quantiles beside the sorted list of everything added."""

import math

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sketches import Quantiles, from_bytes

ERROR = 2**-4
numbers = st.floats(allow_nan=False) | st.integers(-100, 100).map(float)


class Machine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.sketch = Quantiles(ERROR)
        self.model = []

    @rule(x=numbers, count=st.integers(0, 3))
    def add(self, x, count):
        self.sketch.add(x, count)
        self.model += [x] * count

    @rule(xs=st.lists(numbers | st.none(), max_size=20))
    def update(self, xs):
        self.sketch.update(xs)
        self.model += [x for x in xs if x is not None]

    @rule(xs=st.lists(numbers, max_size=20))
    def merge(self, xs):
        other = Quantiles(ERROR)
        other.update(np.array(xs))
        self.sketch.merge(other)
        self.model += xs

    @rule()
    def through_bytes(self):
        self.sketch = from_bytes(self.sketch.to_bytes())

    @rule(q=st.floats(0, 1))
    def quantile(self, q):
        if self.model:
            truth = sorted(self.model)[max(1, math.ceil(q * len(self.model))) - 1]
            found = self.sketch.quantile(q)
            assert found.lower <= truth <= found.upper
            assert found == truth or abs(found - truth) <= ERROR * max(abs(truth), 2.0**-1022)

    @rule(x=numbers)
    def rank(self, x):
        found = self.sketch.rank(x)
        assert found.lower <= sum(y <= x for y in self.model) <= found.upper

    @invariant()
    def state(self):
        assert self.sketch.total == len(self.model) == self.sketch.bins()[1].sum()
        if self.model:
            assert (self.sketch.minimum, self.sketch.maximum) == (min(self.model), max(self.model))


Machine.TestCase.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
TestQuantiles = Machine.TestCase
