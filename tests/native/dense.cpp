// The dense kernels against plain loops in double precision, and the threads under load. Ends with 0 if all is right.
// Standard output: a line of results' bits, which must not depend on the number of threads.

#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

#include "dense.h"
#include "softmax.h"

// BLAS in three loops: rows and columns are swapped, as BLAS counts by columns.
extern "C" void sgemm_(const char* trans_a, const char* trans_b, const int* m, const int* n, const int* k,
                       const float* alpha, const float* a, const int* lda, const float* b, const int* ldb,
                       const float* beta, float* c, const int* ldc) {
    for (long i = 0; i < *m; ++i)
        for (long j = 0; j < *n; ++j) {
            float total = 0;
            for (long l = 0; l < *k; ++l)
                total += (*trans_a == 'N' ? a[i + l * *lda] : a[l + i * *lda]) *
                         (*trans_b == 'N' ? b[l + j * *ldb] : b[j + l * *ldb]);
            float& element = c[i + j * *ldc];
            element = *alpha * total + (*beta == 0 ? 0 : *beta * element);
        }
}

using namespace kernels;

static std::mt19937 generator(1);
static uint64_t bits = 14695981039346656037u;

static std::vector<float> numbers(long n) {
    std::vector<float> x(n);
    for (float& value : x) value = std::uniform_real_distribution<float>(-1, 1)(generator);
    return x;
}

static void note(const float* x, long n) {
    for (long i = 0; i < n; ++i) {
        uint32_t word;
        std::memcpy(&word, x + i, sizeof word);
        bits = (bits ^ word) * 1099511628211u;
    }
}

static void expect(bool right, const char* what, double a = 0, double b = 0, double c = 0) {
    if (right) return;
    std::fprintf(stderr, "wrong: %s %g %g %g\n", what, a, b, c);
    std::exit(1);
}

// A matrix in a vector of exactly its size, so that a step beyond is a fault.
struct Owned {
    std::vector<float> values;
    Matrix matrix;
    Owned(long rows, long columns, bool by_rows, long gap) {
        const long lines = by_rows ? rows : columns, length = by_rows ? columns : rows;
        values = numbers(lines ? (lines - 1) * (length + gap) + length : 0);
        matrix = {values.data(), rows, columns, by_rows ? length + gap : 1, by_rows ? 1 : length + gap};
    }
    double operator()(long i, long j) const { return values[i * matrix.row_stride + j * matrix.column_stride]; }
};

// An element of a product, and what its rounding errors are relative to. Without sanitizers: those are for the kernels.
__attribute__((noinline, no_sanitize("address"), no_sanitize("undefined"), no_sanitize("thread"))) static void
add_product(float alpha, const float* a, long a_stride, const float* b, long b_stride, long k, double& exact, double& scale) {
    for (long l = 0; l < k; ++l) {
        const double term = double(alpha) * a[l * a_stride] * b[l * b_stride];
        exact += term;
        scale += std::fabs(term);
    }
}

static void test_gemm(long m, long n, long k, int layout, long gap, float alpha, float beta, bool nearly_empty = false) {
    Owned a(m, k, layout & 1, gap), b(k, n, layout & 2, gap), c(m, n, layout & 4, gap);
    if (nearly_empty)  // as images and samples are: most of it zero, in stretches
        for (size_t i = 0; i < a.values.size(); i += 23) std::fill_n(&a.values[i], std::min<size_t>(17, a.values.size() - i), 0.f);
    const Owned before = c;
    if (beta == 0) std::fill(c.values.begin(), c.values.end(), NAN);
    gemm(alpha, a.matrix, b.matrix, beta, c.matrix);
    for (long i = 0; i < m; ++i)
        for (long j = 0; j < n; ++j) {
            double exact = beta == 0 ? 0 : beta * before(i, j), scale = std::fabs(exact);
            add_product(alpha, a.values.data() + i * a.matrix.row_stride, a.matrix.column_stride,
                        b.values.data() + j * b.matrix.column_stride, b.matrix.row_stride, k, exact, scale);
            // Half an ulp for each of the k + 2 roundings, at worst.
            expect(std::fabs(c(i, j) - exact) <= (k + 2) * 6e-8 * scale, "product", m, n, k);
            const float value = c(i, j);
            note(&value, 1);
        }
}

