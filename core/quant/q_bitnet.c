/*
 * q_bitnet.c - BitNet b1.58 absmean (Ma et al. 2024, arXiv:2402.17764, and the authors' "Training
 * Tips, Code and FAQ").
 *
 *   gamma = max(mean|w|, 1e-5)     t = clip(round(w/gamma), -1, 1)     w' = gamma t
 *   dL/dw = dL/dw'                 gamma held
 *
 * Edge rules: halves round to even, so |w| = gamma/2 is 0 and t != 0 just where |w| > gamma/2.
 */
#include <math.h>
#include <string.h>

#include "quant/rows.h"

enum { GRANULARITY };

#define LEAST_GAMMA 1e-5

static const trit_param params[] = {TRIT_GRANULARITY_PARAM, TRIT_STE_PARAM, {0}};

static trit_status forward(trit_quant_call *c) {
    TRIT_TRY(trit_quant_survey(c));
    const size_t bytes = (size_t)c->rows.rows * sizeof(trit_cut);
    trit_cut *cuts = trit_alloc(bytes);
    if (!cuts) return TRIT_ERR_MEM;
    for (int64_t r = 0; r < c->rows.rows; r++) {
        const double gamma = fmax(LEAST_GAMMA, c->cache[r * TRIT_ROW_CACHE + TRIT_ROW_MEAN_ABS]);
        cuts[r] = (trit_cut){-gamma / 2, gamma / 2, gamma, gamma};
    }
    const trit_status status = trit_quant_cut(c, cuts);
    trit_free(cuts, bytes);
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

static const trit_case cases[] = {{"[6,4,3,3]", ""}, {"[5,24]", "granularity=filter"}, {0}};

const trit_quantizer trit_quantizer_bitnet = {
    .name = "bitnet",
    .doc = "trit.quant.bitnet{ granularity, ste } -> quantizer\n"
           "Ternary weights rounded in units of their mean magnitude.\n"
           "shapes:  w [...] -> w' [...]\n"
           "eq:      gamma = max(mean|w|, 1e-5); w' = gamma clip(round(w/gamma), -1, 1);\n"
           "         dL/dw = dL/dw'   (Ma et al. 2024, arXiv:2402.17764)\n"
           "errors:  weights that are not finite\n",
    .params = params,
    .properties = TRIT_PROP_ODD | TRIT_PROP_SCALE | TRIT_PROP_PERMUTE | TRIT_PROP_MONOTONE |
                  TRIT_PROP_ODD_CODES | TRIT_PROP_CODED,
    .forward = forward,
    .backward = backward,
    .integral = integral,
    .cases = cases,
};
