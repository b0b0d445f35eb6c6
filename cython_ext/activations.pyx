"""Counts and moments of the activations of a layer's units, block by block; the loops are in include/activations.h."""

from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc

cdef extern from "activations.h" nogil:
    ctypedef struct activation_shape:
        int64_t chunks, units, places
        double low, high
        bint limited
    int float_block(const float* x, const activation_shape* shape, int64_t* counts, double* values)
    int double_block(const double* x, const activation_shape* shape, int64_t* counts, double* values)
    bint add_moments(int64_t* counts, int64_t count_stride, double* values, int64_t value_stride,
                     const int64_t* new_counts, const double* new_values, int64_t units)

ctypedef fused number:
    float
    double


def add(const number[:, :, ::1] block not None, limits, int64_t[:, :] counts not None, double[:, :] values not None):
    """Add a block (chunks, units, places) to `Moments`, whose counts and values are given.

    Returns
    -------
    int
        0: all are finite; 1: some are not; -1: float64 overflowed, and nothing has changed.
    """
    cdef activation_shape shape
    cdef int64_t units = block.shape[1]
    cdef int found
    cdef int64_t* new_counts
    cdef double* new_values
    shape.chunks, shape.units, shape.places = block.shape[0], units, block.shape[2]
    shape.limited = limits is not None
    shape.low, shape.high = limits if shape.limited else (0.0, 0.0)
    if counts.shape[0] != 6 or values.shape[0] != 4 or counts.shape[1] != units or values.shape[1] != units:
        raise ValueError(f"counts and values are of {counts.shape[1]} and {values.shape[1]} units, not of {units}")
    if counts.strides[1] != sizeof(int64_t) or values.strides[1] != sizeof(double):
        raise ValueError("the units of counts or values do not lie side by side")
    if not units or not shape.chunks or not shape.places:
        return 0
    new_counts = <int64_t*>malloc(6 * units * sizeof(int64_t))
    new_values = <double*>malloc(4 * units * sizeof(double))
    try:
        if new_counts == NULL or new_values == NULL:
            raise MemoryError
        with nogil:
            if number is float:
                found = float_block(&block[0, 0, 0], &shape, new_counts, new_values)
            else:
                found = double_block(&block[0, 0, 0], &shape, new_counts, new_values)
            if found >= 0 and not add_moments(
                &counts[0, 0], counts.strides[0] // <int64_t>sizeof(int64_t), &values[0, 0],
                values.strides[0] // <int64_t>sizeof(double), new_counts, new_values, units
            ):
                found = -1
    finally:
        free(new_counts)
        free(new_values)
    return found
