/*
 * stats_shapiro.c - Shapiro-Wilk W by Royston's AS R94 (Applied Statistics 44, 1995), in double.
 *
 *   m_i = Phi^-1((i - 3/8) / (n + 1/4)), i = 1..n;  a = weights from m, the two outermost by
 *   polynomials in 1/sqrt(n);  W = (sum a_i x_(i))^2 / sum (x_i - mean)^2
 *
 * The weights are antisymmetric, so only the upper half is computed, in one pass that gathers
 * sum m_i^2 and sum m_i (x_(n+1-i) - x_(i)) together: no table of n weights is kept.
 * 1 - W = (sqrt(AB) - C)(sqrt(AB) + C) / (AB), A = sum a^2, B = sum (x - mean)^2, C = sum a x,
 * keeps its digits when W is near 1.  p is valid for n <= 5000 (the fit's range) and NaN beyond.
 */
#include <math.h>

#include "io/stats.h"

enum {
    P_LIMIT = 5000, /* largest n of the p value's fit */
    BLOCK = 8192,   /* elements per partial sum */
    MAX_BLOCKS = 1024,
};

static double poly(const double *c, int n, double x) {
    double y = c[n - 1];
    for (int i = n - 2; i >= 0; i--) y = y * x + c[i];
    return y;
}

static double score(int64_t i, int64_t n) { /* i = 1 is the largest: positive */
    return -trit_normal_quantile(((double)i - 0.375) / ((double)n + 0.25));
}

typedef struct {
    double mm, mx, xx; /* sums of m^2, m (x_hi - x_lo), (x - mean)^2 */
} partial;

typedef struct {
    const float *x;
    int64_t n, half, block;
    double mean, range;
    partial *part;
} job;

/* Pairs i = 1 .. n/2 of the i-th smallest and i-th largest, in units of the range. */
static void pair_sums(void *context, int64_t unit, int worker) {
    (void)worker;
    job *j = context;
    partial s = {0};
    const int64_t first = unit * j->block;
    const int64_t end = first + j->block < j->half ? first + j->block : j->half;
    for (int64_t i = first; i < end; i++) {
        const double lo = j->x[i], hi = j->x[j->n - 1 - i], m = score(i + 1, j->n);
        const double dl = (lo - j->mean) / j->range, dh = (hi - j->mean) / j->range;
        s.mm += m * m;
        s.mx += m * (hi - lo) / j->range;
        s.xx += dl * dl + dh * dh;
    }
    j->part[unit] = s;
}

static double mean_of(const float *x, int64_t n) {
    trit_moments m;
    trit_moments_of(x, n, &m);
    return m.mean;
}

/* Significance of 1 - W for 3 <= n <= 5000; Royston's normalizing fits. */
static double p_value(double one_minus_w, int64_t n) {
    static const double gamma[] = {-2.273, 0.459};
    static const double m_small[] = {0.5440, -0.39978, 0.025054, -0.0006714};
    static const double s_small[] = {1.3822, -0.77857, 0.062767, -0.0020322};
    static const double m_large[] = {-1.5861, -0.31082, -0.083751, 0.0038915};
    static const double s_large[] = {-0.4803, -0.082676, 0.0030302};
    if (n == 3) {
        const double w = fmax(1 - one_minus_w, 0.75); /* the least W three points can have */
        return fmax(0, 1 - 6 / M_PI * acos(sqrt(w)));
    }
    double y = log(one_minus_w), m, s;
    if (n <= 11) {
        const double g = poly(gamma, 2, (double)n);
        if (y >= g) return 1e-99;
        y = -log(g - y);
        m = poly(m_small, 4, (double)n);
        s = exp(poly(s_small, 4, (double)n));
    } else {
        const double l = log((double)n);
        m = poly(m_large, 4, l);
        s = exp(poly(s_large, 3, l));
    }
    return 0.5 * erfc((y - m) / s * M_SQRT1_2);
}

/* Sums -> W.  `gap1`, `gap2`: x_(n) - x_(1) and x_(n-1) - x_(2), in units of the range. */
static double one_minus_w(const partial *s, int64_t n, double gap1, double gap2) {
    static const double outer[] = {0, 0.221157, -0.147981, -2.071190, 4.434685, -2.706056};
    static const double inner[] = {0, 0.042981, -0.293762, -1.752461, 5.682633, -3.582633};
    const double m1 = score(1, n), m2 = score(2, n), mm = 2 * s->mm;
    const double u = 1 / sqrt((double)n);
    double a, c; /* sum of a^2, sum of a x */
    if (n == 3) {
        a = 1;
        c = M_SQRT1_2 * gap1;
    } else {
        const double a1 = m1 / sqrt(mm) + poly(outer, 6, u);
        if (n > 5) {
            const double a2 = m2 / sqrt(mm) + poly(inner, 6, u);
            const double rest = mm - 2 * m1 * m1 - 2 * m2 * m2;
            const double e = rest / (1 - 2 * a1 * a1 - 2 * a2 * a2);
            a = 2 * a1 * a1 + 2 * a2 * a2 + rest / e;
            c = a1 * gap1 + a2 * gap2 + (s->mx - m1 * gap1 - m2 * gap2) / sqrt(e);
        } else {
            const double rest = mm - 2 * m1 * m1, e = rest / (1 - 2 * a1 * a1);
            a = 2 * a1 * a1 + rest / e;
            c = a1 * gap1 + (s->mx - m1 * gap1) / sqrt(e);
        }
    }
    const double ab = a * s->xx, root = sqrt(ab);
    return (root - c) * (root + c) / ab;
}

