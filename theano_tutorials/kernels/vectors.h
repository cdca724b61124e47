// Eight floats at a time. GCC lowers them to whatever the processor has: one AVX register, two of SSE or NEON.
#pragma once

#include <cstdint>
#include <cstring>

namespace kernels {

constexpr long LANES = 8;
typedef float v8 __attribute__((vector_size(4 * LANES)));
typedef int32_t v8i __attribute__((vector_size(4 * LANES)));
typedef uint8_t v8b __attribute__((vector_size(LANES)));

static inline v8 load(const float* from) {
    v8 x;
    std::memcpy(&x, from, sizeof x);
    return x;
}

static inline void store(float* to, v8 x) { std::memcpy(to, &x, sizeof x); }

// The same value in a register. GCC prefers to load it again for each use, and the loads are what it waits for.
static inline v8 in_register(v8 x) {
#if defined(__AVX512VL__)
    asm("" : "+v"(x));
#elif defined(__AVX__)
    asm("" : "+x"(x));
#endif
    return x;
}

static inline v8 load_part(const float* from, long n) {
    v8 x = {};
    std::memcpy(&x, from, n * sizeof(float));
    return x;
}

static inline void store_part(float* to, v8 x, long n) { std::memcpy(to, &x, n * sizeof(float)); }

static inline v8 broadcast(float x) { return v8{x, x, x, x, x, x, x, x}; }

// Rows to columns of eight vectors.
template <class V>
static inline void transpose(V* rows) {
    const v8i low = {0, 8, 1, 9, 4, 12, 5, 13}, high = {2, 10, 3, 11, 6, 14, 7, 15};
    const v8i low2 = {0, 1, 8, 9, 4, 5, 12, 13}, high2 = {2, 3, 10, 11, 6, 7, 14, 15};
    const v8i low4 = {0, 1, 2, 3, 8, 9, 10, 11}, high4 = {4, 5, 6, 7, 12, 13, 14, 15};
    V a[8], b[8];
    for (int i = 0; i < 8; i += 2) {
        a[i] = __builtin_shuffle(rows[i], rows[i + 1], low);
        a[i + 1] = __builtin_shuffle(rows[i], rows[i + 1], high);
    }
    for (int i = 0; i < 8; i += 4)
        for (int j = 0; j < 2; ++j) {
            b[i + 2 * j] = __builtin_shuffle(a[i + j], a[i + j + 2], low2);
            b[i + 2 * j + 1] = __builtin_shuffle(a[i + j], a[i + j + 2], high2);
        }
    for (int i = 0; i < 4; ++i) {
        rows[i] = __builtin_shuffle(b[i], b[i + 4], low4);
        rows[i + 4] = __builtin_shuffle(b[i], b[i + 4], high4);
    }
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

static inline v8 minus_magnitude(v8 x) { return (v8)((v8i)x | INT32_MIN); }

// 1 / (1 + exp(-x)) = exp(x) / (1 + exp(x)), whichever has the exponential of a negative number: then nothing is lost
// where the result is near 0. Within 4 ulp, and 0 where the exact value is below the smallest normal number. NaN stays NaN.
static inline v8 sigmoid(v8 x) {
    const v8 e = exp_of_negative(minus_magnitude(x));
    return (x < 0 ? e : broadcast(1)) / (1 + e);
}

// log(1 + exp(x)) = max(x, 0) + log(1 + e), e = exp(-|x|); log(1 + e) = 2 artanh(s), s = e / (2 + e) <= 1/3, by its
// series, whose next term is below 2^-28 of the value. Within 4 ulp, and 0 as for sigmoid. NaN stays NaN.
static inline v8 softplus(v8 x) {
    const v8 e = exp_of_negative(minus_magnitude(x)), s = e / (2 + e), square = s * s;
    v8 p = broadcast(1.f / 15);
    for (const float odd : {13.f, 11.f, 9.f, 7.f, 5.f, 3.f}) p = p * square + 1.f / odd;
    const v8 log = 2 * (s + s * square * p);
    return x < 0 ? log : x + log;
}

}  // namespace kernels
