// NumPy's arrays, as Theano hands them over, for the kernels. Theano has included Python's headers before.
#pragma once

#include <climits>

#include "dense.h"

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

// z = alpha x y + beta z. False, with Python's error set, if that cannot be.
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

// Makes *array a C-contiguous array of this shape and type, the one that it is if that will do.
inline bool allocate(PyArrayObject** array, int ndim, const npy_intp* dims, int type) {
    if (*array && PyArray_NDIM(*array) == ndim && PyArray_TYPE(*array) == type && PyArray_IS_C_CONTIGUOUS(*array) &&
        PyArray_CompareLists(PyArray_DIMS(*array), dims, ndim))
        return true;
    Py_XDECREF(*array);
    *array = (PyArrayObject*)PyArray_SimpleNew(ndim, (npy_intp*)dims, type);
    return *array != nullptr;
}

// A new reference to a C-contiguous array of the same values; null, with Python's error set, if there is none.
inline PyArrayObject* contiguous(PyArrayObject* array) {
    return (PyArrayObject*)PyArray_FROM_OF((PyObject*)array, NPY_ARRAY_CARRAY_RO);
}

}  // namespace kernels
