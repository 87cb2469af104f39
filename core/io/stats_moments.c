/*
 * stats_moments.c - extremes, mean, and central moments in two passes over the data.
 *
 *   m_k = sum (x - mean)^k / n;   std^2 = n m_2 / (n - 1),  skew = m_3 / m_2^1.5,
 *   kurtosis = m_4 / m_2^2 - 3
 *
 * The second pass works on differences, so a mean far from zero costs no digits.
 */
#include <math.h>

#include "trit/stats.h"

enum {
    BLOCK = 8192, /* elements per partial sum: fixed, so any thread count adds the same way */
    LANES = 8,    /* independent sums the compiler can keep in vector registers */
    MAX_BLOCKS = 1024,
};

typedef struct {
    double sum, min, max, m2, m3, m4;
    int64_t nan;
} partial;

typedef struct {
    const float *x;
    int64_t n, block;
    double mean;
    partial *part;
} job;

static double total(const double *lane) {
    double s = 0;
    for (int i = 0; i < LANES; i++) s += lane[i];
    return s;
}

static void first_pass(void *context, int64_t unit, int worker) {
    (void)worker;
    job *j = context;
    const float *x = j->x + unit * j->block;
    const int64_t left = j->n - unit * j->block, n = left < j->block ? left : j->block;
    double sum[LANES] = {0};
    float lo = INFINITY, hi = -INFINITY;
    int64_t nan = 0, i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++) sum[l] += x[i + l];
    for (; i < n; i++) sum[0] += x[i];
    for (i = 0; i < n; i++) {
        nan += x[i] != x[i];
        lo = x[i] < lo ? x[i] : lo;
        hi = x[i] > hi ? x[i] : hi;
    }
    j->part[unit] = (partial){.sum = total(sum), .min = lo, .max = hi, .nan = nan};
}

static void second_pass(void *context, int64_t unit, int worker) {
    (void)worker;
    job *j = context;
    const float *x = j->x + unit * j->block;
    const int64_t left = j->n - unit * j->block, n = left < j->block ? left : j->block;
    double m2[LANES] = {0}, m3[LANES] = {0}, m4[LANES] = {0};
    for (int64_t i = 0; i < n; i += LANES) {
        const int lanes = n - i < LANES ? (int)(n - i) : LANES;
        for (int l = 0; l < lanes; l++) {
            const double d = x[i + l] - j->mean, q = d * d;
            m2[l] += q;
            m3[l] += q * d;
            m4[l] += q * q;
        }
    }
    j->part[unit].m2 = total(m2);
    j->part[unit].m3 = total(m3);
    j->part[unit].m4 = total(m4);
}

void trit_moments_of(const float *x, int64_t n, trit_moments *out) {
    *out = (trit_moments){
        .n = n, .min = NAN, .max = NAN, .mean = NAN, .std = NAN, .skew = NAN, .kurtosis = NAN};
    if (n < 1) return;
    /* At most MAX_BLOCKS partial sums, on the stack: this function cannot fail. */
    partial part[MAX_BLOCKS];
    job j = {.x = x, .n = n, .block = BLOCK, .part = part};
    while ((n + j.block - 1) / j.block > MAX_BLOCKS) j.block *= 2;
    const int64_t units = (n + j.block - 1) / j.block;
    trit_parallel(units, first_pass, &j);
    double sum = 0, m2 = 0, m3 = 0, m4 = 0;
    out->min = part[0].min;
    out->max = part[0].max;
    for (int64_t u = 0; u < units; u++) {
        sum += part[u].sum;
        out->nan += part[u].nan;
        if (part[u].min < out->min) out->min = part[u].min;
        if (part[u].max > out->max) out->max = part[u].max;
    }
    if (out->nan) out->min = out->max = NAN;
    out->mean = j.mean = sum / (double)n;
    trit_parallel(units, second_pass, &j);
    for (int64_t u = 0; u < units; u++) {
        m2 += part[u].m2;
        m3 += part[u].m3;
        m4 += part[u].m4;
    }
    const double v = m2 / (double)n;
    if (n > 1) out->std = sqrt(m2 / (double)(n - 1));
    if (v > 0) {
        out->skew = m3 / (double)n / (v * sqrt(v));
        out->kurtosis = m4 / (double)n / (v * v) - 3;
    }
}
