/*
 * stats_histogram.c - counts between fixed edges, with zeros and outliers counted apart.
 *
 *   bin i: edges[i] <= x < edges[i+1], the last one closed above
 *
 * A guess from equal spacing is computed for a block at once (it vectorizes), then moved to the
 * bin whose edges hold x: the result is exact whatever the spacing.
 */
#include <math.h>
#include <string.h>

#include "trit/stats.h"

enum {
    UNIT = 1 << 16, /* elements one thread counts at a time */
    BLOCK = 1024,   /* elements guessed at once */
};

typedef struct {
    const float *x;
    int64_t n;
    const double *edges;
    int bins;
    int64_t *counts;       /* [units, bins] */
    trit_outside *outside; /* [units] */
} job;

static void guess(const float *x, int n, float lo, float per_bin, float last, int32_t *bin) {
    for (int i = 0; i < n; i++) {
        float t = (x[i] - lo) * per_bin;
        t = t > 0 ? t : 0; /* NaN too */
        t = t < last ? t : last;
        bin[i] = (int32_t)t;
    }
}

static void count_unit(void *context, int64_t unit, int worker) {
    (void)worker;
    const job *j = context;
    const double *e = j->edges, lo = e[0], hi = e[j->bins];
    const int last = j->bins - 1;
    const float per_bin = (float)(j->bins / (hi - lo));
    int64_t *counts = j->counts + unit * j->bins;
    trit_outside o = {0};
    int32_t bin[BLOCK];
    const int64_t end = (unit + 1) * UNIT < j->n ? (unit + 1) * UNIT : j->n;
    memset(counts, 0, (size_t)j->bins * sizeof *counts);
    for (int64_t at = unit * UNIT; at < end; at += BLOCK) {
        const float *x = j->x + at;
        const int n = end - at < BLOCK ? (int)(end - at) : BLOCK;
        guess(x, n, (float)lo, per_bin, (float)last, bin);
        for (int i = 0; i < n; i++) {
            const double v = x[i];
            o.zeros += v == 0;
            if (v >= lo && v <= hi) {
                int b = bin[i];
                while (b > 0 && v < e[b]) b--;
                while (b < last && v >= e[b + 1]) b++;
                counts[b]++;
            } else {
                o.under += v < lo;
                o.over += v > hi;
                o.nan += v != v;
            }
        }
    }
    j->outside[unit] = o;
}

static trit_status check_edges(const double *edges, int bins) {
    if (bins < 1) return trit_fail(TRIT_ERR_ARG, "histogram: %d bins, at least 1 is needed", bins);
    for (int i = 0; i < bins; i++)
        if (!(edges[i] < edges[i + 1]) || !isfinite(edges[i]) || !isfinite(edges[i + 1]))
            return trit_fail(TRIT_ERR_ARG,
                             "histogram: edges must ascend and be finite, edge %d is %g after %g",
                             i + 1, edges[i + 1], edges[i]);
    return TRIT_OK;
}

trit_status trit_histogram(const float *x, int64_t n, const double *edges, int bins,
                           int64_t *counts, trit_outside *outside) {
    TRIT_TRY(check_edges(edges, bins));
    const int64_t units = (n + UNIT - 1) / UNIT;
    const size_t bytes = (size_t)units * ((size_t)bins * sizeof *counts + sizeof *outside);
    memset(counts, 0, (size_t)bins * sizeof *counts);
    *outside = (trit_outside){0};
    if (units == 0) return TRIT_OK;
    int64_t *all = trit_alloc(bytes);
    if (!all) return trit_fail_within(TRIT_ERR_MEM, "histogram");
    job j = {x, n, edges, bins, all, (trit_outside *)(all + units * bins)};
    trit_parallel(units, count_unit, &j);
    for (int64_t u = 0; u < units; u++) {
        for (int b = 0; b < bins; b++) counts[b] += all[u * bins + b];
        outside->zeros += j.outside[u].zeros;
        outside->under += j.outside[u].under;
        outside->over += j.outside[u].over;
        outside->nan += j.outside[u].nan;
    }
    trit_free(all, bytes);
    return TRIT_OK;
}
