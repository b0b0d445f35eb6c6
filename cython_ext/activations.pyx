"""What a layer learns of a batch, block by block: counts and moments of units (include/activations.h), bits of what is
above zero (include/signs.h), and bins of values (include/heads.h)."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.math cimport INFINITY

from sketches._ext.hashing cimport DOMAIN_BYTES, Hasher, hash_bytes, hash_spec
from sketches._ext.team cimport Work, take, team_counter

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
    int64_t copy_smallest(const float* x, int64_t n, float* found, int64_t most)

cdef enum:
    BLOCK = 1 << 20  # activations of which moments are taken at a time, since each unit costs something; and of which
    PIECE = 1 << 12  # bits and heads are, so that they stay in the nearest cache
    MANY = 1 << 16  # values that are worth counters of their own
    PARTS = 16
    COUNTS = 6
    VALUES = 4

ctypedef fused number:
    float
    double

cdef struct batch_parts:
    const void* x
    activation_shape shape
    int parts
    bint wide  # float64
    int64_t step  # bytes between the bits of chunks
    uint8_t* bits
    const hash_spec* spec
    uint64_t* hashes  # of the bits of chunks, or NULL
    int64_t* counts[PARTS]
    double* values[PARTS]
    int found[PARTS]  # 0, 1 where some number is not finite, -1 where a sum overflowed or memory was short
    head_counters* heads[PARTS]  # of each member, NULL where values are not counted by heads
    int64_t sizes[PARTS]  # numbers that each member has read
    int64_t zeros[PARTS]
    int64_t finite[PARTS]
    double least[PARTS]
    double most[PARTS]
    team_counter members, left


cdef list spare = []  # counters of heads that are not in use, all 0


cdef int64_t first_of(const batch_parts* batch, int64_t part) noexcept nogil:
    """The first chunk of a part."""
    return batch.shape.chunks * part // batch.parts


cdef void hash_bits(batch_parts* batch, int64_t first, int64_t stop) noexcept nogil:
    """Hash the bits of some chunks, without zeros at the end, as NumPy's dtype S has bytes."""
    cdef const uint8_t* bits = batch.bits + first * batch.step
    cdef int64_t length
    while first < stop:
        length = (batch.shape.units * batch.shape.places + 7) // 8
        while length and bits[length - 1] == 0:
            length -= 1
        batch.hashes[first] = hash_bytes(batch.spec, DOMAIN_BYTES, bits, length)
        bits += batch.step
        first += 1


