/*
 * q_trq.c - ternary as a binary stem and a binary residual (Li et al., AAAI 2021; exact form from
 * memory of the paper).
 *
 *   S_w = alpha sign(w)     R_w = alpha sign(w - S_w)     w' = S_w + R_w: level 2 alpha, cut alpha
 *   dL/dalpha = 2 sum g t   dL/dw = dL/dw'
 * First alpha: `init` mean|w|, or 0.6120 sigma, the Lloyd-Max threshold of a normal distribution,
 * whose level is 2 alpha.
 *
 * Edge rules: sign(0) = +1, so w = alpha is +1 and w = -alpha is 0.  alpha that is not positive
 * acts as 1e-8, so that it can come back.
 */
#include <math.h>
#include <string.h>

#include "quant/rows.h"

enum { INIT, GRANULARITY };
enum { INIT_LLOYD_MAX = -1 };
enum { ALPHA };

#define LEAST_ALPHA 1e-8
#define LLOYD_MAX   0.6120 /* threshold of the best three levels of N(0,1) */

static const trit_param params[] = {
    {.name = "init",
     .def = INIT_LLOYD_MAX,
     .min = 0,
     .max = 10,
     .choices = "lloyd_max=-1",
     .number = true,
     .doc = "first alpha: 0.612 sigma, or a multiple of mean|w|"},
    TRIT_GRANULARITY_PARAM,
    TRIT_STE_PARAM,
    {0},
};

static const trit_learn learn[] = {
    {.name = "alpha", .doc = "threshold and half the level", .lr_scale = 1, .decay = true}, {0}};

static double alpha_of(const trit_quant_call *c, int64_t row) {
    return fmax(LEAST_ALPHA, (double)c->learn[ALPHA][row]);
}

static trit_status reset(const trit_quant_call *c, float *const learned[TRIT_MAX_LEARN]) {
    const size_t bytes = (size_t)c->rows.rows * sizeof(trit_row_stats);
    trit_row_stats *stats = trit_alloc(bytes);
    if (!stats) return TRIT_ERR_MEM;
    const double init = c->args.v[INIT][0];
    const trit_status status = trit_rows_scan("trq", &c->rows, c->w, stats);
    for (int64_t r = 0; r < c->rows.rows && status == TRIT_OK; r++)
        learned[ALPHA][r] =
            (float)(init == INIT_LLOYD_MAX ? LLOYD_MAX * trit_row_sigma(&stats[r], c->rows.len)
                                           : init * stats[r].mean_abs);
    trit_free(stats, bytes);
    return status;
}

static void stem_body(void *context, const trit_segment *s) {
    trit_quant_call *c = context;
    for (int64_t j = 0; j < s->n; j++) {
        const int64_t i = s->at + j;
        const double alpha = alpha_of(c, trit_segment_row(s, j)), w = (double)c->w[i];
        const int stem = w >= 0 ? 1 : -1, rest = w - alpha * stem >= 0 ? 1 : -1;
        c->codes[i] = (int8_t)((stem + rest) / 2);
        c->wq[i] = (float)(alpha * (stem + rest));
    }
}

static trit_status forward(trit_quant_call *c) {
    TRIT_TRY(trit_quant_survey(c));
    for (int64_t r = 0; r < c->rows.rows; r++) {
        if (!isfinite(c->learn[ALPHA][r]))
            return trit_fail(TRIT_ERR_ARG, "trq: alpha of row %lld is %g", (long long)r + 1,
                             (double)c->learn[ALPHA][r]);
        c->scale[r] = c->scale_neg[r] = (float)(2 * alpha_of(c, r));
        c->cache[r * TRIT_ROW_CACHE + TRIT_ROW_DELTA] = alpha_of(c, r);
    }
    trit_rows_each(&c->rows, stem_body, c);
    return TRIT_OK;
}

static trit_status backward(const trit_quant_call *c, const float *g, float *dw,
                            float *const dlearn[TRIT_MAX_LEARN]) {
    if (dw) memcpy(dw, g, (size_t)c->n * sizeof *dw);
    if (!dlearn[ALPHA]) return TRIT_OK;
    const size_t bytes = 2 * (size_t)c->rows.rows * sizeof(double);
    double *sides = trit_alloc(bytes);
    if (!sides) return TRIT_ERR_MEM;
    const trit_status status = trit_quant_sides(c, g, sides, sides + c->rows.rows);
    for (int64_t r = 0; r < c->rows.rows && status == TRIT_OK; r++)
        dlearn[ALPHA][r] = (float)(2 * (sides[r] - sides[c->rows.rows + r]));
    trit_free(sides, bytes);
    return status;
}

static double integral(const trit_quant_call *c, trit_at at, double w) {
    (void)c, (void)at;
    return w;
}

static const trit_case cases[] = {
    {"[6,4,3,3]", ""}, {"[6,4,3,3]", "granularity=filter"}, {"[5,24]", "init=0.7"}, {0}};

const trit_quantizer trit_quantizer_trq = {
    .name = "trq",
    .doc = "trit.quant.trq{ init, granularity, ste } -> quantizer\n"
           "Ternary weights as a binary stem plus a binary residual of one trained size.\n"
           "shapes:  w [...] -> w' [...]; alpha [rows], rows = 1 or filters\n"
           "eq:      w' = alpha (sign(w) + sign(w - alpha sign(w))); dL/dalpha = 2 sum g t;\n"
           "         dL/dw = dL/dw'   (Li et al. 2021)\n"
           "units:   alpha in units of the weights\n"
           "errors:  weights or alpha that are not finite\n",
    .params = params,
    .learn = learn,
    .properties = TRIT_PROP_ODD | TRIT_PROP_SCALE | TRIT_PROP_PERMUTE | TRIT_PROP_MONOTONE |
                  TRIT_PROP_ODD_CODES | TRIT_PROP_CODED,
    .reset = reset,
    .forward = forward,
    .backward = backward,
    .integral = integral,
    .cases = cases,
};
