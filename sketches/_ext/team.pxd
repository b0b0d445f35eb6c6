ctypedef void (*member_function)(void*) noexcept nogil

cdef extern from "team.h" nogil:
    ctypedef struct team_counter:
        long left
    long take(team_counter* counter)


cdef class Work:
    """What each member of a team does, without Python: a C function of some data, which must be the object's own."""

    cdef member_function function
    cdef void* data
