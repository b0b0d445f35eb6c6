"""Along which directions do the rows of a matrix lie, when they stream by?

Keep a small matrix B instead of the tall A of all rows. When B is full, take its singular value decomposition and
lower every squared singular value by the ℓ-th one's: at least half of B's rows become zero and make room. In no
direction x does ‖Bx‖² ever exceed ‖Ax‖², and it falls short by at most the sum of what was taken off.

Liberty, "Simple and deterministic matrix sketching", KDD 2013; Ghashami, Liberty, Phillips and Woodruff, "Frequent
Directions: simple and deterministic matrix sketching", SIAM J. Comput. 45 (2016), whose theorem 1.1 bounds the sum by
‖A - A_k‖²_F / (ℓ - k) for every k < ℓ.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["FrequentDirections"]


class FrequentDirections:
    """``0 <= ‖Ax‖² - ‖Bx‖² <= shrunk`` for all unit vectors x, where A has all rows and B at most 2 * size."""

    def __init__(self, size: int, width: int) -> None:
        self.size = size
        self.rows: npt.NDArray[np.float64] = np.empty((0, width))
        self.shrunk = 0.0

    def add(self, row: npt.ArrayLike) -> None:
        """Take in one row."""
        self.rows = np.vstack([self.rows, np.asarray(row, np.float64)])
        if len(self.rows) == 2 * self.size:
            self.shrink()

    def shrink(self) -> None:
        """Leave at most size - 1 rows."""
        _, singular, directions = np.linalg.svd(self.rows, full_matrices=False)
        squares = singular**2
        taken = squares[self.size - 1] if len(squares) >= self.size else 0.0
        left = np.sqrt(np.maximum(squares - taken, 0))
        self.rows = (left[:, None] * directions)[left > 0]
        self.shrunk += taken

    def merge(self, other: FrequentDirections) -> None:
        """Take in what another has seen: its rows stand for its stream."""
        for row in other.rows:
            self.add(row)
        self.shrunk += other.shrunk
