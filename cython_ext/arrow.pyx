"""Reads Arrow's C data interface (PyCapsules) without any Arrow library: pointers become buffers with an owner.

Specification: https://arrow.apache.org/docs/format/CDataInterface.html and .../CDataInterface/PyCapsuleInterface.html.
What the buffers mean is decided in `sketches.core.arrow`.
"""

from cpython.buffer cimport PyBuffer_FillInfo
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdint cimport int64_t, uintptr_t
from libc.string cimport memset

cdef extern from *:
    """
    #include <stdint.h>
    struct ArrowSchema {
        const char *format, *name, *metadata;
        int64_t flags, n_children;
        struct ArrowSchema **children, *dictionary;
        void (*release)(struct ArrowSchema *);
        void *private_data;
    };
    struct ArrowArray {
        int64_t length, null_count, offset, n_buffers, n_children;
        const void **buffers;
        struct ArrowArray **children, *dictionary;
        void (*release)(struct ArrowArray *);
        void *private_data;
    };
    struct ArrowArrayStream {
        int (*get_schema)(struct ArrowArrayStream *, struct ArrowSchema *out);
        int (*get_next)(struct ArrowArrayStream *, struct ArrowArray *out);
        const char *(*get_last_error)(struct ArrowArrayStream *);
        void (*release)(struct ArrowArrayStream *);
        void *private_data;
    };
    """
    struct ArrowSchema:
        const char* format
        int64_t n_children
        ArrowSchema** children
        ArrowSchema* dictionary
        void (*release)(ArrowSchema*) noexcept
    struct ArrowArray:
        int64_t length, null_count, offset, n_buffers, n_children
        const void** buffers
        ArrowArray** children
        ArrowArray* dictionary
        void (*release)(ArrowArray*) noexcept
    struct ArrowArrayStream:
        int (*get_schema)(ArrowArrayStream*, ArrowSchema*) noexcept
        int (*get_next)(ArrowArrayStream*, ArrowArray*) noexcept
        const char* (*get_last_error)(ArrowArrayStream*) noexcept
        void (*release)(ArrowArrayStream*) noexcept


cdef class Schema:
    """An Arrow type: its format string, children and dictionary."""

    cdef readonly str format
    cdef readonly list children
    cdef readonly object dictionary


cdef Schema copy_schema(ArrowSchema* raw):
    cdef Schema schema = Schema()
    cdef int64_t i
    schema.format = raw.format.decode()
    schema.children = [copy_schema(raw.children[i]) for i in range(raw.n_children)]
    schema.dictionary = copy_schema(raw.dictionary) if raw.dictionary != NULL else None
    return schema


cdef class Owner:
    """Holds a moved ArrowArray; releases it when nothing refers to its buffers any more."""

    cdef ArrowArray raw

    def __dealloc__(self):
        if self.raw.release != NULL:
            self.raw.release(&self.raw)


cdef class Buffer:
    """Read-only bytes of an ArrowArray; keeps it alive."""

    cdef Owner owner
    cdef const void* data
    cdef Py_ssize_t size

    def __getbuffer__(self, Py_buffer* view, int flags):
        PyBuffer_FillInfo(view, self, <void*>self.data, self.size, 1, flags)

    @property
    def address(self):
        """Where the bytes start."""
        return <uintptr_t>self.data


cdef class Array:
    """An Arrow array: length, offset, null count, buffers, children and dictionary."""

    cdef Owner owner
    cdef ArrowArray* raw
    cdef readonly Schema schema
    cdef readonly int64_t offset  # the slot in the buffers at which the array starts
    cdef readonly int64_t length  # the number of slots

    @property
    def null_count(self):
        """The number of nulls; -1 if not computed."""
        return self.raw.null_count

    @property
    def buffer_count(self):
        """How many buffers there are."""
        return self.raw.n_buffers

    def buffer(self, int64_t index, int64_t size):
        """Give the buffer's first `size` bytes; None where the producer left it out."""
        if not 0 <= index < self.raw.n_buffers:
            raise ValueError(f"items are an Arrow array of format {self.schema.format!r} without buffer {index}")
        if size < 0:
            raise ValueError(f"items are an Arrow array with a buffer of {size} bytes")
        if self.raw.buffers[index] == NULL:
            return None
        cdef Buffer result = Buffer()
        result.owner = self.owner
        result.data = self.raw.buffers[index]
        result.size = size
        return result

    @property
    def children(self):
        """The arrays of a struct's fields: the struct's own offset and length apply to them as well."""
        cdef int64_t i
        cdef Array child
        result = []
        for i in range(self.raw.n_children):
            child = wrap(self.owner, self.raw.children[i], self.schema.children[i])
            child.offset += self.offset
            child.length = self.length
            result.append(child)
        return result

    @property
    def dictionary(self):
        """The values that the indices refer to, or None."""
        if self.raw.dictionary == NULL:
            return None
        return wrap(self.owner, self.raw.dictionary, self.schema.dictionary)


cdef Array wrap(Owner owner, ArrowArray* raw, Schema schema):
    cdef Array array = Array()
    array.owner = owner
    array.raw = raw
    array.schema = schema
    array.offset = raw.offset
    array.length = raw.length
    return array


def array(schema_capsule, array_capsule):
    """Take over what `__arrow_c_array__` gave."""
    cdef ArrowSchema* schema = <ArrowSchema*>PyCapsule_GetPointer(schema_capsule, "arrow_schema")
    cdef ArrowArray* raw = <ArrowArray*>PyCapsule_GetPointer(array_capsule, "arrow_array")
    if raw.release == NULL:
        raise ValueError("items are an Arrow array that was already released")
    cdef Owner owner = Owner()
    owner.raw = raw[0]
    raw.release = NULL
    return wrap(owner, &owner.raw, copy_schema(schema))


def stream(capsule):
    """Yield the chunks of what `__arrow_c_stream__` gave, one at a time; the capsule's own destructor ends it."""
    cdef ArrowArrayStream* raw = <ArrowArrayStream*>PyCapsule_GetPointer(capsule, "arrow_array_stream")
    cdef ArrowSchema raw_schema
    cdef Owner owner
    cdef Schema schema
    if raw.release == NULL:
        raise ValueError("items are an Arrow stream that was already released")
    memset(&raw_schema, 0, sizeof(ArrowSchema))
    check(raw, raw.get_schema(raw, &raw_schema))
    try:
        schema = copy_schema(&raw_schema)
    finally:
        raw_schema.release(&raw_schema)
    while True:
        owner = Owner()
        check(raw, raw.get_next(raw, &owner.raw))
        if owner.raw.release == NULL:
            return
        yield wrap(owner, &owner.raw, schema)


cdef int check(ArrowArrayStream* raw, int code) except -1:
    if code == 0:
        return 0
    cdef const char* message = raw.get_last_error(raw)
    text = message.decode("utf-8", "replace") if message != NULL else f"error {code}"
    raise OSError(f"items are an Arrow stream that failed: {text}")
