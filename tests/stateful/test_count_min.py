"""CountMin beside a Counter: after every step no estimate is too small, and merging loses nothing."""

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sketches import CountMin

ITEMS = st.sampled_from([0, 1, 2, "a", "b", b"c", 0.5, (1, "x")])


class Machine(RuleBasedStateMachine):
    @initialize(conservative=st.booleans(), width=st.integers(1, 20))
    def make(self, conservative, width):
        self.sketch = CountMin(width=width, depth=2, conservative=conservative)
        self.truth = Counter()

    @rule(item=ITEMS, count=st.integers(0, 9))
    def add(self, item, count):
        self.sketch.add(item, count)
        self.truth[item] += count

    @rule(items=st.lists(ITEMS, max_size=20))
    def update(self, items):
        self.sketch.update(items)
        self.truth.update(items)

    @rule(item=ITEMS)
    def delete(self, item):
        if not self.sketch.conservative:
            self.sketch.add(item, -self.truth.pop(item, 0))

    @rule(items=st.lists(ITEMS, max_size=20))
    def merge(self, items):
        other = self.sketch.copy()
        before = Counter(self.truth)
        other.update(items)
        self.sketch |= other
        self.truth = before + before + Counter(items)

    @rule()
    def travel(self):
        self.sketch = CountMin.from_bytes(self.sketch.to_bytes())

    @invariant()
    def never_too_small(self):
        if hasattr(self, "truth"):
            assert self.sketch.total == self.truth.total()
            assert all(self.sketch[item] >= count for item, count in self.truth.items())
            if not self.sketch.conservative:
                assert (self.sketch.counters.sum(axis=1) == self.truth.total()).all()


Machine.TestCase.settings = settings(max_examples=40, stateful_step_count=20)
TestCountMin = Machine.TestCase
