/*
 * q_sttn.c - soft threshold ternary networks (Xu et al., IJCAI 2020, arXiv:2204.01234, and the
 * authors' code).
 *
 *   two latent tensors w1 = w and w2, binarized with one scale:
 *   alpha = mean of |w1| and |w2| of the filter      w' = alpha (sign(w1) + sign(w2))
 *   dL/dw1_i = g_i + sign(w1_i)/n sum_j g_j sign(w1_j), likewise w2; n = weights of the filter
 * Merged for inference: codes (sign w1 + sign w2)/2, scale 2 alpha; zeros emerge where the signs
 * differ, without a threshold.
 *
 * Edge rules: sign(0) = +1.  First w2: w where |w| > 0.7 mean|w|, else -w, so that training starts
 * from TWN's codes (ours; the authors start two independent tensors).
 */
#include <math.h>
#include <string.h>

#include "quant/rows.h"

enum { GRANULARITY };
enum { W2 };

#define TWN_DELTA 0.7 /* of mean|w| */

static const trit_param params[] = {{.name = "granularity",
                                     .def = 1,
                                     .choices = "layer|filter",
                                     .doc = "one scale a layer or a filter"},
                                    TRIT_STE_PARAM,
                                    {0}};

static const trit_learn learn[] = {{.name = "w2",
                                    .doc = "second latent tensor",
                                    .lr_scale = 1,
                                    .decay = true,
                                    .per_weight = true,
                                    .latent = true},
                                   {0}};

static trit_status reset(const trit_quant_call *c, float *const learned[TRIT_MAX_LEARN]) {
    const size_t bytes = (size_t)c->rows.rows * sizeof(trit_row_stats);
    trit_row_stats *stats = trit_alloc(bytes);
    if (!stats) return TRIT_ERR_MEM;
    const trit_status status = trit_rows_scan("sttn", &c->rows, c->w, stats);
    for (int64_t r = 0; r < c->rows.rows && status == TRIT_OK; r++)
        for (int64_t i = 0; i < c->rows.len; i++) {
            const int64_t at = r * c->rows.row_stride + i * c->rows.step;
            const bool out = (double)fabsf(c->w[at]) > TWN_DELTA * stats[r].mean_abs;
            learned[W2][at] = out ? c->w[at] : -c->w[at];
        }
    trit_free(stats, bytes);
    return status;
}

static int sign(float x) { return x >= 0 ? 1 : -1; }

static void magnitude_body(void *context, const trit_segment *s, double *sums) {
    const trit_quant_call *c = context;
    for (int64_t j = 0; j < s->n; j++)
        *trit_sum_at(s, sums, 0, j) +=
            fabs((double)c->w[s->at + j]) + fabs((double)c->learn[W2][s->at + j]);
}

static void add_body(void *context, const trit_segment *s) {
    trit_quant_call *c = context;
    for (int64_t j = 0; j < s->n; j++) {
        const int64_t i = s->at + j;
        c->codes[i] = (int8_t)((sign(c->w[i]) + sign(c->learn[W2][i])) / 2);
        c->wq[i] = c->codes[i] * c->scale[trit_segment_row(s, j)];
    }
}

static trit_status forward(trit_quant_call *c) {
    TRIT_TRY(trit_quant_survey(c));
    const size_t bytes = (size_t)c->rows.rows * sizeof(double);
    double *sums = trit_alloc(bytes);
    if (!sums) return TRIT_ERR_MEM;
    trit_status status = trit_rows_sum(&c->rows, 1, magnitude_body, c, sums);
    for (int64_t r = 0; r < c->rows.rows && status == TRIT_OK; r++) {
        if (!isfinite(sums[r]))
            status =
                trit_fail(TRIT_ERR_ARG, "sttn: w2 of row %lld is not finite", (long long)r + 1);
        c->scale[r] = c->scale_neg[r] = c->rows.len ? (float)(sums[r] / (double)c->rows.len) : 0;
    }
    if (status == TRIT_OK) trit_rows_each(&c->rows, add_body, c);
    trit_free(sums, bytes);
    return status;
}

