"""A batch's rows about their mean, and the shrinking of Frequent Directions, without BLAS (include/directions.h)."""

from libc.math cimport sqrt
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc

import numpy as np

cdef extern from "directions.h" nogil:
    bint add_row(const float* x, int64_t n, float largest, double* sum)
    bint float_deviations(const float* x, const double* mean, int64_t n, double scale, float* y, double* energy)
    bint double_deviations(const double* x, const double* mean, int64_t n, double scale, float* y, double* energy)
    int64_t shrink_room(int64_t rows, int64_t units)
    int64_t shrink_rows "shrink"(float* b, int64_t rows, int64_t units, int64_t size, double* room, double* taken)

cdef list spare = []  # room to shrink in that is not in use: new memory costs as much as a quarter of the work


def centred(const float[:, ::1] rows not None, float largest):
    """Give the mean of the rows without NaN and larger numbers, how many they are, their deviations, and the energy.

    Deviations of 0 are left out.
    """
    cdef int64_t count = rows.shape[0], units = rows.shape[1], row, seen = 0, kept = 0
    cdef double energy = 0
    cdef double[::1] mean
    cdef float[:, ::1] deviations
    means = np.zeros(units)
    found = np.empty((count, units), np.float32)
    if not count or not units:
        return means, 0, found[:0], 0.0
    mean, deviations = means, found
    cdef char* taken = <char*>malloc(count)
    if taken == NULL:
        raise MemoryError
    with nogil:
        for row in range(count):
            taken[row] = add_row(&rows[row, 0], units, largest, &mean[0])
            seen += taken[row]
        if seen:
            for row in range(units):
                mean[row] /= seen
        for row in range(count):
            if taken[row]:
                kept += float_deviations(&rows[row, 0], &mean[0], units, 1, &deviations[kept, 0], &energy)
        free(taken)
    return means, seen, found[:kept], energy


def joined(const double[::1] mean not None, int64_t count, const double[::1] other not None, int64_t more):
    """Give the mean of both, and what two means add to the scatter: a row, and its energy."""
    cdef int64_t units = mean.shape[0], i
    cdef double share, energy = 0
    cdef double[::1] whole
    cdef float[:, ::1] row
    if other.shape[0] != units:
        raise ValueError(f"means of {units} and of {other.shape[0]} units")
    means = np.empty(units)
    found = np.empty((1, units), np.float32)
    if not units:
        return means, found[:0], 0.0
    whole, row = means, found
    share = <double>more / (<double>count + <double>more)
    for i in range(units):
        whole[i] = mean[i] + (other[i] - mean[i]) * share
    if not double_deviations(&other[0], &mean[0], units, sqrt(count * share), &row[0, 0], &energy):
        return means, found[:0], energy
    return means, found, energy


def shrink(float[:, ::1] rows not None, int64_t size):
    """Lower the squared singular values of rows by the size-th largest, and write what is left to the first of them.

    Gives how many are left (-1 if it would take too long: then nothing was done), and by what they were lowered.
    """
    cdef int64_t count = rows.shape[0], units = rows.shape[1], left
    cdef double taken = 0
    cdef double[::1] room
    if size < 1:
        raise ValueError(f"size is {size}; 1 or more is accepted")
    if not count or not units:
        return 0, 0.0
    memory = spare.pop() if spare else None
    if memory is None or len(memory) < shrink_room(count, units):
        memory = np.empty(shrink_room(count, units))
    room = memory
    with nogil:
        left = shrink_rows(&rows[0, 0], count, units, size, &room[0], &taken)
    spare.append(memory)
    return left, taken
