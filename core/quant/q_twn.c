/*
 * q_twn.c - ternary weight networks (Li & Liu 2016, arXiv:1605.04711; the authors' Caffe code).
 *
 *   Delta = delta mean|w|          t = +1 if w > Delta, -1 if w < -Delta, else 0
 *   alpha = mean(|w| : |w| > Delta)     w' = alpha t     dL/dw = dL/dw'
 * `exact` chooses Delta so that sum (w - alpha t)^2 is least: with |w| sorted descending and
 * c_k the sum of the first k, k* = argmax c_k^2/k, alpha = c_k* / k*, and t != 0 just where
 * |w| > alpha/2.
 *
 * Edge rules: cuts are strict; where nothing is outside them (a row of zeros) alpha = 0.  The
 * 1e-6 that the GPU code adds to the denominator of alpha is left out.
 */
#include <math.h>
#include <string.h>

#include "quant/rows.h"

enum { DELTA, GRANULARITY };
enum { DELTA_EXACT = -1 };

static const trit_param params[] = {
    {.name = "delta",
     .def = 0.7,
     .min = 0,
     .max = 10,
     .choices = "exact=-1",
     .number = true,
     .doc = "threshold in units of mean|w|, or the one of least squared error"},
    {.name = "granularity", .choices = "layer|filter", .doc = "one scale a layer or a filter"},
    TRIT_STE_PARAM,
    {0},
};

/* --------------------------------------------------------- threshold of least error */

static double exact_delta(const trit_rows *r, const float *w, int64_t row, float *room) {
    double sum = 0, best = -1, alpha = 0;
    trit_row_sort(r, w, row, room);
    for (int64_t k = 1; k <= r->len; k++) {
        sum += (double)room[r->len - k];
        if (sum * sum / (double)k <= best) continue;
        best = sum * sum / (double)k;
        alpha = sum / (double)k;
    }
    return alpha / 2;
}

static trit_status find_deltas(trit_quant_call *c, const trit_row_stats *stats) {
    const bool exact = c->args.v[DELTA][0] == DELTA_EXACT;
    const size_t bytes = exact ? 2 * (size_t)c->rows.len * sizeof(float) : 0;
    float *room = exact ? trit_alloc(bytes) : NULL;
    if (exact && !room) return TRIT_ERR_MEM;
    for (int64_t r = 0; r < c->rows.rows; r++) {
        double *cache = c->cache + r * TRIT_ROW_CACHE;
        trit_row_log(c, r, &stats[r]);
        cache[TRIT_ROW_DELTA] =
            exact ? exact_delta(&c->rows, c->w, r, room) : c->args.v[DELTA][0] * stats[r].mean_abs;
    }
    trit_free(room, bytes);
    return TRIT_OK;
}

/* ------------------------------------------------------------------------ forward */

typedef struct {
    trit_row_stats *stats;
    trit_row_kept *kept;
    float *lo, *hi, *alpha; // [rows]
} work;

static trit_status quantize(trit_quant_call *c, work *m) {
    TRIT_TRY(trit_rows_scan("twn", &c->rows, c->w, m->stats));
    TRIT_TRY(find_deltas(c, m->stats));
    for (int64_t r = 0; r < c->rows.rows; r++) {
        m->hi[r] = trit_below(c->cache[r * TRIT_ROW_CACHE + TRIT_ROW_DELTA]);
        m->lo[r] = -m->hi[r];
    }
    TRIT_TRY(trit_rows_keep(&c->rows, c->w, m->lo, m->hi, m->kept));
    for (int64_t r = 0; r < c->rows.rows; r++) {
        const double alpha = m->kept[r].count > 0 ? m->kept[r].sum / m->kept[r].count : 0;
        m->alpha[r] = c->scale[r] = c->scale_neg[r] = (float)alpha;
    }
    const trit_row_cuts cuts = {m->lo, m->hi, m->alpha, m->alpha};
    trit_rows_cut(&c->rows, c->w, &cuts, c->codes, c->wq, false);
    return TRIT_OK;
}

static trit_status forward(trit_quant_call *c) {
    const size_t rows = (size_t)c->rows.rows;
    const size_t bytes =
        rows * (sizeof(trit_row_stats) + sizeof(trit_row_kept) + 3 * sizeof(float));
    char *room = trit_alloc(bytes);
    if (!room) return TRIT_ERR_MEM;
    work m = {.stats = (trit_row_stats *)room};
    m.kept = (trit_row_kept *)(m.stats + rows);
    m.lo = (float *)(m.kept + rows);
    m.hi = m.lo + rows;
    m.alpha = m.hi + rows;
    trit_status status = quantize(c, &m);
    trit_free(room, bytes);
    return status;
}

static trit_status backward(const trit_quant_call *c, const float *g, float *dw,
                            float *const dlearn[TRIT_MAX_LEARN]) {
    (void)dlearn;
    if (dw) memcpy(dw, g, (size_t)c->n * sizeof *dw);
    return TRIT_OK;
}

static double integral(const trit_quant_call *c, trit_at at, double w) {
    (void)c, (void)at;
    return w;
}

static const trit_case cases[] = {
    {"[6,4,3,3]", ""},
    {"[6,4,3,3]", "delta=0.75,granularity=filter"},
    {"[5,24]", "delta=exact"},
    {"[5,24]", "delta=exact,granularity=filter"},
    {0},
};

const trit_quantizer trit_quantizer_twn = {
    .name = "twn",
    .doc = "trit.quant.twn{ delta, granularity, ste } -> quantizer\n"
           "Ternary weights with threshold delta mean|w| and the best scale for it.\n"
           "shapes:  w [...] -> w' [...]\n"
           "eq:      Delta = 0.7 mean|w|; alpha = mean(|w| : |w| > Delta); w' = alpha t;\n"
           "         dL/dw = dL/dw'   (Li & Liu 2016, arXiv:1605.04711)\n"
           "units:   delta in units of mean|w|\n"
           "errors:  weights that are not finite\n",
    .params = params,
    .properties = TRIT_PROP_ODD | TRIT_PROP_SCALE | TRIT_PROP_PERMUTE | TRIT_PROP_MONOTONE |
                  TRIT_PROP_ODD_CODES | TRIT_PROP_CODED,
    .forward = forward,
    .backward = backward,
    .integral = integral,
    .cases = cases,
};
