/* Runs of plain ints, and of plain texts, in a list: read without a call for each. Nothing here runs Python code, so the
 * list and its items stay as they are meanwhile. */
#ifndef SKETCHES_OBJECTS_H
#define SKETCHES_OBJECTS_H

#include <Python.h>

#include "hash.h"

#define OBJECTS_AHEAD 128 /* objects that are fetched while others are read: they may lie anywhere */

static inline PyObject **list_items(PyObject *list) { return ((PyListObject *)list)->ob_item; }

/* The value of an int that fits into an int64; 0 if it does not. Digits have 30 bits, so that with three of them the last
 * may have three bits, or the number is beyond 2^63. */
static inline int read_int(PyObject *item, int64_t *value) {
#if PY_VERSION_HEX >= 0x030C0000
    const uintptr_t tag = ((PyLongObject *)item)->long_value.lv_tag;
    const digit *digits = ((PyLongObject *)item)->long_value.ob_digit;
    const Py_ssize_t size = (Py_ssize_t)(tag >> 3);
    const int64_t negative = -(int64_t)(tag >> 1 & 1); /* all ones for a number below 0 */
#else
    const digit *digits = ((PyLongObject *)item)->ob_digit;
    const Py_ssize_t signed_size = Py_SIZE(item), size = signed_size < 0 ? -signed_size : signed_size;
    const int64_t negative = -(int64_t)(signed_size < 0); /* all ones for a number below 0 */
#endif
    int64_t magnitude;
    if (PyLong_SHIFT == 30 && size == 1) {
        magnitude = (int64_t)digits[0];
    } else if (PyLong_SHIFT == 30 && size == 2) {
        magnitude = (int64_t)digits[0] | (int64_t)digits[1] << 30;
    } else if (PyLong_SHIFT == 30 && size == 3 && digits[2] < 8) {
        magnitude = (int64_t)digits[0] | (int64_t)digits[1] << 30 | (int64_t)digits[2] << 60;
    } else {
        int overflow;
        *value = PyLong_AsLongLongAndOverflow(item, &overflow);
        return !overflow;
    }
    *value = (magnitude ^ negative) - negative; /* without a branch: signs are not predictable */
    return 1;
}

/* Fetch an object: its header and what begins `size` bytes after it, often in the next cache line. */
static inline void fetch_object(PyObject *item, size_t size) {
    PREFETCH(item);
    PREFETCH((uint8_t *)item + size);
}

/* Read ints from the front of n of `left` items, as many as there are in a row; returns how many. */
static inline int64_t read_ints(PyObject **items, int64_t n, int64_t left, int64_t *values) {
    int64_t i = 0;
    for (; i < n; i++) {
        if (i + OBJECTS_AHEAD < left) fetch_object(items[i + OBJECTS_AHEAD], sizeof(PyLongObject) + 2 * sizeof(digit) - 1);
        if (!PyLong_CheckExact(items[i]) || !read_int(items[i], values + i)) break;
    }
    return i;
}

/* Take str and bytes from the front of n <= TEXTS of `left` items into a batch, as many as there are in a row; returns
 * how many. Their bytes lie in the objects, after more than 16 bytes of other things. A str that is not ASCII ends the
 * run. */
static inline int64_t read_texts(PyObject **items, int64_t n, int64_t left, text_batch *batch, uint32_t seed) {
    int64_t i = 0;
    begin_batch(batch, seed, n);
    for (; i < n; i++) {
        PyObject *item = items[i];
        if (i + OBJECTS_AHEAD < left) fetch_object(items[i + OBJECTS_AHEAD], sizeof(PyASCIIObject));
        if (PyUnicode_CheckExact(item) && PyUnicode_IS_COMPACT_ASCII(item))
            batch_text(batch, i, (uint8_t *)((PyASCIIObject *)item + 1), (uint64_t)PyUnicode_GET_LENGTH(item), 16);
        else if (PyBytes_CheckExact(item))
            batch_text(batch, i, (uint8_t *)PyBytes_AS_STRING(item), (uint64_t)PyBytes_GET_SIZE(item), 16);
        else
            break;
    }
    return i;
}

#endif
