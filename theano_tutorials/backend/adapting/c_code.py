"""Changes to the C code of Theano, for the headers of Python and NumPy of today."""

import re

from theano_tutorials.backend.adapting.numpy_view import NUMPY_2

# Without it, NumPy's headers hide what NumPy 1 does not have, the size of an element among it.
FLAGS = ["-DNPY_TARGET_VERSION=NPY_2_0_API_VERSION"] if NUMPY_2 else []

# It is for both Python 2 and 3, and NumPy's header no longer says for which.
_LAZYLINKER = {"PyInt_": "PyLong_", "defined(NPY_PY3K)": "1"}

# Cython 0.28 wrote scan_perform. Without its short ways into the insides of Python, the rest is public API.
_CYTHON = """
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#define CYTHON_USE_PYLONG_INTERNALS 0
#define CYTHON_USE_UNICODE_INTERNALS 0
#define CYTHON_FAST_THREAD_STATE 0
#define CYTHON_FAST_PYCALL 0
#define PyUnicode_GET_SIZE PyUnicode_GET_LENGTH
#if PY_VERSION_HEX >= 0x030D0000
#define _PyLong_AsByteArray(number, ...) _PyLong_AsByteArray(number, __VA_ARGS__, 1)
#endif
"""
_LINES_OF_CYTHON = {
    # It looked for each module beside itself first, which Python 3 warns of.
    "if (strchr(__Pyx_MODULE_NAME, '.'))": "if (0)",
    # The objects that stand for the lines of scan_perform.pyx in a traceback.
    "  PyCode_New(a, k, l, s, f, code, c, n, v, fv, cell, fn, name, fline, lnos)": (
        "  PyCode_NewEmpty(PyUnicode_AsUTF8(fn), PyUnicode_AsUTF8(name), fline)"
    ),
    "(frame)->f_lineno = (lineno)": "",
    "#if CYTHON_COMPILING_IN_PYPY\n        PyObject *tmp_type": "#if 1\n        PyObject *tmp_type",
    # A warning that NumPy's structures are larger than what the headers show of them.
    "if (PyErr_WarnEx(NULL, warning, 0) < 0) goto bad;": "",
    "#if CYTHON_COMPILING_IN_CPYTHON\n            if (unlikely(Py_SIZE(x) < 0))": (
        "#if 0\n            if (unlikely(Py_SIZE(x) < 0))"
    ),
}
_FIELDS_OF_NUMPY_2 = re.compile(r"(__pyx_v_d|__pyx_v_descr)->(fields|names|subarray)\b")


def of_file(name, code):
    """C code that Theano compiles from one of its files, by the name of the module."""
    if name == "lazylinker_ext":
        return _replaced(code, _LAZYLINKER)
    if name == "scan_perform":
        code = _replaced(code, _LINES_OF_CYTHON)
        return _CYTHON + (_FIELDS_OF_NUMPY_2.sub(_accessor, code) if NUMPY_2 else code)
    return code


def _replaced(code, texts):
    for text, other in texts.items():
        code = code.replace(text, other)
    return code


def _accessor(match):
    return f"PyDataType_{match[2].upper()}({match[1]})"


def of_op(code):
    """C code that an Op has made, for NumPy 2."""
    code = code.replace("NPY_MAXDIMS", "NPY_RAVEL_AXIS")
    # npy_complex is opaque to C++: here is one of the same layout.
    return re.sub(
        r"struct theano_complex(\d+) : public npy_complex\d+\s*{\s*typedef theano_complex\d+ complex_type;"
        r"\s*typedef (\w+) scalar_type;",
        r"struct theano_complex\1\n{\n\2 real, imag;\ntypedef theano_complex\1 complex_type;\ntypedef \2 scalar_type;",
        code,
    )


# Theano asks whether the elements of a row of a matrix lie side by side, or those of a column. NumPy of today gives an
# empty matrix strides of zero, and neither seems so, though all of its rows, or columns, are empty.
_UNIT_STRIDES = re.compile(
    r"\((?P<row>S(?P<matrix>.)\[(?P<i>\d)\] == type_size \|\| N(?P=matrix)\[(?P=i)\] ?== ?1)\) \? 0x0 : "
    r"\((?P<column>S(?P=matrix)\[(?P<j>\d)\] == type_size \|\| N(?P=matrix)\[(?P=j)\] ?== ?1)\) \? 0x1"
)
_OF_EMPTY_ONES_TOO = r"(\g<row> || N\g<matrix>[\g<j>] == 0) ? 0x0 : (\g<column> || N\g<matrix>[\g<i>] == 0) ? 0x1"


def of_products(code):
    """C code that finds how the matrices of a product lie in memory, for empty ones, too."""
    return _UNIT_STRIDES.sub(_OF_EMPTY_ONES_TOO, code)


