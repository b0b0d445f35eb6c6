"""BloomFilter beside a set."""

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sketches import BloomFilter

ITEMS = st.integers(-50, 50) | st.text(max_size=3) | st.floats(allow_nan=False) | st.none()


class BloomMachine(RuleBasedStateMachine):
    layout, error = "block", 0.01

    def __init__(self):
        super().__init__()
        self.bloom = BloomFilter(50, self.error, self.layout)
        self.model = set()

    @rule(item=ITEMS, count=st.integers(0, 2))
    def add(self, item, count):
        self.bloom.add(item, count)
        if item is not None and count:
            self.model.add(item)

    @rule(items=st.lists(ITEMS))
    def update(self, items):
        self.bloom.update(items)
        self.model |= {item for item in items if item is not None}

    @rule(items=st.lists(ITEMS))
    def merge(self, items):
        other = BloomFilter(50, self.error, self.layout)
        other.update(items)
        self.bloom.merge(other)
        self.model |= {item for item in items if item is not None}

    @rule()
    def write_and_read(self):
        self.bloom = BloomFilter.from_bytes(self.bloom.to_bytes())

    @invariant()
    def holds_all_and_its_bits_alone(self):
        assert self.bloom.contains(list(self.model)).all()
        assert None not in self.bloom
        again = BloomFilter(50, self.error, self.layout)
        again.update(self.model)
        assert again.bits == self.bloom.bits


class TwoLineMachine(BloomMachine):
    error = 1e-5


class ClassicMachine(BloomMachine):
    layout = "classic"


SETTINGS = settings(max_examples=25, stateful_step_count=15, deadline=None)
TestBlock, TestTwoLines, TestClassic = BloomMachine.TestCase, TwoLineMachine.TestCase, ClassicMachine.TestCase
TestBlock.settings = TestTwoLines.settings = TestClassic.settings = SETTINGS
