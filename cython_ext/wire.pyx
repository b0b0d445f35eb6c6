"""Guts of the format: the checksum, and fields as a table tells them, to bytes and back; items that are integers."""

from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.long cimport PyLong_CheckExact
from cpython.ref cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

import numpy as np

cdef extern from "crc32.h" nogil:
    int crc32_widest
    void crc32_prepare()
    uint32_t crc32_by(int path, const uint8_t* p, size_t n)

cdef extern from "wire.h" nogil:
    uint64_t read64(const uint8_t* p)
    uint32_t read32(const uint8_t* p)
    double read_double(const uint8_t* p)
    void write64(uint8_t* p, uint64_t x)
    void write32(uint8_t* p, uint32_t x)
    void write_double(uint8_t* p, double x)
    void find_range(const uint8_t* p, int64_t n, uint64_t flip, int64_t* least, int64_t* most)

cdef extern from "objects.h":
    int read_int(PyObject* item, int64_t* value) noexcept

crc32_prepare()
PATHS = crc32_widest + 1  # of the checksum, on this processor: 0 tables, 1 lanes of 128 bits, 2 of 512


def crc32(const uint8_t[::1] data not None, int path=2):
    """The checksum of zlib, by the path of that number or the widest below it that the processor has."""
    cdef const uint8_t* first = &data[0] if data.shape[0] else NULL
    cdef uint32_t checksum
    with nogil:
        checksum = crc32_by(min(path, crc32_widest), first, data.shape[0])
    return checksum


def is_sealed(const uint8_t[::1] data not None):
    """Whether the last four bytes are the checksum of those before them."""
    cdef int64_t n = data.shape[0] - 4
    cdef uint32_t checksum
    if n < 0:
        return False
    with nogil:
        checksum = crc32_by(crc32_widest, &data[0], n)
    return checksum == read32(&data[n])


cdef enum:
    U8, U32, U64, I64, F32, F64

cdef object ndarray = np.ndarray
cdef list KINDS = ["u8", "u32", "u64", "i64", "f32", "f64"]
cdef uint64_t TOP = <uint64_t>1 << 63


cdef class Field:
    """A field of a layout, as `Body` needs it."""

    cdef str name
    cdef int kind
    cdef int64_t size  # bytes of a value
    cdef object dtype  # in the bytes
    cdef bint is_array
    cdef object low, high

    cdef uint8_t* put(self, uint8_t* p, object value) except NULL:
        """Write a scalar; OverflowError if its type cannot hold it."""
        if self.kind == U8:
            p[0] = value
        elif self.kind == U32:
            write32(p, value)
        elif self.kind == U64:
            write64(p, value)
        elif self.kind == I64:
            write64(p, <uint64_t><int64_t>value)
        else:
            write_double(p, value)
        return p + self.size

    cdef object get(self, const uint8_t* p):
        """Read a scalar."""
        if self.kind == U8:
            return p[0]
        if self.kind == U32:
            return read32(p)
        if self.kind == U64:
            return read64(p)
        if self.kind == I64:
            return <int64_t>read64(p)
        return read_double(p)

    cdef int check(self, const uint8_t* p, int64_t n, array) except -1:
        """Refuse n values at p, which `array` holds as well, if one is out of range."""
        cdef int64_t least, most
        if n == 0 or (self.low is None and self.high is None):
            return 0
        if self.kind == U64 or self.kind == I64:
            find_range(p, n, TOP if self.kind == U64 else 0, &least, &most)
            if self.kind == U64:
                return self.check_range(<uint64_t>least, <uint64_t>most)
            return self.check_range(least, most)
        return self.check_range(array.min(), array.max())

    cdef int check_range(self, least, most) except -1:
        if (self.low is None or least >= self.low) and (self.high is None or most <= self.high):
            return 0
        found = least if least == most else f"{least} to {most}"
        low = "…" if self.low is None else self.low
        high = "…" if self.high is None else self.high
        raise ValueError(f"{self.name} is {found}, outside [{low}, {high}]")