# For x[index] += values, where an index may occur more than once: NumPy 2 has no C API for it. Theano calls it with
# increment = 0 for x[index] = values.
INPLACE_INCREMENT = """
#include <complex>

template <typename T>
static void increment_row(char *x, const npy_intp *x_strides, const char *values, const npy_intp *value_strides,
                          const npy_intp *shape, int ndim, int increment)
{
    if (ndim == 0) {
        T *element = (T *)x;
        *element = increment ? (T)(*element + *(const T *)values) : *(const T *)values;
        return;
    }
    for (npy_intp i = 0; i < shape[0]; i++)
        increment_row<T>(x + i * x_strides[0], x_strides + 1, values + i * value_strides[0], value_strides + 1,
                         shape + 1, ndim - 1, increment);
}

template <typename T>
static void increment_rows(PyArrayObject *x, PyArrayObject *index, const char *values, const npy_intp *value_strides,
                           int increment)
{
    const npy_intp *rows = (const npy_intp *)PyArray_DATA(index);
    const npy_intp n_rows = PyArray_DIMS(x)[0];
    for (npy_intp i = 0; i < PyArray_DIMS(index)[0]; i++) {
        const npy_intp row = rows[i] < 0 ? rows[i] + n_rows : rows[i];
        increment_row<T>(PyArray_BYTES(x) + row * PyArray_STRIDES(x)[0], PyArray_STRIDES(x) + 1,
                         values + i * value_strides[0], value_strides + 1,
                         PyArray_DIMS(x) + 1, PyArray_NDIM(x) - 1, increment);
    }
}

// Strides with which the values have the shape of x[index]; 0 if they have another shape.
static int strides_of_values(PyArrayObject *x, PyArrayObject *index, PyArrayObject *values, npy_intp *strides)
{
    const int ndim = PyArray_NDIM(x), missing = ndim - PyArray_NDIM(values);
    if (missing < 0)
        return 0;
    for (int i = 0; i < ndim; i++) {
        const npy_intp wanted = i == 0 ? PyArray_DIMS(index)[0] : PyArray_DIMS(x)[i];
        const npy_intp given = i < missing ? 1 : PyArray_DIMS(values)[i - missing];
        if (given != wanted && given != 1)
            return 0;
        strides[i] = given == 1 ? 0 : PyArray_STRIDES(values)[i - missing];
    }
    return 1;
}

static int increment_checked(PyArrayObject *x, PyArrayObject *index, PyArrayObject *values, int increment)
{
    npy_intp strides[NPY_MAXDIMS];
    const npy_intp *rows = (const npy_intp *)PyArray_DATA(index);
    const npy_intp n_rows = PyArray_DIMS(x)[0];
    if (!strides_of_values(x, index, values, strides)) {
        PyErr_SetString(PyExc_ValueError, "the values cannot be broadcast to the shape of x[index]");
        return -1;
    }
    for (npy_intp i = 0; i < PyArray_DIMS(index)[0]; i++)
        if (rows[i] < -n_rows || rows[i] >= n_rows) {
            PyErr_Format(PyExc_IndexError, "index %zd is out of bounds for axis 0 with size %zd",
                         (Py_ssize_t)rows[i], (Py_ssize_t)n_rows);
            return -1;
        }
    switch (PyArray_TYPE(x)) {
#define CASE(number, type) \\
    case number: increment_rows<type>(x, index, PyArray_BYTES(values), strides, increment); return 0;
        CASE(NPY_INT8, npy_int8)
        CASE(NPY_INT16, npy_int16)
        CASE(NPY_INT32, npy_int32)
        CASE(NPY_INT64, npy_int64)
        CASE(NPY_UINT8, npy_uint8)
        CASE(NPY_UINT16, npy_uint16)
        CASE(NPY_UINT32, npy_uint32)
        CASE(NPY_UINT64, npy_uint64)
        CASE(NPY_FLOAT32, npy_float32)
        CASE(NPY_FLOAT64, npy_float64)
        CASE(NPY_COMPLEX64, std::complex<npy_float32>)
        CASE(NPY_COMPLEX128, std::complex<npy_float64>)
#undef CASE
    }
    PyErr_SetString(PyExc_TypeError, "unsupported type for a");
    return -1;
}

static int inplace_increment(PyArrayObject *x, PyObject *index, PyArrayObject *values, int increment)
{
    if (PyArray_FailUnlessWriteable(x, "input/output array") < 0)
        return -1;
    PyArray_Descr *descr = PyArray_DESCR(x);
    Py_INCREF(descr);
    PyArrayObject *rows = (PyArrayObject *)PyArray_ContiguousFromAny(index, NPY_INTP, 1, 1);
    PyArrayObject *cast = (PyArrayObject *)PyArray_FromAny((PyObject *)values, descr, 0, 0, NPY_ARRAY_FORCECAST, NULL);
    const int failed = rows == NULL || cast == NULL || increment_checked(x, rows, cast, increment) < 0;
    Py_XDECREF(rows);
    Py_XDECREF(cast);
    return failed ? -1 : 0;
}
"""
