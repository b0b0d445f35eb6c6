"""FlajoletMartin beside a set: whatever happened in whatever order, its state is that of the set."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sketches import FlajoletMartin, from_bytes
from sketches.flajolet_martin import KINDS

ITEMS = st.one_of(st.integers(0, 300), st.text(max_size=2), st.floats(allow_nan=False))
LISTS = st.lists(ITEMS, max_size=40)


class BesideSet(RuleBasedStateMachine):
    @initialize(kind=st.sampled_from(sorted(KINDS)), precision=st.integers(4, 6))
    def begin(self, kind, precision):
        self.sketch, self.items = FlajoletMartin(precision, kind), set()
        self.new = lambda: FlajoletMartin(precision, kind)

    @rule(item=ITEMS, count=st.integers(0, 3))
    def add(self, item, count):
        self.sketch.add(item, count)
        self.items |= {item} if count else set()

    @rule(items=LISTS)
    def update(self, items):
        self.sketch.update(items)
        self.items.update(items)

    @rule(items=LISTS, reverse=st.booleans())
    def merge(self, items, reverse):
        other = self.new()
        other.update(items)
        self.sketch = other | self.sketch if reverse else self.sketch | other
        self.items.update(items)

    @rule(items=LISTS, finer=st.integers(1, 3), many=st.booleans())
    def merge_a_finer_one(self, items, finer, many):
        other = FlajoletMartin(self.sketch.precision + finer, self.sketch.kind)
        items = items + list(range(1000, 2500)) if many else items
        other.update(items)
        self.sketch = other | self.sketch if many else self.sketch | other
        self.items.update(items)

    @rule()
    def store(self):
        self.sketch = from_bytes(self.sketch.to_bytes())

    @invariant()
    def state_is_that_of_the_set(self):
        whole = self.new()
        whole.update(list(self.items))
        assert self.sketch.tokens.tolist() == whole.tokens.tolist()
        assert self.sketch.registers.tolist() == whole.registers.tolist()
        count = self.sketch.count()
        if len(self.sketch.registers) == 0:
            assert abs(count - len(self.items)) < 0.5
        assert count.lower <= count <= count.upper


BesideSet.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None, derandomize=True)
TestBesideSet = BesideSet.TestCase
