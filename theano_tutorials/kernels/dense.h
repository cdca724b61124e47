// Matrix products on several threads, and sums over a matrix that is not copied first.
#pragma once

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "memory.h"
#include "threads.h"
#include "vectors.h"

extern "C" void sgemm_(const char* trans_a, const char* trans_b, const int* m, const int* n, const int* k,
                       const float* alpha, const float* a, const int* lda, const float* b, const int* ldb,
                       const float* beta, float* c, const int* ldc);

namespace kernels {

// A matrix that BLAS can read: neighbours within a row, or within a column, are neighbours in memory.
struct Matrix {
    float* data;
    long rows, columns;
    long row_stride, column_stride;  // in floats; one of them is 1

    Matrix transposed() const { return {data, columns, rows, column_stride, row_stride}; }
    Matrix row_range(long from, long to) const {
        return {data + from * row_stride, to - from, columns, row_stride, column_stride};
    }
    Matrix column_range(long from, long to) const {
        return {data + from * column_stride, rows, to - from, row_stride, column_stride};
    }
    Matrix from_last_row() const {
        return {data + (rows - 1) * row_stride, rows, columns, -row_stride, column_stride};
    }
    Matrix from_last_column() const { return transposed().from_last_row().transposed(); }
};

// C = alpha A B + beta C on one thread; the rows of C must be contiguous. BLAS counts by columns, so it gets the
// transposes: C' = alpha B' A' + beta C'.
inline void gemm_part(float alpha, const Matrix& a, const Matrix& b, float beta, const Matrix& c) {
    const int m = c.columns, n = c.rows, k = a.columns;
    const bool rows_of_a = a.column_stride == 1, rows_of_b = b.column_stride == 1;
    const int lda = rows_of_a ? a.row_stride : a.column_stride;
    const int ldb = rows_of_b ? b.row_stride : b.column_stride;
    const int ldc = c.row_stride;
    sgemm_(rows_of_b ? "N" : "T", rows_of_a ? "N" : "T", &m, &n, &k, &alpha, b.data, &ldb, a.data, &lda, &beta,
           c.data, &ldc);
}

constexpr long TILE = 16;                // columns or rows that a part has at least
constexpr long TILE_OF_BLAS = 64;        // which copies the other matrix for each part
constexpr long MAX_PARTS = 16;           // enough for 16 cores
constexpr double FLOPS_OF_A_PART = 2e6;  // about 20 microseconds: ten times what a thread needs to begin

inline long number_of_tiles(long size, long tile) { return (size + tile - 1) / tile; }

// How many parts depends on the sizes alone, so that the result does not depend on the number of threads.
inline long number_of_parts(long size, long tile, double flops) {
    const long n_tiles = number_of_tiles(size, tile);
    long n_parts = 1;
    while (n_parts < MAX_PARTS && 2 * n_parts <= n_tiles && flops >= 2 * n_parts * FLOPS_OF_A_PART) n_parts *= 2;
    return n_parts;
}

// part(from, to) for ranges that make up 0 to size; the last tile may be a smaller one.
template <class Part>
void for_each_range(long size, long tile, double flops, const Part& part) {
    const long n_tiles = number_of_tiles(size, tile), n_parts = number_of_parts(size, tile, flops);
    for_each(n_parts, n_parts > 1, [&](long i) {
        part(std::min(i * n_tiles / n_parts * tile, size), std::min((i + 1) * n_tiles / n_parts * tile, size), i);
    });
}

// element = product + beta element; what was in it does not count where beta is 0, not even NaN.
inline void put(float& element, float product, float beta) {
    element = beta == 0 ? product : product + beta * element;
}

// A few classes: BLAS is at its worst where a matrix has 10 columns. Tiles of 5 columns are held in registers.
constexpr long NARROW = 4 * 5;
constexpr long COLUMN_GROUP = 5;

inline long rounded_up(long n, long multiple) { return number_of_tiles(n, multiple) * multiple; }

constexpr long ROWS = 16;       // of A at once: their sums and a block of w stay in the nearest cache
constexpr long K_BLOCK = 400;

// Adds to sums the products, vector by vector, of N_ROWS rows of x with COLUMN_GROUP rows of w. Fetches one of the rows
// that come ROWS later, since the processor does not guess beyond the end of a row.
template <long N_ROWS>
void dots(const float* x, long x_stride, const float* w, long w_stride, long k, long fetched_row, v8* sums,
          long sums_stride) {
    v8 total[N_ROWS][COLUMN_GROUP];
    for (long row = 0; row < N_ROWS; ++row)
        for (long j = 0; j < COLUMN_GROUP; ++j) total[row][j] = sums[row * sums_stride + j];
    const float* fetched = x + (fetched_row + ROWS) * x_stride;
    const long whole = k / LANES * LANES;
    for (long i = 0; i < whole; i += LANES) {
        __builtin_prefetch(fetched + i, 0, 2);  // into the second cache
        v8 xs[N_ROWS];
        for (long row = 0; row < N_ROWS; ++row) xs[row] = load(x + row * x_stride + i);
        for (long j = 0; j < COLUMN_GROUP; ++j) {
            const v8 ws = in_register(load(w + j * w_stride + i));
            for (long row = 0; row < N_ROWS; ++row) total[row][j] += xs[row] * ws;
        }
    }
    if (whole < k)
        for (long row = 0; row < N_ROWS; ++row) {
            const v8 xs = load_part(x + row * x_stride + whole, k - whole);
            for (long j = 0; j < COLUMN_GROUP; ++j) total[row][j] += xs * load(w + j * w_stride + whole);
        }
    for (long row = 0; row < N_ROWS; ++row)
        for (long j = 0; j < COLUMN_GROUP; ++j) sums[row * sums_stride + j] = total[row][j];
}

// C = alpha A B + beta C, for few columns of B and contiguous rows of A. False if there is no memory for it.
inline bool narrow_gemm(float alpha, const Matrix& a, const Matrix& b, float beta, const Matrix& c) {
    const long k = a.columns, n = c.columns;
    const long k_padded = rounded_up(k + 1, LANES), n_padded = rounded_up(n, COLUMN_GROUP);
    const Scratch<float> w(n_padded * k_padded);
    if (w.empty()) return false;
    std::fill_n(&w[0], n_padded * k_padded, 0.f);
    for (long i = 0; i < k; ++i)
        for (long j = 0; j < n; ++j) w[j * k_padded + i] = b.data[i * b.row_stride + j * b.column_stride];
    for_each_range(c.rows, TILE, 2.0 * c.rows * n * k, [&](long from, long to, long) {
        for (long first = from; first < to; first += ROWS) {
            const long n_rows = std::min(ROWS, to - first);
            v8 sums[ROWS][NARROW] = {};
            for (long i = 0; i < k; i += K_BLOCK)
                for (long row = 0; row < n_rows; row += 2)
                    for (long j = 0; j < n; j += COLUMN_GROUP) {
                        const float* x = a.data + (first + row) * a.row_stride + i;
                        const float* ws = w + j * k_padded + i;
                        const long length = std::min(K_BLOCK, k - i);
                        if (row + 1 < n_rows)
                            dots<2>(x, a.row_stride, ws, k_padded, length, j / COLUMN_GROUP % 2, &sums[row][j], NARROW);
                        else
                            dots<1>(x, a.row_stride, ws, k_padded, length, 0, &sums[row][j], NARROW);
                    }
            for (long row = 0; row < n_rows; ++row)
                for (long j = 0; j < n; ++j)
                    put(c.data[(first + row) * c.row_stride + j], alpha * sum(sums[row][j]), beta);
        }
    });
    return true;
}

// Products of N_VECTORS vectors from each row of x with COLUMN_GROUP columns of d, added over the rows, to rows of
// sums. Fetches what lies so far behind each vector.
template <long N_VECTORS>
void outer_products(const float* x, long x_stride, const float* d, long d_stride, long n_rows, long ahead, float* sums,
                    long sums_stride) {
    v8 total[COLUMN_GROUP][N_VECTORS] = {};
    for (long row = 0; row < n_rows; ++row) {
        v8 xs[N_VECTORS];
        for (long i = 0; i < N_VECTORS; ++i) xs[i] = load(x + row * x_stride + i * LANES);
        __builtin_prefetch(x + row * x_stride + ahead, 0, 2);
        for (long j = 0; j < COLUMN_GROUP; ++j) {
            const v8 ds = in_register(broadcast(d[row * d_stride + j]));
            for (long i = 0; i < N_VECTORS; ++i) total[j][i] += xs[i] * ds;
        }
    }
    for (long j = 0; j < COLUMN_GROUP; ++j)
        for (long i = 0; i < N_VECTORS; ++i) store(sums + j * sums_stride + i * LANES, total[j][i]);
}

// C = alpha A B + beta C, for few columns of B and contiguous columns of A: the gradient of the weights, A' being the
// inputs, a row an example. Each part adds up some of the examples. False if there is no memory for it.
inline bool narrow_gemm_of_transposed(float alpha, const Matrix& a, const Matrix& b, float beta, const Matrix& c) {
    const long n_examples = a.columns, k = a.rows, n = c.columns;
    const long k_whole = k / LANES * LANES, k_padded = rounded_up(k, LANES), n_padded = rounded_up(n, COLUMN_GROUP);
    const double flops = 2.0 * n_examples * n * k;
    // It lies behind this one, and memory has nothing else to do meanwhile.
    const long next_minibatch = n_examples * a.column_stride;
    const long n_parts = number_of_parts(n_examples, TILE, flops), size = n_padded * k_padded;
    const Scratch<float> sums(n_parts * size), d(n_examples * n_padded);
    if (sums.empty() || d.empty()) return false;
    std::fill_n(&sums[0], n_parts * size, 0.f);
    std::fill_n(&d[0], n_examples * n_padded, 0.f);
    for (long row = 0; row < n_examples; ++row)
        for (long j = 0; j < n; ++j) d[row * n_padded + j] = alpha * b.data[row * b.row_stride + j * b.column_stride];
    for_each_range(n_examples, TILE, flops, [&](long from, long to, long part) {
        const float *x = a.data + from * a.column_stride, *ds = d + from * n_padded;
        float* const to_sums = sums + part * size;
        long i = 0;
        for (; i + 2 * LANES <= k; i += 2 * LANES)
            for (long j = 0; j < n; j += COLUMN_GROUP)
                outer_products<2>(x + i, a.column_stride, ds + j, n_padded, to - from, j == 0 ? next_minibatch : 0,
                                  to_sums + j * k_padded + i, k_padded);
        for (; i < k_whole; i += LANES)
            for (long j = 0; j < n; j += COLUMN_GROUP)
                outer_products<1>(x + i, a.column_stride, ds + j, n_padded, to - from, 0, to_sums + j * k_padded + i,
                                  k_padded);
        for (; i < k; ++i)
            for (long j = 0; j < n; ++j) {
                float total = 0;
                for (long row = 0; row < to - from; ++row) total += x[row * a.column_stride + i] * ds[row * n_padded + j];
                to_sums[j * k_padded + i] = total;
            }
    });
    for (long j = 0; j < n; ++j)
        for (long i = 0; i < k; i += LANES) {
            v8 total = load(sums + j * k_padded + i);
            for (long part = 1; part < n_parts; ++part) total += load(sums + part * size + j * k_padded + i);
            for (long lane = 0; lane < std::min(LANES, k - i); ++lane)
                put(c.data[(i + lane) * c.row_stride + j], total[lane], beta);
        }
    return true;
}

// A few examples: copying the weights into the order that BLAS likes costs as much as it brings. C is computed in tiles
// of rows and two vectors, with B as it lies in memory.
constexpr long FEW = 64;
constexpr long TILE_ROWS = 5;

// part(from, to, i, backwards) for ranges of the rows of the weights: in each product of a minibatch the same ones, which
// stay in the cache of their processor. The first half of the parts goes through its rows from the last one: a processor
// fetches what lies ahead of it, out of the cache of another if need be, so both go away from where they meet.
template <class Part>
void for_each_range_of_weights(long n_rows, double flops, const Part& part) {
    const long n_parts = number_of_parts(n_rows, TILE_ROWS, flops);
    for_each_range(n_rows, TILE_ROWS, flops,
                   [&](long from, long to, long i) { part(from, to, i, 2 * (i + 1) <= n_parts); });
}

constexpr long DEPTH = 384;  // of a block of B, which stays in the nearest cache while the rows of C pass

template <long N_ROWS>
void unpacked_tile(float alpha, const float* a, long row_stride, long column_stride, const float* b, long b_stride, long k,
                   float beta, float* c, long c_stride) {
    v8 sums[N_ROWS][2] = {};
    for (long row = 0; row < N_ROWS; ++row) {  // for the next tile
        __builtin_prefetch(c + (N_ROWS + row) * c_stride);
        __builtin_prefetch(c + (N_ROWS + row) * c_stride + TILE - 1);
    }
    for (long i = 0; i < k; ++i) {
        const v8 left = in_register(load(b + i * b_stride)), right = in_register(load(b + i * b_stride + LANES));
        for (long row = 0; row < N_ROWS; ++row) {
            const v8 as = in_register(broadcast(a[row * row_stride + i * column_stride]));
            sums[row][0] += as * left;
            sums[row][1] += as * right;
        }
    }
    for (long row = 0; row < N_ROWS; ++row)
        for (long j = 0; j < 2; ++j) {
            float* const to = c + row * c_stride + j * LANES;
            store(to, beta == 0 ? alpha * sums[row][j] : alpha * sums[row][j] + beta * load(to));
        }
}

// C = alpha A B + beta C for TILE columns.
inline void unpacked_columns(float alpha, const Matrix& a, const float* b, long b_stride, float beta, float* c,
                             long c_stride) {
    static constexpr decltype(&unpacked_tile<1>) tiles[] = {unpacked_tile<1>, unpacked_tile<2>, unpacked_tile<3>,
                                                            unpacked_tile<4>, unpacked_tile<5>};
    for (long i = 0; i < a.columns; i += DEPTH)
        for (long row = 0; row < a.rows; row += TILE_ROWS)
            tiles[std::min(TILE_ROWS, a.rows - row) - 1](
                alpha, a.data + row * a.row_stride + i * a.column_stride, a.row_stride, a.column_stride,
                b + i * b_stride, b_stride, std::min(DEPTH, a.columns - i), i == 0 ? beta : 1, c + row * c_stride,
                c_stride);
}

// C = alpha A B + beta C. c_rest is for the last columns of C where it has no room for a whole tile of them.
inline void unpacked_rows(float alpha, const Matrix& a, const Matrix& b, float* b_rest, float beta, const Matrix& c,
                          float* c_rest) {
    const long whole = c.columns / TILE * TILE, rest = c.columns - whole;
    for (long j = 0; j < whole; j += TILE)
        unpacked_columns(alpha, a, b.data + j, b.row_stride, beta, c.data + j, c.row_stride);
    if (rest == 0) return;
    for (long i = 0; i < b.rows; ++i) {
        std::copy_n(b.data + i * b.row_stride + whole, rest, b_rest + i * TILE);
        std::fill_n(b_rest + i * TILE + rest, TILE - rest, 0.f);
    }
    if (!c_rest) return unpacked_columns(alpha, a, b_rest, TILE, beta, c.data + whole, c.row_stride);
    unpacked_columns(alpha, a, b_rest, TILE, 0, c_rest, TILE);
    for (long row = 0; row < c.rows; ++row)
        for (long j = 0; j < rest; ++j) put(c.data[row * c.row_stride + whole + j], c_rest[row * TILE + j], beta);
}

constexpr double FLOPS_OF_A_SUM = 16;  // to add a float of another part takes about as long as so many

// C = alpha times the sum of the parts + beta C. Each part is a matrix like C whose rows are stride floats apart.
inline void add_parts(const float* parts, long n_parts, long stride, float alpha, float beta, const Matrix& c) {
    const long m = c.rows, n = c.columns;
    for_each_range(n, TILE, FLOPS_OF_A_SUM * n_parts * m * n, [&](long from, long to, long) {
        for (long row = 0; row < m; ++row)
            for (long j = from; j < to; j += LANES) {
                const float* of_part = parts + row * stride + j;
                v8 total = load(of_part);
                for (long part = 1; part < n_parts; ++part) total += load(of_part + part * m * stride);
                total = in_register(alpha * total);
                float* const element = c.data + row * c.row_stride + j;
                if (n - j >= LANES)
                    store(element, beta == 0 ? total : total + beta * load(element));
                else
                    for (long i = 0; i < n - j; ++i) put(element[i], total[i], beta);
            }
    });
}

// C = alpha A B + beta C, for contiguous rows of B and C, and few of one of them. False if there is no memory for it.
inline bool unpacked_gemm(float alpha, const Matrix& a, const Matrix& b, float beta, const Matrix& c) {
    const long k = a.columns, m = c.rows, n = c.columns, n_padded = rounded_up(n, TILE);
    const double flops = 2.0 * m * n * k;
    const long n_parts = number_of_parts(k, TILE_ROWS, flops);
    if (k <= m || n_parts == 1) {
        const long row_parts = number_of_parts(m, TILE_ROWS, flops);
        const Scratch<float> b_rest(row_parts * k * TILE), c_rest(m * TILE);
        if (b_rest.empty() || c_rest.empty()) return false;
        for_each_range_of_weights(m, flops, [&](long from, long to, long part, bool backwards) {
            if (k <= FEW)  // it comes from the thread that has computed it
                for (long i = 0; i < k; ++i)
                    for (long j = 0; j < n; j += TILE) __builtin_prefetch(b.data + i * b.row_stride + j);
            Matrix a_part = a.row_range(from, to), c_part = c.row_range(from, to);
            if (backwards) a_part = a_part.from_last_row(), c_part = c_part.from_last_row();
            unpacked_rows(alpha, a_part, b, b_rest + part * k * TILE, beta, c_part, c_rest + from * TILE);
        });
        return true;
    }
    const Scratch<float> sums(n_parts * m * n_padded), b_rest(k * TILE);
    if (sums.empty() || b_rest.empty()) return false;
    for_each_range_of_weights(k, flops, [&](long from, long to, long part, bool backwards) {
        Matrix a_part = a.column_range(from, to), b_part = b.row_range(from, to);
        if (backwards) a_part = a_part.from_last_column(), b_part = b_part.from_last_row();
        unpacked_rows(alpha, a_part, b_part, b_rest + from * TILE, 0, {sums + part * m * n_padded, m, n, n_padded, 1},
                      nullptr);
    });
    add_parts(sums, n_parts, n_padded, 1, beta, c);
    return true;
}

// The same with each row of the weights read once, from its first element to its last one: that is what counts where there
// are very few examples, or where most inputs are zero, as in images of digits and in samples of binary units. TILE_ROWS
// rows are held in registers, two vectors of each, while the examples pass whose inputs for these rows are not all zero.
constexpr long FEW_INPUTS = 4;             // beyond, unpacked_tile is faster: it does not write sums to memory
constexpr double NEARLY_EMPTY = 0.6;       // unless fewer than so many of the inputs count
constexpr long FEW_DOTS = 16;              // beyond, BLAS is faster
constexpr long FEW_GRADIENTS = 32;         // beyond, unpacked_tile is
constexpr double FLOPS_OF_A_WEIGHT = 16;   // in the time that it takes to come from memory
constexpr long STRIP = 4096;               // floats of the examples, which stay in the nearest cache while rows pass

// Several processors read faster than one.
inline double flops_of_streaming(long n_examples, const Matrix& w) {
    return std::max(2.0 * n_examples, FLOPS_OF_A_WEIGHT) * w.rows * w.columns;
}

// The examples, rows of a, that are not zero in all of its N_INPUTS columns, and these inputs. NaN is not zero.
template <long N_INPUTS>
struct ThatCount {
    long n = 0;
    long examples[FEW];
    float inputs[FEW][N_INPUTS];

