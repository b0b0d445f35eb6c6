"""Guts of SharedCSR: a sparse matrix of shared weights times vectors; see include/shared_csr.h."""

cimport cython
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

cdef struct product:
    shared_csr m
    int used
    int64_t rows, columns, factors, width
    const float* x
    float* out
    const int64_t* ends
    team_counter left


cdef void multiply_parts(void* data) noexcept nogil:
    """Take parts of the rows, and multiply them by all factors, until none is left."""
    cdef product* p = <product*>data
    cdef const float* x
    cdef float* out
    cdef int64_t factor
    cdef long part = take(&p.left)
    while part >= 0:
        for factor in range(p.factors):
            x, out = p.x + factor * p.columns * p.width, p.out + factor * p.rows * p.width
            if p.width == 1:
                csr_vector(&p.m, p.used, x, out, p.ends[part], p.ends[part + 1])
            else:
                csr_panel(&p.m, x, out, p.ends[part], p.ends[part + 1])
        part = take(&p.left)


@cython.final
cdef class Product(Work):
    """Writes a matrix's products with factors (n, columns, width), which are vectors or panels of PANEL side by side.

    Members of a team take parts of the rows; part i has [ends[i], ends[i + 1]). It can be called once. Columns, entries
    and starts are valid: whoever made the matrix has checked them.
    """

    cdef product product
    cdef tuple owned

    def __cinit__(self, const int64_t[::1] starts not None, const uint8_t[::1] entries not None,
                  const uint16_t[::1] columns not None, const float[::1] codebook not None, int used,
                  const float[:, :, ::1] x not None, float[:, :, ::1] out not None, const int64_t[::1] ends not None):
        cdef int64_t rows = starts.shape[0] - 1, parts = ends.shape[0] - 1, part
        if entries.shape[0] != columns.shape[0]:
            raise ValueError(f"{entries.shape[0]} entries have {columns.shape[0]} columns")
        if codebook.shape[0] != ENTRIES or not 0 <= used <= ENTRIES:
            raise ValueError(f"{used} entries are used of {codebook.shape[0]}; the codebook has room for {ENTRIES}")
        if x.shape[2] not in (1, LANES) or x.shape[0] != out.shape[0] or x.shape[2] != out.shape[2] or (
            out.shape[1] != rows
        ):
            raise ValueError(f"x has shape {tuple(x.shape)[:3]}, out {tuple(out.shape)[:3]}, for {rows} rows")
        for part in range(parts):
            if not 0 <= ends[part] <= ends[part + 1] <= rows:
                raise ValueError(f"rows {ends[part]} to {ends[part + 1]} of {rows} are no part")
        self.owned = starts, entries, columns, codebook, x, out, ends
        self.product.used, self.product.rows = used, rows
        self.product.factors, self.product.columns, self.product.width = x.shape[0], x.shape[1], x.shape[2]
        if rows and x.shape[0] and x.shape[1] and parts > 0:
            self.product.m = shared_csr(&starts[0], NULL, NULL, &codebook[0])
            if entries.shape[0]:
                self.product.m.entries, self.product.m.columns = &entries[0], &columns[0]
            self.product.x, self.product.out, self.product.ends = &x[0, 0, 0], &out[0, 0, 0], &ends[0]
            self.product.left.left = parts
        self.function, self.data = multiply_parts, &self.product
