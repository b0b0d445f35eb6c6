"""The benchmarks are not installed; at the end of the path, so that the package that is installed is the one tested."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))
