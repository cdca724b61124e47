// conv_pool.h for filters of 5 x 5 and several channels, with a sixth of its multiplications: Winograd's minimal
// filtering F(4x4, 5x5), see Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016.
//
// A tile of 8 x 8 pixels gives 4 x 4 values of the convolution, which are 2 x 2 pools. With d a channel of the tile and
// w a filter's, they are A' [(G w G') . (B' d B)] A, summed over the channels before A is applied: for each of the 64
// places within the brackets, a product of matrices. The gradients are those of this formula. Rounding errors are
// about 1e-5 of the values' scale, five times those of conv_pool.h.
#pragma once

#include "conv_pool.h"

namespace kernels {
namespace winograd {

constexpr long TAPS = 5, SIDE = 8, STEP = 4, PLACES = SIDE * SIDE;
constexpr long TILES = 16;  // at a time, so that what they need stays in the second cache
constexpr long ROWS = 4;    // of a product at a time: 4 x 3 sums, 3 vectors and a value fill 16 registers

// Values of the polynomial with these coefficients at 0, 1, -1, 2, -2, 1/2, -1/2 and infinity, with the factors that
// make B' what it is.
constexpr float G[SIDE][TAPS] = {
    {1, 0, 0, 0, 0},
    {-2.f / 9, -2.f / 9, -2.f / 9, -2.f / 9, -2.f / 9},
    {-2.f / 9, 2.f / 9, -2.f / 9, 2.f / 9, -2.f / 9},
    {1.f / 90, 2.f / 90, 4.f / 90, 8.f / 90, 16.f / 90},
    {1.f / 90, -2.f / 90, 4.f / 90, -8.f / 90, 16.f / 90},
    {32.f / 45, 16.f / 45, 8.f / 45, 4.f / 45, 2.f / 45},
    {32.f / 45, -16.f / 45, 8.f / 45, -4.f / 45, 2.f / 45},
    {0, 0, 0, 0, 1},
};

// What the points 1 and -1, 2 and -2, 1/2 and -1/2 give is the even part of a polynomial plus or minus its odd part.
static inline void store_pairs(v8* x, long step, const v8 (&even)[3], const v8 (&odd)[3]) {
    for (long i = 0; i < 3; ++i) {
        x[(2 * i + 1) * step] = even[i] + odd[i];
        x[(2 * i + 2) * step] = even[i] - odd[i];
    }
}

// The transposed of that: sums and differences of each pair.
static inline void load_pairs(const v8* x, long step, v8 (&sum)[3], v8 (&dif)[3]) {
    for (long i = 0; i < 3; ++i) {
        sum[i] = x[(2 * i + 1) * step] + x[(2 * i + 2) * step];
        dif[i] = x[(2 * i + 1) * step] - x[(2 * i + 2) * step];
    }
}

// x = B' x.
static inline void transform_input(v8* x, long step) {
    v8 d[SIDE];
    for (long i = 0; i < SIDE; ++i) d[i] = x[i * step];
    x[0] = d[0] - d[6] + 5.25f * (d[4] - d[2]);
    x[7 * step] = d[7] - d[1] + 5.25f * (d[3] - d[5]);
    store_pairs(x, step,
                {d[2] - 4.25f * d[4] + d[6], .25f * d[2] - 1.25f * d[4] + d[6], 4 * d[2] - 5 * d[4] + d[6]},
                {d[1] - 4.25f * d[3] + d[5], .5f * d[1] - 2.5f * d[3] + 2 * d[5], 2 * d[1] - 2.5f * d[3] + .5f * d[5]});
}

// x = B x.
static inline void transform_input_grad(v8* x, long step) {
    const v8 first = x[0], last = x[7 * step];
    v8 sum[3], dif[3];
    load_pairs(x, step, sum, dif);
    x[step] = dif[0] + .5f * dif[1] + 2 * dif[2] - last;
    x[2 * step] = sum[0] + .25f * sum[1] + 4 * sum[2] - 5.25f * first;
    x[3 * step] = 5.25f * last - 4.25f * dif[0] - 2.5f * (dif[1] + dif[2]);
    x[4 * step] = 5.25f * first - 4.25f * sum[0] - 1.25f * sum[1] - 5 * sum[2];
    x[5 * step] = dif[0] + 2 * dif[1] + .5f * dif[2] - 5.25f * last;
    x[6 * step] = sum[0] + sum[1] + sum[2] - first;
}

// The first four of x = A' x.
static inline void transform_output(v8* x, long step) {
    v8 sum[3], dif[3];
    load_pairs(x, step, sum, dif);
    x[0] += sum[0] + sum[1] + sum[2];
    x[step] = dif[0] + 2 * dif[1] + .5f * dif[2];
    x[2 * step] = sum[0] + 4 * sum[1] + .25f * sum[2];
    x[3 * step] = dif[0] + 8 * dif[1] + .125f * dif[2] + x[7 * step];
}

// x = A of the first four of x.
static inline void transform_output_grad(v8* x, long step) {
    const v8 y0 = x[0], y1 = x[step], y2 = x[2 * step], y3 = x[3 * step];
    store_pairs(x, step, {y0 + y2, y0 + 4 * y2, y0 + .25f * y2}, {y1 + y3, 2 * y1 + 8 * y3, .5f * y1 + .125f * y3});
    x[7 * step] = y3;
}

// Tiles of all images, and how their values lie: [place][tile][channel or filter], in whole vectors.
struct Tiling {
    long columns, per_image, channels, filters;