typedef struct {
    const float *w, *g;   /* one of the latents */
    const float *rounded; /* what passes the rounding */
    const double *mean;   // [rows] of g sign(w)
    float *dw;
} slopes;

static void through_body(void *context, const trit_segment *s, double *sums) {
    const slopes *m = context;
    for (int64_t j = 0; j < s->n; j++)
        *trit_sum_at(s, sums, 0, j) += (double)m->g[s->at + j] * sign(m->w[s->at + j]);
}

static void slope_body(void *context, const trit_segment *s) {
    const slopes *m = context;
    for (int64_t j = 0; j < s->n; j++) {
        const int64_t i = s->at + j;
        m->dw[i] = m->rounded[i] + (float)(sign(m->w[i]) * m->mean[trit_segment_row(s, j)]);
    }
}

static trit_status slope(const trit_quant_call *c, const float *w, const float *g,
                         const float *rounded, float *dw) {
    const size_t bytes = (size_t)c->rows.rows * sizeof(double);
    double *mean = trit_alloc(bytes);
    if (!mean) return TRIT_ERR_MEM;
    slopes m = {w, g, rounded, mean, dw};
    const trit_status status = trit_rows_sum(&c->rows, 1, through_body, &m, mean);
    for (int64_t r = 0; r < c->rows.rows && status == TRIT_OK; r++)
        mean[r] = c->rows.len ? mean[r] / (double)c->rows.len : 0;
    if (status == TRIT_OK) trit_rows_each(&c->rows, slope_body, &m);
    trit_free(mean, bytes);
    return status;
}

static trit_status backward(const trit_quant_call *c, const float *g, float *dw,
                            float *const dlearn[TRIT_MAX_LEARN]) {
    if (dw) TRIT_TRY(slope(c, c->w, g, g, dw));
    return dlearn[W2] ? slope(c, c->learn[W2], g, g, dlearn[W2]) : TRIT_OK;
}

static trit_status beside(const trit_quant_call *c, const float *g, float *dw) {
    return slope(c, c->w, g, dw, dw);
}

/* w + mean|w| times the signs as they are: the gradient above, term by term. */
static void surrogate(const trit_quant_call *c, int64_t row, const double *w, const double *learned,
                      double *out) {
    (void)learned;
    double sum = 0;
    for (int64_t i = 0; i < c->rows.len; i++) sum += fabs(w[i]);
    for (int64_t i = 0; i < c->rows.len; i++)
        out[i] = w[i] + sum / (double)c->rows.len *
                            sign(c->w[row * c->rows.row_stride + i * c->rows.step]);
}

static const trit_case cases[] = {{"[6,4,3,3]", ""}, {"[5,24]", "granularity=layer"}, {0}};

const trit_quantizer trit_quantizer_sttn = {
    .name = "sttn",
    .doc = "trit.quant.sttn{ granularity, ste } -> quantizer\n"
           "Ternary weights as the sum of two binary ones with one scale.\n"
           "shapes:  w [...] -> w' [...]; w2 [...]\n"
           "eq:      w' = alpha (sign(w) + sign(w2)), alpha = mean of |w|, |w2|;\n"
           "         dL/dw = g + sign(w)/n sum g sign(w)   (Xu et al. 2020, arXiv:2204.01234)\n"
           "errors:  weights that are not finite\n",
    .params = params,
    .learn = learn,
    .properties = TRIT_PROP_ODD | TRIT_PROP_SCALE | TRIT_PROP_PERMUTE | TRIT_PROP_MONOTONE |
                  TRIT_PROP_ODD_CODES | TRIT_PROP_CODED,
    .reset = reset,
    .forward = forward,
    .backward = backward,
    .beside = beside,
    .surrogate = surrogate,
    .cases = cases,
};
