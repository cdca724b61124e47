// The Ops of dense.py and softmax.py on NumPy arrays. Each returns false with a Python error set where it cannot work.
#pragma once

#include <climits>

#include "arrays.h"
#include "dense.h"
#include "softmax.h"

namespace kernels {

// Whether BLAS can step through the matrix when a line along this axis is contiguous.
inline bool is_contiguous_along(int axis, PyArrayObject* array) {
    const npy_intp *dims = PyArray_DIMS(array), *strides = PyArray_STRIDES(array);
    const npy_intp length = dims[axis], step = strides[1 - axis], item = sizeof(float);
    const bool line = length <= 1 || strides[axis] == item;
    return line && (dims[1 - axis] <= 1 || (step % item == 0 && step >= std::max<npy_intp>(length, 1) * item));
}

// A new reference to the array or to a copy that BLAS can read; null, with Python's error set, if there is none.
inline PyArrayObject* for_blas(PyArrayObject* array) {
    const bool as_it_is = PyArray_ISALIGNED(array) && (is_contiguous_along(1, array) || is_contiguous_along(0, array));
    PyArrayObject* readable = array;
    if (as_it_is)
        Py_INCREF(array);
    else
        readable = (PyArrayObject*)PyArray_NewCopy(array, NPY_CORDER);
    if (!readable) return nullptr;
    for (int axis = 0; axis < 2; ++axis)
        if (PyArray_DIM(readable, axis) > INT_MAX || PyArray_STRIDE(readable, axis) / long(sizeof(float)) > INT_MAX) {
            PyErr_SetString(PyExc_ValueError, "a matrix is too large for BLAS: expected less than 2^31 rows and columns");
            Py_DECREF(readable);
            return nullptr;
        }
    return readable;
}

// View of an array that for_blas() has passed.
inline Matrix as_matrix(PyArrayObject* array) {
    const long rows = PyArray_DIM(array, 0), columns = PyArray_DIM(array, 1), item = sizeof(float);
    float* data = (float*)PyArray_DATA(array);
    if (is_contiguous_along(1, array))
        return {data, rows, columns, rows <= 1 ? std::max(columns, 1L) : PyArray_STRIDE(array, 0) / item, 1};
    return {data, rows, columns, 1, columns <= 1 ? std::max(rows, 1L) : PyArray_STRIDE(array, 1) / item};
}

// z = alpha x y + beta z.
inline bool gemm(float alpha, PyArrayObject* x, PyArrayObject* y, float beta, PyArrayObject* z) {
    const npy_intp *dx = PyArray_DIMS(x), *dy = PyArray_DIMS(y), *dz = PyArray_DIMS(z);
    if (dx[1] != dy[0] || dx[0] != dz[0] || dy[1] != dz[1]) {
        PyErr_Format(PyExc_ValueError,
                     "shapes do not fit a matrix product: (%zd, %zd) times (%zd, %zd), into (%zd, %zd)",
                     (Py_ssize_t)dx[0], (Py_ssize_t)dx[1], (Py_ssize_t)dy[0], (Py_ssize_t)dy[1], (Py_ssize_t)dz[0],
                     (Py_ssize_t)dz[1]);
        return false;
    }
    PyArrayObject* a = for_blas(x);
    PyArrayObject* b = a ? for_blas(y) : nullptr;
    if (b) gemm(alpha, as_matrix(a), as_matrix(b), beta, as_matrix(z));
    Py_XDECREF(a);
    Py_XDECREF(b);
    return b != nullptr;
}

// z = x y.
inline bool dot(PyArrayObject* x, PyArrayObject* y, PyArrayObject*& z) {
    const npy_intp shape[] = {PyArray_DIM(x, 0), PyArray_DIM(y, 1)};
    return prepare(z, 2, shape, NPY_FLOAT32) && gemm(1, x, y, 0, z);
}

// alpha x y + beta z, written over z, or over a copy of it where BLAS cannot write.
inline bool update(PyArrayObject* z, PyArrayObject* alpha, PyArrayObject* x, PyArrayObject* y, PyArrayObject* beta,
                   PyArrayObject*& to) {
    PyArrayObject* writable = for_blas(z);
    Py_XDECREF(to);
    to = writable;
    return to && gemm(*(float*)PyArray_DATA(alpha), x, y, *(float*)PyArray_DATA(beta), to);
}

template <class Function>
bool sum_of(PyArrayObject* x, PyArrayObject*& z, Function function) {
    const InOrder in_x(x);
    if (!in_x || !prepare(z, 0, nullptr, NPY_FLOAT32)) return false;
    const long n = PyArray_SIZE(x);
    const Scratch<double> part_sums(n_parts_of_sum(n));
    if (part_sums.empty()) return PyErr_NoMemory(), false;
    *(float*)PyArray_DATA(z) = sum_of(static_cast<const float*>(in_x), n, part_sums, function);
    return true;
}

template <class Function>
bool column_sums(PyArrayObject* x, PyArrayObject*& z, Function function) {
    const InOrder in_x(x);
    if (!in_x || !prepare(z, 1, PyArray_DIMS(x) + 1, NPY_FLOAT32)) return false;
    const float* data = in_x;
    column_sums(data, PyArray_DIM(x, 0), PyArray_DIM(x, 1), (float*)PyArray_DATA(z), function);
    return true;
}

template <class Function>
bool map(PyArrayObject* x, PyArrayObject*& z, Function function) {
    const InOrder in_x(x);
    if (!in_x || !prepare(z, PyArray_NDIM(x), PyArray_DIMS(x), NPY_FLOAT32)) return false;
    map(static_cast<const float*>(in_x), PyArray_SIZE(x), (float*)PyArray_DATA(z), function);
    return true;
}

// Negative log-likelihoods, probabilities and argmax of softmax(x + b).
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
