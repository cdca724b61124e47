// Softmax, its negative log-likelihood and its argmax, row by row.
#pragma once

#include <algorithm>
#include <cmath>

#include "threads.h"
#include "vectors.h"

namespace kernels {

// One row of n scores x + b: probabilities, the most probable class, and -log of the probability of class y.
inline void softmax_row(const float* x, const float* b, int32_t y, long n, float* p, int32_t* argmax, float* nll) {
    long best = 0;
    for (long i = 0; i < n; ++i) {
        p[i] = x[i] + b[i];
        if (p[i] > p[best]) best = i;
    }
    const float max = p[best], score = p[y] - max;
    v8 totals = {};
    for (long i = 0; i < n; i += LANES) {
        const long length = std::min(LANES, n - i);
        v8 e = exp_of_negative(load_part(p + i, length) - max);
        store_part(p + i, e, length);
        if (length < LANES) e = load_part(p + i, length);
        totals += e;
    }
    const float total = sum(totals);
    for (long i = 0; i < n; ++i) p[i] /= total;
    *argmax = best;
    *nll = std::log(total) - score;
}

constexpr long ROWS_OF_A_PART = 64;

// The same for each of n_rows rows, contiguous. False, and nothing written, if a y is not a class.
inline bool softmax(const float* x, const float* b, const int32_t* y, long n_rows, long n, float* p, int32_t* argmax,
                    float* nll) {
    if (std::any_of(y, y + n_rows, [=](int32_t i) { return i < 0 || i >= n; })) return false;
    const long n_parts = (n_rows + ROWS_OF_A_PART - 1) / ROWS_OF_A_PART;
    for_each(n_parts, n_rows * n > 4000, [=](long part) {
        const long end = std::min(n_rows, (part + 1) * ROWS_OF_A_PART);
        for (long i = part * ROWS_OF_A_PART; i < end; ++i)
            softmax_row(x + i * n, b, y[i], n, p + i * n, argmax + i, nll + i);
    });
    return true;
}

}  // namespace kernels
