"""Guts of `Quantiles.exact`: the passes over numbers after the first, which a sketch makes."""

from libc.stdint cimport int32_t, int64_t, uint64_t

cdef extern from "select.h" nogil:
    ctypedef struct intervals:
        const int64_t* prefixes
        const int32_t* direct
        int64_t size
        int shift
    int64_t find_interval(const intervals* t, int64_t order)
    uint64_t number_bits(double x)
    int64_t ordered(uint64_t bits)
    double from_ordered(int64_t order)

ctypedef fused number:
    float
    double


cdef intervals make_intervals(const int64_t[::1] prefixes, const int32_t[::1] direct, int shift):
    cdef intervals t
    t.prefixes = &prefixes[0]
    t.direct = &direct[0] if direct is not None else NULL
    t.size = prefixes.shape[0]
    t.shift = shift
    return t


def gather(const number[::1] numbers not None, const int64_t[::1] prefixes not None, const int32_t[::1] direct,
           int shift, double[::1] out not None, int64_t filled):
    """Append the numbers of some intervals to the first `filled` of `out`; give how many it holds then.

    One more than there is room for ends it: the numbers are not those that were counted.
    """
    cdef intervals t = make_intervals(prefixes, direct, shift)
    cdef int64_t i, room = out.shape[0] - 1
    with nogil:
        for i in range(numbers.shape[0]):
            if filled > room:
                break
            out[filled] = numbers[i]
            filled += find_interval(&t, ordered(number_bits(numbers[i]))) >= 0
    return filled


def widen(const number[::1] numbers not None, const int64_t[::1] prefixes not None, const int32_t[::1] direct,
          int shift, int64_t[::1] least not None, int64_t[::1] most not None):
    """Lower `least` and raise `most` to the order of every number in each interval; give how many are in any."""
    cdef intervals t = make_intervals(prefixes, direct, shift)
    cdef int64_t i, order, place, met = 0
    if not least.shape[0] == most.shape[0] == prefixes.shape[0]:
        raise ValueError(f"{least.shape[0]} and {most.shape[0]} ends of {prefixes.shape[0]} intervals")
    with nogil:
        for i in range(numbers.shape[0]):
            order = ordered(number_bits(numbers[i]))
            place = find_interval(&t, order)
            if place < 0:
                continue
            met += 1
            if order < least[place]:
                least[place] = order
            if order > most[place]:
                most[place] = order
    return met


def count(const number[::1] numbers not None, const int64_t[::1] prefixes not None, const int32_t[::1] direct,
          int shift, int bits, int64_t[:, ::1] counts not None):
    """Count the numbers of some intervals by the next `bits` of their order, a row for each interval."""
    cdef intervals t = make_intervals(prefixes, direct, shift)
    cdef int64_t i, order, place, mask = (1 << bits) - 1
    if counts.shape[0] != prefixes.shape[0] or counts.shape[1] != mask + 1 or not 0 < bits <= shift:
        raise ValueError(f"{counts.shape[0]} × {counts.shape[1]} counters are not accepted")
    with nogil:
        for i in range(numbers.shape[0]):
            order = ordered(number_bits(numbers[i]))
            place = find_interval(&t, order)
            if place >= 0:
                counts[place, (order >> (shift - bits)) & mask] += 1


def orders(const double[::1] numbers not None, int64_t[::1] out not None):
    """Write the integers whose signed order is that of the numbers."""
    cdef int64_t i
    for i in range(numbers.shape[0]):
        out[i] = ordered(number_bits(numbers[i]))


def numbers(const int64_t[::1] orders not None, double[::1] out not None):
    """Write the numbers of such integers."""
    cdef int64_t i
    for i in range(orders.shape[0]):
        out[i] = from_ordered(orders[i])