static void test_sums(long n) {
    const std::vector<float> x = numbers(n);
    std::vector<double> part_sums(n_parts_of_sum(n));
    double squares = 0, magnitudes = 0;
    for (float value : x) squares += double(value) * value, magnitudes += std::fabs(value);
    const float found[2] = {float(sum_of(x.data(), n, part_sums.data(), Square())),
                            float(sum_of(x.data(), n, part_sums.data(), Magnitude()))};
    // A lane adds SUM_BLOCK / 32 numbers in single precision.
    expect(std::fabs(found[0] - squares) <= (SUM_BLOCK / 32) * 6e-8 * squares, "sum of squares", n);
    expect(std::fabs(found[1] - magnitudes) <= (SUM_BLOCK / 32) * 6e-8 * magnitudes, "sum of magnitudes", n);
    note(found, 2);
}

static void test_column_sums(long n_rows, long n_columns) {
    const std::vector<float> x = numbers(n_rows * n_columns);
    std::vector<float> sums(n_columns);
    column_sums(x.data(), n_rows, n_columns, sums.data(), Identity());
    for (long j = 0; j < n_columns; ++j) {
        double exact = 0, scale = 0;
        for (long i = 0; i < n_rows; ++i) exact += x[i * n_columns + j], scale += std::fabs(x[i * n_columns + j]);
        expect(std::fabs(sums[j] - exact) <= (ROWS_OF_A_BLOCK + n_rows / ROWS_OF_A_BLOCK) * 6e-8 * scale, "column", j);
    }
    note(sums.data(), n_columns);
}

// In units of the distance to the next float away from zero.
static double ulps(float found, double exact) {
    const float nearest = exact;
    return std::fabs(found - exact) / (std::nextafter(std::fabs(nearest), INFINITY) - std::fabs(nearest));
}

// Every float, or each stride-th.
static void test_functions(uint32_t stride) {
    for (uint64_t word = 0; word < (1ull << 32); word += LANES * stride) {
        v8 x;
        for (long i = 0; i < LANES; ++i) {
            const uint32_t lane = word + i * stride;
            float value;
            std::memcpy(&value, &lane, sizeof value);
            x[i] = value;
        }
        const v8 t = tanh(x), e = exp_of_negative(x), s = sigmoid(x), p = softplus(x);
        for (long i = 0; i < LANES; ++i) {
            if (std::isnan(x[i])) {
                expect(std::isnan(t[i]) && std::isnan(e[i]) && std::isnan(s[i]) && std::isnan(p[i]), "NaN is lost");
                continue;
            }
            expect(ulps(t[i], std::tanh(double(x[i]))) <= 3, "tanh", x[i], t[i]);
            if (x[i] < -87.3f)
                expect(s[i] == 0 && p[i] == 0, "sigmoid or softplus far below zero", x[i], s[i], p[i]);
            else {
                expect(ulps(s[i], 1 / (1 + std::exp(-double(x[i])))) <= 4, "sigmoid", x[i], s[i]);
                const double exact = x[i] > 0 ? x[i] + std::log1p(std::exp(-double(x[i]))) : std::log1p(std::exp(double(x[i])));
                expect(ulps(p[i], exact) <= 4 || (std::isinf(x[i]) && p[i] == x[i]), "softplus", x[i], p[i]);
            }
            if (x[i] > 0) continue;
            if (x[i] < -87.3f)
                expect(e[i] == 0, "exp far below zero", x[i], e[i]);
            else
                expect(ulps(e[i], std::exp(double(x[i]))) <= 2, "exp", x[i], e[i]);
        }
    }
}

static void test_softmax(long n_rows, long n) {
    const std::vector<float> x = numbers(n_rows * n), b = numbers(n);
    std::vector<int32_t> y(n_rows), argmax(n_rows);
    for (int32_t& label : y) label = generator() % n;
    std::vector<float> p(n_rows * n), nll(n_rows);
    expect(softmax(x.data(), b.data(), y.data(), n_rows, n, p.data(), argmax.data(), nll.data()), "labels");
    for (long i = 0; i < n_rows; ++i) {
        double total = 0;
        for (long j = 0; j < n; ++j) total += std::exp(double(x[i * n + j] + b[j]));
        for (long j = 0; j < n; ++j) {
            const double exact = std::exp(double(x[i * n + j] + b[j])) / total;
            // The scores are rounded once when the greatest is taken off, at most 4 in size; exp and the sum add theirs.
            expect(std::fabs(p[i * n + j] - exact) <= (8 + n / LANES) * 6e-8 * exact, "softmax", n_rows, n);
            expect(x[i * n + j] + b[j] <= x[i * n + argmax[i]] + b[argmax[i]], "argmax", n_rows, n);
        }
        expect(std::fabs(nll[i] - (std::log(total) - double(x[i * n + y[i]] + b[y[i]]))) <= (8 + n / LANES) * 6e-7, "nll");
    }
    note(p.data(), p.size());
    note(nll.data(), nll.size());
    if (n_rows) {
        y[n_rows - 1] = n;
        expect(!softmax(x.data(), b.data(), y.data(), n_rows, n, p.data(), argmax.data(), nll.data()), "label too great");
        y[n_rows - 1] = -1;
        expect(!softmax(x.data(), b.data(), y.data(), n_rows, n, p.data(), argmax.data(), nll.data()), "label below 0");
    }
}

