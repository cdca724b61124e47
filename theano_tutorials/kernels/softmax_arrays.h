// softmax.h for NumPy's arrays, as Theano hands them over. Theano has included Python's headers before.
#pragma once

#include "arrays.h"
#include "softmax.h"

namespace kernels {

// False, with Python's error set, if that cannot be.
inline bool softmax(PyArrayObject* x, PyArrayObject* b, PyArrayObject* y, PyArrayObject** nll, PyArrayObject** p,
                    PyArrayObject** argmax) {
    const npy_intp *dims = PyArray_DIMS(x), n_rows = dims[0], n = dims[1];
    if (PyArray_DIM(b, 0) != n || PyArray_DIM(y, 0) != n_rows) {
        PyErr_Format(PyExc_ValueError, "shapes do not fit: scores (%zd, %zd), biases (%zd,), labels (%zd,)",
                     (Py_ssize_t)n_rows, (Py_ssize_t)n, (Py_ssize_t)PyArray_DIM(b, 0), (Py_ssize_t)PyArray_DIM(y, 0));
        return false;
    }
    PyArrayObject* scores = contiguous(x);
    PyArrayObject* biases = scores ? contiguous(b) : nullptr;
    PyArrayObject* labels = biases ? contiguous(y) : nullptr;
    bool done = labels && allocate(nll, 1, dims, NPY_FLOAT32) && allocate(p, 2, dims, NPY_FLOAT32) &&
                allocate(argmax, 1, dims, NPY_INT32);
    if (done && !softmax((float*)PyArray_DATA(scores), (float*)PyArray_DATA(biases), (int32_t*)PyArray_DATA(labels),
                         n_rows, n, (float*)PyArray_DATA(*p), (int32_t*)PyArray_DATA(*argmax),
                         (float*)PyArray_DATA(*nll))) {
        PyErr_Format(PyExc_ValueError, "a label is not a class: expected 0 to %zd", (Py_ssize_t)n - 1);
        done = false;
    }
    Py_XDECREF(scores);
    Py_XDECREF(biases);
    Py_XDECREF(labels);
    return done;
}

}  // namespace kernels
