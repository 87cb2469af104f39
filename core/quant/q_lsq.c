/*
 * q_lsq.c - learned step size (Esser et al., ICLR 2020, arXiv:1902.08153).
 *
 *   t = clip(round(w/s), -qn, qp)      w' = s t         qn = qp = 1 is ternary
 *   dL/dw = g [-qn < w/s < qp]
 *   dL/ds = sum_i g_i d_i / sqrt(n qp),  d = round(w/s) - w/s inside, -qn below, qp above
 * n = weights of the tensor, or with `grad_scale_n = filter` of one row.
 * First s: 2 mean|w|/sqrt(qp).
 *
 * Edge rules: halves round to even; w/s at a limit is outside.  s that is not positive acts as
 * 1e-8, so that it can come back.
 */
#include <math.h>

#include "quant/rows.h"

enum { QN, QP, GRAD_SCALE_N, GRANULARITY };
enum { N_TENSOR, N_FILTER };
enum { S };

#define LEAST_STEP 1e-8

static const trit_param params[] = {
    {.name = "qn", .def = 1, .min = 0, .max = 128, .doc = "steps below 0"},
    {.name = "qp", .def = 1, .min = 1, .max = 127, .doc = "steps above 0"},
    {.name = "grad_scale_n",
     .choices = "tensor|filter",
     .doc = "whose size divides the gradient of s"},
    TRIT_GRANULARITY_PARAM,
    TRIT_STE_PARAM,
    {0},
};

static const trit_learn learn[] = {
    {.name = "s", .doc = "step, in units of the weights", .lr_scale = 1, .decay = true}, {0}};

static double bits(const trit_args *args) {
    return ceil(log2(args->v[QN][0] + args->v[QP][0] + 1));
}

static double step_of(const trit_quant_call *c, int64_t row) {
    return fmax(LEAST_STEP, (double)c->learn[S][row]);
}

static trit_status reset(const trit_quant_call *c, float *const learned[TRIT_MAX_LEARN]) {
    const size_t bytes = (size_t)c->rows.rows * sizeof(trit_row_stats);
    trit_row_stats *stats = trit_alloc(bytes);
    if (!stats) return TRIT_ERR_MEM;
    const trit_status status = trit_rows_scan("lsq", &c->rows, c->w, stats);
    for (int64_t r = 0; r < c->rows.rows && status == TRIT_OK; r++)
        learned[S][r] = (float)(2 * stats[r].mean_abs / sqrt(c->args.v[QP][0]));
    trit_free(stats, bytes);
    return status;
}

static void round_body(void *context, const trit_segment *s) {
    trit_quant_call *c = context;
    const double qn = c->args.v[QN][0], qp = c->args.v[QP][0];
    for (int64_t j = 0; j < s->n; j++) {
        const int64_t i = s->at + j;
        const double step = step_of(c, trit_segment_row(s, j));
        const double t = rint(fmin(qp, fmax(-qn, (double)c->w[i] / step)));
        c->codes[i] = (int8_t)t;
        c->wq[i] = (float)(step * t);
    }
}

static trit_status forward(trit_quant_call *c) {
    TRIT_TRY(trit_quant_survey(c));
    for (int64_t r = 0; r < c->rows.rows; r++) {
        if (!isfinite(c->learn[S][r]))
            return trit_fail(TRIT_ERR_ARG, "lsq: step of row %lld is %g", (long long)r + 1,
                             (double)c->learn[S][r]);
        c->scale[r] = c->scale_neg[r] = (float)step_of(c, r);
        c->cache[r * TRIT_ROW_CACHE + TRIT_ROW_DELTA] = step_of(c, r) / 2;
    }
    trit_rows_each(&c->rows, round_body, c);
    return TRIT_OK;
}

typedef struct {
    const trit_quant_call *c;
    const float *g;
    float *dw;
} slopes;

/* d of the head of this file, and whether w/s is inside. */
static double by_step(const trit_quant_call *c, double w, double step, bool *inside) {
    const double qn = c->args.v[QN][0], qp = c->args.v[QP][0], r = w / step;
    *inside = r > -qn && r < qp;
    return *inside ? rint(r) - r : r <= -qn ? -qn : qp;
}

