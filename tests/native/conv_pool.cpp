// Runs conv_pool.h and winograd.h over odd shapes, in memory that ends where the arrays end, and compares with the
// formulas in double precision. Exits with 1 and says where, if they differ. tests/test_conv_pool.py compiles it.
#include "winograd.h"

#include <cmath>
#include <cstdio>
#include <memory>
#include <random>
#include <vector>

using kernels::ConvPoolSizes;

template <class Draw>
static std::unique_ptr<float[]> random_array(long n, const Draw& draw) {
    std::unique_ptr<float[]> array(new float[n]);
    for (long i = 0; i < n; ++i) array[i] = draw();
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

// The formulas, which take most of the time, without sanitizers: those are for the kernels.
#define FORMULA __attribute__((noinline, no_sanitize("address"), no_sanitize("undefined"))) static

// Of each tap of a filter, over all channels: the pixel of its window, from the first one, and its own place in W.
struct Taps {
    std::vector<long> pixels, weights;
    explicit Taps(const ConvPoolSizes& s) {
        for (long c = 0; c < s.channels; ++c)
            for (long y = 0; y < s.filter_height; ++y)
                for (long z = 0; z < s.filter_width; ++z) {
                    const long tap = y * s.filter_width + z;
                    pixels.push_back((c * s.height + y) * s.width + z);
                    weights.push_back(c * s.taps() + (s.flipped ? s.taps() - 1 - tap : tap));
                }
    }
};

FORMULA double window_sum(const Taps& taps, const float* window, const float* W) {
    const long *pixels = taps.pixels.data(), *weights = taps.weights.data(), n = taps.pixels.size();
    double sum = 0;
    for (long t = 0; t < n; ++t) sum += double(window[pixels[t]]) * W[weights[t]];
    return sum;
}

FORMULA bool equal_windows(const Taps& taps, const float* first, const float* other) {
    const long *pixels = taps.pixels.data(), n = taps.pixels.size();
    for (long t = 0; t < n; ++t)
        if (first[pixels[t]] != other[pixels[t]]) return false;
    return true;
}

FORMULA void add_gradients(const Taps& taps, double g, const float* window, const float* W, double* dx, double* dW) {
    const long *pixels = taps.pixels.data(), *weights = taps.weights.data(), n = taps.pixels.size();
    for (long t = 0; t < n; ++t) {
        dW[weights[t]] += g * window[pixels[t]];
        dx[pixels[t]] += g * W[weights[t]];
    }
}

static bool check(const ConvPoolSizes& s, bool winograd, std::mt19937& random) {
    const long n_x = s.images * s.pixels(), n_W = s.filters * s.channels * s.taps();
    const long n_out = s.images * s.filters * s.pools();
    // Multiples of 1/8: convolutions are exact in float, so that which place is the maximum is no matter of rounding.
    // Winograd's are not, so there no two values come near each other unless their windows are equal.
    const auto draw = [&] {
        return winograd ? std::uniform_real_distribution<float>(-.5, .5)(random)
                        : std::uniform_int_distribution<int>(-4, 4)(random) / 8.f;
    };
    // Winograd's rounding errors are relative to the convolution, which is to be about as large as the rest.
    const float W_scale = winograd ? 1 / std::sqrt(s.channels * s.taps()) : 1;
    const auto x = random_array(n_x, draw), W = random_array(n_W, [&] { return W_scale * draw(); });
    const auto b = random_array(s.filters, draw);
    const auto gout = random_array(n_out, draw);
    if (winograd)  // windows that are equal in all directions, and in one alone
        for (long i = 0; i < n_x; ++i) {
            const long row = i / s.width % s.height, column = i % s.width;
            if (column >= 5) x[i] = row < 9 ? .25f : x[i - i % s.width + 4];
        }
    std::unique_ptr<float[]> out(new float[n_out]), dW(new float[n_W]), db(new float[s.filters]), dx(new float[n_x]);
    std::unique_ptr<float[]> dW_alone(new float[n_W]);
    std::unique_ptr<uint8_t[]> mask(new uint8_t[n_out]);
    if (winograd && !kernels::winograd::fits(s)) return false;
    decltype(&kernels::winograd::conv_pool_tanh) forward = kernels::conv_pool_tanh;
    decltype(&kernels::winograd::conv_pool_tanh_grad) backward = kernels::conv_pool_tanh_grad;
    if (winograd) forward = kernels::winograd::conv_pool_tanh, backward = kernels::winograd::conv_pool_tanh_grad;
    if (!forward(s, x.get(), W.get(), b.get(), out.get(), mask.get())) return false;
    if (!backward(s, x.get(), W.get(), out.get(), mask.get(), gout.get(), dW.get(), db.get(), dx.get()) ||
        !backward(s, x.get(), W.get(), out.get(), mask.get(), gout.get(), dW_alone.get(), db.get(), nullptr))
        return false;

    // Rounding of tanh, of the convolution and of float sums.
    const double e = winograd ? 1e-5 : 1e-6, near = winograd ? 2 * e : 0;
    std::vector<double> want_out(n_out), want_dW(n_W), want_db(s.filters), want_dx(n_x);
    bool masks = true;
    long n_equal = 0;
    const Taps taps(s);
    for (long o = 0; o < n_out; ++o) {
        const long column = o % s.columns(), row = o / s.columns() % s.rows(), f = o / s.pools() % s.filters;
        const long i = o / s.pools() / s.filters;
        long places[4];
        for (int k = 0; k < 4; ++k)
            places[k] = (i * s.channels * s.height + 2 * row + k / 2) * s.width + 2 * column + k % 2;
        const long filter = f * s.channels * s.taps();
        double sums[4];
        for (int k = 0; k < 4; ++k) sums[k] = window_sum(taps, &x[places[k]], &W[filter]);
        const double top = *std::max_element(sums, sums + 4);
        for (int k = 1; k < 4; ++k) {
            if (!equal_windows(taps, &x[places[0]], &x[places[k]])) continue;
            ++n_equal;
            masks &= (mask[o] >> k & 1) == (mask[o] & 1);
        }
        want_out[o] = std::tanh(top + b[f]);
        const double g = gout[o] * (1 - want_out[o] * want_out[o]);
        want_db[f] += g;
        for (int k = 0; k < 4; ++k) {
            const bool hit = mask[o] >> k & 1;
            masks &= hit ? sums[k] >= top - near : sums[k] < top || near > 0;
            if (hit) add_gradients(taps, g, &x[places[k]], &W[filter], &want_dx[places[k]], &want_dW[filter]);
        }
        masks &= mask[o] > 0 && mask[o] < 16;
    }
    const double terms = 1 + s.images * s.pools();  // of the largest sum, each at most 1/4
    const double differences[] = {difference(out.get(), want_out, 1), difference(dW.get(), want_dW, terms),
                                  difference(dW_alone.get(), want_dW, terms), difference(db.get(), want_db, terms),
                                  difference(dx.get(), want_dx, 1 + W_scale * s.filters * s.taps())};
    masks &= !winograd || n_equal > 0 || s.width < 12;
    for (double d : differences) masks &= d <= e;
    if (!masks)
        std::printf("winograd %d: %ld images %ldx%ldx%ld, %ld filters %ldx%ld, flipped %d: out %g, dW %g and %g, db %g, dx %g\n",
                    winograd, s.images, s.channels, s.height, s.width, s.filters, s.filter_height, s.filter_width, s.flipped,
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
                      false, random);
    }
    // Many images, in parts and on several threads; one channel; more channels than fit the first cache.
    fine &= check({37, 1, 28, 28, 20, 5, 5, true}, false, random);
    fine &= check({3, 70, 8, 7, 9, 5, 3, true}, false, random);
    for (int i = 0; i < 40; ++i)
        fine &= check({draw(1, 20), draw(4, 40), draw(6, 20), draw(6, 20), draw(1, 60), 5, 5, draw(0, 1) == 1}, true,
                      random);
    fine &= check({37, 20, 12, 12, 50, 5, 5, true}, true, random);
    return fine ? 0 : 1;
}
