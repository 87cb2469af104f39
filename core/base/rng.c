/*
 * rng.c - random numbers as a function of (seed, stream, index, lane).
 *
 * Philox 4x32-10 from Random123 (Salmon et al., SC 2011): key = seed, counter = (index, lane,
 * stream).  No state is kept, so no thread, worker or order can change a draw.
 */
#include "trit/base.h"

#include <Random123/philox.h>
#include <math.h>

static const double TWO_PI = 6.283185307179586;
static const double TO_UNIT = 1.0 / 4294967296.0; /* 2^-32 */

void trit_rng(uint64_t seed, uint32_t stream, uint64_t index, uint32_t lane, uint32_t out[4]) {
    philox4x32_ctr_t c = {{(uint32_t)index, (uint32_t)(index >> 32), lane, stream}};
    philox4x32_key_t k = {{(uint32_t)seed, (uint32_t)(seed >> 32)}};
    philox4x32_ctr_t r = philox4x32(c, k);
    for (int i = 0; i < 4; i++) out[i] = r.v[i];
}

double trit_rng_uniform(uint64_t seed, uint32_t stream, uint64_t index, uint32_t lane) {
    uint32_t r[4];
    trit_rng(seed, stream, index, lane, r);
    return (r[0] + r[1] * TO_UNIT) * TO_UNIT;
}

/* Box-Muller; u is kept off zero by half a step. */
static double normal_of(uint32_t a, uint32_t b, double *second) {
    double radius = sqrt(-2.0 * log((a + 0.5) * TO_UNIT)), angle = TWO_PI * (b * TO_UNIT);
    *second = radius * sin(angle);
    return radius * cos(angle);
}

double trit_rng_normal(uint64_t seed, uint32_t stream, uint64_t index, uint32_t lane) {
    uint32_t r[4];
    double unused;
    trit_rng(seed, stream, index, lane, r);
    return normal_of(r[0], r[1], &unused);
}

void trit_rng_fill_uniform(uint64_t seed, uint32_t stream, float lo, float hi, float *x,
                           int64_t n) {
    for (int64_t i = 0; i < n; i += 4) {
        uint32_t r[4];
        trit_rng(seed, stream, (uint64_t)i / 4, 0, r);
        for (int64_t j = 0; j < 4 && i + j < n; j++)
            x[i + j] = lo + (hi - lo) * (float)((r[j] >> 8) * 0x1p-24);
    }
}

void trit_rng_fill_normal(uint64_t seed, uint32_t stream, float mean, float std, float *x,
                          int64_t n) {
    for (int64_t i = 0; i < n; i += 4) {
        uint32_t r[4];
        double z[4];
        trit_rng(seed, stream, (uint64_t)i / 4, 0, r);
        z[0] = normal_of(r[0], r[1], &z[1]);
        z[2] = normal_of(r[2], r[3], &z[3]);
        for (int64_t j = 0; j < 4 && i + j < n; j++) x[i + j] = mean + std * (float)z[j];
    }
}

/* One number: draws of lane 0, 1, ... until one lies inside the cut. */
static double truncated_of(uint64_t seed, uint32_t stream, uint64_t index, double cut) {
    for (uint32_t lane = 0;; lane++) {
        uint32_t r[4];
        double z[4];
        trit_rng(seed, stream, index, lane, r);
        z[0] = normal_of(r[0], r[1], &z[1]);
        z[2] = normal_of(r[2], r[3], &z[3]);
        for (int j = 0; j < 4; j++)
            if (fabs(z[j]) <= cut) return z[j];
    }
}

void trit_rng_fill_truncated(uint64_t seed, uint32_t stream, float mean, float std, double cut,
                             float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        x[i] = mean + std * (float)truncated_of(seed, stream, (uint64_t)i, cut);
}

void trit_rng_permutation(uint64_t seed, uint32_t stream, uint64_t index, uint32_t *perm,
                          uint32_t n) {
    for (uint32_t i = 0; i < n; i++) perm[i] = i;
    for (uint32_t i = n; i > 1; i--) {
        uint32_t r[4];
        trit_rng(seed, stream, index, i, r);
        uint32_t j = (uint32_t)(((uint64_t)r[0] * i) >> 32), keep = perm[i - 1];
        perm[i - 1] = perm[j];
        perm[j] = keep;
    }
}
