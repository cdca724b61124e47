// Eight floats at a time. GCC lowers them to whatever the processor has: one AVX register, two of SSE or NEON.
#pragma once

#include <cstdint>
#include <cstring>

namespace kernels {

constexpr long LANES = 8;
typedef float v8 __attribute__((vector_size(4 * LANES)));
typedef int32_t v8i __attribute__((vector_size(4 * LANES)));

static inline v8 load(const float* from) {
    v8 x;
    std::memcpy(&x, from, sizeof x);
    return x;
}

static inline void store(float* to, v8 x) { std::memcpy(to, &x, sizeof x); }

static inline v8 load_part(const float* from, long n) {
    v8 x = {};
    std::memcpy(&x, from, n * sizeof(float));
    return x;
}

static inline void store_part(float* to, v8 x, long n) { std::memcpy(to, &x, n * sizeof(float)); }

static inline v8 broadcast(float x) { return v8{x, x, x, x, x, x, x, x}; }

// Keeps a value in its register; GCC prefers to load it again for each use, and the loads are what it waits for.
static inline void in_register(v8& x) {
#ifdef __AVX__
    asm("" : "+x"(x));
#else
    (void)x;
#endif
}

static inline float sum(v8 x) { return ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7])); }

// exp(r) - 1 for |r| <= ln(2) / 2, by Taylor's series: its next term is below 2^-27 of the value.
static inline v8 expm1_reduced(v8 r) {
    v8 p = broadcast(1.f / 5040);
    p = p * r + 1.f / 720;
    p = p * r + 1.f / 120;
    p = p * r + 1.f / 24;
    p = p * r + 1.f / 6;
    p = p * r + 1.f / 2;
    return r + r * r * p;
}

// exp(x) = 2^n (1 + (exp(r) - 1)) for x <= 0, within 2 ulp; 0 where the exact value is below the smallest normal number.
static inline v8 exp_of_negative(v8 x) {
    const v8 shift = broadcast(12582912.f);  // 1.5 * 2^23: adding it rounds to an integer
    const v8 a = x < -87.3f ? broadcast(-87.3f) : x;
    const v8 n = (a * 1.44269504f + shift) - shift;
    const v8 r = (a - n * 0.693145752f) - n * 1.42860677e-06f;  // ln 2 in two parts
    const v8 power = (v8)((__builtin_convertvector(n, v8i) + 127) << 23);
    const v8 value = power + power * expm1_reduced(r);
    return x < -87.3f ? broadcast(0) : value;
}

// tanh(x) = e / (e + 2), e = exp(2 |x|) - 1 = 2^n (exp(r) - 1) + (2^n - 1). Within 3 ulp of the exact value
// for every float: tests/native/dense.cpp with stride 1 tries them all. NaN stays NaN.
static inline v8 tanh(v8 x) {
    const v8i sign = (v8i)x & INT32_MIN;
    v8 a = (v8)((v8i)x ^ sign);
    a = a > 9.1f ? broadcast(9.1f) : a;  // beyond, the nearest float is 1
    const v8 shift = broadcast(12582912.f);
    const v8 n = (a * 2.88539008f + shift) - shift;
    const v8 r = (2 * a - n * 0.693145752f) - n * 1.42860677e-06f;
    const v8 power = (v8)((__builtin_convertvector(n, v8i) + 127) << 23);
    const v8 e = power * expm1_reduced(r) + (power - 1);
    return (v8)((v8i)(e / (e + 2)) | sign);
}

}  // namespace kernels