cdef void read_pieces(batch_parts* batch, const number* x, int64_t first, int64_t stop,
                      head_counters* heads) noexcept nogil:
    """Write the bits of some chunks and their hashes, and count heads, while all is in the nearest cache."""
    cdef int64_t size = batch.shape.units * batch.shape.places, height = max(1, PIECE // size), rows
    while first < stop:
        rows = min(height, stop - first)
        if number is float:
            if heads != NULL:  # first: it waits for the counters, and memory is read meanwhile
                count_heads(heads, x + first * size, rows * size)
            float_rows(x + first * size, rows, size, batch.bits + first * batch.step, batch.step)
        else:
            double_rows(x + first * size, rows, size, batch.bits + first * batch.step, batch.step)
        if batch.hashes != NULL:
            hash_bits(batch, first, first + rows)
        first += rows


cdef int read_part(batch_parts* batch, const number* x, int64_t part, head_counters* heads) noexcept nogil:
    """Write moments and bits of a part, and count its heads; returns what `found` says."""
    cdef activation_shape shape = batch.shape
    cdef int64_t size = shape.units * shape.places, start = first_of(batch, part), stop = first_of(batch, part + 1)
    cdef int64_t height = max(1, BLOCK // size), top = start
    cdef int64_t* counts = batch.counts[part]
    cdef double* values = batch.values[part]
    cdef void* memory = NULL
    cdef int found = 0, new
    while top < stop:
        shape.chunks = min(height, stop - top)
        read_pieces(batch, x, top, top + shape.chunks, heads)
        if top > start and memory == NULL:
            memory = malloc((COUNTS + VALUES) * shape.units * 8)
            values = <double*>memory
            counts = <int64_t*>(values + VALUES * shape.units)
        if values == NULL:
            found = -1
        if found >= 0:
            if number is float:
                new = float_block(x + top * size, &shape, counts, values)
            else:
                new = double_block(x + top * size, &shape, counts, values)
            if new >= 0 and top > start and not add_moments(batch.counts[part], shape.units, batch.values[part],
                                                            shape.units, counts, values, shape.units):
                new = -1
            found = new if new < 0 else found | new
        top += shape.chunks
    free(memory)
    return found


cdef void sum_part(batch_parts* batch, int64_t part) noexcept nogil:
    """Sum up the moments of a part's units."""
    cdef const int64_t* counts = batch.counts[part]
    cdef const double* low = batch.values[part] + 2 * batch.shape.units
    cdef const double* high = low + batch.shape.units
    cdef int64_t zeros = 0, finite = 0, i
    cdef double least = INFINITY, most = -INFINITY
    for i in range(batch.shape.units):
        finite += counts[i]
        zeros += counts[3 * batch.shape.units + i]
        least = min(least, low[i])
        most = max(most, high[i])
    batch.zeros[part], batch.finite[part], batch.least[part], batch.most[part] = zeros, finite, least, most


cdef void read_parts(void* data) noexcept nogil:
    """Take parts of a batch, and read them, until none is left."""
    cdef batch_parts* batch = <batch_parts*>data
    cdef int64_t size = batch.shape.units * batch.shape.places
    cdef long member = take(&batch.members), part = take(&batch.left) if member >= 0 else -1
    while part >= 0:
        if batch.wide:
            batch.found[part] = read_part(batch, <const double*>batch.x, part, NULL)
        else:
            batch.found[part] = read_part(batch, <const float*>batch.x, part, batch.heads[member])
        if batch.found[part] >= 0:
            sum_part(batch, part)
        batch.sizes[member] += (first_of(batch, part + 1) - first_of(batch, part)) * size
        part = take(&batch.left)


cdef class Reading(Work):
    """The reading of a batch. It owns what members of a team use: one may go on while another is interrupted."""

    cdef batch_parts batch
    cdef object used


def observe(const number[:, :, ::1] array not None, limits, list parts not None, uint8_t[:, :] patterns not None,
            Hasher hasher, uint64_t[::1] hashes, quantiles, share, int members, layer=None):
    """Write the moments of equal parts of a batch (chunks, units, places) to `Moments` without any, its chunks' bits to
    `patterns`, their hashes (unless None), count its values, and let a layer `take_in` all (unless None).

    `share` is called with work without Python, and by how many threads it may be done at the same time.
    """
    cdef Reading reading = Reading()
    cdef batch_parts* batch = &reading.batch
    cdef int64_t units = array.shape[1], size = units * array.shape[2], zeros = 0, finite = 0
    cdef double least = INFINITY, most = -INFINITY
    cdef int part, member
    cdef int64_t[:, ::1] counts
    cdef double[:, ::1] values
    cdef uint32_t[:, ::1] counters
    cdef bint by_heads = number is float and MANY <= array.shape[0] * size <= HELD
    if not 0 < len(parts) <= PARTS or not 0 < members <= PARTS:
        raise ValueError(f"{len(parts)} parts and {members} threads; 1 to {PARTS} are accepted")
    if patterns.shape[0] != array.shape[0] or patterns.shape[1] != (size + 7) // 8 or patterns.strides[1] != 1:
        raise ValueError(f"patterns are {patterns.shape[0]} × {patterns.shape[1]}, for {array.shape[0]} × {size} bits")
    if hashes is not None and (hasher is None or hashes.shape[0] != array.shape[0]):
        raise ValueError(f"{hashes.shape[0]} hashes of {array.shape[0]} chunks by {hasher}")
    if not array.shape[0] or not size:
        return
    memories, used = [], [array, patterns, hasher, hashes]
    reading.function, reading.data, reading.used = read_parts, batch, (used, memories)
    batch.x, batch.wide = &array[0, 0, 0], number is double
    batch.shape.chunks, batch.shape.units, batch.shape.places = array.shape[0], units, array.shape[2]
    batch.shape.limited = limits is not None
    batch.shape.low, batch.shape.high = limits if batch.shape.limited else (0.0, 0.0)
    batch.bits, batch.step = &patterns[0, 0], patterns.strides[0]
    if hashes is not None:
        batch.spec, batch.hashes = &hasher.spec, &hashes[0]
    batch.parts = batch.left.left = len(parts)
    batch.members.left = members
    for part in range(batch.parts):
        counts, values = parts[part].counts, parts[part].values
        if counts.shape[0] != COUNTS or values.shape[0] != VALUES or not counts.shape[1] == values.shape[1] == units:
            raise ValueError(f"moments are of {counts.shape[1]} and {values.shape[1]} units, not of {units}")
        batch.counts[part], batch.values[part] = &counts[0, 0], &values[0, 0]
        used += [counts, values]
    for member in range(members if by_heads else 0):
        memories.append(spare.pop() if spare else np.zeros((HEADS, TURNS), np.uint32))
        counters = memories[member]
        batch.heads[member] = <head_counters*>&counters[0, 0]
    share(reading, members)
    for part in range(batch.parts):
        if batch.found[part] < 0:  # float64 overflowed: slowly, then
            observe_slowly(np.asarray(array)[first_of(batch, part):first_of(batch, part + 1)], limits, parts[part])
            sum_part(batch, part)
    if not by_heads:
        for part in range(batch.parts):
            block = np.asarray(array)[first_of(batch, part):first_of(batch, part + 1)].ravel()
            quantiles._insert(block if batch.found[part] == 0 else block[np.isfinite(block)], None)
    else:
        for part in range(batch.parts):
            finite += batch.finite[part] - batch.zeros[part]
            zeros += batch.zeros[part]
            least, most = min(least, batch.least[part]), max(most, batch.most[part])
        sizes = [batch.sizes[member] for member in range(members)]
        finite -= quantiles._add_heads(memories, sizes, zeros, least, most)
        if not finite or take_smallest(<const float*>batch.x, array.shape[0] * size, finite, quantiles):
            spare.extend(memories)  # else another thread writes to the batch: they may not be 0
    if layer is not None:
        take_in(layer, parts, batch.shape.chunks * batch.shape.places, hashes)


def take_in(layer, list parts not None, samples, const uint64_t[::1] hashes not None, values=None):
    """Add to a `Layer` the moments of a batch's parts, its samples, the hashes of its patterns and, unless None,
    `Quantiles` of its values.

    All compiled, unless a mean overflows: a signal that comes meanwhile interrupts nothing, so that counts stay those
    of one stream.
    """
    moments = layer.moments
    if values is not None:
        layer.values.merge(values)
    if hashes.shape[0]:
        layer.patterns._insert(hashes, None)
    for part in parts:
        if not combine(moments.counts, moments.values, part.counts, part.values):
            moments.add(part.counts, part.values)
    layer.samples += samples


cdef observe_slowly(block, limits, moments):
    """Write the moments of a block (chunks, units, places) of which float64's sums overflow."""
    cdef int64_t units = block.shape[1], height = max(1, BLOCK // (units * block.shape[2])), top
    moments.counts[...] = 0
    moments.values[...] = [[0.0], [0.0], [INFINITY], [-INFINITY]]
    for top in range(0, len(block), height):
        rows = np.moveaxis(block[top:top + height], 1, 2).reshape(-1, units)
        moments.observe(rows.astype(np.float64), limits)


cdef bint take_smallest(const float* x, int64_t n, int64_t missing, quantiles) except -1:
    """Count numbers that have no leading 1, and so no head of their own; tells whether there are so many."""
    cdef float[::1] found
    cdef int64_t count
    if missing < 0:
        return False
    found = np.empty(missing, np.float32)
    with nogil:
        count = copy_smallest(x, n, &found[0], missing)
    quantiles._insert(np.asarray(found)[:count], None)
    return count == missing


def combine(int64_t[:, :] counts not None, double[:, :] values not None, const int64_t[:, ::1] new_counts not None,
            const double[:, ::1] new_values not None):
    """Add counts and values of `Moments` to others; returns False and changes nothing where float64 overflows."""
    cdef int64_t units = counts.shape[1]
    if not (values.shape[1] == new_counts.shape[1] == new_values.shape[1] == units) or not (
        counts.shape[0] == new_counts.shape[0] == COUNTS and values.shape[0] == new_values.shape[0] == VALUES
    ):
        raise ValueError(f"counts of {units} and of {new_counts.shape[1]} units")
    if counts.strides[1] != sizeof(int64_t) or values.strides[1] != sizeof(double):
        raise ValueError("the units of counts or values do not lie side by side")
    if not units:
        return True
    return bool(add_moments(&counts[0, 0], counts.strides[0] // 8, &values[0, 0], values.strides[0] // 8,
                            &new_counts[0, 0], &new_values[0, 0], units))
