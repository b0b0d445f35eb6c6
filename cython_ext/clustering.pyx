"""Guts of one-dimensional k-means: the runs into which ascending values are best cut; see include/clustering.h."""

from libc.stdint cimport int32_t, int64_t

import numpy as np

cdef extern from "clustering.h" nogil:
    ctypedef struct run_sums:
        const double* mass
        const double* sum
        const double* square
    double run_cost(const run_sums* s, int64_t i, int64_t j)
    void add_run(const run_sums* s, const double* before, double* best, int32_t* splits, const int32_t* previous,
                 int64_t q, int64_t first, int64_t last)


def optimal_runs(const double[::1] masses not None, const double[::1] sums not None,
                 const double[::1] squares not None, int64_t runs):
    """Give where each of some runs of the least total cost begins, and the end of the last.

    The arrays are sums over the first 0, 1, …, n values: of masses, masses times values and times their squares.
    """
    cdef int64_t n = masses.shape[0] - 1, q, end
    cdef run_sums s
    if not 1 <= runs <= n < 2**31 or sums.shape[0] != n + 1 or squares.shape[0] != n + 1:
        raise ValueError(f"{runs} runs of {n} values are not accepted")
    cdef double[:, ::1] best = np.empty((2, n + 1))
    cdef int32_t[:, ::1] splits = np.zeros((runs, n + 1), np.int32)  # row q: with q + 1 runs, where the last begins
    s = run_sums(&masses[0], &sums[0], &squares[0])
    with nogil:
        for end in range(1, n + 1):
            best[0, end] = run_cost(&s, 0, end)
        for q in range(2, runs + 1):
            add_run(&s, &best[q & 1, 0], &best[(q & 1) ^ 1, 0], &splits[q - 1, 0],
                    &splits[q - 2, 0], q, n if q == runs else q, n - (runs - q))
    bounds = np.empty(runs + 1, np.int64)
    bounds[runs] = end = n
    for q in range(runs - 1, -1, -1):
        bounds[q] = end = splits[q, end]
    return bounds
