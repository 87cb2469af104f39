/*
 * q_binaryconnect.c - binary weights without a scale (Courbariaux, Bengio & David 2015,
 * arXiv:1511.00363, and the authors' code); BNN (arXiv:1602.02830) uses the deterministic ones.
 *
 *   deterministic  w' = +1 if w >= 0, else -1
 *   stochastic     w' = +1 with probability clip((w + 1) / 2, 0, 1), else -1; drawn afresh at every
 *                  forward of the training, a function of (seed, layer, number of the draw, place)
 *   dL/dw = dL/dw'
 * At test time the stochastic variant uses the real weights.  Clipping w to [-1, 1] after the
 * update and the learning rates of the layers belong to the training (trit.methods.binaryconnect).
 *
 * Edge rules: w = 0 is +1.
 */
#include <math.h>
#include <string.h>

#include "quant/rows.h"

enum { MODE, SEED, GRANULARITY };
enum { DETERMINISTIC, STOCHASTIC };
enum { DRAWS };

static const trit_param params[] = {
    {.name = "mode", .choices = "deterministic|stochastic", .doc = "sign, or a draw around it"},
    {.name = "seed", .min = 0, .max = 1e9, .doc = "of the draws"},
    TRIT_GRANULARITY_PARAM,
    TRIT_STE_PARAM,
    {0},
};

static const trit_learn learn[] = {
    {.name = "draws", .doc = "how many draws there were, one number a row", .state = true},
    {0},
};

static trit_status reset(const trit_quant_call *c, float *const learned[TRIT_MAX_LEARN]) {
    for (int64_t r = 0; r < c->rows.rows; r++) learned[DRAWS][r] = 0;
    return TRIT_OK;
}

static void draw_body(void *context, const trit_segment *s) {
    trit_quant_call *c = context;
    const uint64_t draw = (uint64_t)c->learn[DRAWS][0];
    for (int64_t j = 0; j < s->n; j++) {
        const int64_t i = s->at + j;
        const double up = fmin(1, fmax(0, ((double)c->w[i] + 1) / 2));
        const double u = trit_quant_draw(c, (uint64_t)c->args.v[SEED][0], draw, i);
        c->codes[i] = u < up ? 1 : -1;
        c->wq[i] = c->codes[i];
    }
}

static trit_status forward(trit_quant_call *c) {
    TRIT_TRY(trit_quant_survey(c));
    for (int64_t r = 0; r < c->rows.rows; r++) c->scale[r] = c->scale_neg[r] = 1;
    const bool stochastic = c->args.v[MODE][0] == STOCHASTIC;
    if (stochastic && c->training) {
        trit_rows_each(&c->rows, draw_body, c);
        for (int64_t r = 0; r < c->rows.rows; r++) c->learn[DRAWS][r] += 1;
        return TRIT_OK;
    }
    trit_quant_signs(c);
    if (stochastic && c->n > 0) memcpy(c->wq, c->w, (size_t)c->n * sizeof *c->wq);
    return TRIT_OK;
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

static unsigned properties_of(const trit_args *args) {
    const unsigned always = TRIT_PROP_ODD | TRIT_PROP_ODD_CODES | TRIT_PROP_PERMUTE |
                            TRIT_PROP_MONOTONE | TRIT_PROP_BINARY;
    return args->v[MODE][0] == STOCHASTIC ? always | TRIT_PROP_PLACED : always | TRIT_PROP_CODED;
}

static double bits(const trit_args *args) { return args->v[MODE][0] == STOCHASTIC ? 32 : 1; }

static const trit_case cases[] = {
    {"[6,4,3,3]", ""}, {"[5,24]", "granularity=filter"}, {"[5,24]", "mode=stochastic"}, {0}};

const trit_quantizer trit_quantizer_binaryconnect = {
    .name = "binaryconnect",
    .doc = "trit.quant.binaryconnect{ mode, seed, granularity, ste } -> quantizer\n"
           "Binary weights +1 and -1, by sign or by a draw.\n"
           "shapes:  w [...] -> w' [...]\n"
           "eq:      w' = sign(w), sign(0) = +1; or +1 with probability clip((w+1)/2, 0, 1);\n"
           "         dL/dw = dL/dw'   (Courbariaux et al. 2015, arXiv:1511.00363)\n"
           "errors:  weights that are not finite\n",
    .params = params,
    .learn = learn,
    .properties_of = properties_of,
    .bits = bits,
    .reset = reset,
    .forward = forward,
    .backward = backward,
    .integral = integral,
    .cases = cases,
};
