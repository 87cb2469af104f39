/*
 * q_bayes.c - Bayes by Backprop (Blundell et al., ICML 2015, arXiv:1505.05424): a normal
 * distribution over every weight.
 *
 *   training  w' = mu + sigma eps, sigma = log(1 + e^rho), eps ~ N(0,1); otherwise w' = mu; mu is
 *             the latent weight, rho is trained
 *   the loss gains kl (log q(w') - log P(w')), P = pi N(0, sigma1^2) + (1 - pi) N(0, sigma2^2); the
 *   terms of log q cancel, so with d = g - kl dlogP/dw:
 *   dL/dmu = d      dL/drho = (d eps - kl/sigma) / (1 + e^-rho)
 * The reported loss is without the added part.  kl is the same at every step, or, with `batches` M,
 * falls by halves within every epoch: kl M pi_i, pi_i = 2^(M-i)/(2^M - 1), i the number of the
 * batch, counted by the draws.  Codes tell the sign, 0 where |mu| < prune sigma:
 * what pruning by the signal-to-noise ratio would cut off.  Draws are a function of (seed, layer,
 * number of the draw, place).
 */
#include <math.h>
#include <string.h>

#include "quant/rows.h"

enum { KL, PI, SIGMA1, SIGMA2, FIRST, PRUNE, BATCHES, SEED, GRANULARITY };
enum { RHO, DRAWS };
enum { DRAW = TRIT_ROW_FREE }; /* number of the draw that forward made */

static const trit_param params[] = {
    {.name = "kl", .def = 1e-5, .min = 0, .max = 1e6, .doc = "weight of the added loss"},
    {.name = "pi", .def = 0.5, .min = 0, .max = 1, .doc = "share of the wide prior"},
    {.name = "sigma1", .def = 1, .min = 1e-30, .max = 1e6, .doc = "width of the wide prior"},
    {.name = "sigma2",
     .def = 0.00247875217666636,
     .min = 1e-30,
     .max = 1e6,
     .doc = "width of the narrow prior, e^-6"},
    {.name = "first", .def = 0.1, .min = 1e-6, .max = 10, .doc = "first sigma, in units of std(w)"},
    {.name = "prune", .def = 1, .min = 0, .max = 1e3, .doc = "|mu|/sigma below which a code is 0"},
    {.name = "batches",
     .def = 0,
     .min = 0,
     .max = 1e9,
     .doc = "of an epoch, among which kl is shared by halves; 0: evenly"},
    {.name = "seed", .min = 0, .max = 1e9, .doc = "of the draws"},
    TRIT_GRANULARITY_PARAM,
    TRIT_STE_PARAM,
    {0},
};

static const trit_learn learn[] = {
    {.name = "rho",
     .doc = "sigma = log(1 + e^rho)",
     .lr_scale = 1,
     .decay = false,
     .per_weight = true},
    {.name = "draws", .doc = "how many draws there were, one number a row", .state = true},
    {0},
};

#define LEAST_SIGMA 1e-6 /* of a row without spread */

static trit_status reset(const trit_quant_call *c, float *const learned[TRIT_MAX_LEARN]) {
    const size_t bytes = (size_t)c->rows.rows * sizeof(trit_row_stats);
    trit_row_stats *stats = trit_alloc(bytes);
    if (!stats) return TRIT_ERR_MEM;
    const trit_status status = trit_rows_scan("bayes", &c->rows, c->w, stats);
    for (int64_t r = 0; r < c->rows.rows && status == TRIT_OK; r++) {
        const double spread = trit_row_sigma(&stats[r], c->rows.len);
        const double sigma = fmax(LEAST_SIGMA, c->args.v[FIRST][0] * spread);
        learned[DRAWS][r] = 0;
        for (int64_t i = 0; i < c->rows.len; i++)
            learned[RHO][r * c->rows.row_stride + i * c->rows.step] = (float)log(expm1(sigma));
    }
    trit_free(stats, bytes);
    return status;
}

static double sigma_of(double rho) { return rho > 30 ? rho : log1p(exp(rho)); }

/* eps of the draw that forward made; `noise` gives it itself. */
static double drawn(const trit_quant_call *c, int64_t row, int64_t i) {
    if (c->noise) return (double)c->noise[i];
    const uint64_t draw = (uint64_t)c->cache[row * TRIT_ROW_CACHE + DRAW];
    const uint64_t index = draw << 32 | (uint64_t)(uint32_t)i;
    return trit_rng_normal((uint64_t)c->args.v[SEED][0], TRIT_STREAM_QUANT, index, c->salt);
}