    explicit Tiling(const ConvPoolSizes& s)
        : columns((s.columns() + 1) / 2),
          per_image((s.rows() + 1) / 2 * columns),
          channels(vectors(s.channels) * LANES),
          filters(vectors(s.filters) * LANES) {}
    long row(long tile) const { return tile % per_image / columns; }
    long column(long tile) const { return tile % per_image % columns; }
    bool begins(long tile) const { return tile % per_image == 0; }
    bool ends(long tile) const { return (tile + 1) % per_image == 0; }
};

// call(pool within the image, its first value in the tile) for the four pools of a tile.
template <class Visit>
static inline void visit_pools(const ConvPoolSizes& s, long row, long column, const Visit& call) {
    for (long y = 0; y < 2; ++y)
        for (long x = 0; x < 2; ++x)
            if (2 * row + y < s.rows() && 2 * column + x < s.columns())
                call((2 * row + y) * s.columns() + 2 * column + x, 2 * (y * SIDE + x));
}

// call(pixel within the image, place in the tile) for those of a tile that are within the image.
template <class Visit>
static inline void visit_pixels(const ConvPoolSizes& s, long row, long column, const Visit& call) {
    const long height = std::min(SIDE, s.height - STEP * row), width = std::min(SIDE, s.width - STEP * column);
    for (long y = 0; y < height; ++y)
        for (long x = 0; x < width; ++x) call((STEP * row + y) * s.width + STEP * column + x, y * SIDE + x);
}

// to = a b, or to += a b. a has element (row, i) at row * row_step + i * step, and whole ROWS of them; b and to have
// rows of so many vectors.
template <long N>
static inline void multiply_columns(const float* a, long row_step, long step, long rows, const float* b, long b_step,
                                    long length, float* to, long to_step, bool add) {
    for (long row = 0; row < rows; row += ROWS, a += ROWS * row_step, to += ROWS * to_step) {
        v8 sums[ROWS][N] = {};
        for (long i = 0; i < length; ++i) {
            v8 right[N];
            for (long v = 0; v < N; ++v) right[v] = load_weight(b + i * b_step + v * LANES);
            for (long r = 0; r < ROWS; ++r) {
                const v8 left = broadcast(a[r * row_step + i * step]);
                for (long v = 0; v < N; ++v) sums[r][v] += left * right[v];
            }
        }
        for (long r = 0; r < ROWS; ++r)
            for (long v = 0; v < N; ++v) {
                float* at = to + r * to_step + v * LANES;
                store(at, add ? load(at) + sums[r][v] : sums[r][v]);
            }
    }
}

static inline void multiply(const float* a, long row_step, long step, long rows, const float* b, long b_step,
                            long length, float* to, long to_step, bool add) {
    const long n = b_step / LANES;
    for (long block = 0; block_begin(block, n) < n; ++block) {
        const long begin = block_begin(block, n), size = block_begin(block + 1, n) - begin;
        const auto run = size == 3 ? multiply_columns<3> : size == 2 ? multiply_columns<2> : multiply_columns<1>;
        run(a, row_step, step, rows, b + begin * LANES, b_step, length, to + begin * LANES, to_step, add);
    }
}

static inline long whole_rows(long n) { return (n + ROWS - 1) / ROWS * ROWS; }

// G w G' of all filters: [place][channel][filter], or [place][filter][channel] for the gradients.
static void transform_filters(const ConvPoolSizes& s, const float* W, bool for_grad, float* to) {
    const long lanes = for_grad ? s.channels : s.filters, others = for_grad ? s.filters : s.channels;
    const long in_rows = vectors(lanes) * LANES;
    for (long other = 0; other < others; ++other)
        for (long first = 0; first < lanes; first += LANES) {
            v8 taps[TAPS][TAPS] = {}, half[SIDE][TAPS] = {};
            for (long lane = 0; lane < std::min(LANES, lanes - first); ++lane) {
                const long c = for_grad ? first + lane : other, f = for_grad ? other : first + lane;
                const float* w = W + (f * s.channels + c) * s.taps();
                for (long y = 0; y < TAPS; ++y)
                    for (long x = 0; x < TAPS; ++x) taps[y][x][lane] = w[s.tap(y, x)];
            }
            for (long i = 0; i < SIDE; ++i)
                for (long y = 0; y < TAPS; ++y)
                    for (long x = 0; x < TAPS; ++x) half[i][x] += G[i][y] * taps[y][x];
            for (long i = 0; i < PLACES; ++i) {
                v8 place = {};
                for (long x = 0; x < TAPS; ++x) place += G[i % SIDE][x] * half[i / SIDE][x];
                store(to + (i * others + other) * in_rows + first, place);
            }
        }
}

// B' d B of the tile's channels.
static void transform_tile(const ConvPoolSizes& s, const Tiling& at, const float* image, long tile, float* to) {
    for (long c = 0; c < at.channels; c += LANES) {
        v8 d[PLACES] = {};
        visit_pixels(s, at.row(tile), at.column(tile),
                     [&](long pixel, long place) { d[place] = load(image + pixel * at.channels + c); });
        for (long i = 0; i < SIDE; ++i) transform_input(d + i, SIDE);
        for (long i = 0; i < SIDE; ++i) transform_input(d + SIDE * i, 1);
        for (long i = 0; i < PLACES; ++i) store(to + i * TILES * at.channels + c, d[i]);
    }
}

// Adds B d B' of the tile's channels to the image.
static void add_tile(const ConvPoolSizes& s, const Tiling& at, const float* from, long tile, float* image) {
    for (long c = 0; c < at.channels; c += LANES) {
        v8 d[PLACES];
        for (long i = 0; i < PLACES; ++i) d[i] = load(from + i * TILES * at.channels + c);
        for (long i = 0; i < SIDE; ++i) transform_input_grad(d + i, SIDE);
        for (long i = 0; i < SIDE; ++i) transform_input_grad(d + SIDE * i, 1);
        visit_pixels(s, at.row(tile), at.column(tile), [&](long pixel, long place) {
            float* to = image + pixel * at.channels + c;
            store(to, load(to) + d[place]);
        });
    }
}

// G' w G of the filters' sums, [place][filter][channel], to filters in the layout.
static void transform_sums(const ConvPoolSizes& s, const Tiling& at, const Layout& layout, const float* sums,
                           float* to) {
    for (long f = 0; f < s.filters; ++f)
        for (long c = 0; c < at.channels; c += LANES) {
            v8 half[TAPS][SIDE] = {};
            for (long i = 0; i < PLACES; ++i) {
                const v8 place = load(sums + (i * at.filters + f) * at.channels + c);
                for (long y = 0; y < TAPS; ++y) half[y][i % SIDE] += G[i / SIDE][y] * place;
            }
            for (long y = 0; y < TAPS; ++y)
                for (long x = 0; x < TAPS; ++x) {
                    v8 tap = {};
                    for (long i = 0; i < SIDE; ++i) tap += G[i][x] * half[y][i];
                    store(to + f * layout.filter + y * layout.tap_y + x * layout.tap_x + c, tap);
                }
        }
}

// Slopes of tanh's argument and masks of the pools of up to eight filters, [pool][filter] in whole vectors, from rows
// [filter][pool]; adds the slopes to db.
static void begin_pools(long pools, long filters, const float* out, const float* gout, const uint8_t* mask, double* db,
                        v8* g, v8i* hits) {
    for (long p = 0; p < pools; p += LANES) {
        const long n = std::min(LANES, pools - p);
        for (long f = 0; f < LANES; ++f) {
            v8 y = {}, slope = {};
            v8b bits = {};
            if (f < filters) {
                const long from = f * pools + p;
                if (n == LANES) {
                    y = load(out + from);
                    slope = load(gout + from);
                    std::memcpy(&bits, mask + from, LANES);
                } else {
                    y = load_part(out + from, n);
                    slope = load_part(gout + from, n);
                    std::memcpy(&bits, mask + from, n);
                }
                slope *= 1 - y * y;
                db[f] += sum(slope);
            }
            g[p + f] = slope;
            hits[p + f] = __builtin_convertvector(bits, v8i);
        }
        transpose(g + p);
        transpose(hits + p);
    }
}

// Pairs of a pool's four places, each with the smaller one first.
constexpr int PAIRS[6][2] = {{0, 1}, {0, 2}, {0, 3}, {1, 2}, {1, 3}, {2, 3}};

// For each pool, a bit for each pair of its windows that are equal in the first channels. False if there is none.
static bool find_equal(const ConvPoolSizes& s, const float* x, long channels, uint8_t* __restrict__ equal) {
    const long all = s.height * s.width, rows = s.rows(), columns = s.columns();
    uint8_t* __restrict__ a = equal + s.pools();
    std::fill(equal, equal + s.pools(), 0);
    uint8_t any = 0;
    for (const long step : {1L, s.width - 1, s.width, s.width + 1}) {
        std::fill(a, a + all, 1);
        for (long c = 0; c < channels; ++c) {
            const float* channel = x + c * all;
            for (long i = 0; i + step < all; ++i) a[i] &= channel[i] == channel[i + step];
        }
        over_windows(s, a, a + all, 1, [](uint8_t a, uint8_t b) -> uint8_t { return a & b; });
        for (long pair = 0; pair < 6; ++pair) {
            const long from = PAIRS[pair][0], to = PAIRS[pair][1];
            if ((to / 2 - from / 2) * s.width + to % 2 - from % 2 != step) continue;
            for (long p = 0; p < rows * columns; ++p) {
                const long pixel = (2 * (p / columns) + from / 2) * s.width + 2 * (p % columns) + from % 2;
                equal[p] |= a[pixel] << pair;
                any |= a[pixel];
            }
        }
    }
    return any;
}

// A' y A of the tile's filters, and the maximum over each pool of it.
static void pool_tile(const ConvPoolSizes& s, const Tiling& at, const float* from, long tile, const uint8_t* equal,
                      v8* top, v8i* hits) {
    v8 y[PLACES];
    for (long i = 0; i < PLACES; ++i) y[i] = load(from + i * TILES * at.filters);
    for (long i = 0; i < SIDE; ++i) transform_output(y + i, SIDE);
    for (long i = 0; i < STEP; ++i) transform_output(y + SIDE * i, 1);
    visit_pools(s, at.row(tile), at.column(tile), [&](long pool, long first) {
        v8 places[4] = {y[first], y[first + 1], y[first + SIDE], y[first + SIDE + 1]};
        for (long pair = 0; equal && pair < 6; ++pair)
            if (equal[pool] >> pair & 1) places[PAIRS[pair][1]] = places[PAIRS[pair][0]];
        pool_places(places, top[pool], hits[pool]);
    });
}

// A y A' of the tile's filters, where y is the gradient of the places that were a maximum.
static void transform_grad(const ConvPoolSizes& s, const Tiling& at, const v8* g, const v8i* hits, long tile,
                           float* to) {
    v8 y[PLACES] = {};
    visit_pools(s, at.row(tile), at.column(tile), [&](long pool, long first) {
        for (int k = 0; k < 4; ++k)
            y[first + k / 2 * SIDE + k % 2] = (v8)((v8i)g[pool] & ((hits[pool] & (1 << k)) != 0));
    });
    for (long i = 0; i < STEP; ++i) transform_output_grad(y + SIDE * i, 1);
    for (long i = 0; i < SIDE; ++i) transform_output_grad(y + i, SIDE);
    for (long i = 0; i < PLACES; ++i) store(to + i * TILES * at.filters, y[i]);
}

// out and mask as conv_pool_tanh has them.
static bool conv_pool_tanh(const ConvPoolSizes& s, const float* x, const float* W, const float* b, float* out,
                           uint8_t* mask) {
    const Tiling at(s);
    const Layout layout(s);
    const long n = at.filters / LANES, pools = vectors(s.pools()) * LANES, map = s.filters * s.pools();
    const long n_in = PLACES * TILES * at.channels, n_out = PLACES * TILES * at.filters;
    const long parts = count_parts(s.images, layout.size + n_in + n_out + 2 * n * pools * LANES);
    const Scratch<float> filters(PLACES * s.channels * at.filters), pixels(parts * layout.size);
    const Scratch<float> ins(parts * n_in), outs(parts * n_out);
    const Scratch<v8> tops(parts * n * pools);
    const Scratch<v8i> hits(parts * n * pools);
    const Scratch<uint8_t> bytes(parts * marks_size(s));
    if (filters.empty() || pixels.empty() || ins.empty() || outs.empty() || tops.empty() || hits.empty() ||
        bytes.empty())
        return false;
    transform_filters(s, W, false, filters);

    for_each(parts, pays(s), [&](long part) {
        float *image = pixels + part * layout.size, *in = ins + part * n_in, *values = outs + part * n_out;
        v8* top = tops + part * n * pools;
        v8i* hit = hits + part * n * pools;
        uint8_t* equal = bytes + part * marks_size(s);
        bool any_equal = false;
        const long first = part_begin(part, parts, s.images) * at.per_image;
        const long end = part_begin(part + 1, parts, s.images) * at.per_image;
        for (long begin = first; begin < end; begin += TILES) {
            const long tiles = std::min(TILES, end - begin);
            for (long t = 0; t < tiles; ++t) {
                if (at.begins(begin + t))
                    to_layout(s, layout, x + (begin + t) / at.per_image * s.pixels(), x + s.images * s.pixels(), image);
                transform_tile(s, at, image, begin + t, in + t * at.channels);
            }
            for (long i = 0; i < PLACES; ++i)
                multiply(in + i * TILES * at.channels, at.channels, 1, whole_rows(tiles),
                         filters + i * s.channels * at.filters, at.filters, s.channels,
                         values + i * TILES * at.filters, at.filters, false);
            for (long t = 0; t < tiles; ++t) {
                const long i = (begin + t) / at.per_image;
                if (at.begins(begin + t)) {
                    const float* channels = x + i * s.pixels();
                    any_equal = find_equal(s, channels, 1, equal) && find_equal(s, channels, s.channels, equal);
                }
                for (long v = 0; v < n; ++v)
                    pool_tile(s, at, values + t * at.filters + v * LANES, begin + t, any_equal ? equal : nullptr,
                              top + v * pools, hit + v * pools);
                if (!at.ends(begin + t)) continue;
                for (long v = 0; v < n; ++v) {
                    const long to = i * map + v * LANES * s.pools();
                    finish_pools(top + v * pools, hit + v * pools, s.pools(), b + v * LANES,
                                 std::min(LANES, s.filters - v * LANES), s.pools(), out + to, mask + to);
                }
            }
        }
    });
    return true;
}

// Gradients as conv_pool_tanh_grad has them.
static bool conv_pool_tanh_grad(const ConvPoolSizes& s, const float* x, const float* W, const float* out,
                                const uint8_t* mask, const float* gout, float* dW, float* db, float* dx) {
    const Tiling at(s);
    const Layout layout(s);
    const long n = at.filters / LANES, pools = vectors(s.pools()) * LANES, map = s.filters * s.pools();
    const long n_in = PLACES * TILES * at.channels, n_out = PLACES * TILES * at.filters;
    const long n_place = at.filters * at.channels, n_dW = s.filters * layout.filter;
    const long parts = count_parts(s.images, 2 * layout.size + 2 * n_in + n_out + PLACES * n_place + n_dW +
                                                 2 * n * pools * LANES);
    const Scratch<float> filters(dx ? PLACES * s.filters * at.channels : 0), pixels(parts * 2 * layout.size);
    const Scratch<float> ins(parts * 2 * n_in), outs(parts * n_out), sums(parts * n_dW);
    const Scratch<float> place_sums(parts * PLACES * n_place);
    const Scratch<double> bias_sums(parts * s.filters);
    const Scratch<v8> gs(parts * n * pools);
    const Scratch<v8i> hits(parts * n * pools);
    if (filters.empty() || pixels.empty() || ins.empty() || outs.empty() || sums.empty() ||
        place_sums.empty() || bias_sums.empty() || gs.empty() || hits.empty())
        return false;
    if (dx) transform_filters(s, W, true, filters);

    for_each(parts, pays(s), [&](long part) {
        float *image = pixels + part * 2 * layout.size, *image_grad = image + layout.size;
        float *in = ins + part * 2 * n_in, *in_grad = in + n_in;
        float *values = outs + part * n_out, *part_sums = place_sums + part * PLACES * n_place;
        double* part_db = bias_sums + part * s.filters;
        v8* g = gs + part * n * pools;
        v8i* hit = hits + part * n * pools;
        std::fill(part_db, part_db + s.filters, 0.);
        const long first = part_begin(part, parts, s.images) * at.per_image;
        const long end = part_begin(part + 1, parts, s.images) * at.per_image;
        for (long begin = first; begin < end; begin += TILES) {
            const long tiles = std::min(TILES, end - begin);
            for (long t = 0; t < tiles; ++t) {
                const long i = (begin + t) / at.per_image;
                if (at.begins(begin + t))
                    to_layout(s, layout, x + i * s.pixels(), x + s.images * s.pixels(), image);
                for (long v = 0; at.begins(begin + t) && v < n; ++v) {
                    const long from = i * map + v * LANES * s.pools();
                    begin_pools(s.pools(), std::min(LANES, s.filters - v * LANES), out + from, gout + from, mask + from,
                                part_db + v * LANES, g + v * pools, hit + v * pools);
                }
                transform_tile(s, at, image, begin + t, in + t * at.channels);
                for (long v = 0; v < n; ++v)
                    transform_grad(s, at, g + v * pools, hit + v * pools, begin + t, values + t * at.filters + v * LANES);
            }
            for (long i = 0; i < PLACES; ++i) {
                const float *of_in = in + i * TILES * at.channels, *of_out = values + i * TILES * at.filters;
                multiply(of_out, 1, at.filters, at.filters, of_in, at.channels, tiles, part_sums + i * n_place,
                         at.channels, begin > first);
                if (dx)
                    multiply(of_out, at.filters, 1, whole_rows(tiles), filters + i * s.filters * at.channels, at.channels,
                             s.filters, in_grad + i * TILES * at.channels, at.channels, false);
            }
            for (long t = 0; dx && t < tiles; ++t) {
                if (at.begins(begin + t)) std::fill(image_grad, image_grad + layout.size, 0.f);
                add_tile(s, at, in_grad + t * at.channels, begin + t, image_grad);
                if (at.ends(begin + t))
                    from_layout(s, layout, image_grad, dx + (begin + t) / at.per_image * s.pixels());
            }
        }
        transform_sums(s, at, layout, part_sums, sums + part * n_dW);
    });
    sum_parts(s, layout, parts, sums, bias_sums, dW, db);
    return true;
}

// Whether these functions are for such a layer: they are slower for few channels, and not accurate enough for the
// gradient of a first layer's filters.
static inline bool fits(const ConvPoolSizes& s) {
    return s.filter_height == TAPS && s.filter_width == TAPS && !Layout(s).narrow && s.images * s.pools() * s.filters > 0;
}

}  // namespace winograd
}  // namespace kernels
