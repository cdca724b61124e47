// The Op of softmax.py on NumPy arrays.
#pragma once

#include "arrays.h"
#include "softmax.h"

namespace kernels {

// False with a Python error set where it cannot work.
inline bool softmax(PyArrayObject* x, PyArrayObject* b, PyArrayObject* y, PyArrayObject*& nll, PyArrayObject*& p,
                    PyArrayObject*& argmax) {
    const npy_intp *dims = PyArray_DIMS(x), n_rows = dims[0], n = dims[1];
    if (PyArray_DIM(b, 0) != n || PyArray_DIM(y, 0) != n_rows) {
        PyErr_Format(PyExc_ValueError, "shapes do not fit: scores (%zd, %zd), biases (%zd,), labels (%zd,)",
                     (Py_ssize_t)n_rows, (Py_ssize_t)n, (Py_ssize_t)PyArray_DIM(b, 0), (Py_ssize_t)PyArray_DIM(y, 0));
        return false;
    }
    const InOrder scores(x), biases(b), labels(y);
    if (!scores || !biases || !labels || !prepare(nll, 1, dims, NPY_FLOAT32) || !prepare(p, 2, dims, NPY_FLOAT32) ||
        !prepare(argmax, 1, dims, NPY_INT32))
        return false;
    if (softmax(scores, biases, labels, n_rows, n, (float*)PyArray_DATA(p), (int32_t*)PyArray_DATA(argmax),
                (float*)PyArray_DATA(nll)))
        return true;
    PyErr_Format(PyExc_ValueError, "a label is not a class: expected 0 to %zd", (Py_ssize_t)n - 1);
    return false;
}

}  // namespace kernels
