// The Ops of conv_pool.py on NumPy arrays. Each returns false with a Python error set where it cannot work.
#pragma once

#include "arrays.h"
#include "winograd.h"

namespace kernels {

static bool read_sizes(PyArrayObject* x, PyArrayObject* W, bool flipped, ConvPoolSizes& s) {
    const npy_intp *image = PyArray_DIMS(x), *filter = PyArray_DIMS(W);
    s = {image[0], image[1], image[2], image[3], filter[0], filter[2], filter[3], flipped};
    if (filter[1] == image[1] && filter[2] > 0 && filter[3] > 0 && filter[2] <= image[2] && filter[3] <= image[3] &&
        has_indices(s))
        return true;
    PyErr_Format(PyExc_ValueError,
                 "images of shape (%zd, %zd, %zd, %zd) and filters of shape (%zd, %zd, %zd, %zd): expected as many "
                 "channels in both, filters no larger than the images, and less than 2^31 values in either",
                 image[0], image[1], image[2], image[3], filter[0], filter[1], filter[2], filter[3]);
    return false;
}

static bool conv_pool_tanh(PyArrayObject* x, PyArrayObject* W, PyArrayObject* b, bool flipped, bool with_winograd,
                           PyArrayObject*& out, PyArrayObject*& mask) {
    ConvPoolSizes s;
    if (!read_sizes(x, W, flipped, s)) return false;
    if (PyArray_DIM(b, 0) != s.filters) {
        PyErr_Format(PyExc_ValueError, "%ld filters and %zd biases: expected as many", s.filters, PyArray_DIM(b, 0));
        return false;
    }
    const npy_intp shape[] = {s.images, s.filters, s.rows(), s.columns()};
    const InOrder in_x(x), in_W(W), in_b(b);
    if (!in_x || !in_W || !in_b || !prepare(out, 4, shape, NPY_FLOAT32) || !prepare(mask, 4, shape, NPY_UINT8))
        return false;
    decltype(&winograd::conv_pool_tanh) run = conv_pool_tanh;
    if (with_winograd && winograd::fits(s)) run = winograd::conv_pool_tanh;
    if (run(s, in_x, in_W, in_b, static_cast<float*>(PyArray_DATA(out)), static_cast<uint8_t*>(PyArray_DATA(mask))))
        return true;
    PyErr_NoMemory();
    return false;
}

// dx may be null: then that gradient is not computed.
static bool conv_pool_tanh_grad(PyArrayObject* x, PyArrayObject* W, PyArrayObject* out, PyArrayObject* mask,
                                PyArrayObject* gout, bool flipped, bool with_winograd, PyArrayObject*& dW,
                                PyArrayObject*& db, PyArrayObject** dx) {
    ConvPoolSizes s;
    if (!read_sizes(x, W, flipped, s)) return false;
    const npy_intp shape[] = {s.images, s.filters, s.rows(), s.columns()};
    for (PyArrayObject* array : {out, mask, gout})
        if (!has_shape(array, 4, shape)) {
            const npy_intp* given = PyArray_DIMS(array);
            PyErr_Format(PyExc_ValueError,
                         "an output, mask or gradient of shape (%zd, %zd, %zd, %zd): expected (%zd, %zd, %zd, %zd)",
                         given[0], given[1], given[2], given[3], shape[0], shape[1], shape[2], shape[3]);
            return false;
        }
    const InOrder in_x(x), in_W(W), in_out(out), in_mask(mask), in_gout(gout);
    if (!in_x || !in_W || !in_out || !in_mask || !in_gout || !prepare(dW, 4, PyArray_DIMS(W), NPY_FLOAT32) ||
        !prepare(db, 1, PyArray_DIMS(W), NPY_FLOAT32) || (dx && !prepare(*dx, 4, PyArray_DIMS(x), NPY_FLOAT32)))
        return false;
    decltype(&winograd::conv_pool_tanh_grad) run = conv_pool_tanh_grad;
    if (with_winograd && winograd::fits(s)) run = winograd::conv_pool_tanh_grad;
    if (run(s, in_x, in_W, in_out, in_mask, in_gout, static_cast<float*>(PyArray_DATA(dW)),
            static_cast<float*>(PyArray_DATA(db)), dx ? static_cast<float*>(PyArray_DATA(*dx)) : nullptr))
        return true;
    PyErr_NoMemory();
    return false;
}

}  // namespace kernels
