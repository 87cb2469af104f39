/*
 * stats_normal.c - distance of a sample from the normal distribution, and the best quantizer for
 * it.
 */
#include <math.h>

#include "trit/stats.h"

static double density(double z) {
    return isinf(z) ? 0 : exp(-0.5 * z * z) * (0.5 * M_SQRT1_2 * M_2_SQRTPI);
}

/* D = max over i of F(x_i) - (i-1)/n and i/n - F(x_i) */
double trit_ks_normal(const float *sorted, int64_t n, double mean, double std) {
    if (n < 1 || !(std > 0)) return NAN;
    double d = 0;
    for (int64_t i = 0; i < n; i++) {
        const double f = trit_normal_cdf((sorted[i] - mean) / std);
        d = fmax(d, fmax(f - (double)i / (double)n, (double)(i + 1) / (double)n - f));
    }
    return d;
}

/*
 * Lloyd's iteration from equal-probability cells.  Symmetric by construction: both halves are
 * set from the upper one.  It converges linearly, the slower the more levels; it stops when no
 * value moves by more than the tolerance, or at the limit of rounds.
 */
trit_status trit_lloyd_max(int levels, double *value, double *threshold, double *mse) {
    const double tolerance = 1e-15; /* of a value, in units of sigma */
    const int rounds = 1000000;     /* 8 levels take about 300, 256 about 200 000 */
    if (levels < 2 || levels > TRIT_LLOYD_LEVELS)
        return trit_fail(TRIT_ERR_ARG, "lloyd_max: %d levels, 2..%d are possible", levels,
                         TRIT_LLOYD_LEVELS);
    for (int i = 0; i < levels; i++) value[i] = trit_normal_quantile((i + 0.5) / levels);
    double moved = 1;
    for (int round = 0; round < rounds && moved > tolerance; round++) {
        for (int i = 0; i < levels - 1; i++) threshold[i] = 0.5 * (value[i] + value[i + 1]);
        moved = 0;
        for (int i = levels / 2; i < levels; i++) {
            const double lo = i ? threshold[i - 1] : -INFINITY;
            const double hi = i < levels - 1 ? threshold[i] : INFINITY;
            const double mass =
                trit_normal_cdf(-lo) - trit_normal_cdf(-hi); /* upper tails: no cancellation */
            const bool middle = 2 * i + 1 == levels;
            const double v = middle ? 0 : (density(lo) - density(hi)) / mass;
            moved = fmax(moved, fabs(v - value[i]));
            value[i] = v;
            value[levels - 1 - i] = middle ? 0 : -v;
        }
    }
    double kept = 0; /* the quantizer's output power: mse = 1 - it, at the fixed point */
    for (int i = 0; i < levels; i++) {
        const double lo = i ? threshold[i - 1] : -INFINITY;
        const double hi = i < levels - 1 ? threshold[i] : INFINITY;
        kept += value[i] * value[i] * (trit_normal_cdf(hi) - trit_normal_cdf(lo));
    }
    *mse = 1 - kept;
    return TRIT_OK;
}
