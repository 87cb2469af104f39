/*
 * q_wacv.c - statistical scaling and residual expansion (He, Gong & Fan, WACV 2019,
 * arXiv:1807.07948, and the first author's code).
 *
 *   Delta_k = beta_k max|w|     alpha_k = mean(|w| : |w| >= Delta_k)
 *   t_k = +1 if w >= Delta_k, -1 if w < -Delta_k, else 0         w' = sum_k alpha_k t_k
 *   dL/dw = t_ex dL/dw' [|w| < 1]
 * Summed over t_ex terms; a layer adds its bias once (the code adds it in every branch).
 *
 * Edge rules: as in the code w = +Delta is +1 while w = -Delta is 0 and still counts in alpha.  A
 * row of zeros has codes 0 and alpha 0.
 */
#include <math.h>

#include "quant/rows.h"

enum { T_EX, BETAS, GRANULARITY };

#define BETA_STEP 0.05 /* of max|w|: the authors' factors are 0.05, 0.1, 0.15, 0.2 */

static const trit_param params[] = {
    {.name = "t_ex", .def = 1, .choices = "1=1|2=2|4=4", .doc = "terms of the expansion"},
    {.name = "betas",
     .def = BETA_STEP,
     .min = 0,
     .max = 1,
     .len = TRIT_MAX_TERMS,
     .list = true,
     .doc = "thresholds, fractions of max|w|; one number b gives b, 2b, ..."},
    {.name = "granularity", .choices = "layer|filter", .doc = "one scale a layer or a filter"},
    TRIT_STE_PARAM,
    {0},
};

static int terms(const trit_args *args) { return (int)args->v[T_EX][0]; }

static trit_status check(const trit_args *args) {
    const int given = args->n[BETAS], k = terms(args);
    if (given > 1 && given != k)
        return trit_fail(TRIT_ERR_ARG, "wacv: betas has %d values but t_ex is %d", given, k);
    return TRIT_OK;
}

static double beta_of(const trit_args *args, int k) {
    return args->n[BETAS] > 1 ? args->v[BETAS][k] : args->v[BETAS][0] * (k + 1);
}

typedef struct {
    trit_row_stats *stats;
    trit_row_kept *kept;
    float *lo, *hi, *alpha; // [rows]
} work;

static trit_status apply_term(trit_quant_call *c, int k, work *m) {
    const int64_t rows = c->rows.rows;
    for (int64_t r = 0; r < rows; r++) {
        const double delta = beta_of(&c->args, k) * m->stats[r].max_abs;
        c->cache[r * TRIT_ROW_CACHE + TRIT_ROW_DELTA + k] = delta;
        m->hi[r] = delta > 0 ? trit_under(delta) : 0;
        m->lo[r] = -m->hi[r];
    }
    TRIT_TRY(trit_rows_keep(&c->rows, c->w, m->lo, m->hi, m->kept));
    for (int64_t r = 0; r < rows; r++) {
        const double alpha = m->kept[r].count > 0 ? m->kept[r].sum / m->kept[r].count : 0;
        m->alpha[r] = (float)alpha;
        c->scale[r * c->terms + k] = c->scale_neg[r * c->terms + k] = (float)alpha;
        m->lo[r] = trit_above(-c->cache[r * TRIT_ROW_CACHE + TRIT_ROW_DELTA + k]);
    }
    const trit_row_cuts cuts = {m->lo, m->hi, m->alpha, m->alpha};
    trit_rows_cut(&c->rows, c->w, &cuts, c->codes + k * c->n, c->wq, k > 0);
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
    trit_status status = trit_rows_scan("wacv", &c->rows, c->w, m.stats);
    for (int64_t r = 0; r < c->rows.rows && status == TRIT_OK; r++) trit_row_log(c, r, &m.stats[r]);
    for (int k = 0; k < c->terms && status == TRIT_OK; k++) status = apply_term(c, k, &m);
    trit_free(room, bytes);
    return status;
}

static trit_status backward(const trit_quant_call *c, const float *g, float *dw,
                            float *const dlearn[TRIT_MAX_LEARN]) {
    (void)dlearn;
    if (!dw) return TRIT_OK;
    const size_t bytes = (size_t)c->rows.rows * sizeof(float);
    float *factor = trit_alloc(bytes);
    if (!factor) return TRIT_ERR_MEM;
    for (int64_t r = 0; r < c->rows.rows; r++) factor[r] = (float)c->terms;
    const trit_row_affine by = {.factor = factor, .limit = nextafterf(1, 0)};
    trit_rows_affine(&c->rows, c->w, g, &by, dw);
    trit_free(factor, bytes);
    return TRIT_OK;
}

static double integral(const trit_quant_call *c, trit_at at, double w) {
    (void)c, (void)at;
    return fmax(-1, fmin(1, w));
}

static const trit_case cases[] = {
    {"[6,4,3,3]", ""},
    {"[6,4,3,3]", "granularity=filter,t_ex=2"},
    {"[5,24]", "t_ex=4"},
    {"[5,24]", "betas=0.25"},
    {0},
};

const trit_quantizer trit_quantizer_wacv = {
    .name = "wacv",
    .doc = "trit.quant.wacv{ t_ex, betas, granularity, ste } -> quantizer\n"
           "Ternary weights with fixed thresholds, optionally a sum of several.\n"
           "shapes:  w [...] -> w' [...]\n"
           "eq:      Delta = beta max|w|; alpha = mean(|w| : |w| >= Delta); w' = sum alpha t;\n"
           "         dL/dw = t_ex dL/dw' [|w| < 1]   (He, Gong & Fan 2019, arXiv:1807.07948)\n"
           "units:   betas are fractions of max|w|\n"
           "errors:  weights that are not finite; betas of the wrong length\n",
    .params = params,
    .properties = TRIT_PROP_ODD | TRIT_PROP_SCALE | TRIT_PROP_PERMUTE | TRIT_PROP_MONOTONE |
                  TRIT_PROP_ODD_CODES | TRIT_PROP_CODED,
    .terms = terms,
    .check = check,
    .forward = forward,
    .backward = backward,
    .integral = integral,
    .cases = cases,
};
