"""Python numbers to float64, a list at a time."""

from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_CheckExact
from cpython.list cimport PyList_GET_ITEM
from cpython.long cimport PyLong_CheckExact
from cpython.ref cimport PyObject
from libc.stdint cimport int64_t, uint8_t

from sketches._ext.hashing cimport read_int


def read_numbers(list objects not None, int64_t start, double[::1] numbers not None, uint8_t[::1] valid not None):
    """Write the float64 of each object from `start` on, and whether it is a number or None.

    Returns
    -------
    bool
        False where an object is anything but a float, an int of 64 bits or None: these take Python code to read, and
        none runs here, so that the list stays as it is.
    """
    cdef int64_t i, value, n = numbers.shape[0]
    cdef object item
    if valid.shape[0] != n or start < 0 or len(objects) - start < n:
        raise ValueError(f"{n} numbers and {valid.shape[0]} marks for {len(objects) - start} objects")
    for i in range(n):
        item = <object>PyList_GET_ITEM(objects, start + i)
        valid[i] = True
        if PyFloat_CheckExact(item):
            numbers[i] = PyFloat_AS_DOUBLE(item)
        elif PyLong_CheckExact(item):
            if not read_int(<PyObject*>item, &value):
                return False
            numbers[i] = <double>value
        elif item is None:
            numbers[i] = 0
            valid[i] = False
        else:
            return False
    return True
