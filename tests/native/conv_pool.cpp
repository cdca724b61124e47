// Runs conv_pool.h over odd shapes, in memory that ends where the arrays end, and compares with the formulas in
// double precision. Exits with 1 and says where, if they differ. tests/test_conv_pool.py compiles it.
#include "conv_pool.h"

#include <cmath>
#include <cstdio>
#include <memory>
#include <random>
#include <vector>

using kernels::ConvPoolSizes;

template <class T>
static std::unique_ptr<T[]> random_array(std::mt19937& random, long n) {
    // Multiples of 1/8: convolutions are exact in float, so that which place is the maximum is no matter of rounding.
    std::uniform_int_distribution<int> value(-4, 4);
    std::unique_ptr<T[]> array(new T[n]);
    for (long i = 0; i < n; ++i) array[i] = value(random) / T(8);
    return array;
}

// Largest difference in units of scale.
static double difference(const float* values, const std::vector<double>& expected, double scale) {
    double most = 0;
    for (size_t i = 0; i < expected.size(); ++i) {
        const double d = std::fabs(values[i] - expected[i]) / scale;
        most = d <= most ? most : d;  // NaN counts as a difference
    }
    return most;
}

static bool check(const ConvPoolSizes& s, std::mt19937& random) {
    const long n_x = s.images * s.pixels(), n_W = s.filters * s.channels * s.taps();
    const long n_out = s.images * s.filters * s.pools();
    const auto x = random_array<float>(random, n_x), W = random_array<float>(random, n_W);
    const auto b = random_array<float>(random, s.filters), gout = random_array<float>(random, n_out);
    std::unique_ptr<float[]> out(new float[n_out]), dW(new float[n_W]), db(new float[s.filters]), dx(new float[n_x]);
    std::unique_ptr<float[]> dW_alone(new float[n_W]);
    std::unique_ptr<uint8_t[]> mask(new uint8_t[n_out]);
    if (!kernels::conv_pool_tanh(s, x.get(), W.get(), b.get(), out.get(), mask.get())) return false;
    if (!kernels::conv_pool_tanh_grad(s, x.get(), W.get(), out.get(), mask.get(), gout.get(), dW.get(), db.get(),
                                      dx.get()) ||
        !kernels::conv_pool_tanh_grad(s, x.get(), W.get(), out.get(), mask.get(), gout.get(), dW_alone.get(), db.get(),
                                      nullptr))
        return false;

    std::vector<double> want_out(n_out), want_dW(n_W), want_db(s.filters), want_dx(n_x);
    bool masks = true;
    for (long o = 0; o < n_out; ++o) {
        const long column = o % s.columns(), row = o / s.columns() % s.rows(), f = o / s.pools() % s.filters;
        const long i = o / s.pools() / s.filters;
        const auto each_tap = [&](int k, const auto& call) {
            for (long c = 0; c < s.channels; ++c)
                for (long y = 0; y < s.filter_height; ++y)
                    for (long z = 0; z < s.filter_width; ++z)
                        call(((i * s.channels + c) * s.height + 2 * row + k / 2 + y) * s.width + 2 * column + k % 2 + z,
                             (f * s.channels + c) * s.taps() +
                                 (s.flipped ? (s.filter_height - 1 - y) * s.filter_width + s.filter_width - 1 - z
                                            : y * s.filter_width + z));
        };
        double sums[4] = {};
        for (int k = 0; k < 4; ++k) each_tap(k, [&](long from, long tap) { sums[k] += double(x[from]) * W[tap]; });
        const double top = *std::max_element(sums, sums + 4);
        want_out[o] = std::tanh(top + b[f]);
        const double g = gout[o] * (1 - want_out[o] * want_out[o]);
        want_db[f] += g;
        for (int k = 0; k < 4; ++k) {
            masks &= (mask[o] >> k & 1) == (sums[k] == top);
            if (sums[k] == top)
                each_tap(k, [&](long at, long tap) {
                    want_dW[tap] += g * x[at];
                    want_dx[at] += g * W[tap];
                });
        }
        masks &= mask[o] < 16;
    }
    // Rounding of tanh and of float sums; the largest sum has as many terms as there are pools, each at most 1/4.
    const double e = 1e-6, terms = 1 + s.images * s.pools();
    const double differences[] = {difference(out.get(), want_out, 1), difference(dW.get(), want_dW, terms),
                                  difference(dW_alone.get(), want_dW, terms), difference(db.get(), want_db, terms),
                                  difference(dx.get(), want_dx, 1 + s.filters * s.taps())};
    for (double d : differences) masks &= d <= e;
    if (!masks)
        std::printf("%ld images %ldx%ldx%ld, %ld filters %ldx%ld, flipped %d: out %g, dW %g and %g, db %g, dx %g\n",
                    s.images, s.channels, s.height, s.width, s.filters, s.filter_height, s.filter_width, s.flipped,
                    differences[0], differences[1], differences[2], differences[3], differences[4]);
    return masks;
}

int main() {
    std::mt19937 random(1);
    const auto draw = [&](long low, long high) { return std::uniform_int_distribution<long>(low, high)(random); };
    bool fine = true;
    for (int i = 0; i < 80; ++i) {
        const long filter_height = draw(1, 6), filter_width = draw(1, 17);
        const long height = filter_height + draw(0, 9), width = filter_width + draw(0, 9);
        fine &= check({draw(0, 5), draw(1, 20), height, width, draw(0, 60), filter_height, filter_width, draw(0, 1) == 1},
                      random);
    }
    // Many images, in parts and on several threads; one channel; more channels than fit the first cache.
    fine &= check({37, 1, 28, 28, 20, 5, 5, true}, random);
    fine &= check({3, 70, 8, 7, 9, 5, 3, true}, random);
    return fine ? 0 : 1;
}
