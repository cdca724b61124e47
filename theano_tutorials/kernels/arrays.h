// NumPy arrays as the kernels want them: in C order.
#pragma once

#include <Python.h>
#include <numpy/arrayobject.h>

namespace kernels {

// The array itself, or a copy in C order; false where there was no memory for it, with a Python error set.
class InOrder {
    PyArrayObject* array;

  public:
    explicit InOrder(PyArrayObject* from) : array(PyArray_GETCONTIGUOUS(from)) {}
    ~InOrder() { Py_XDECREF(array); }
    InOrder(const InOrder&) = delete;
    InOrder& operator=(const InOrder&) = delete;
    explicit operator bool() const { return array != nullptr; }
    template <class T>
    operator const T*() const {
        return static_cast<const T*>(PyArray_DATA(array));
    }
};

static inline bool has_shape(PyArrayObject* array, int n_dim, const npy_intp* shape) {
    return PyArray_NDIM(array) == n_dim && PyArray_CompareLists(PyArray_DIMS(array), shape, n_dim);
}

// Memory for a result in C order: what is there where it fits, else new. False as above.
static inline bool prepare(PyArrayObject*& array, int n_dim, const npy_intp* shape, int type) {
    if (array && has_shape(array, n_dim, shape) && PyArray_ISCARRAY(array)) return true;
    Py_XDECREF(array);
    array = reinterpret_cast<PyArrayObject*>(PyArray_EMPTY(n_dim, const_cast<npy_intp*>(shape), type, 0));
    return array != nullptr;
}

}  // namespace kernels
