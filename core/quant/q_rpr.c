/*
 * q_rpr.c - random partition relaxation (Cavigelli & Benini 2020, arXiv:2001.01091; schedule and
 * levels from memory of the paper).
 *
 *   ternary levels of the row as in TWN: Delta = 0.7 mean|w|, alpha = mean(|w| : |w| > Delta)
 *   a random share f of the weights is on its level and gets no gradient, the others stay real:
 *   w' = alpha t, dL/dw = 0    or    w' = w, dL/dw = g
 * The training is cut in `draws` equal parts; part k (from 0) draws a new partition with
 * f = start + (1 - start) k/(draws - 1), so that the last has everything quantized.  Outside the
 * training all weights are on their levels.  A partition is a function of (seed, layer, part,
 * place).
 *
 * Edge rules: those of twn.
 */
#include <math.h>
#include <string.h>

#include "quant/rows.h"

enum { START, DRAWS, SEED, GRANULARITY };

#define TWN_DELTA 0.7 /* of mean|w| */

static const trit_param params[] = {
    {.name = "start", .def = 0.5, .min = 0, .max = 1, .doc = "share quantized in the first part"},
    {.name = "draws", .def = 6, .min = 1, .max = 1e4, .doc = "partitions of a training"},
    {.name = "seed", .min = 0, .max = 1e9, .doc = "of the partitions"},
    TRIT_GRANULARITY_PARAM,
    TRIT_STE_PARAM,
    {0},
};

static int part_of(const trit_quant_call *c) {
    const int parts = (int)c->args.v[DRAWS][0];
    return (int)fmin(parts - 1, floor(c->progress * parts));
}

static double share(const trit_quant_call *c) {
    const double start = c->args.v[START][0];
    const int last = (int)c->args.v[DRAWS][0] - 1;
    if (!c->training || part_of(c) >= last) return 1;
    return start + (1 - start) * part_of(c) / last;
}

static bool quantized(const trit_quant_call *c, double f, int64_t i) {
    if (f >= 1) return true;
    return trit_quant_draw(c, (uint64_t)c->args.v[SEED][0], (uint64_t)part_of(c), i) < f;
}

static void relax_body(void *context, const trit_segment *s) {
    trit_quant_call *c = context;
    const double f = share(c);
    for (int64_t j = 0; j < s->n; j++)
        if (!quantized(c, f, s->at + j)) c->wq[s->at + j] = c->w[s->at + j];
}

static trit_status forward(trit_quant_call *c) {
    TRIT_TRY(trit_quant_survey(c));
    const size_t bytes = (size_t)c->rows.rows * sizeof(trit_cut);
    trit_cut *cuts = trit_alloc(bytes);
    if (!cuts) return TRIT_ERR_MEM;
    for (int64_t r = 0; r < c->rows.rows; r++) {
        const double delta = TWN_DELTA * c->cache[r * TRIT_ROW_CACHE + TRIT_ROW_MEAN_ABS];
        cuts[r] = (trit_cut){-delta, delta, NAN, NAN};
    }
    const trit_status status = trit_quant_cut(c, cuts);
    trit_free(cuts, bytes);
    if (status == TRIT_OK && c->training) trit_rows_each(&c->rows, relax_body, c);
    return status;
}

typedef struct {
    const trit_quant_call *c;
    const float *g;
    float *dw;
} slopes;

static void slope_body(void *context, const trit_segment *s) {
    const slopes *m = context;
    const double f = share(m->c);
    for (int64_t j = 0; j < s->n; j++)
        m->dw[s->at + j] = quantized(m->c, f, s->at + j) ? 0.0f : m->g[s->at + j];
}

static trit_status backward(const trit_quant_call *c, const float *g, float *dw,
                            float *const dlearn[TRIT_MAX_LEARN]) {
    (void)dlearn;
    if (dw) trit_rows_each(&c->rows, slope_body, &(slopes){c, g, dw});
    return TRIT_OK;
}

static double integral(const trit_quant_call *c, trit_at at, double w) {
    return quantized(c, share(c), at.i) ? trit_quant_level(c, at) : w;
}

static const trit_case cases[] = {
    {"[6,4,3,3]", ""}, {"[5,24]", "granularity=filter"}, {"[5,24]", "draws=1"}, {0}};

const trit_quantizer trit_quantizer_rpr = {
    .name = "rpr",
    .doc = "trit.quant.rpr{ start, draws, seed, granularity, ste } -> quantizer\n"
           "Ternary weights for a random share that is drawn anew and grows to 1.\n"
           "shapes:  w [...] -> w' [...]\n"
           "eq:      w' = alpha t, dL/dw = 0 on the share; w' = w, dL/dw = g elsewhere\n"
           "         (Cavigelli & Benini 2020, arXiv:2001.01091)\n"
           "errors:  weights that are not finite; a ste other than own:\n"
           "         no weight that trains is rounded\n",
    .params = params,
    .unrounded = true,
    .properties = TRIT_PROP_ODD | TRIT_PROP_SCALE | TRIT_PROP_PERMUTE | TRIT_PROP_MONOTONE |
                  TRIT_PROP_ODD_CODES | TRIT_PROP_CODED | TRIT_PROP_PLACED,
    .forward = forward,
    .backward = backward,
    .integral = integral,
    .cases = cases,
};
