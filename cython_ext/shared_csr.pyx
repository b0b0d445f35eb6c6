"""Guts of SharedCSR: a sparse matrix of shared weights times vectors; see include/shared_csr.h."""

from libc.stdint cimport int64_t, uint8_t, uint16_t

cdef extern from "shared_csr.h" nogil:
    enum: LANES, ENTRIES
    ctypedef struct shared_csr:
        const int64_t* starts
        const uint8_t* entries
        const uint16_t* columns
        const float* codebook
    void csr_vector(const shared_csr* m, int used, const float* x, float* out, int64_t first, int64_t last)
    void csr_panel(const shared_csr* m, const float* x, float* out, int64_t first, int64_t last)

PANEL = LANES
ROOM = ENTRIES


def multiply(const int64_t[::1] starts not None, const uint8_t[::1] entries not None,
             const uint16_t[::1] columns not None, const float[::1] codebook not None, int used,
             const float[:, ::1] x not None, float[:, ::1] out not None, bint panel, int64_t first,
             int64_t last):
    """Write rows [first, last) of the product to `out`.

    A panel is `x` of (columns, PANEL) and `out` of (rows, PANEL); else rows of `x` are vectors, of `out` products.
    Columns, entries and starts are valid: the caller has checked them once.
    """
    cdef int64_t rows = starts.shape[0] - 1, vector
    cdef shared_csr m
    if not 0 <= first <= last <= rows or entries.shape[0] != columns.shape[0] or codebook.shape[0] != ENTRIES:
        raise ValueError(f"rows {first} to {last} of {rows} with a codebook of {codebook.shape[0]} are not accepted")
    if out.shape[panel ^ 1] != rows or (x.shape[1] != LANES or out.shape[1] != LANES if panel
                                        else x.shape[0] != out.shape[0]):
        raise ValueError(f"x has shape {(x.shape[0], x.shape[1])}, out {(out.shape[0], out.shape[1])}")
    if first == last or not x.shape[0] or not x.shape[1]:
        return
    m = shared_csr(&starts[0], NULL, NULL, &codebook[0])
    if entries.shape[0]:
        m.entries, m.columns = &entries[0], &columns[0]
    with nogil:
        if panel:
            csr_panel(&m, &x[0, 0], &out[0, 0], first, last)
        else:
            for vector in range(x.shape[0]):
                csr_vector(&m, used, &x[vector, 0], &out[vector, 0], first, last)
