// Bernoulli draws of a random stream, the same as those of NumPy's RandomState.binomial with one trial.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "arrays.h"
#include "numpy/random/bitgen.h"

namespace kernels {

// NumPy's Mersenne Twister in memory; bernoulli.py makes sure that it is.
struct Twister {
    static constexpr int N = 624, M = 397;
    uint32_t key[N];
    int pos;

    static uint32_t twisted(uint32_t high, uint32_t low) {
        const uint32_t y = (high & 0x80000000u) | (low & 0x7fffffffu);
        return (y >> 1) ^ (-(y & 1u) & 0x9908b0dfu);
    }

    void refill() {
        for (int i = 0; i < N - M; ++i) key[i] = key[i + M] ^ twisted(key[i], key[i + 1]);
#pragma GCC ivdep  // what it reads was written 227 steps before
        for (int i = N - M; i < N - 1; ++i) key[i] = key[i + M - N] ^ twisted(key[i], key[i + 1]);
        key[N - 1] = key[M - 1] ^ twisted(key[N - 1], key[0]);
        pos = 0;
    }

    static uint32_t tempered(uint32_t y) {
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c5680u;
        y ^= (y << 15) & 0xefc60000u;
        return y ^ (y >> 18);
    }
};

// A number in [0, 1) of 53 bits, of which the first word has 27.
static inline double uniform(uint32_t first, uint32_t second) {
    return (int32_t(first >> 5) * 67108864. + int32_t(second >> 6)) * (1 / 9007199254740992.);
}

// By inversion of the less probable outcome, as NumPy does it. Another outcome than NumPy's needs a number within
// an ulp of p, which has a probability of 2^-52.
static inline float outcome(double u, double p) { return p <= 0.5 ? u > 1 - p : u <= p; }

typedef double d4 __attribute__((vector_size(32)));
typedef int64_t i4 __attribute__((vector_size(32)));
typedef float f4 __attribute__((vector_size(16)));
typedef int32_t h4 __attribute__((vector_size(16)));

// Four at a time, since GCC would branch.
static inline f4 outcomes(d4 u, d4 p) {
    const i4 is_rare = p <= 0.5;
    const i4 above = u > (is_rare ? 1 - p : p);
    const f4 one = {1, 1, 1, 1};
    return (f4)(__builtin_convertvector(above == is_rare, h4) & (h4)one);
}

// STEP from one probability to the next: 0 where all have the same.
template <int STEP>
static inline void draw(Twister& twister, const float* p, float* out, long n) {
    for (long i = 0; i < n;) {
        if (twister.pos >= Twister::N) twister.refill();
        const uint32_t* key = twister.key + twister.pos;
        const long pairs = std::min<long>(n - i, (Twister::N - twister.pos) / 2);
        double u[Twister::N / 2];
        for (long j = 0; j < pairs; ++j)
            u[j] = uniform(Twister::tempered(key[2 * j]), Twister::tempered(key[2 * j + 1]));
        long j = 0;
        for (; j + 4 <= pairs; j += 4) {
            d4 numbers;
            f4 four = {p[0], p[0], p[0], p[0]};
            std::memcpy(&numbers, u + j, sizeof numbers);
            if (STEP) std::memcpy(&four, p + i + j, sizeof four);
            four = outcomes(numbers, __builtin_convertvector(four, d4));
            std::memcpy(out + i + j, &four, sizeof four);
        }
        for (; j < pairs; ++j) out[i + j] = outcome(u[j], p[(i + j) * STEP]);
        i += pairs;
        twister.pos += 2 * pairs;
        if (i < n && twister.pos == Twister::N - 1) {  // a pair over the end
            const uint32_t first = Twister::tempered(twister.key[Twister::N - 1]);
            twister.refill();
            out[i] = outcome(uniform(first, Twister::tempered(twister.key[twister.pos++])), p[i * STEP]);
            ++i;
        }
    }
}

template <int STEP>
static inline void draw(bitgen_t& generator, const float* p, float* out, long n) {
    for (long i = 0; i < n; ++i) out[i] = outcome(generator.next_double(generator.state), p[i * STEP]);
}

// NumPy's generator below a RandomState, and whether it is a Mersenne Twister; null, with Python's error set, if
// there is none.
inline bitgen_t* generator_of(PyObject* random_state, bool& is_twister) {
    PyObject* below = PyObject_GetAttrString(random_state, "_bit_generator");
    PyObject* capsule = below ? PyObject_GetAttrString(below, "capsule") : nullptr;
    void* generator = capsule ? PyCapsule_GetPointer(capsule, "BitGenerator") : nullptr;
    is_twister = generator && std::strstr(Py_TYPE(below)->tp_name, "MT19937");
    Py_XDECREF(capsule);  // the RandomState keeps both alive
    Py_XDECREF(below);
    return static_cast<bitgen_t*>(generator);
}

inline PyObject* copy_of(PyObject* random_state) {
    PyObject* module = PyImport_ImportModule("theano_tutorials.kernels.bernoulli");
    PyObject* copy = module ? PyObject_CallMethod(module, "copy_of", "O", random_state) : nullptr;
    Py_XDECREF(module);
    return copy;
}

template <bool TWISTER_IS_KNOWN, bool IN_PLACE>
bool bernoulli(PyObject* random_state, PyArrayObject* size, PyArrayObject* p, PyObject*& drawn_from,
               PyArrayObject*& out) {
    const int n_dim = PyArray_DIM(size, 0);
    npy_intp shape[NPY_MAXDIMS];
    for (int i = 0; i < n_dim; ++i) shape[i] = *(npy_int64*)PyArray_GETPTR1(size, i);
    if (!prepare(out, n_dim, shape, NPY_FLOAT32)) return false;
    const bool is_scalar = PyArray_NDIM(p) == 0;
    const long n = PyArray_SIZE(out);
    if (!is_scalar && !has_shape(p, n_dim, shape)) {
        PyErr_SetString(PyExc_ValueError, "the probabilities of a Bernoulli draw have another shape than its size");
        return false;
    }
    const InOrder ordered(p);
    if (!ordered) return false;
    const float* probabilities = ordered;
    bool is_valid = true;
    for (long i = 0; i < (is_scalar ? 1 : n); ++i) is_valid &= probabilities[i] >= 0 && probabilities[i] <= 1;
    if (!is_valid) {
        PyErr_SetString(PyExc_ValueError, "p < 0, p > 1 or p is NaN");
        return false;
    }
    if (IN_PLACE) Py_INCREF(random_state);
    PyObject* state = IN_PLACE ? random_state : copy_of(random_state);
    if (!state) return false;
    Py_XDECREF(drawn_from);
    drawn_from = state;
    bool is_twister;
    bitgen_t* generator = generator_of(state, is_twister);
    if (!generator) return false;
    float* to = static_cast<float*>(PyArray_DATA(out));
    if (TWISTER_IS_KNOWN && is_twister) {
        Twister& twister = *static_cast<Twister*>(generator->state);
        is_scalar ? draw<0>(twister, probabilities, to, n) : draw<1>(twister, probabilities, to, n);
    } else {
        is_scalar ? draw<0>(*generator, probabilities, to, n) : draw<1>(*generator, probabilities, to, n);
    }
    return true;
}

}  // namespace kernels
