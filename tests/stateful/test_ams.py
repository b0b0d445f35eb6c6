"""AMS beside a Counter: a linear sketch depends on the counts alone, never on the way that led there."""

from collections import Counter

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sketches import AMS

ITEMS = st.integers(-50, 50) | st.text(max_size=3) | st.none()
COUNTS = st.integers(-5, 5)


class AMSMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.sketch = AMS(7, 3)
        self.model = Counter()

    def count(self, pairs):
        for item, count in pairs:
            if item is not None:
                self.model[item] += count

    @rule(item=ITEMS, count=COUNTS)
    def add(self, item, count):
        self.sketch.add(item, count)
        self.count([(item, count)])

    @rule(pairs=st.lists(st.tuples(ITEMS, COUNTS)))
    def update(self, pairs):
        self.sketch.update([item for item, _ in pairs], [count for _, count in pairs])
        self.count(pairs)

    @rule(pairs=st.lists(st.tuples(ITEMS, COUNTS)))
    def merge(self, pairs):
        other = AMS(7, 3)
        other.update([item for item, _ in pairs], [count for _, count in pairs])
        self.sketch |= other
        self.count(pairs)

    @rule()
    def write_and_read(self):
        self.sketch = AMS.from_bytes(self.sketch.to_bytes())

    @invariant()
    def depends_on_the_counts_alone(self):
        again = AMS(7, 3)
        again.update(list(self.model), list(self.model.values()))
        assert (again.counters == self.sketch.counters).all()
        assert again.total == self.sketch.total == self.model.total()


TestAMS = AMSMachine.TestCase
TestAMS.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)
