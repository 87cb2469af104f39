/*
 * q_pruned.c - magnitude pruning (Han et al. 2015, arXiv:1506.02626): weights with a mask.
 *
 *   theta = quality std(w), std with n - 1      mask = [|w| >= theta]
 *   w' = mask w                                 dL/dw = mask g
 * The mask is fixed when the quantizer is reset from the weights and kept with the model; scripts
 * may write it (q.mask): channel pruning does.  Codes are the signs of what is left.
 *
 * Edge rules: a row without spread has theta = 0 and keeps everything.
 */
#include <math.h>

#include "quant/rows.h"

enum { QUALITY, GRANULARITY };
enum { MASK };

static const trit_param params[] = {
    {.name = "quality", .def = 1, .min = 0, .max = 1e3, .doc = "threshold in units of std(w)"},
    TRIT_GRANULARITY_PARAM,
    TRIT_STE_PARAM,
    {0},
};

static const trit_learn learn[] = {
    {.name = "mask", .doc = "1 where a weight is kept, else 0", .per_weight = true, .state = true},
    {0},
};

static trit_status reset(const trit_quant_call *c, float *const learned[TRIT_MAX_LEARN]) {
    const size_t bytes = (size_t)c->rows.rows * sizeof(trit_row_stats);
    trit_row_stats *stats = trit_alloc(bytes);
    if (!stats) return TRIT_ERR_MEM;
    const trit_status status = trit_rows_scan("pruned", &c->rows, c->w, stats);
    for (int64_t r = 0; r < c->rows.rows && status == TRIT_OK; r++) {
        const double theta = c->args.v[QUALITY][0] * trit_row_sigma(&stats[r], c->rows.len);
        for (int64_t i = 0; i < c->rows.len; i++) {
            const int64_t at = r * c->rows.row_stride + i * c->rows.step;
            learned[MASK][at] = fabs((double)c->w[at]) >= theta;
        }
    }
    trit_free(stats, bytes);
    return status;
}

static void mask_body(void *context, const trit_segment *s) {
    trit_quant_call *c = context;
    for (int64_t j = 0; j < s->n; j++) {
        const int64_t i = s->at + j;
        c->wq[i] = c->learn[MASK][i] * c->w[i];
        c->codes[i] = (int8_t)((c->wq[i] > 0) - (c->wq[i] < 0));
    }
}

static trit_status forward(trit_quant_call *c) {
    TRIT_TRY(trit_quant_survey(c));
    for (int64_t r = 0; r < c->rows.rows; r++) {
        double *cache = c->cache + r * TRIT_ROW_CACHE;
        cache[TRIT_ROW_DELTA] = c->args.v[QUALITY][0] * cache[TRIT_ROW_SIGMA];
        c->scale[r] = c->scale_neg[r] = (float)cache[TRIT_ROW_MEAN_ABS];
    }
    trit_rows_each(&c->rows, mask_body, c);
    return TRIT_OK;
}

static trit_status backward(const trit_quant_call *c, const float *g, float *dw,
                            float *const dlearn[TRIT_MAX_LEARN]) {
    (void)dlearn;
    for (int64_t i = 0; dw && i < c->n; i++) dw[i] = c->learn[MASK][i] * g[i];
    return TRIT_OK;
}

static double integral(const trit_quant_call *c, trit_at at, double w) {
    return (double)c->learn[MASK][at.i] * w;
}

static double bits(const trit_args *args) {
    (void)args;
    return 32;
}

static const trit_case cases[] = {{"[6,4,3,3]", ""},
                                  {"[6,4,3,3]", "quality=0.5,granularity=filter"},
                                  {"[5,24]", "quality=0"},
                                  {0}};

const trit_quantizer trit_quantizer_pruned = {
    .name = "pruned",
    .doc = "trit.quant.pruned{ quality, granularity, ste } -> quantizer\n"
           "Float weights of which the small ones are cut off for good.\n"
           "shapes:  w [...] -> w' [...]; mask [...]\n"
           "eq:      mask = [|w| >= quality std(w)] at reset; w' = mask w; dL/dw = mask g\n"
           "         (Han et al. 2015, arXiv:1506.02626)\n"
           "errors:  weights that are not finite; a ste other than own:\n"
           "         no weight that trains is rounded\n",
    .params = params,
    .unrounded = true,
    .learn = learn,
    .properties = TRIT_PROP_ODD | TRIT_PROP_SCALE | TRIT_PROP_PERMUTE | TRIT_PROP_MONOTONE |
                  TRIT_PROP_ODD_CODES,
    .bits = bits,
    .reset = reset,
    .forward = forward,
    .backward = backward,
    .integral = integral,
    .cases = cases,
};
