/*
 * stats.h - what is logged about weights: moments, histogram, nearness to a normal distribution,
 * use and change of codes; and the Lloyd-Max quantizer as a yardstick.
 *
 * Everything is computed in double from float32 data and gives the same bits for any number of
 * threads: partial sums belong to blocks of fixed size and are added in order.
 * Functions that cannot be given a value (no spread, too few elements, NaN in the data) return
 * NaN there; that is no error.
 */
#ifndef TRIT_STATS_H
#define TRIT_STATS_H

#include "trit/tensor.h"

typedef struct {
    int64_t n, nan; /* elements; how many of them are NaN */
    double min, max, mean;
    double std;      /* divides by n - 1 */
    double skew;     /* m3 / m2^1.5, m_k = k-th central moment (divides by n) */
    double kurtosis; /* m4 / m2^2 - 3 */
} trit_moments;

void trit_moments_of(const float *x, int64_t n, trit_moments *out);

typedef struct {
    int64_t zeros;       /* exactly 0; they are counted in their bin as well */
    int64_t under, over; /* below edges[0], above edges[bins]; infinities too */
    int64_t nan;         /* in no bin */
} trit_outside;

/*
 * counts[i] = number of x with edges[i] <= x < edges[i+1]; the last bin includes its upper edge.
 * Hence n = sum(counts) + under + over + nan.  Edges ascend strictly; equal spacing is fast,
 * any spacing is right.
 */
trit_status trit_histogram(const float *x, int64_t n, const double *edges, int bins,
                           int64_t *counts, trit_outside *outside);

/* Ascending copy of x (no NaN in it) by radix. */
trit_status trit_sort_f32(const float *x, int64_t n, float *out);

/* Largest distance between the empirical distribution of `sorted` and N(mean, std). */
double trit_ks_normal(const float *sorted, int64_t n, double mean, double std);

typedef struct {
    double w;           /* 1 = exactly the order statistics of a normal sample */
    double one_minus_w; /* computed without cancellation */
    double p;           /* NaN for n > 5000: outside the fit of AS R94 */
} trit_shapiro_result;

/* Shapiro-Wilk W of a sorted sample, n >= 3 (Royston 1995, AS R94). */
void trit_shapiro(const float *sorted, int64_t n, trit_shapiro_result *out);

/* Mean W and p over `count` random subsamples of `size` elements without replacement, fixed by
 * `seed`: for n > 5000, where W of everything has no p. */
trit_status trit_shapiro_subsamples(const float *x, int64_t n, int count, int size, uint64_t seed,
                                    trit_shapiro_result *mean);

/*
 * The quantizer of `levels` levels with least mean square error on N(0,1) (Lloyd 1982, Max
 * 1960): values are the means of their cells, thresholds the midpoints of neighbouring values.
 * value[levels], threshold[levels - 1], ascending.  2 <= levels <= TRIT_LLOYD_LEVELS.
 */
enum { TRIT_LLOYD_LEVELS = 256 };
trit_status trit_lloyd_max(int levels, double *value, double *threshold, double *mse);

/* --- one weight tensor, everything that is logged about it --- */

typedef struct {
    int bins;            /* 0 = no histogram                                   */
    const double *edges; /* [bins+1]                                           */
    bool shapiro;        /* sort and compute W                                 */
    int subsamples;      /* of `size`, when n > 5000 and shapiro; 0 = none     */
    int size;
    uint64_t seed;
} trit_weight_query;

typedef struct {
    trit_moments moments;
    trit_outside outside;
    trit_shapiro_result shapiro;    /* of all weights              */
    trit_shapiro_result subsampled; /* NaN where not asked for     */
} trit_weight_report;

/* counts[bins] may be NULL with bins = 0. */
trit_status trit_weight_stats(const trit_tensor *w, const trit_weight_query *query, int64_t *counts,
                              trit_weight_report *out);

/*
 * Codes as signs: share[0..2] = fraction below, at and above zero.  `packed` holds the signs of
 * the previous call, four per byte (trit_code_bytes), and gets the present ones; *flips = fraction
 * of elements whose sign differs from them (NaN when have_previous is false).
 */
size_t trit_code_bytes(int64_t n);
trit_status trit_code_stats(const trit_tensor *codes, bool have_previous, uint8_t *packed,
                            double share[3], double *flips);

#endif