void trit_shapiro(const float *sorted, int64_t n, trit_shapiro_result *out) {
    *out = (trit_shapiro_result){NAN, NAN, NAN};
    const double range = n > 0 ? (double)sorted[n - 1] - sorted[0] : 0;
    if (n < 3 || !(range > 0) || !isfinite(range)) return;
    partial part[MAX_BLOCKS];
    job j = {.x = sorted, .n = n, .half = n / 2, .block = BLOCK, .range = range, .part = part};
    j.mean = mean_of(sorted, n);
    while ((j.half + j.block - 1) / j.block > MAX_BLOCKS) j.block *= 2;
    const int64_t units = (j.half + j.block - 1) / j.block;
    trit_parallel(units, pair_sums, &j);
    partial s = {0};
    for (int64_t u = 0; u < units; u++) {
        s.mm += part[u].mm;
        s.mx += part[u].mx;
        s.xx += part[u].xx;
    }
    if (n % 2) { /* the middle element has weight 0 */
        const double d = (sorted[n / 2] - j.mean) / range;
        s.xx += d * d;
    }
    const double gap2 = ((double)sorted[n - 2] - sorted[1]) / range;
    out->one_minus_w = one_minus_w(&s, n, 1, gap2);
    out->w = 1 - out->one_minus_w;
    if (n <= P_LIMIT) out->p = p_value(out->one_minus_w, n);
}

/* ------------------------------------------------------------------ subsamples */

typedef struct {
    float *draw; /* [count, size] */
    trit_shapiro_result *result;
    char *scratch;
    size_t each;
    int size;
} sample_job;

static void one_sample(void *context, int64_t unit, int worker) {
    (void)worker;
    sample_job *j = context;
    float *x = j->draw + unit * j->size, *sorted = (float *)(j->scratch + (size_t)unit * j->each);
    trit_sort_within(x, j->size, sorted, sorted + j->size);
    trit_shapiro(sorted, j->size, &j->result[unit]);
}

/* Partial Fisher-Yates on one index array: each subsample shuffles its first `size` places. */
static void draw_all(const float *x, int64_t n, int count, int size, uint64_t seed, uint32_t *index,
                     float *draw) {
    for (int64_t i = 0; i < n; i++) index[i] = (uint32_t)i;
    for (int k = 0; k < count; k++)
        for (int i = 0; i < size; i++) {
            const double u = trit_rng_uniform(seed, TRIT_STREAM_STATS, (uint64_t)k, (uint32_t)i);
            const int64_t other = i + (int64_t)(u * (double)(n - i));
            const uint32_t t = index[i];
            index[i] = index[other];
            index[other] = t;
            draw[(int64_t)k * size + i] = x[index[i]];
        }
}

trit_status trit_shapiro_subsamples(const float *x, int64_t n, int count, int size, uint64_t seed,
                                    trit_shapiro_result *mean) {
    *mean = (trit_shapiro_result){NAN, NAN, NAN};
    if (count < 1 || size < 3 || size > P_LIMIT || size > n || n > (int64_t)UINT32_MAX)
        return trit_fail(TRIT_ERR_ARG,
                         "shapiro: %d subsamples of %d from %lld; a size of 3..%d is possible",
                         count, size, (long long)n, P_LIMIT);
    const size_t each = ((size_t)size * sizeof(float) + trit_sort_scratch(size) + 63) / 64 * 64;
    const size_t draws = (size_t)count * (size_t)size * sizeof(float);
    const size_t results = (size_t)count * sizeof *mean, indices = (size_t)n * sizeof(uint32_t);
    const size_t bytes = (size_t)count * each + results + draws + indices;
    char *memory = trit_alloc(bytes);
    if (!memory) return trit_fail_within(TRIT_ERR_MEM, "shapiro");
    sample_job j = {.scratch = memory, .each = each, .size = size};
    j.result = (trit_shapiro_result *)(memory + (size_t)count * each);
    j.draw = (float *)(j.result + count);
    draw_all(x, n, count, size, seed, (uint32_t *)(j.draw + (int64_t)count * size), j.draw);
    trit_parallel(count, one_sample, &j);
    *mean = (trit_shapiro_result){0};
    for (int k = 0; k < count; k++) {
        mean->w += j.result[k].w / count;
        mean->one_minus_w += j.result[k].one_minus_w / count;
        mean->p += j.result[k].p / count;
    }
    trit_free(memory, bytes);
    return TRIT_OK;
}