static void sample_body(void *context, const trit_segment *s) {
    trit_quant_call *c = context;
    for (int64_t j = 0; j < s->n; j++) {
        const int64_t i = s->at + j, row = trit_segment_row(s, j);
        const double mu = (double)c->w[i], sigma = sigma_of((double)c->learn[RHO][i]);
        const bool noise = fabs(mu) < c->args.v[PRUNE][0] * sigma;
        c->codes[i] = (int8_t)(noise ? 0 : (mu > 0) - (mu < 0));
        c->wq[i] = c->training ? (float)(mu + sigma * drawn(c, row, i)) : c->w[i];
    }
}

static trit_status forward(trit_quant_call *c) {
    TRIT_TRY(trit_quant_survey(c));
    for (int64_t r = 0; r < c->rows.rows; r++) {
        double *cache = c->cache + r * TRIT_ROW_CACHE;
        cache[DRAW] = (double)c->learn[DRAWS][r];
        c->scale[r] = c->scale_neg[r] = (float)cache[TRIT_ROW_MEAN_ABS];
        if (c->training) c->learn[DRAWS][r] += 1;
    }
    trit_rows_each(&c->rows, sample_body, c);
    return TRIT_OK;
}

/* d log P / dw of the mixture; its smaller part is taken relative to the larger. */
static double prior_slope(const trit_args *args, double w) {
    const double s1 = args->v[SIGMA1][0], s2 = args->v[SIGMA2][0], pi = args->v[PI][0];
    const double a = log(pi / s1) - w * w / (2 * s1 * s1);
    const double b = log((1 - pi) / s2) - w * w / (2 * s2 * s2);
    const double top = fmax(a, b), pa = exp(a - top), pb = exp(b - top);
    return -(pa * w / (s1 * s1) + pb * w / (s2 * s2)) / (pa + pb);
}

/* Weight of the added loss at the draw that forward made. */
static double kl_of(const trit_quant_call *c, int64_t row) {
    const double kl = c->args.v[KL][0], M = floor(c->args.v[BATCHES][0]);
    if (M < 1) return kl;
    const double i = fmod(c->cache[row * TRIT_ROW_CACHE + DRAW], M) + 1;
    return kl * M * exp2(-i) / (1 - exp2(-M));
}

typedef struct {
    const trit_quant_call *c;
    const float *g;
    float *dmu, *drho;
} slopes;

static void slope_body(void *context, const trit_segment *s) {
    const slopes *m = context;
    const trit_quant_call *c = m->c;
    for (int64_t j = 0; j < s->n; j++) {
        const int64_t i = s->at + j;
        const double rho = (double)c->learn[RHO][i], sigma = sigma_of(rho);
        const int64_t row = trit_segment_row(s, j);
        const double eps = drawn(c, row, i), kl = kl_of(c, row);
        const double w = (double)c->w[i] + sigma * eps;
        const double d = (double)m->g[i] - kl * prior_slope(&c->args, w);
        if (m->dmu) m->dmu[i] = (float)d;
        if (m->drho) m->drho[i] = (float)((d * eps - kl / sigma) / (1 + exp(-rho)));
    }
}

static trit_status backward(const trit_quant_call *c, const float *g, float *dw,
                            float *const dlearn[TRIT_MAX_LEARN]) {
    const size_t bytes = (size_t)c->n * sizeof *g;
    if (c->training) {
        trit_rows_each(&c->rows, slope_body, &(slopes){c, g, dw, dlearn[RHO]});
    } else if (bytes > 0) {
        if (dw) memcpy(dw, g, bytes);
        if (dlearn[RHO]) memset(dlearn[RHO], 0, bytes);
    }
    return TRIT_OK;
}

/* Outside the training: the means. */
static double integral(const trit_quant_call *c, trit_at at, double w) {
    (void)c, (void)at;
    return w;
}

static double bits(const trit_args *args) {
    (void)args;
    return 32;
}

static const trit_case cases[] = {{"[6,4,3,3]", ""}, {"[5,24]", "granularity=filter"}, {0}};

const trit_quantizer trit_quantizer_bayes = {
    .name = "bayes",
    .doc = "trit.quant.bayes{ kl, pi, sigma1, sigma2, first, prune, batches, seed, granularity,\n"
           "    ste } -> quantizer\n"
           "A trained normal distribution for every weight, drawn from at every step.\n"
           "shapes:  w [...] -> w' [...]; rho [...]\n"
           "eq:      w' = mu + log(1 + e^rho) eps; loss += kl (log q - log P)\n"
           "         (Blundell et al. 2015, arXiv:1505.05424)\n"
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
