"""Runs the benchmark: `python -m benchmarks.networks [--quick] [--job PATTERN …] [--page] [--output DIR]`.

Each job keeps its figures in a file of its own, DIR/JOB.json, from which the page is made,
of jobs that ran earlier, too.
"""

from benchmarks.networks.jobs import NETWORKS
from benchmarks.networks.runner import main

if __name__ == "__main__":
    main(NETWORKS, __doc__)
