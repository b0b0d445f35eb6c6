ctypedef void (*member_function)(void*) noexcept nogil

cdef extern from "team.h" nogil:
    ctypedef struct team_counter:
        long left
    long take(team_counter* counter)


cdef extern from "<fenv.h>" nogil:
    ctypedef struct fenv_t:
        pass
    int fegetenv(fenv_t* modes)
    int fesetenv(const fenv_t* modes)


cdef class Work:
    """What each member of a team does, without Python: a C function of some data, which must be the object's own.

    Members compute as the thread that made the object does, as to whether numbers below 2^-126 are zeros.
    """

    cdef member_function function
    cdef void* data
    cdef fenv_t modes
