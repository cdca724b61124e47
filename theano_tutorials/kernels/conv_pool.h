// Convolution, 2x2 max-pooling, bias and tanh in one pass, and its gradients.
//
// Forward, the filters lie in the lanes of a vector: an input value is broadcast to all of them, the four places of
// a pool are summed side by side in registers, and their maximum goes on to bias and tanh. Backward, only the places
// that were the maximum have a gradient, one in four: both gradients are sums of few scaled rows (add_rows).
#pragma once

#include <algorithm>
#include <utility>

#include "memory.h"
#include "threads.h"
#include "vectors.h"

namespace kernels {

struct ConvPoolSizes {
    long images, channels, height, width, filters, filter_height, filter_width;
    bool flipped;  // as a convolution has its filters; a correlation has not

    long rows() const { return std::max(0L, (height - filter_height + 1) / 2); }
    long columns() const { return std::max(0L, (width - filter_width + 1) / 2); }
    long pools() const { return rows() * columns(); }
    long pixels() const { return channels * height * width; }
    long taps() const { return filter_height * filter_width; }
    // Index in a filter's channel of the tap that meets row y, column x of its window.
    long tap(long y, long x) const {
        const long tap = y * filter_width + x;
        return flipped ? taps() - 1 - tap : tap;
    }
};

static inline long vectors(long floats) { return (floats + LANES - 1) / LANES; }

// The images are cut into parts, which do not depend on the number of threads. Each needs so many floats of memory,
// and has all of it together unless a single one is larger.
static inline long count_parts(long images, long floats) {
    const long parts = 16, all = 1 << 24;
    return std::max(1L, std::min({parts, images, all / std::max(1L, floats)}));
}

static inline long part_begin(long part, long parts, long images) { return images * part / parts; }

static inline bool pays(const ConvPoolSizes& s) {
    return s.images * s.pools() * s.filters * s.channels * s.taps() > 1000000;
}

// ---- Forward ----

constexpr long FILTER_BLOCK = 3;  // vectors of filters at a time: 12 sums, 3 weights and a value fill 16 registers
constexpr long CHUNK = 16384;     // bytes of weights that stay in the first cache
constexpr long POOL_GROUP = 2 * LANES;  // pools of an image at a time

// n vectors of filters cut into blocks of nearly the same size.
static inline long block_begin(long block, long n) {
    const long blocks = std::max(1L, (n + FILTER_BLOCK - 1) / FILTER_BLOCK);
    return n * block / blocks;
}

// Weights in the order in which they are needed: block of filters, channel, tap, filter.
static void pack_filters(const ConvPoolSizes& s, const float* W, float* to) {
    const long n = vectors(s.filters);
    for (long block = 0; block_begin(block, n) < n; ++block) {
        const long begin = block_begin(block, n) * LANES, end = block_begin(block + 1, n) * LANES;
        for (long c = 0; c < s.channels; ++c)
            for (long y = 0; y < s.filter_height; ++y)
                for (long x = 0; x < s.filter_width; ++x)
                    for (long f = begin; f < end; ++f)
                        *to++ = f < s.filters ? W[(f * s.channels + c) * s.taps() + s.tap(y, x)] : 0;
    }
}

template <long N>
using Sums = v8[4][N];

// 32 registers hold three weights beside 12 sums. 16 do not, and GCC knows best which of them to load again.
static inline v8 load_weight(const float* from) {
#ifdef __AVX512VL__
    return in_register(load(from));
#else
    return load(from);
#endif
}

// Add some channels' part to the four places of a pool, each in the same order: equal places stay equal.
template <long N>
static inline void convolve(const ConvPoolSizes& s, const float* image, const float* weights, long channels,
                            Sums<N>& sums) {
    for (long c = 0; c < channels; ++c, image += s.height * s.width)
        for (long y = 0; y < s.filter_height; ++y) {
            const float* x = image + y * s.width;
            for (long i = 0; i < s.filter_width; ++i, ++x, weights += N * LANES) {
                v8 weight[N];
                for (long v = 0; v < N; ++v) weight[v] = load_weight(weights + v * LANES);
                for (long k = 0; k < 4; ++k) {
                    const v8 value = broadcast(x[k / 2 * s.width + k % 2]);
                    for (long v = 0; v < N; ++v) sums[k][v] += weight[v] * value;
                }
            }
        }
}

// Maximum over the four places of a pool, and bit k where place k has it.
static inline void pool_places(const v8 (&places)[4], v8& top, v8i& hits) {
    top = places[0];
    for (long k = 1; k < 4; ++k) top = places[k] > top ? places[k] : top;
    hits = v8i{};
    for (long k = 0; k < 4; ++k) hits |= (places[k] == top) & (1 << k);
}

// Maximum over each pool of a group, and which of its places have it, for one block of filters: [filter][pool].
template <long N>
static void pool_group(const ConvPoolSizes& s, const float* image, const float* weights, long begin, long pools,
                       v8 (&top)[N][POOL_GROUP], v8i (&hits)[N][POOL_GROUP]) {
    Sums<N> kept[POOL_GROUP];
    const long chunk = std::max(1L, CHUNK / (s.taps() * N * 32));
    for (long c = 0; c < s.channels || c == 0; c += chunk) {
        const bool last = c + chunk >= s.channels;
        const float* x = image + c * s.height * s.width;
        const float* w = weights + c * s.taps() * N * LANES;
        for (long i = 0; i < pools; ++i) {
            const long row = (begin + i) / s.columns(), column = (begin + i) % s.columns();
            Sums<N> sums = {};
            if (c)
                for (long k = 0; k < 4 * N; ++k) sums[k / N][k % N] = kept[i][k / N][k % N];
            convolve<N>(s, x + 2 * (row * s.width + column), w, std::min(chunk, s.channels - c), sums);
            if (!last) {
                for (long k = 0; k < 4 * N; ++k) kept[i][k / N][k % N] = sums[k / N][k % N];
                continue;
            }
            for (long v = 0; v < N; ++v)
                pool_places({sums[0][v], sums[1][v], sums[2][v], sums[3][v]}, top[v][i], hits[v][i]);
        }
    }
}

// Pools of up to eight filters, [pool][filter] in whole vectors, to rows of the result, [filter][pool].
static void finish_pools(v8* top, v8i* hits, long pools, const float* bias, long filters, long row, float* out,
                         uint8_t* mask) {
    for (long p = 0; p < pools; p += LANES) {
        transpose(top + p);
        transpose(hits + p);
        const long n = std::min(LANES, pools - p);
        for (long f = 0; f < filters; ++f) {
            const v8 y = tanh(top[p + f] + bias[f]);
            const v8b bits = __builtin_convertvector(hits[p + f], v8b);
            if (n == LANES) {
                store(out + f * row + p, y);
                std::memcpy(mask + f * row + p, &bits, LANES);
            } else {
                store_part(out + f * row + p, y, n);
                std::memcpy(mask + f * row + p, &bits, n);
            }
        }
    }
}

template <long N>
static void pool_block(const ConvPoolSizes& s, const float* image, const float* weights, const float* bias,
                       long filters, float* out, uint8_t* mask) {
    v8 top[N][POOL_GROUP] = {};
    v8i hits[N][POOL_GROUP] = {};
    const long all = s.pools();
    for (long begin = 0; begin < all; begin += POOL_GROUP) {
        const long pools = std::min(POOL_GROUP, all - begin);
        pool_group<N>(s, image, weights, begin, pools, top, hits);
        for (long v = 0; v < N && v * LANES < filters; ++v) {
            const long to = v * LANES * all + begin;
            finish_pools(top[v], hits[v], pools, bias + v * LANES, std::min(LANES, filters - v * LANES), all, out + to,
                         mask + to);
        }
    }
}

// out = tanh(max_pool(convolution of x with W) + b), mask: bit k where place k of a pool is its maximum; all in C
// order. False if there was not enough memory.
static bool conv_pool_tanh(const ConvPoolSizes& s, const float* x, const float* W, const float* b, float* out,
                           uint8_t* mask) {
    const long n = vectors(s.filters), parts = count_parts(s.images, 0);
    const Scratch<float> weights(n * LANES * s.channels * s.taps());
    if (weights.empty()) return false;
    pack_filters(s, W, weights);

    for_each(parts, pays(s), [&](long part) {
        for (long i = part_begin(part, parts, s.images); i < part_begin(part + 1, parts, s.images); ++i)
            for (long block = 0; block_begin(block, n) < n; ++block) {
                const long begin = block_begin(block, n), size = block_begin(block + 1, n) - begin, f = begin * LANES;
                const auto run = size == 3 ? pool_block<3> : size == 2 ? pool_block<2> : pool_block<1>;
                const long to = (i * s.filters + f) * s.pools();
                run(s, x + i * s.pixels(), weights + f * s.channels * s.taps(), b + f,
                    std::min(size * LANES, s.filters - f), out + to, mask + to);
            }
    });
    return true;
}

// ---- Backward ----

// A row of an array, by the index of its first element, and what to multiply it with.
struct Term {
    int32_t from;
    float scale;
};

template <long N>
static void add_rows_of(const float* array, const Term* term, long n, float* to) {
    v8 sums[N];
#pragma GCC unroll 16
    for (long v = 0; v < N; ++v) sums[v] = load(to + v * LANES);
    for (const Term* end = term + n; term != end; ++term) {
        const float* row = array + term->from;
        const v8 scale = broadcast(term->scale);
#pragma GCC unroll 16
        for (long v = 0; v < N; ++v) sums[v] += scale * load(row + v * LANES);
    }
#pragma GCC unroll 16
    for (long v = 0; v < N; ++v) store(to + v * LANES, sums[v]);
}

constexpr long WIDEST = 15;  // sums, which fill 16 registers together with the scale

using AddRows = void (*)(const float*, const Term*, long, float*);

template <size_t... N>
static AddRows add_rows_of_width(long n, std::index_sequence<N...>) {
    static constexpr AddRows all[] = {add_rows_of<N + 1>...};
    return all[n - 1];
}

// to += sum of scale * row over all terms, for rows of so many vectors.
static inline void add_rows(const float* array, const Term* term, long n, long width, float* to) {
    if (width == WIDEST) return add_rows_of<WIDEST>(array, term, n, to);  // of the second layer of LeNet
    const long pieces = (width + WIDEST - 1) / WIDEST;
    for (long piece = 0; piece < pieces; ++piece) {
        const long begin = width * piece / pieces, size = width * (piece + 1) / pieces - begin;
        add_rows_of_width(size, std::make_index_sequence<WIDEST>())(array + begin * LANES, term, n, to + begin * LANES);
    }
}

// How an image lies in memory so that the taps of a window are few long runs. Where one filter row of all channels
// fits two vectors, each pixel is stored with its neighbours to the right, and a whole window is one run. Else the
// channels of a pixel lie side by side, and a filter row is a run.
struct Layout {
    bool narrow;
    long x, y, size;                   // steps of a pixel and all, in floats
    long runs, width;                  // of a window; a run's vectors
    long tap_x, tap_y, tap_c, filter;  // steps and all, in a window whose runs are side by side
    v8i places[16];                    // terms of a pool's places, by mask: (from, 0) of each
    int n_places[16];

