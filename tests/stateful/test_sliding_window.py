"""A window beside a list of what came when."""

from __future__ import annotations

from collections import Counter

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sketches import CountMin, SlidingWindow

PANES = 4


class Windows(RuleBasedStateMachine):
    """Two windows that take turns, so that they merge; the table is so wide that counts are exact."""

    def __init__(self):
        super().__init__()
        self.seen = [[], []]
        self.newest = [None, None]

    @initialize(pane=st.sampled_from([1, 3, 0.5, 0.1]))
    def start(self, pane):
        self.pane = pane
        self.windows = [SlidingWindow(CountMin(width=4096), pane, PANES) for _ in range(2)]

    @rule(
        which=st.integers(0, 1),
        items=st.lists(st.integers(0, 9), max_size=5),
        step=st.one_of(st.integers(-PANES, 3), st.integers(-9, 12)),
        part=st.sampled_from([0.0, 0.5, 0.999]),
    )
    def feed(self, which, items, step, part):
        time = ((self.newest[which] or 0) + step + part) * self.pane
        slot = time // self.pane
        newest = self.newest[which]
        if newest is not None and slot < newest - PANES:
            before = self.windows[which].to_bytes()
            try:
                self.windows[which].update(items, time=time)
            except ValueError:
                assert self.windows[which].to_bytes() == before
                return
            raise AssertionError("an item of a pane that is gone was accepted")
        self.windows[which].update(items, time=time)
        self.seen[which] += [(slot, item) for item in items]
        self.newest[which] = slot if newest is None else max(newest, slot)

    @rule(which=st.integers(0, 1))
    def merge(self, which):
        newest = [n for n in self.newest if n is not None]
        if self.newest[which] is not None:  # what it had dropped does not come back
            self.forget(which)
        other = 1 - which
        if self.newest[other] is not None:
            self.forget(other)
        self.windows[which].merge(self.windows[other])
        self.seen[which] = self.seen[which] + self.seen[other]
        if self.newest[other] is not None:
            self.newest[which] = max(newest)

    def forget(self, which):
        self.seen[which] = [(slot, item) for slot, item in self.seen[which] if slot >= self.newest[which] - PANES]

    @rule(which=st.integers(0, 1))
    def through_bytes(self, which):
        self.windows[which] = SlidingWindow.from_bytes(self.windows[which].to_bytes())

    @rule(which=st.integers(0, 1), later=st.integers(1, 8))
    def ask_later(self, which, later):
        if self.newest[which] is not None:
            slot = self.newest[which] + later
            self.check(self.windows[which].merged(time=(slot + 0.5) * self.pane), which, slot)

    @invariant()
    def answers_are_right(self):
        for which, newest in enumerate(self.newest):
            if newest is None:
                assert self.windows[which].merged().total == 0
            else:
                self.check(self.windows[which].merged(), which, newest)

    def check(self, sketch, which, newest):
        expected = Counter(item for slot, item in self.seen[which] if slot >= newest - PANES)
        assert sketch.total == expected.total()
        assert sketch.estimate(range(10)).tolist() == [expected[item] for item in range(10)]


Windows.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestWindows = Windows.TestCase
