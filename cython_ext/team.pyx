"""Functions run by the threads of an OpenMP team that is there already, as PyTorch's (include/team.h)."""

from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject

cdef extern from "team.h" nogil:
    void* find_team(const char* library)
    void run_team(void* start, member_function member, void* data)

cdef struct team_work:
    team_counter members
    member_function compiled  # or NULL
    void* data
    const fenv_t* modes
    PyObject* function
    PyObject* error


cdef class Work:
    def __cinit__(self):
        fegetenv(&self.modes)

    def __call__(self):
        if self.function == NULL:
            raise ValueError("this work has no function")
        with nogil:
            call(self.function, self.data, &self.modes)


cdef void call(member_function function, void* data, const fenv_t* modes) noexcept nogil:
    cdef fenv_t own
    fegetenv(&own)
    fesetenv(modes)
    function(data)
    fesetenv(&own)


cdef void member(void* data) noexcept nogil:
    cdef team_work* work = <team_work*>data
    if take(&work.members) < 0:
        return
    if work.compiled != NULL:
        call(work.compiled, work.data, work.modes)
        return
    with gil:
        try:
            (<object>work.function)()
        except BaseException as error:
            if work.error == NULL:
                Py_INCREF(error)
                work.error = <PyObject*>error


def find(bytes library not None):
    """Give the address of what starts a team of this library, if the process has loaded it; else 0."""
    return <size_t>find_team(library)


def run(size_t start, function, int members):
    """Call a function in this thread and in others of its team, `members` in all at most, and wait for all of them.

    An exception of any of them is raised here. A `Work` does without the GIL, for which threads would have to wait.
    """
    cdef team_work work
    work.members.left = members
    work.compiled, work.data, work.modes = NULL, NULL, NULL
    if isinstance(function, Work):
        work.compiled, work.data = (<Work>function).function, (<Work>function).data
        work.modes = &(<Work>function).modes
    work.function, work.error = <PyObject*>function, NULL
    with nogil:
        run_team(<void*>start, member, &work)
    if work.error != NULL:
        error = <object>work.error
        Py_DECREF(error)
        raise error