    explicit Layout(const ConvPoolSizes& s) : narrow(s.filter_width * s.channels <= 2 * LANES) {
        const long pixel = vectors(narrow ? s.filter_width * s.channels : s.channels) * LANES;
        x = narrow ? s.height * pixel : pixel;
        y = narrow ? pixel : s.width * pixel;
        size = s.height * s.width * pixel + 2 * LANES;
        runs = narrow ? 1 : s.filter_height;
        width = (narrow ? s.filter_height : s.filter_width) * pixel / LANES;
        tap_x = narrow ? 1 : pixel;
        tap_y = narrow ? pixel : width * LANES;
        tap_c = narrow ? s.filter_width : 1;
        filter = runs * width * LANES;
        for (int mask = 0; mask < 16; ++mask) {
            places[mask] = v8i{};
            n_places[mask] = 0;
            for (long k = 0; k < 4; ++k)
                if (mask >> k & 1) places[mask][2 * n_places[mask]++] = place(k);
        }
    }
    long place(long k) const { return k / 2 * y + k % 2 * x; }
};

// Whether a term can hold every index.
static inline bool has_indices(const ConvPoolSizes& s) {
    const Layout at(s);
    return std::max(at.size, s.filters * at.filter) <= INT32_MAX;
}

// Call with (index in a filter in C order, index in the layout) of each of its taps.
template <class Visit>
static inline void visit_taps(const ConvPoolSizes& s, const Layout& at, const Visit& call) {
    for (long c = 0; c < s.channels; ++c)
        for (long y = 0; y < s.filter_height; ++y)
            for (long x = 0; x < s.filter_width; ++x)
                call(c * s.taps() + s.tap(y, x), y * at.tap_y + x * at.tap_x + c * at.tap_c);
}

// Eight pixels of eight channels at a time, between [channel][pixel] and [pixel][channel].
template <class Move>
static inline void visit_tiles(long channels, long pixels, const Move& move) {
    for (long c = 0; c < channels; c += LANES)
        for (long p = 0; p < pixels; p += LANES)
            move(c, std::min(LANES, channels - c), p, std::min(LANES, pixels - p));
}

// Reads nothing from end on.
static void to_layout(const ConvPoolSizes& s, const Layout& at, const float* x, const float* end, float* to) {
    const long all = s.height * s.width;
    // The next image: its channels are too many streams for the processor to foresee.
    for (long i = 0; i < s.pixels(); i += 16) __builtin_prefetch(x + s.pixels() + i, 0, 2);
    if (!at.narrow)
        return visit_tiles(s.channels, all, [&](long c, long n_c, long p, long n_p) {
            v8 tile[LANES] = {};
            const float* from = x + c * all + p;
            float* cell = to + p * at.x + c;
            if (n_p == LANES) {
                for (long i = 0; i < LANES; ++i)
                    if (i < n_c) tile[i] = load(from + i * all);
                transpose(tile);
                for (long i = 0; i < LANES; ++i) store(cell + i * at.x, tile[i]);
                return;
            }
            for (long i = 0; i < n_c; ++i) tile[i] = load_part(from + i * all, n_p);
            transpose(tile);
            for (long i = 0; i < n_p; ++i) store(cell + i * at.x, tile[i]);
        });
    const long height = s.height, width = s.width, channels = s.channels, filter_width = s.filter_width, step = at.y;
    for (long column = 0; column + filter_width <= width; ++column) {
        float* cell = to + column * at.x;
        for (long row = 0; row < height; ++row, cell += step)
            for (long c = 0; c < channels; ++c)
                // What is too much comes into the next cell, before that is written.
                for (long i = 0; i < filter_width; i += LANES) {
                    const float* from = x + c * all + row * width + column + i;
                    store(cell + c * filter_width + i, end - from >= LANES ? load(from) : load_part(from, end - from));
                }
    }
}

static void from_layout(const ConvPoolSizes& s, const Layout& at, const float* from, float* x) {
    const long all = s.height * s.width;
    if (!at.narrow)
        return visit_tiles(s.channels, all, [&](long c, long n_c, long p, long n_p) {
            v8 tile[LANES] = {};
            const float* cell = from + p * at.x + c;
            float* to = x + c * all + p;
            if (n_p == LANES) {
                for (long i = 0; i < LANES; ++i) tile[i] = load(cell + i * at.x);
                transpose(tile);
                for (long i = 0; i < LANES; ++i)
                    if (i < n_c) store(to + i * all, tile[i]);
                return;
            }
            for (long i = 0; i < n_p; ++i) tile[i] = load(cell + i * at.x);
            transpose(tile);
            for (long i = 0; i < n_c; ++i) store_part(to + i * all, tile[i], n_p);
        });
    std::fill(x, x + s.pixels(), 0.f);
    for (long column = 0; column + s.filter_width <= s.width; ++column)
        for (long row = 0; row < s.height; ++row)
            for (long c = 0; c < s.channels; ++c) {
                const float* cell = from + column * at.x + row * at.y + c * s.filter_width;
                float* to = x + c * all + row * s.width + column;
                for (long i = 0; i < s.filter_width; ++i) to[i] += cell[i];
            }
}

// g = gout * (1 - out^2), the gradient of what tanh was applied to; returns its sum.
static inline float tanh_grad(const float* out, const float* gout, long n, float* g) {
    v8 sums = {};
    long i = 0;
    for (; i + LANES <= n; i += LANES) {
        const v8 y = load(out + i), slope = load(gout + i) * (1 - y * y);
        store(g + i, slope);
        sums += slope;
    }
    if (i < n) {
        const v8 y = load_part(out + i, n - i), slope = load_part(gout + i, n - i) * (1 - y * y);
        store_part(g + i, slope, n - i);
        sums += slope;
    }
    return sum(sums);
}

// Memory for a mark of each pool of an image, and for over_windows() behind them.
static inline long marks_size(const ConvPoolSizes& s) { return s.pools() + 2 * s.height * s.width; }

// From a mark of each pixel that of the window that begins there: all of its pixels' combined with the first one. rows
// has room for as many.
template <class Combine>
static inline void over_windows(const ConvPoolSizes& s, uint8_t* __restrict__ marks, uint8_t* __restrict__ rows,
                                uint8_t first, const Combine& combine) {
    const long all = s.height * s.width;
    std::fill(rows, rows + all, first);
    for (long d = 0; d < s.filter_width; ++d) {
        const uint8_t* __restrict__ from = marks + d;
        for (long i = 0; i < all - d; ++i) rows[i] = combine(rows[i], from[i]);
    }
    std::fill(marks, marks + all, first);
    for (long d = 0; d < s.filter_height; ++d) {
        const uint8_t* __restrict__ from = rows + d * s.width;
        const long n = all - d * s.width;
        for (long i = 0; i < n; ++i) marks[i] = combine(marks[i], from[i]);
    }
}

// For each pool, a bit for each of its four windows that has a value other than zero. In the background of an image, where
// all four are equal, none has: a window of zeros has no part in the filters' gradient, even if its own is not finite.
static void find_live(const ConvPoolSizes& s, const float* x, uint8_t* __restrict__ live) {
    const long all = s.height * s.width;
    uint8_t* __restrict__ a = live + s.pools();
    std::fill(a, a + all, 0);
    for (long c = 0; c < s.channels; ++c, x += all)
        for (long i = 0; i < all; ++i) a[i] |= x[i] != 0;
    over_windows(s, a, a + all, 0, [](uint8_t a, uint8_t b) -> uint8_t { return a | b; });
    for (long row = 0; row < s.rows(); ++row)
        for (long column = 0; column < s.columns(); ++column) {
            const uint8_t* first = a + 2 * (row * s.width + column);
            *live++ = first[0] | first[1] << 1 | first[s.width] << 2 | first[s.width + 1] << 3;
        }
}

// dW += gradient of the filters on one image.
static void add_filter_grad(const ConvPoolSizes& s, const Layout& at, const float* pixels, const float* g,
                            const uint8_t* mask, const uint8_t* live, Term* terms, float* dW) {
    const long rows = s.rows(), columns = s.columns(), x_step = 2 * at.x, y_step = 2 * at.y;
    for (long f = 0; f < s.filters; ++f, dW += at.filter) {
        Term* end = terms;
        const uint8_t* of_pool = live;
        for (long row = 0; row < rows; ++row) {
            int32_t first = row * y_step;
            for (long column = 0; column < columns; ++column, first += x_step) {
                int32_t scale;
                std::memcpy(&scale, g++, sizeof scale);
                // Four are written in any case: a branch for each would be taken by chance.
                const int hits = *mask++ & *of_pool++;
                const v8i four = at.places[hits] + v8i{first, scale, first, scale, first, scale, first, scale};
                std::memcpy(end, &four, sizeof four);
                end += at.n_places[hits];
            }
        }
        for (long run = 0; run < at.runs; ++run)
            add_rows(pixels + run * at.y, terms, end - terms, at.width, dW + run * at.width * LANES);
    }
}

// dx = gradient of one image, in the layout. terms has place for POOL_GROUP * 4 * filters.
static void image_grad(const ConvPoolSizes& s, const Layout& at, const float* W, const float* g, const uint8_t* mask,
                       Term* terms, float* dx) {
    std::fill(dx, dx + at.size, 0.f);
    const long all = s.pools(), filters = s.filters, step = at.filter;
    for (long begin = 0; begin < all; begin += POOL_GROUP) {
        long counts[POOL_GROUP * 4];
        const long pools = std::min(POOL_GROUP, all - begin);
        for (long p = 0; p < pools; ++p) {
            Term* lists[4];
            for (long k = 0; k < 4; ++k) lists[k] = terms + (p * 4 + k) * filters;
            long from = begin + p;
            for (long f = 0; f < filters; ++f, from += all) {
                const Term term = {static_cast<int32_t>(f * step), g[from]};
                for (long k = 0; k < 4; ++k) {
                    *lists[k] = term;
                    lists[k] += mask[from] >> k & 1;
                }
            }
            for (long k = 0; k < 4; ++k) counts[p * 4 + k] = lists[k] - (terms + (p * 4 + k) * filters);
        }
        for (long run = 0; run < at.runs; ++run)
            for (long p = 0; p < pools; ++p) {
                const long row = (begin + p) / s.columns(), column = (begin + p) % s.columns();
                float* to = dx + 2 * (row * at.y + column * at.x) + run * at.y;
                for (long k = 0; k < 4; ++k)
                    add_rows(W + run * at.width * LANES, terms + (p * 4 + k) * s.filters, counts[p * 4 + k], at.width,
                             to + at.place(k));
            }
    }
}

// dW and db from those of the parts.
static void sum_parts(const ConvPoolSizes& s, const Layout& at, long parts, float* sums, const double* bias_sums,
                      float* dW, float* db) {
    const long n_dW = s.filters * at.filter;
    for_each(s.filters, pays(s), [&](long f) {
        double bias_total = 0;
        for (long part = 0; part < parts; ++part) bias_total += bias_sums[part * s.filters + f];
        db[f] = bias_total;
        float* total = sums + f * at.filter;
        for (long part = 1; part < parts; ++part)
            for (long i = 0; i < at.filter; i += LANES)
                store(total + i, load(total + i) + load(total + part * n_dW + i));
        visit_taps(s, at, [&](long to, long from) { dW[f * s.channels * s.taps() + to] = total[from]; });
    });
}

// Gradients of conv_pool_tanh, given gout, that of its output; dx may be null. False if there was not enough memory.
static bool conv_pool_tanh_grad(const ConvPoolSizes& s, const float* x, const float* W, const float* out,
                                const uint8_t* mask, const float* gout, float* dW, float* db, float* dx) {
    const Layout at(s);
    const long map = s.filters * s.pools(), n_dW = s.filters * at.filter;
    const long n_terms = 4 * std::max(s.pools(), dx ? POOL_GROUP * s.filters : 0);
    const long parts = count_parts(s.images, map + n_dW + at.size + 2 * n_terms);
    const Scratch<float> weights(dx ? n_dW : 0), pixels(parts * at.size), slopes(parts * map), sums(parts * n_dW);
    const Scratch<double> bias_sums(parts * s.filters);
    const Scratch<uint8_t> live(parts * marks_size(s));
    const Scratch<Term> terms(parts * n_terms);
    if (weights.empty() || pixels.empty() || slopes.empty() || sums.empty() || bias_sums.empty() || terms.empty() ||
        live.empty())
        return false;
    if (dx) {
        std::fill(&weights[0], &weights[n_dW], 0.f);
        for (long f = 0; f < s.filters; ++f)
            visit_taps(s, at, [&](long from, long to) {
                weights[f * at.filter + to] = W[f * s.channels * s.taps() + from];
            });
    }

    for_each(parts, pays(s), [&](long part) {
        float *image = pixels + part * at.size, *g = slopes + part * map, *part_dW = sums + part * n_dW;
        double* part_db = bias_sums + part * s.filters;
        Term* part_terms = terms + part * n_terms;
        uint8_t* part_live = live + part * marks_size(s);
        std::fill(image, image + at.size, 0.f);  // what fills up a pixel is computed with, to no effect: not with NaN
        std::fill(part_dW, part_dW + n_dW, 0.f);
        std::fill(part_db, part_db + s.filters, 0.);
        for (long i = part_begin(part, parts, s.images); i < part_begin(part + 1, parts, s.images); ++i) {
            for (long f = 0; f < s.filters; ++f) {
                const long from = i * map + f * s.pools();
                part_db[f] += tanh_grad(out + from, gout + from, s.pools(), g + f * s.pools());
            }
            to_layout(s, at, x + i * s.pixels(), x + s.images * s.pixels(), image);
            find_live(s, x + i * s.pixels(), part_live);
            add_filter_grad(s, at, image, g, mask + i * map, part_live, part_terms, part_dW);
            if (!dx) continue;
            image_grad(s, at, weights, g, mask + i * map, part_terms, image);
            from_layout(s, at, image, dx + i * s.pixels());
        }
    });

    sum_parts(s, at, parts, sums, bias_sums, dW, db);
    return true;
}

}  // namespace kernels
