"""Guts of SharedCSR: a sparse matrix of shared weights times vectors; see include/shared_csr.h."""

from libc.stdint cimport int64_t, uint8_t, uint16_t

from sketches._ext.team cimport Work, take, team_counter

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

cdef struct rows_of_product:
    shared_csr m
    int used
    bint panel
    int64_t rows, columns, vectors
    const float* x
    float* out
    const int64_t* ends
    team_counter left


cdef class Product(Work):
    """What threads do for a product: each takes a part of the rows, until none is left. Called once.

    A panel is `x` of (columns, PANEL) and `out` of (rows, PANEL); else rows of `x` are vectors, of `out` products.
    Part p has the rows [ends[p], ends[p + 1]). Columns, entries and starts are valid: the caller has checked them once.
    """

    cdef rows_of_product product
    cdef tuple owned

    def __init__(self, const int64_t[::1] starts not None, const uint8_t[::1] entries not None,
                 const uint16_t[::1] columns not None, const float[::1] codebook not None, int used,
                 const float[:, ::1] x not None, float[:, ::1] out not None, bint panel,
                 const int64_t[::1] ends not None):
        cdef int64_t rows = starts.shape[0] - 1, part
        cdef rows_of_product* p = &self.product
        if entries.shape[0] != columns.shape[0] or codebook.shape[0] != ENTRIES or not 0 <= used <= ENTRIES:
            raise ValueError(f"{entries.shape[0]} entries of {used} in {codebook.shape[0]}, {columns.shape[0]} columns")
        if out.shape[panel ^ 1] != rows or (x.shape[1] != LANES or out.shape[1] != LANES if panel
                                            else x.shape[0] != out.shape[0]):
            raise ValueError(f"x has shape {(x.shape[0], x.shape[1])}, out {(out.shape[0], out.shape[1])}")
        for part in range(ends.shape[0] - 1):
            if not 0 <= ends[part] <= ends[part + 1] <= rows:
                raise ValueError(f"rows {ends[part]} to {ends[part + 1]} of {rows} are no part")
        p.left.left = ends.shape[0] - 1
        if not rows or not x.shape[0] or not x.shape[1] or p.left.left < 0:
            p.left.left = 0
        else:
            p.m = shared_csr(&starts[0], NULL, NULL, &codebook[0])
            if entries.shape[0]:
                p.m.entries, p.m.columns = &entries[0], &columns[0]
            p.x, p.out, p.ends = &x[0, 0], &out[0, 0], &ends[0]
        p.used, p.panel, p.rows, p.columns, p.vectors = used, panel, rows, x.shape[1], x.shape[0]
        self.owned = starts, entries, columns, codebook, x, out, ends
        self.function, self.data = multiply_parts, p


cdef void multiply_parts(void* data) noexcept nogil:
    cdef rows_of_product* p = <rows_of_product*>data
    cdef int64_t vector, first, last
    cdef long part
    while True:
        part = take(&p.left)
        if part < 0:
            return
        first, last = p.ends[part], p.ends[part + 1]
        if p.panel:
            csr_panel(&p.m, p.x, p.out, first, last)
        else:
            for vector in range(p.vectors):
                csr_vector(&p.m, p.used, p.x + vector * p.columns, p.out + vector * p.rows, first, last)
