// Softmax, its negative log-likelihood and its argmax, row by row.
#pragma once

#include <algorithm>
#include <cmath>

#include "threads.h"
#include "vectors.h"

namespace kernels {

// Rows from first on, a row a lane, of n scores x + b: probabilities, the most probable class, and -log of the
// probability of class y. Where there are fewer rows the last one is in several lanes.
inline void softmax_rows(const float* x, const float* b, const int32_t* y, long first, long end, long n, float* p,
                         int32_t* argmax, float* nll) {
    long rows[LANES];
    for (long lane = 0; lane < LANES; ++lane) rows[lane] = std::min(first + lane, end - 1);
    const auto scores = [&](long j) {
        v8 score;
        for (long lane = 0; lane < LANES; ++lane) score[lane] = x[rows[lane] * n + j];
        return score + b[j];
    };
    v8 max = scores(0);
    v8i best = {};
    for (long j = 1; j < n; ++j) {
        const v8 score = scores(j);
        const v8i greater = score > max;
        best = greater ? best * 0 + int32_t(j) : best;
        max = greater ? score : max;
    }
    v8 total = {};
    for (long j = 0; j < n; ++j) {
        const v8 e = exp_of_negative(scores(j) - max);
        total += e;
        for (long lane = 0; lane < LANES; ++lane) p[rows[lane] * n + j] = e[lane];
    }
    for (long i = first; i < std::min(first + LANES, end); ++i) {
        for (long j = 0; j < n; ++j) p[i * n + j] /= total[i - first];
        argmax[i] = best[i - first];
        nll[i] = std::log(total[i - first]) - (x[i * n + y[i]] + b[y[i]] - max[i - first]);
    }
}

constexpr long ROWS_OF_A_PART = 64;

// The same for each of n_rows rows, contiguous. False, and nothing written, if a y is not a class.
inline bool softmax(const float* x, const float* b, const int32_t* y, long n_rows, long n, float* p, int32_t* argmax,
                    float* nll) {
    if (std::any_of(y, y + n_rows, [=](int32_t i) { return i < 0 || i >= n; })) return false;
    const long n_parts = (n_rows + ROWS_OF_A_PART - 1) / ROWS_OF_A_PART;
    for_each(n_parts, n_rows * n > 4000, [=](long part) {
        const long end = std::min(n_rows, (part + 1) * ROWS_OF_A_PART);
        for (long i = part * ROWS_OF_A_PART; i < end; i += LANES) softmax_rows(x, b, y, i, end, n, p, argmax, nll);
    });
    return true;
}

}  // namespace kernels
