/*
 * parts.c - what several quantizers are made of: a survey of the rows, signs, small linear
 * systems, draws.
 */
#include <math.h>
#include <string.h>

#include "quant/rows.h"

trit_status trit_quant_survey(trit_quant_call *c) {
    const size_t bytes = (size_t)c->rows.rows * sizeof(trit_row_stats);
    trit_row_stats *stats = trit_alloc(bytes);
    if (!stats) return TRIT_ERR_MEM;
    trit_status status = trit_rows_scan(c->quantizer->name, &c->rows, c->w, stats);
    for (int64_t r = 0; r < c->rows.rows && status == TRIT_OK; r++) {
        double *cache = c->cache + r * TRIT_ROW_CACHE;
        trit_row_log(c, r, &stats[r]);
        cache[TRIT_ROW_MEAN_ABS] = stats[r].mean_abs;
        cache[TRIT_ROW_MAX_ABS] = stats[r].max_abs;
    }
    trit_free(stats, bytes);
    return status;
}

static void signs_body(void *context, const trit_segment *s) {
    trit_quant_call *c = context;
    for (int64_t j = 0; j < s->n; j++) {
        const float sign = c->w[s->at + j] >= 0 ? 1.0f : -1.0f;
        c->codes[s->at + j] = (int8_t)sign;
        c->wq[s->at + j] = sign * c->scale[trit_segment_row(s, j)];
    }
}

void trit_quant_signs(trit_quant_call *c) { trit_rows_each(&c->rows, signs_body, c); }

#define NO_PIVOT 1e-10 /* of the diagonal: what is left is rounding */

/* Cholesky without roots: A = L D L'. */
void trit_solve(int n, double *A, double *b, double *x) {
    double d[TRIT_SOLVE_MAX];
    for (int j = 0; j < n; j++) {
        d[j] = A[j * n + j];
        for (int k = 0; k < j; k++) d[j] -= A[j * n + k] * A[j * n + k] * d[k];
        if (d[j] <= NO_PIVOT * A[j * n + j]) d[j] = 0;
        for (int i = j + 1; i < n; i++) {
            double v = A[i * n + j];
            for (int k = 0; k < j; k++) v -= A[i * n + k] * A[j * n + k] * d[k];
            A[i * n + j] = d[j] > 0 ? v / d[j] : 0;
        }
    }
    for (int i = 0; i < n; i++) {
        x[i] = b[i];
        for (int k = 0; k < i; k++) x[i] -= A[i * n + k] * x[k];
    }
    for (int i = n - 1; i >= 0; i--) {
        x[i] = d[i] > 0 ? x[i] / d[i] : 0;
        for (int k = i + 1; k < n && d[i] > 0; k++) x[i] -= A[k * n + i] * x[k];
    }
}

double trit_quant_draw(const trit_quant_call *c, uint64_t seed, uint64_t draw, int64_t i) {
    if (c->noise) return (double)c->noise[i];
    const uint64_t index = draw << 32 | (uint64_t)(uint32_t)i;
    return trit_rng_uniform(seed, TRIT_STREAM_QUANT, index, c->salt);
}
