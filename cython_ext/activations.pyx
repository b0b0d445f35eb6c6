"""What a layer learns of a batch, block by block: counts and moments of units (include/activations.h), bits of what is
above zero (include/signs.h), and bins of values (include/heads.h)."""

from libc.stdint cimport int64_t, uint8_t, uint16_t
from libc.stdlib cimport free, malloc

import numpy as np

cdef extern from "activations.h" nogil:
    ctypedef struct activation_shape:
        int64_t chunks, units, places
        double low, high
        bint limited
    int float_block(const float* x, const activation_shape* shape, int64_t* counts, double* values)
    int double_block(const double* x, const activation_shape* shape, int64_t* counts, double* values)
    bint add_moments(int64_t* counts, int64_t count_stride, double* values, int64_t value_stride,
                     const int64_t* new_counts, const double* new_values, int64_t units)
cdef extern from "signs.h" nogil:
    void float_rows(const float* x, int64_t rows, int64_t size, uint8_t* bits, int64_t step)
    void double_rows(const double* x, int64_t rows, int64_t size, uint8_t* bits, int64_t step)
cdef extern from "heads.h" nogil:
    enum: HEADS, TURNS
    const int64_t HELD
    ctypedef struct head_counters:
        pass
    void count_heads(head_counters* counters, const float* x, int64_t n)

cdef enum:
    BLOCK = 130_000  # activations read at a time, so that they stay in the cache for all who read them; or the double
    ROWS = 128  # to have so many chunks, since each unit costs something
    MANY = 1 << 16  # values that are worth counters of their own
    COUNTS = 6
    VALUES = 4

ctypedef fused number:
    float
    double


cdef inline int64_t row_of(int64_t stride) noexcept nogil:
    """How many numbers of 8 bytes lie between rows."""
    return stride // 8


cdef list spare = []  # counters of heads that are not in use, all 0


def observe(const number[:, :, ::1] batch not None, limits, moments not None, uint8_t[:, :] patterns not None,
            quantiles not None):
    """Add a batch (chunks, units, places) to `Moments`, write the bits of its chunks, and count its values."""
    cdef int64_t chunks = batch.shape[0], units = batch.shape[1], places = batch.shape[2], size = units * places
    cdef int64_t[:, :] counts = moments.counts
    cdef double[:, :] values = moments.values
    cdef int64_t height, top, rows, first = 0
    cdef activation_shape shape
    cdef int found
    cdef bint by_heads
    cdef uint16_t[:, ::1] heads
    cdef int64_t* new_counts
    cdef double* new_values
    if counts.shape[0] != COUNTS or values.shape[0] != VALUES or counts.shape[1] != units or values.shape[1] != units:
        raise ValueError(f"counts and values are of {counts.shape[1]} and {values.shape[1]} units, not of {units}")
    if patterns.shape[0] != chunks or patterns.shape[1] != (size + 7) // 8 or patterns.strides[1] != 1:
        raise ValueError(f"patterns are {patterns.shape[0]} × {patterns.shape[1]}, for {chunks} × {size} bits")
    if counts.strides[1] != sizeof(int64_t) or values.strides[1] != sizeof(double):
        raise ValueError("the units of counts or values do not lie side by side")
    if not chunks or not size:
        return
    shape.units, shape.places = units, places
    shape.limited = limits is not None
    shape.low, shape.high = limits if shape.limited else (0.0, 0.0)
    height = max(1, min(max(BLOCK // size, ROWS), 2 * BLOCK // size))
    by_heads = number is float and chunks * size >= MANY and height * size <= HELD
    new_counts = <int64_t*>malloc(COUNTS * units * sizeof(int64_t))
    new_values = <double*>malloc(VALUES * units * sizeof(double))
    if by_heads:
        memory = spare.pop() if spare else np.zeros((HEADS, TURNS), np.uint16)
        heads = memory
        seen = totals(moments)
    try:
        if new_counts == NULL or new_values == NULL:
            raise MemoryError
        for top in range(0, chunks, height):
            rows = min(height, chunks - top)
            shape.chunks = rows
            with nogil:
                if number is float:
                    if by_heads:  # first: it waits for the counters, and memory is read meanwhile
                        count_heads(<head_counters*>&heads[0, 0], &batch[top, 0, 0], rows * size)
                    float_rows(&batch[top, 0, 0], rows, size, &patterns[top, 0], patterns.strides[0])
                    found = float_block(&batch[top, 0, 0], &shape, new_counts, new_values)
                else:
                    double_rows(&batch[top, 0, 0], rows, size, &patterns[top, 0], patterns.strides[0])
                    found = double_block(&batch[top, 0, 0], &shape, new_counts, new_values)
                if found >= 0 and not add_moments(&counts[0, 0], row_of(counts.strides[0]), &values[0, 0],
                                                  row_of(values.strides[0]), new_counts, new_values, units):
                    found = -1
            if found < 0:  # float64 overflowed: slowly, then
                wide = np.moveaxis(np.asarray(batch[top:top + rows]), 1, 2).reshape(-1, units).astype(np.float64)
                moments.observe(wide, limits)
            if not by_heads:
                block = np.asarray(batch[top:top + rows]).ravel()
                quantiles._insert(block if found == 0 else block[np.isfinite(block)], None)
            elif top + rows == chunks or (top + rows + height - first) * size > HELD:
                if not take_heads(memory, np.asarray(batch[first:top + rows]), moments, seen, quantiles):
                    return  # another thread writes to the batch: the counters may not be 0
                first, seen = top + rows, totals(moments)
        if by_heads:
            spare.append(memory)
    finally:
        free(new_counts)
        free(new_values)


cdef tuple totals(moments):
    """How many zeros and finite numbers there were."""
    return int(moments.zeros.sum()), int(moments.count.sum())


cdef bint take_heads(memory, batch, moments, tuple seen, quantiles) except -1:
    """Move the counts of a batch to a sketch, with `seen` before it; tells whether all its numbers were counted.

    Numbers that have no leading 1, and so no head of their own, are looked for where some are missing.
    """
    cdef int64_t zeros = int(moments.zeros.sum()) - seen[0], missing = int(moments.count.sum()) - seen[1] - zeros
    cdef double least = moments.minimum.min(), most = moments.maximum.max()
    missing -= quantiles._add_heads(memory, batch.size, zeros, least, most)
    if missing > 0:
        for rows in batch:
            small = rows[(np.abs(rows) < np.float32(2**-126)) & (rows != 0)]
            quantiles._insert(small, None)
            missing -= len(small)
    return missing == 0


def combine(int64_t[:, ::1] counts not None, double[:, ::1] values not None, const int64_t[:, ::1] new_counts not None,
            const double[:, ::1] new_values not None):
    """Add counts and values of `Moments` to others; returns False and changes nothing where float64 overflows."""
    cdef int64_t units = counts.shape[1]
    if not (values.shape[1] == new_counts.shape[1] == new_values.shape[1] == units) or not (
        counts.shape[0] == new_counts.shape[0] == COUNTS and values.shape[0] == new_values.shape[0] == VALUES
    ):
        raise ValueError(f"counts of {units} and of {new_counts.shape[1]} units")
    if not units:
        return True
    return bool(add_moments(&counts[0, 0], units, &values[0, 0], units, &new_counts[0, 0], &new_values[0, 0], units))
