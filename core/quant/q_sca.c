/*
 * q_sca.c - sparsity control by a regularizer (Deng & Zhang 2020, arXiv:2011.00580; gradient as in
 * a public re-implementation).
 *
 *   tau = tanh(gain w)     training: w' = tau     otherwise: w' = round(tau), -1, 0 or +1
 *   loss += b sum (a - tau^2) tau^2
 *   dL/dw = gain (1 - tau^2) (g + 2 b tau (a - 2 tau^2))
 * The barrier at tau^2 = a/2 parts weights that go to 0 from those that go to +-1: a larger a gives
 * more zeros.  The regularizer acts through the gradient; the reported loss is without it.
 * gain = auto is fixed at reset so that |w| = 0.7 mean|w| stands at tau = 1/2 (ours: weights of
 * trained layers are far smaller than 1); gain = 1 is the published form.
 *
 * Edge rules: |tau| = 1/2 rounds to 0; a row of zeros has gain 1.
 */
#include <math.h>

#include "quant/rows.h"

enum { A, B, GAIN_OPTION, GRANULARITY };
enum { GAIN_AUTO = -1 };
enum { GAIN };

#define TWN_DELTA 0.7 /* of mean|w|: the weight that stands at tau = 1/2 */

static const trit_param params[] = {
    {.name = "a", .def = 1.2, .min = 0, .max = 2, .doc = "barrier: tau^2 = a/2"},
    {.name = "b", .def = 1e-4, .min = 0, .max = 1e3, .doc = "weight of the regularizer"},
    {.name = "gain",
     .def = GAIN_AUTO,
     .min = 1e-6,
     .max = 1e6,
     .choices = "auto=-1",
     .number = true,
     .doc = "units of w: tau = tanh(gain w)"},
    TRIT_GRANULARITY_PARAM,
    TRIT_STE_PARAM,
    {0},
};

static const trit_learn learn[] = {
    {.name = "gain_used", .doc = "the gain, fixed at reset", .state = true}, {0}};

static trit_status reset(const trit_quant_call *c, float *const learned[TRIT_MAX_LEARN]) {
    const size_t bytes = (size_t)c->rows.rows * sizeof(trit_row_stats);
    trit_row_stats *stats = trit_alloc(bytes);
    if (!stats) return TRIT_ERR_MEM;
    const double given = c->args.v[GAIN_OPTION][0];
    const trit_status status = trit_rows_scan("sca", &c->rows, c->w, stats);
    for (int64_t r = 0; r < c->rows.rows && status == TRIT_OK; r++) {
        const double at_half = TWN_DELTA * stats[r].mean_abs;
        const double fitted = at_half > 1e-30 ? atanh(0.5) / at_half : 1;
        learned[GAIN][r] = (float)(given == GAIN_AUTO ? fitted : given);
    }
    trit_free(stats, bytes);
    return status;
}

static void round_body(void *context, const trit_segment *s) {
    trit_quant_call *c = context;
    for (int64_t j = 0; j < s->n; j++) {
        const int64_t i = s->at + j;
        const double tau = tanh((double)c->learn[GAIN][trit_segment_row(s, j)] * (double)c->w[i]);
        c->codes[i] = (int8_t)rint(tau);
        c->wq[i] = c->training ? (float)tau : (float)c->codes[i];
    }
}

static trit_status forward(trit_quant_call *c) {
    TRIT_TRY(trit_quant_survey(c));
    for (int64_t r = 0; r < c->rows.rows; r++) {
        c->scale[r] = c->scale_neg[r] = 1;
        c->cache[r * TRIT_ROW_CACHE + TRIT_ROW_DELTA] = atanh(0.5) / (double)c->learn[GAIN][r];
    }
    trit_rows_each(&c->rows, round_body, c);
    return TRIT_OK;
}

typedef struct {
    const trit_quant_call *c;
    const float *g;
    float *dw;
} slopes;

static void slope_body(void *context, const trit_segment *s) {
    const slopes *m = context;
    const double a = m->c->args.v[A][0], b = m->c->args.v[B][0];
    for (int64_t j = 0; j < s->n; j++) {
        const int64_t i = s->at + j;
        const double gain = (double)m->c->learn[GAIN][trit_segment_row(s, j)];
        const double tau = tanh(gain * (double)m->c->w[i]);
        m->dw[i] =
            (float)(gain * (1 - tau * tau) * ((double)m->g[i] + 2 * b * tau * (a - 2 * tau * tau)));
    }
}

static trit_status backward(const trit_quant_call *c, const float *g, float *dw,
                            float *const dlearn[TRIT_MAX_LEARN]) {
    (void)dlearn;
    if (dw) trit_rows_each(&c->rows, slope_body, &(slopes){c, g, dw});
    return TRIT_OK;
}

/* Only with b = 0 is dL/dw a factor of g alone. */
static double integral(const trit_quant_call *c, trit_at at, double w) {
    if (c->args.v[B][0] != 0) return NAN;
    return tanh((double)c->learn[GAIN][at.row] * w);
}

static const trit_case cases[] = {{"[6,4,3,3]", "b=0"},
                                  {"[6,4,3,3]", "b=0,granularity=filter"},
                                  {"[5,24]", "b=0,a=1.8,gain=1"},
                                  {0}};

const trit_quantizer trit_quantizer_sca = {
    .name = "sca",
    .doc = "trit.quant.sca{ a, b, gain, granularity, ste } -> quantizer\n"
           "Soft weights that a regularizer drives to -1, 0 and +1, with a knob for the zeros.\n"
           "shapes:  w [...] -> w' [...]\n"
           "eq:      tau = tanh(gain w); loss += b sum (a - tau^2) tau^2; w' = tau in training,\n"
           "         round(tau) else   (Deng & Zhang 2020, arXiv:2011.00580)\n"
           "errors:  weights that are not finite; a ste other than own:\n"
           "         no weight that trains is rounded\n",
    .params = params,
    .unrounded = true,
    .learn = learn,
    .properties = TRIT_PROP_ODD | TRIT_PROP_PERMUTE | TRIT_PROP_MONOTONE | TRIT_PROP_ODD_CODES |
                  TRIT_PROP_CODED,
    .reset = reset,
    .forward = forward,
    .backward = backward,
    .integral = integral,
    .cases = cases,
};