cdef class Body:
    """The fields of a layout, in order."""

    cdef list fields

    def __init__(self, fields):
        """Take tuples of a name, a type, a meaning and the least and greatest value: `core.layouts.Field`."""
        cdef Field field
        self.fields = []
        for name, kind, _, low, high in fields:
            field = Field()
            field.name = name
            field.is_array = kind.endswith("[]")
            field.kind = KINDS.index(kind.removesuffix("[]"))
            field.dtype = np.dtype(f"<{kind[0]}{int(kind.removesuffix('[]')[1:]) // 8}")
            field.size = field.dtype.itemsize
            field.low = low
            field.high = high
            self.fields.append(field)

    def write(self, bytes header not None, values not None):
        """Give the header, whose last eight bytes become the body's size, the body and the checksum."""
        cdef Field field
        cdef Py_buffer raw
        cdef int64_t size = 0
        cdef list arrays = []
        for field in self.fields:
            size += 8 if field.is_array else field.size
            if field.is_array:
                array = values[field.name]
                if type(array) is not ndarray or array.dtype is not field.dtype or not array.flags.c_contiguous:
                    array = np.ascontiguousarray(array, field.dtype)
                arrays.append(array)
                size += array.nbytes
        cdef int64_t start = len(header)
        cdef bytes result = PyBytes_FromStringAndSize(NULL, start + size + 4)
        cdef uint8_t* first = <uint8_t*>PyBytes_AS_STRING(result)
        cdef uint8_t* p = first + start
        memcpy(first, PyBytes_AS_STRING(header), start)
        write64(p - 8, size)
        arrays.reverse()
        for field in self.fields:
            if not field.is_array:
                p = field.put(p, values[field.name])
                continue
            array = arrays.pop()
            write64(p, array.size)
            p += 8
            PyObject_GetBuffer(array, &raw, PyBUF_C_CONTIGUOUS)
            memcpy(p, raw.buf, raw.len)
            p += raw.len
            PyBuffer_Release(&raw)
        with nogil:
            write32(p, crc32_by(crc32_widest, first, start + size))
        return result

    def read(self, const uint8_t[::1] body not None):
        """Give the values by name, arrays as views; ValueError where lengths or ranges do not hold."""
        cdef Field field
        cdef const uint8_t* p = &body[0] if body.shape[0] else NULL
        cdef int64_t size, left = body.shape[0]
        cdef uint64_t n
        cdef dict values = {}
        for field in self.fields:
            size = 8 if field.is_array else field.size
            if left < size:
                raise ValueError(f"truncated before {field.name}")
            if field.is_array:
                n = read64(p)
                p += 8
                left -= 8
                size = field.size
                if n > <uint64_t>(left // size):
                    raise ValueError(f"{field.name} announces {n} values, but {left // size} are left")
                size *= <int64_t>n
                value = np.frombuffer(body.base, field.dtype, n, body.shape[0] - left)
                if not field.dtype.isnative:
                    value = value.astype(field.dtype.newbyteorder("="))
                field.check(p, n, value)
            else:
                value = field.get(p)
                field.check_range(value, value)
            values[field.name] = value
            p += size
            left -= size
        if left:
            raise ValueError(f"{left} bytes follow the last field")
        return values


def pack_integers(list items not None, uint64_t word):
    """Give each item as an int64 after `word`; None unless all are ints that fit."""
    cdef int64_t value
    cdef bytes result = PyBytes_FromStringAndSize(NULL, 16 * len(items))
    cdef uint8_t* p = <uint8_t*>PyBytes_AS_STRING(result)
    for item in items:
        if not PyLong_CheckExact(item) or not read_int(<PyObject*>item, &value):
            return None
        write64(p, word)
        write64(p + 8, value)
        p += 16
    return result


def unpack_integers(const uint8_t[::1] data not None, uint64_t word):
    """Undo `pack_integers`; None if some word is another, or something is left."""
    cdef int64_t i, n = data.shape[0] // 16
    cdef list items = []
    if data.shape[0] % 16:
        return None
    for i in range(n):
        if read64(&data[16 * i]) != word:
            return None
        items.append(<int64_t>read64(&data[16 * i + 8]))
    return items
