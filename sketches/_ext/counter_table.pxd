from libc.stdint cimport int64_t, uint32_t, uint64_t

from sketches._ext.kernel cimport Kernel


cdef extern from "counter_table.h" nogil:
    ctypedef struct counter_entry:
        uint64_t hash
        int64_t count
        int64_t error
    ctypedef struct counter_table:
        counter_entry* entries
        uint32_t* index
        uint32_t* born
        uint32_t* log
        int64_t log_size, capacity, offset, limit, width, fill
        uint64_t multiplier
        int shift
    counter_entry* table_find(const counter_table* t, uint64_t h)
    int64_t table_drop(counter_table* t)
    int table_add(counter_table* t, uint64_t h, int64_t count, uint32_t* slot)
    void table_take(counter_table* t, uint64_t h, int64_t count)
    int64_t table_add_block(counter_table* t, const uint64_t* hashes, const int64_t* counts, int64_t n, int64_t start)
    int64_t table_add_signed(counter_table* t, const uint64_t* hashes, const int64_t* counts, int64_t n, int64_t start)
    int64_t table_collect(counter_table* t, uint32_t* slots, int64_t* places)


# Counters by hash, each with its error and its item. What makes room when all slots are taken is `grow`.
cdef class CounterTable(Kernel):
    cdef counter_table t
    cdef int64_t most  # slots, whatever comes
    cdef int64_t[:, ::1] entries  # the first row is the dummy
    cdef uint32_t[::1] index
    cdef uint32_t[::1] born
    cdef list items    # by slot; where a slot is free, anything
    cdef tuple pending  # None, or (fetch, places, slots): items[slots] = fetch(places) is still to be done

    cdef int begin(self, int64_t most) except -1
    cdef int allocate(self, int64_t capacity, int64_t kept) except -1
    cdef int grow(self) except -1
    cdef int ready(self) except -1
    cdef int64_t size(self) noexcept
    cdef void adopt(self, CounterTable other) noexcept  # takes the state of one that nobody may use any more
    cdef int count_block(self, const uint64_t* hashes, const int64_t* integers, const int64_t[::1] counts, int64_t n,
                         fetch) except -1