    explicit ThatCount(const Matrix& a) {
        for (long example = 0; example < a.rows; ++example) {
            bool counts = false;
            for (long i = 0; i < N_INPUTS; ++i) {
                inputs[n][i] = a.data[example * a.row_stride + i * a.column_stride];
                counts |= inputs[n][i] != 0;
            }
            examples[n] = example;
            n += counts;
        }
    }
};

// strip(from, to) for ranges of columns.
template <class Strip>
void for_each_strip(long n_examples, long n_columns, const Strip& strip) {
    const long width = rounded_up(STRIP / std::max(n_examples, 1L) + 1, TILE);
    for (long from = 0; from < n_columns; from += width) strip(from, std::min(from + width, n_columns));
}

// rows(first, number) for TILE_ROWS rows at a time, then for each of those that are left; the number is a constant.
template <class Rows>
void for_each_tile_of_rows(long n_rows, const Rows& rows) {
    long row = 0;
    for (; row + TILE_ROWS <= n_rows; row += TILE_ROWS) rows(row, std::integral_constant<long, TILE_ROWS>());
    for (; row < n_rows; ++row) rows(row, std::integral_constant<long, 1>());
}

// tile(j, read, write) for each TILE of n columns: read(from, i) and write(to, i, value) of its vector i. Those of the last
// tile keep within the n columns.
template <class OfTile>
void for_each_tile_of_columns(long n, const OfTile& tile) {
    const long whole = n / TILE * TILE;
    for (long j = 0; j < whole; j += TILE)
        tile(
            j, [](const float* from, long i) { return load(from + i * LANES); },
            [](float* to, long i, v8 value) { store(to + i * LANES, value); });
    const auto length = [=](long i) { return std::min(std::max(n - whole - i * LANES, 0L), LANES); };
    if (whole < n)
        tile(
            whole, [=](const float* from, long i) { return load_part(from + i * LANES, length(i)); },
            [=](float* to, long i, v8 value) { store_part(to + i * LANES, value, length(i)); });
}

// Adds a w to sums, for N_ROWS rows of w and as many columns of a.
template <long N_ROWS>
void add_rows(const Matrix& a, const float* w, long w_stride, long n, float* sums, long sums_stride) {
    const ThatCount<N_ROWS> of(a);
    if (of.n == 0) return;
    for_each_tile_of_columns(n, [&](long j, auto read, auto write) {
        v8 ws[N_ROWS][2];
        for (long row = 0; row < N_ROWS; ++row)
            for (long i = 0; i < 2; ++i) ws[row][i] = in_register(read(w + row * w_stride + j, i));
        for (long example = 0; example < of.n; ++example) {
            float* const to = sums + of.examples[example] * sums_stride + j;
            v8 left = read(to, 0), right = read(to, 1);
            for (long row = 0; row < N_ROWS; ++row) {
                const v8 input = in_register(broadcast(of.inputs[example][row]));
                left += input * ws[row][0];
                right += input * ws[row][1];
            }
            write(to, 0, left);
            write(to, 1, right);
        }
    });
}

inline bool is_nearly_empty(const Matrix& a) {
    long n = 0;
    for (long i = 0; i + TILE_ROWS <= a.columns; i += TILE_ROWS) n += ThatCount<TILE_ROWS>(a.column_range(i, i + TILE_ROWS)).n;
    return n * TILE_ROWS < NEARLY_EMPTY * a.rows * a.columns;
}

// C = alpha A W + beta C for few rows of A. False if there is no memory for it.
inline bool streamed_inputs(float alpha, const Matrix& a, const Matrix& w, float beta, const Matrix& c) {
    const double flops = flops_of_streaming(a.rows, w);
    const long n_parts = number_of_parts(w.rows, TILE_ROWS, flops), stride = rounded_up(w.columns, TILE);
    const Scratch<float> sums(n_parts * a.rows * stride);
    if (sums.empty()) return false;
    std::fill_n(&sums[0], n_parts * a.rows * stride, 0.f);
    for_each_range_of_weights(w.rows, flops, [&](long from, long to, long part, bool backwards) {
        Matrix a_part = a.column_range(from, to), w_part = w.row_range(from, to);
        if (backwards) a_part = a_part.from_last_column(), w_part = w_part.from_last_row();
        float* const to_sums = sums + part * a.rows * stride;
        for_each_strip(a.rows, w.columns, [&](long left, long right) {
            for_each_tile_of_rows(to - from, [&](long row, auto n_rows) {
                add_rows<n_rows>(a_part.column_range(row, row + n_rows), w_part.data + row * w_part.row_stride + left,
                                 w_part.row_stride, right - left, to_sums + left, stride);
            });
        });
    });
    add_parts(sums, n_parts, stride, alpha, beta, c);
    return true;
}

// C = alpha A W' + beta C for N_EXAMPLES rows of A and N_ROWS rows of W.
template <long N_EXAMPLES, long N_ROWS>
void dots_with_rows(float alpha, const float* a, long a_stride, const float* w, long w_stride, long n, float beta, float* c,
                    long c_row_stride, long c_column_stride) {
    v8 sums[N_EXAMPLES][N_ROWS] = {};
    const auto add = [&](auto load_from, long j) {
        v8 as[N_EXAMPLES];
        for (long example = 0; example < N_EXAMPLES; ++example)
            as[example] = in_register(load_from(a + example * a_stride + j));
        for (long row = 0; row < N_ROWS; ++row) {
            const v8 ws = in_register(load_from(w + row * w_stride + j));
            for (long example = 0; example < N_EXAMPLES; ++example) sums[example][row] += as[example] * ws;
        }
    };
    const long whole = n / LANES * LANES;
    for (long j = 0; j < whole; j += LANES) add(load, j);
    if (whole < n) add([=](const float* from) { return load_part(from, n - whole); }, whole);
    for (long example = 0; example < N_EXAMPLES; ++example)
        for (long row = 0; row < N_ROWS; ++row)
            put(c[example * c_row_stride + row * c_column_stride], alpha * sum(sums[example][row]), beta);
}

// C = alpha A W' + beta C for few rows of A, which are contiguous.
inline void streamed_dots(float alpha, const Matrix& a, const Matrix& w, float beta, const Matrix& c) {
    const double flops = flops_of_streaming(a.rows, w);
    for_each_range_of_weights(w.rows, flops, [&](long from, long to, long, bool backwards) {
        Matrix w_part = w.row_range(from, to), c_part = c.column_range(from, to);
        if (backwards) w_part = w_part.from_last_row(), c_part = c_part.from_last_column();
        const auto multiply = [&](auto dots, long row, long example) {
            dots(alpha, a.data + example * a.row_stride, a.row_stride, w_part.data + row * w_part.row_stride,
                 w_part.row_stride, w.columns, beta, c_part.data + example * c.row_stride + row * c_part.column_stride,
                 c.row_stride, c_part.column_stride);
        };
        const long paired = a.rows / 2 * 2;
        for_each_tile_of_rows(to - from, [&](long row, auto n_rows) {
            for (long example = 0; example < paired; example += 2) multiply(dots_with_rows<2, n_rows>, row, example);
            if (paired < a.rows) multiply(dots_with_rows<1, n_rows>, row, paired);
        });
    });
}

// W = alpha A D + beta W for N_ROWS rows of W, as many rows of A, and few rows of D.
template <long N_ROWS>
void gradient_of_rows(float alpha, const Matrix& a, const Matrix& d, float beta, float* w, long w_stride) {
    const ThatCount<N_ROWS> of(a.transposed());
    if (of.n == 0 && beta == 1) return;
    for_each_tile_of_columns(d.columns, [&](long j, auto read, auto write) {
        v8 sums[N_ROWS][2] = {};
        for (long example = 0; example < of.n; ++example) {
            const float* from = d.data + of.examples[example] * d.row_stride + j;
            const v8 left = in_register(read(from, 0)), right = in_register(read(from, 1));
            for (long row = 0; row < N_ROWS; ++row) {
                const v8 input = in_register(broadcast(of.inputs[example][row]));
                sums[row][0] += input * left;
                sums[row][1] += input * right;
            }
        }
        for (long row = 0; row < N_ROWS; ++row)
            for (long i = 0; i < 2; ++i) {
                float* const to = w + row * w_stride + j;
                // Rounded as in unpacked_rows, so that the published results stay what they are.
                if (beta == 0)
                    write(to, i, alpha * sums[row][i]);
                else if (j + TILE <= d.columns)
                    write(to, i, alpha * in_register(sums[row][i]) + in_register(beta * read(to, i)));
                else
                    write(to, i, in_register(alpha * sums[row][i]) + beta * read(to, i));
            }
    });
}

// W = alpha A D + beta W for few rows of D.
inline void streamed_gradient(float alpha, const Matrix& a, const Matrix& d, float beta, const Matrix& w) {
    const double flops = flops_of_streaming(d.rows, w);
    for_each_range_of_weights(w.rows, flops, [&](long from, long to, long, bool backwards) {
        Matrix a_part = a.row_range(from, to), w_part = w.row_range(from, to);
        if (backwards) a_part = a_part.from_last_row(), w_part = w_part.from_last_row();
        for_each_strip(d.rows, d.columns, [&](long left, long right) {
            for_each_tile_of_rows(to - from, [&](long row, auto n_rows) {
                gradient_of_rows<n_rows>(alpha, a_part.row_range(row, row + n_rows), d.column_range(left, right), beta,
                                         w_part.data + row * w_part.row_stride + left, w_part.row_stride);
            });
        });
    });
}

// C = alpha A B + beta C. For BLAS, C is cut into parts along its columns, or along its rows where it has few columns.
inline void gemm(float alpha, const Matrix& a, const Matrix& b, float beta, const Matrix& c) {
    if (c.column_stride != 1) return gemm(alpha, b.transposed(), a.transposed(), beta, c.transposed());
    const double flops = 2.0 * c.rows * c.columns * a.columns;
    if (c.columns <= NARROW && flops >= FLOPS_OF_A_PART) {
        if (a.column_stride == 1 && narrow_gemm(alpha, a, b, beta, c)) return;
        if (a.row_stride == 1 && narrow_gemm_of_transposed(alpha, a, b, beta, c)) return;
    }
    if (c.columns >= 2 * TILE && a.columns > 0 && b.column_stride == 1) {
        if (a.columns <= FEW_GRADIENTS && a.columns < c.rows) return streamed_gradient(alpha, a, b, beta, c);
        if ((c.rows <= FEW_INPUTS || (c.rows <= FEW && is_nearly_empty(a))) && streamed_inputs(alpha, a, b, beta, c)) return;
        if (std::min(c.rows, a.columns) <= FEW && unpacked_gemm(alpha, a, b, beta, c)) return;
    }
    if (c.rows <= FEW_DOTS && c.columns >= 2 * TILE && a.columns >= 2 * TILE && a.column_stride == 1 && b.row_stride == 1)
        return streamed_dots(alpha, a, b.transposed(), beta, c);
    if (c.columns >= 2 * TILE_OF_BLAS)
        for_each_range(c.columns, TILE_OF_BLAS, flops, [&](long from, long to, long) {
            gemm_part(alpha, a, b.column_range(from, to), beta, c.column_range(from, to));
        });
    else
        for_each_range(c.rows, TILE_OF_BLAS, flops, [&](long from, long to, long) {
            gemm_part(alpha, a.row_range(from, to), b, beta, c.row_range(from, to));
        });
}

struct Identity {
    v8 operator()(v8 x) const { return x; }
};

struct Square {
    v8 operator()(v8 x) const { return x * x; }
};

struct Magnitude {
    v8 operator()(v8 x) const { return (v8)((v8i)x & INT32_MAX); }
};

constexpr long SUM_BLOCK = 4096;  // floats that are summed in single precision; blocks are added in double
constexpr long BLOCKS_OF_A_PART = 8;

template <class Function>
double sum_of_block(const float* x, long n, Function function) {
    v8 sums[4] = {};
    long i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES)
        for (long j = 0; j < 4; ++j) sums[j] += function(load(x + i + j * LANES));
    for (; i < n; i += LANES) sums[0] += function(load_part(x + i, std::min(LANES, n - i)));
    return sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

// Sum of function(x[i]) over n contiguous floats. part_sums has room for a double a part.
inline long n_parts_of_sum(long n) { return number_of_tiles(n, SUM_BLOCK * BLOCKS_OF_A_PART); }

template <class Function>
double sum_of(const float* x, long n, double* part_sums, Function function) {
    const long n_parts = n_parts_of_sum(n);
    for_each(n_parts, n_parts > 4, [=](long part) {
        const long end = std::min(n, (part + 1) * BLOCKS_OF_A_PART * SUM_BLOCK);
        double total = 0;
        for (long i = part * BLOCKS_OF_A_PART * SUM_BLOCK; i < end; i += SUM_BLOCK)
            total += sum_of_block(x + i, std::min(SUM_BLOCK, end - i), function);
        part_sums[part] = total;
    });
    double total = 0;
    for (long part = 0; part < n_parts; ++part) total += part_sums[part];
    return total;
}

constexpr long ROWS_OF_A_BLOCK = 32;  // are added first, then the blocks

// Sum of function(x[i][j]) over the rows of x, which are contiguous, for each column.
template <class Function>
void column_sums(const float* x, long n_rows, long n_columns, float* sums, Function function) {
    for (long j = 0; j < n_columns; j += LANES) {
        const long length = std::min(LANES, n_columns - j);
        v8 total = {};
        for (long begin = 0; begin < n_rows; begin += ROWS_OF_A_BLOCK) {
            const long end = std::min(n_rows, begin + ROWS_OF_A_BLOCK);
            v8 of_block = {};
            for (long i = begin; i < end; ++i) {
                // Beyond the columns lies the next row, which does not matter; beyond the last row, nothing.
                const float* from = x + i * n_columns + j;
                const bool whole = length == LANES || (i + 1 < n_rows && n_columns >= LANES);
                of_block += function(whole ? load(from) : load_part(from, length));
            }
            total += of_block;
        }
        store_part(sums + j, total, length);
    }
}

struct Tanh {
    v8 operator()(v8 x) const { return tanh(x); }
};

struct Sigmoid {
    v8 operator()(v8 x) const { return sigmoid(x); }
};

struct Softplus {
    v8 operator()(v8 x) const { return softplus(x); }
};

constexpr long MAP_PART = 4096;

// to[i] = function(x[i]) for n contiguous floats.
template <class Function>
void map(const float* x, long n, float* to, Function function) {
    const long n_parts = number_of_tiles(n, MAP_PART);
    for_each(n_parts, n_parts > 8, [=](long part) {
        const long end = std::min(n, (part + 1) * MAP_PART);
        long i = part * MAP_PART;
        for (; i + LANES <= end; i += LANES) store(to + i, function(load(x + i)));
        if (i < end) store_part(to + i, function(load_part(x + i, end - i)), end - i);
    });
}

}  // namespace kernels
