/*
 * q_rpr.c - random partition relaxation (Cavigelli & Benini 2020, arXiv:2001.01091; schedule and
 * levels from memory of the paper).
 *
 *   ternary levels of the row as in TWN: Delta = 0.7 mean|w|, alpha = mean(|w| : |w| > Delta)
 *   a random share f of the weights is held on its level, the others stay real:
 *   w' = alpha t, dL/dw = 0    or    w' = w, dL/dw = g
 * The training is cut in `draws` equal parts; part k (from 0) draws a new partition with
 * f = start + (1 - start) k/(draws - 1), so that the last has everything quantized.  Levels are
 * those of the weights at the draw and stay until the next, whatever momentum and decay do to the
 * latent weights; what becomes free goes on from its latent value.  Outside the training the
 * weights that are not held are on the levels of the last draw too, by their own Delta.  A
 * partition is a function of (seed, layer, part, place).
 *
 * Edge rules: those of twn.  Before the first draw the levels are those of the weights.
 */
#include <math.h>

#include "quant/rows.h"

enum { START, DRAWS, SEED, GRANULARITY };
enum { HELD, PART, LEVEL }; /* held value or NAN; number of the part, -1: none; alpha of its draw */

#define TWN_DELTA 0.7 /* of mean|w| */

static const trit_param params[] = {
    {.name = "start", .def = 0.5, .min = 0, .max = 1, .doc = "share quantized in the first part"},
    {.name = "draws", .def = 6, .min = 1, .max = 1e4, .doc = "partitions of a training"},
    {.name = "seed", .min = 0, .max = 1e9, .doc = "of the partitions"},
    TRIT_GRANULARITY_PARAM,
    TRIT_STE_PARAM,
    {0},
};

static const trit_learn learn[] = {
    {.name = "held",
     .doc = "value a weight is held at, NAN if free",
     .per_weight = true,
     .state = true},
    {.name = "part", .doc = "number of the partition drawn last, -1: none yet", .state = true},
    {.name = "alpha", .doc = "level of its draw", .state = true},
    {0},
};

static trit_status reset(const trit_quant_call *c, float *const learned[TRIT_MAX_LEARN]) {
    for (int64_t i = 0; i < c->n; i++) learned[HELD][i] = NAN;
    for (int64_t r = 0; r < c->rows.rows; r++) learned[PART][r] = -1, learned[LEVEL][r] = 0;
    return TRIT_OK;
}

static int part_of(const trit_quant_call *c) {
    const int parts = (int)c->args.v[DRAWS][0];
    return (int)fmin(parts - 1, floor(c->progress * parts));
}

static double share(const trit_quant_call *c) {
    const double start = c->args.v[START][0];
    const int last = (int)c->args.v[DRAWS][0] - 1;
    return part_of(c) >= last ? 1 : start + (1 - start) * part_of(c) / last;
}

static bool picked(const trit_quant_call *c, double f, int64_t i) {
    if (f >= 1) return true;
    return trit_quant_draw(c, (uint64_t)c->args.v[SEED][0], (uint64_t)part_of(c), i) < f;
}

/* A new partition of a row, on the levels that forward has just found. */
static void draw_row(trit_quant_call *c, int64_t row) {
    const double f = share(c);
    for (int64_t i = 0; i < c->rows.len; i++) {
        const int64_t at = row * c->rows.row_stride + i * c->rows.step;
        c->learn[HELD][at] = picked(c, f, at) ? c->wq[at] : NAN;
    }
    c->learn[PART][row] = (float)part_of(c);
    c->learn[LEVEL][row] = c->scale[row];
}

static bool drawn(const trit_quant_call *c, int64_t row) { return c->learn[PART][row] >= 0; }

static void hold_body(void *context, const trit_segment *s) {
    trit_quant_call *c = context;
    for (int64_t j = 0; j < s->n; j++) {
        const int64_t i = s->at + j, row = trit_segment_row(s, j);
        const float held = c->learn[HELD][i];
        if (!isnan(held)) {
            c->codes[i] = (int8_t)((held > 0) - (held < 0));
            c->wq[i] = held;
        } else if (drawn(c, row)) {
            c->wq[i] = c->training ? c->w[i] : c->codes[i] * c->scale[row];
        }
    }
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
    if (status != TRIT_OK) return status;
    for (int64_t r = 0; r < c->rows.rows; r++) {
        if (c->training && c->learn[PART][r] != (float)part_of(c)) draw_row(c, r);
        if (drawn(c, r)) c->scale[r] = c->scale_neg[r] = c->learn[LEVEL][r];
    }
    trit_rows_each(&c->rows, hold_body, c);
    return TRIT_OK;
}

static bool real(const trit_quant_call *c, int64_t i) {
    return c->training && isnan(c->learn[HELD][i]);
}

typedef struct {
    const trit_quant_call *c;
    const float *g;
    float *dw;
} pass_on;

static void pass_on_body(void *context, const trit_segment *s) {
    const pass_on *m = context;
    for (int64_t i = s->at; i < s->at + s->n; i++) m->dw[i] = real(m->c, i) ? m->g[i] : 0;
}

static trit_status backward(const trit_quant_call *c, const float *g, float *dw,
                            float *const dlearn[TRIT_MAX_LEARN]) {
    (void)dlearn;
    if (dw) trit_rows_each(&c->rows, pass_on_body, &(pass_on){c, g, dw});
    return TRIT_OK;
}

static double integral(const trit_quant_call *c, trit_at at, double w) {
    return real(c, at.i) ? w : trit_quant_level(c, at);
}

static const trit_case cases[] = {
    {"[6,4,3,3]", ""}, {"[5,24]", "granularity=filter"}, {"[5,24]", "draws=1"}, {0}};

const trit_quantizer trit_quantizer_rpr = {
    .name = "rpr",
    .doc = "trit.quant.rpr{ start, draws, seed, granularity, ste } -> quantizer\n"
           "Ternary weights for a random share that is drawn anew and grows to 1.\n"
           "shapes:  w [...] -> w' [...]; held [...], part, alpha [rows]\n"
           "eq:      w' = alpha t as at the draw, dL/dw = 0 on the share; w' = w, dL/dw = g\n"
           "         elsewhere\n"
           "         (Cavigelli & Benini 2020, arXiv:2001.01091)\n"
           "errors:  weights that are not finite; a ste other than own:\n"
           "         no weight that trains is rounded\n",
    .params = params,
    .learn = learn,
    .unrounded = true,
    .properties = TRIT_PROP_ODD | TRIT_PROP_SCALE | TRIT_PROP_PERMUTE | TRIT_PROP_MONOTONE |
                  TRIT_PROP_ODD_CODES | TRIT_PROP_CODED | TRIT_PROP_PLACED,
    .reset = reset,
    .forward = forward,
    .backward = backward,
    .integral = integral,
    .cases = cases,
};
