"""SpaceSaving and LossyCounting beside a Counter: after every step, every promise holds for every item."""

from collections import Counter

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sketches import LossyCounting, SpaceSaving, from_bytes
from sketches.core import bounds

ITEMS = st.integers(0, 40) | st.sampled_from(["a", "b", (1, "x"), 0.5])
STREAMS = st.lists(st.tuples(ITEMS, st.integers(0, 30)), max_size=60)


class CounterMachine(RuleBasedStateMachine):
    def make(self, parameter):
        raise NotImplementedError

    def limit(self) -> float:
        raise NotImplementedError

    def inserted(self) -> int:
        return self.sketch.total

    def begin(self, parameter):
        self.parameter = parameter
        self.sketch = self.make(parameter)
        self.truth = Counter()

    def count(self, stream):
        for item, count in stream:
            self.truth[item] += count

    @rule(item=ITEMS, count=st.integers(0, 50))
    def add(self, item, count):
        self.sketch.add(item, count)
        self.truth[item] += count

    @rule(stream=STREAMS)
    def update(self, stream):
        self.sketch.update([item for item, _ in stream], [count for _, count in stream])
        self.count(stream)

    @rule(first=st.integers(0, 10**6), length=st.integers(0, 200))
    def update_distinct(self, first, length):
        self.sketch.update(np.arange(first, first + length))
        self.truth.update(range(first, first + length))

    @rule(stream=STREAMS, reverse=st.booleans())
    def merge(self, stream, reverse):
        other = self.make(self.parameter)
        for item, count in stream:
            other.add(item, count)
        self.sketch = other | self.sketch if reverse else self.sketch | other
        self.count(stream)

    @rule()
    def write_and_read(self):
        again = from_bytes(self.sketch.to_bytes())
        assert again == self.sketch
        self.sketch = again

    @invariant()
    def promises_hold(self):
        items = [*self.truth, "never"]
        truth = np.array([*self.truth.values(), 0])
        lower, upper = self.sketch.bounds(items)
        assert (lower <= truth).all()
        assert (truth <= upper).all()
        assert (upper - lower <= self.sketch.max_error).all()
        assert self.sketch.total == sum(self.truth.values())
        assert self.sketch.max_error <= self.limit() * self.inserted()
        entries = self.sketch._entries()
        kept = dict(zip(entries[3], entries[1].tolist(), strict=True))
        assert all(item in kept for item, count in self.truth.items() if count > self.sketch.max_error)


class SpaceSavingMachine(CounterMachine):
    @initialize(k=st.integers(1, 20))
    def start(self, k):
        self.begin(k)

    def make(self, parameter):
        return SpaceSaving(parameter)

    def limit(self):
        return bounds.space_saving_share(self.parameter)

    @invariant()
    def at_most_k_entries(self):
        assert len(self.sketch) <= self.parameter


class DeletionsMachine(SpaceSavingMachine):
    """Deletes what was inserted, never more; with an entry or without one."""

    def make(self, parameter):
        return SpaceSaving(parameter, deletions=True)

    def inserted(self):
        return (self.sketch.weight + self.sketch.total) // 2

    @rule(item=ITEMS, share=st.floats(0, 1), single=st.booleans())
    def delete(self, item, share, single):
        count = int(share * self.truth[item])
        if single:
            self.sketch.add(item, -count)
        else:
            self.sketch.update([item], [-count])
        self.truth[item] -= count

    @rule(stream=STREAMS)
    def take_back_in_another_order(self, stream):
        everything = stream + [(item, -count) for item, count in reversed(stream)]
        self.sketch.update([item for item, _ in everything], [count for _, count in everything])


class LossyCountingMachine(CounterMachine):
    @initialize(epsilon=st.sampled_from([0.5, 0.2, 0.1, 0.03]))
    def start(self, epsilon):
        self.begin(epsilon)

    def make(self, parameter):
        return LossyCounting(parameter)

    def limit(self):
        return self.parameter


TestSpaceSaving = SpaceSavingMachine.TestCase
TestDeletions = DeletionsMachine.TestCase
TestLossyCounting = LossyCountingMachine.TestCase
TestSpaceSaving.settings = TestDeletions.settings = TestLossyCounting.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, derandomize=True
)
