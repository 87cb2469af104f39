/*
 * q_uniq.c - k-quantile quantization by noise injection (Baskin et al. 2018, arXiv:1804.10969).
 *
 *   F the normal distribution with the row's mean and deviation (n - 1)
 *   training   w' = F^-1(F(w) + e), e ~ U(-1/(2k), 1/(2k)), the argument held in [eps, 1 - eps]
 *              dL/dw_i = g_i exp((z'^2 - z^2)/2), z = (w-mu)/sigma, 0 where held; mu and sigma
 *              are constants
 *   otherwise  w' = F^-1((floor(k F(w)) + 1/2)/k)
 * Draws are a function of (seed, layer, number of the draw, place).  Ternary (k = 3) is an
 * extension of the paper's 2^b levels: cuts mu +- 0.4307 sigma, levels mu, mu +- 0.9674 sigma.
 *
 * Edge rules: a weight on a cut belongs to the upper bin; a row without spread stays as it is.
 */
#include <math.h>
#include <string.h>

#include "quant/rows.h"

enum { K, EPSILON, SEED, GRANULARITY };
enum { DRAWS };
enum { DRAW = TRIT_ROW_FREE }; /* number of the draw that forward made */

static const trit_param params[] = {
    {.name = "k", .def = 3, .min = 2, .max = 128, .doc = "levels: bins of equal probability"},
    {.name = "epsilon", .def = 1e-3, .min = 1e-6, .max = 0.1, .doc = "limit of F(w) + e"},
    {.name = "seed", .min = 0, .max = 1e9, .doc = "of the noise"},
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

static int levels(const trit_args *args) { return (int)args->v[K][0]; }

static double bits(const trit_args *args) { return ceil(log2(levels(args))); }

/* Codes of the bins 0 .. k-1: around 0, without a 0 when k is even. */
static int code_of(int bin, int k) {
    const int code = bin - k / 2;
    return k % 2 == 0 && code >= 0 ? code + 1 : code;
}

static double level(const trit_quant_call *c, trit_at at) {
    const int k = levels(&c->args), up = at.code + k / 2;
    const double *cache = c->cache + at.row * TRIT_ROW_CACHE;
    const int bin = k % 2 == 0 && at.code > 0 ? up - 1 : up;
    return cache[TRIT_ROW_MU] + cache[TRIT_ROW_SIGMA] * trit_normal_quantile((bin + 0.5) / k);
}

typedef struct {
    const trit_quant_call *c;
    const float *g;
    float *dw;
} work;

/* What a row's numbers are in units of its deviation. */
static double standard(const trit_quant_call *c, int64_t row, int64_t i) {
    const double *cache = c->cache + row * TRIT_ROW_CACHE;
    return ((double)c->w[i] - cache[TRIT_ROW_MU]) / cache[TRIT_ROW_SIGMA];
}

/* F(w) + e of the draw that forward made. */
static double shifted(const trit_quant_call *c, int64_t row, int64_t i, double z) {
    const uint64_t draw = (uint64_t)c->cache[row * TRIT_ROW_CACHE + DRAW];
    const double u = trit_quant_draw(c, (uint64_t)c->args.v[SEED][0], draw, i);
    return trit_normal_cdf(z) + (u - 0.5) / levels(&c->args);
}

static void level_body(void *context, const trit_segment *s) {
    const trit_quant_call *c = context;
    const int k = levels(&c->args);
    const double least = c->args.v[EPSILON][0];
    for (int64_t j = 0; j < s->n; j++) {
        const int64_t i = s->at + j, row = trit_segment_row(s, j);
        const double mu = c->cache[row * TRIT_ROW_CACHE + TRIT_ROW_MU];
        const double sigma = c->cache[row * TRIT_ROW_CACHE + TRIT_ROW_SIGMA];
        const double z = sigma > 0 ? standard(c, row, i) : 0;
        c->codes[i] = (int8_t)code_of((int)fmin(k - 1, floor(k * trit_normal_cdf(z))), k);
        if (!(sigma > 0)) {
            c->wq[i] = c->w[i];
        } else if (c->training) {
            const double p = fmin(1 - least, fmax(least, shifted(c, row, i, z)));
            c->wq[i] = (float)(mu + sigma * trit_normal_quantile(p));
        } else {
            c->wq[i] = (float)level(c, (trit_at){i, row, 0, c->codes[i]});
        }
    }
}

static trit_status forward(trit_quant_call *c) {
    TRIT_TRY(trit_quant_survey(c));
    const int k = levels(&c->args);
    for (int64_t r = 0; r < c->rows.rows; r++) {
        double *cache = c->cache + r * TRIT_ROW_CACHE;
        cache[DRAW] = (double)c->learn[DRAWS][r];
        c->scale[r] = c->scale_neg[r] =
            (float)(cache[TRIT_ROW_SIGMA] * trit_normal_quantile((k - 0.5) / k));
        if (c->training) c->learn[DRAWS][r] += 1;
    }
    trit_rows_each(&c->rows, level_body, c);
    return TRIT_OK;
}

static void slope_body(void *context, const trit_segment *s) {
    const work *m = context;
    const trit_quant_call *c = m->c;
    const double least = c->args.v[EPSILON][0];
    for (int64_t j = 0; j < s->n; j++) {
        const int64_t i = s->at + j, row = trit_segment_row(s, j);
        double slope = 1;
        if (c->cache[row * TRIT_ROW_CACHE + TRIT_ROW_SIGMA] > 0) {
            const double z = standard(c, row, i), p = shifted(c, row, i, z);
            const double to = trit_normal_quantile(fmin(1 - least, fmax(least, p)));
            slope = p < least || p > 1 - least ? 0 : exp((to * to - z * z) / 2);
        }
        m->dw[i] = (float)(slope * (double)m->g[i]);
    }
}

static trit_status backward(const trit_quant_call *c, const float *g, float *dw,
                            float *const dlearn[TRIT_MAX_LEARN]) {
    (void)dlearn;
    if (dw && c->training) trit_rows_each(&c->rows, slope_body, &(work){c, g, dw});
    if (dw && !c->training) memcpy(dw, g, (size_t)c->n * sizeof *dw);
    return TRIT_OK;
}

/* Outside the training nothing is drawn, and the gradient is the straight-through one. */
static double integral(const trit_quant_call *c, trit_at at, double w) {
    (void)c, (void)at;
    return w;
}

static unsigned properties_of(const trit_args *args) {
    const unsigned even = levels(args) % 2 == 0 ? TRIT_PROP_BINARY : 0;
    return even | TRIT_PROP_ODD | TRIT_PROP_SCALE | TRIT_PROP_PERMUTE | TRIT_PROP_MONOTONE |
           TRIT_PROP_ODD_CODES;
}

static const trit_case cases[] = {
    {"[6,4,3,3]", ""}, {"[6,4,3,3]", "k=4,granularity=filter"}, {"[5,24]", "k=8"}, {0}};

const trit_quantizer trit_quantizer_uniq = {
    .name = "uniq",
    .doc = "trit.quant.uniq{ k, epsilon, seed, granularity, ste } -> quantizer\n"
           "k levels of equal probability; noise stands for the rounding while training.\n"
           "shapes:  w [...] -> w' [...]\n"
           "eq:      F = N(mean, std): w' = F^-1(F(w) + e), e ~ U(-1/(2k), 1/(2k)), in training;\n"
           "         w' = F^-1((floor(k F(w)) + 1/2)/k) else   (Baskin et al. 2018,\n"
           "         arXiv:1804.10969)\n"
           "errors:  weights that are not finite; a ste other than own:\n"
           "         no weight that trains is rounded\n",
    .params = params,
    .unrounded = true,
    .learn = learn,
    .properties_of = properties_of,
    .bits = bits,
    .reset = reset,
    .forward = forward,
    .backward = backward,
    .integral = integral,
    .level = level,
    .cases = cases,
};