static void weight_body(void *context, const trit_segment *s) {
    const slopes *m = context;
    for (int64_t j = 0; j < s->n; j++) {
        const int64_t i = s->at + j;
        bool inside;
        by_step(m->c, (double)m->c->w[i], step_of(m->c, trit_segment_row(s, j)), &inside);
        m->dw[i] = inside ? m->g[i] : 0.0f;
    }
}

static void step_body(void *context, const trit_segment *s, double *sums) {
    const slopes *m = context;
    for (int64_t j = 0; j < s->n; j++) {
        const int64_t i = s->at + j;
        bool inside;
        const double d =
            by_step(m->c, (double)m->c->w[i], step_of(m->c, trit_segment_row(s, j)), &inside);
        *trit_sum_at(s, sums, 0, j) += (double)m->g[i] * d;
    }
}

static double grad_scale(const trit_quant_call *c) {
    const double n = (double)(c->args.v[GRAD_SCALE_N][0] == N_FILTER ? c->rows.len : c->n);
    return n > 0 ? 1 / sqrt(n * c->args.v[QP][0]) : 0;
}

static trit_status backward(const trit_quant_call *c, const float *g, float *dw,
                            float *const dlearn[TRIT_MAX_LEARN]) {
    slopes m = {c, g, dw};
    if (dw) trit_rows_each(&c->rows, weight_body, &m);
    if (!dlearn[S]) return TRIT_OK;
    const size_t bytes = (size_t)c->rows.rows * sizeof(double);
    double *sums = trit_alloc(bytes);
    if (!sums) return TRIT_ERR_MEM;
    const trit_status status = trit_rows_sum(&c->rows, 1, step_body, &m, sums);
    for (int64_t r = 0; r < c->rows.rows && status == TRIT_OK; r++)
        dlearn[S][r] = (float)(sums[r] * grad_scale(c));
    trit_free(sums, bytes);
    return status;
}

/* s (w/s + what rounding added), the addition held; the step moves by its scaled gradient. */
static void surrogate(const trit_quant_call *c, int64_t row, const double *w, const double *learned,
                      double *out) {
    const double base = step_of(c, row);
    const double step = base + grad_scale(c) * (learned[S] - (double)c->learn[S][row]);
    for (int64_t i = 0; i < c->rows.len; i++) {
        bool inside;
        const double at = (double)c->w[row * c->rows.row_stride + i * c->rows.step];
        const double d = by_step(c, at, base, &inside);
        out[i] = inside ? w[i] + step * d : step * d;
    }
}

static unsigned properties_of(const trit_args *args) {
    const unsigned even =
        args->v[QN][0] == args->v[QP][0] ? TRIT_PROP_ODD | TRIT_PROP_ODD_CODES : 0;
    return even | TRIT_PROP_SCALE | TRIT_PROP_PERMUTE | TRIT_PROP_MONOTONE | TRIT_PROP_CODED;
}

static double level(const trit_quant_call *c, trit_at at) {
    return at.code * (double)c->scale[at.row];
}

static const trit_case cases[] = {{"[6,4,3,3]", ""},
                                  {"[6,4,3,3]", "granularity=filter,grad_scale_n=filter"},
                                  {"[5,24]", "qn=4,qp=3"},
                                  {"[5,24]", "qn=128,qp=127,granularity=filter"},
                                  {0}};

const trit_quantizer trit_quantizer_lsq = {
    .name = "lsq",
    .doc = "trit.quant.lsq{ qn, qp, grad_scale_n, granularity, ste } -> quantizer\n"
           "Equal steps whose size is trained; ternary with qn = qp = 1.\n"
           "shapes:  w [...] -> w' [...]; s [rows], rows = 1 or filters\n"
           "eq:      w' = s clip(round(w/s), -qn, qp); dL/dw = g [-qn < w/s < qp];\n"
           "         dL/ds = sum g (round(w/s) - w/s)/sqrt(n qp)   (Esser et al. 2020,\n"
           "         arXiv:1902.08153)\n"
           "units:   s in units of the weights\n"
           "errors:  weights or steps that are not finite\n",
    .params = params,
    .learn = learn,
    .properties_of = properties_of,
    .bits = bits,
    .reset = reset,
    .forward = forward,
    .backward = backward,
    .surrogate = surrogate,
    .level = level,
    .cases = cases,
};