// Each part runs once, whoever takes it; also from within a loop, and from several threads at once.
static void test_threads() {
    for (long n = 0; n < 300; ++n) {
        std::vector<int> runs(n), inner(3 * n);
        for_each(n, true, [&](long i) {
            for_each(3, true, [&](long j) { ++inner[3 * i + j]; });
            ++runs[i];
        });
        for (long i = 0; i < n; ++i) expect(runs[i] == 1, "parts", n, i, runs[i]);
        for (long i = 0; i < 3 * n; ++i) expect(inner[i] == 1, "parts within parts", n, i, inner[i]);
    }
    std::vector<std::thread> callers;
    std::atomic<long> total{0};
    for (int caller = 0; caller < 4; ++caller)
        callers.emplace_back([&] {
            for (int i = 0; i < 2000; ++i) for_each(7, true, [&](long) { total.fetch_add(1); });
        });
    for (std::thread& caller : callers) caller.join();
    expect(total == 4 * 2000 * 7, "parts of several callers", total);
}

int main(int, char** arguments) {
    const long sizes[] = {0, 1, 2, 5, 7, 10, 16, 17, 20, 21, 40, 129};
    int layout = 0;
    for (long m : sizes)
        for (long n : sizes)
            for (long k : sizes) {
                test_gemm(m, n, k, layout % 8, layout % 3, layout % 5 ? 1 : -0.13f, layout % 7 ? 0.9f : 0);
                ++layout;
            }
    for (int layout = 0; layout < 8; ++layout)
        for (long gap : {0, 3}) {
            test_gemm(601, 10, 783, layout, gap, 1, 0);
            test_gemm(783, 10, 601, layout, gap, -0.13f, 1);
            test_gemm(20, 501, 784, layout, gap, 1, 0);
            test_gemm(300, 257, 130, layout, gap, 1, 0.5f);
        }
    // Few examples: the layer's output, the gradient of its input, that of its weights.
    for (long n_examples : {1, 2, 3, 4, 5, 10, 17, 32, 33, 64, 65})
        for (bool nearly_empty : {false, true})
            for (int layout : {3, 1}) {
                const bool large = n_examples == 1 || n_examples == 17;  // enough for several parts
                const long n_in = large ? 784 : 88, n_out = large ? 503 : 67;
                test_gemm(n_examples, n_out, n_in, layout, 0, 1, 0, nearly_empty);
                test_gemm(n_examples, n_out, n_in, layout, 2, 0.3f, 0.5f, nearly_empty);
                test_gemm(n_in, n_out, n_examples, layout ^ 1, 0, -0.1f, 1, nearly_empty);
                test_gemm(n_in, n_out, n_examples, layout ^ 1, 1, 1, 0, nearly_empty);
            }
    for (long n : {0, 1, 7, 8, 31, 32, 33, 4095, 4096, 4097, 392000}) test_sums(n);
    for (long n_rows : {0, 1, 3, 64, 65, 600})
        for (long n : {0, 1, 7, 8, 9, 10, 16, 500}) test_column_sums(n_rows, n);
    for (long n_rows : {0, 1, 3, 64, 65, 600})
        for (long n : {1, 2, 8, 10, 16, 17}) test_softmax(n_rows, n);
    const std::vector<float> x = numbers(100003);
    std::vector<float> y(x.size());
    map(x.data(), x.size(), y.data(), Tanh());
    for (size_t i = 0; i < x.size(); ++i) expect(ulps(y[i], std::tanh(double(x[i]))) <= 3, "tanh", x[i], y[i]);
    note(y.data(), y.size());
    test_functions(std::atoi(arguments[1]));
    test_threads();
    std::printf("%016llx\n", (unsigned long long)bits);
}
