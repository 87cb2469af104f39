/*
 * q_tga.c - trained thresholds through the truncated Gaussian (He & Fan, CVPR 2019,
 * arXiv:1810.01018), with the behaviour of the first author's published code as default.
 *
 *   mu, sigma = mean and unbiased deviation of the row      Delta = min(|delta|, clip sigma)
 *   z = Delta/sigma     lambda = phi(z)/Q(z)                S = mu + sigma lambda  (one_sided)
 *   t = +1 if w > c + Delta, -1 if w < c - Delta, else 0    c = mu or 0;   w' = S t
 *   dL/ddelta = G dS/dDelta sign(delta) [|delta| < clip sigma],  G = sum g t
 *   dL/dw_i   = g_i + G [ dS/dmu / n + dS/dsigma (w_i - mu)/((n-1) sigma) ]
 * Several thresholds (residual expansion) give w' = sum_k S_k t_k, every term with the gradient
 * above.  The published code writes the first term of dL/dw as S g / S: "gradient correctness";
 * without it the term is S g.
 *
 * The authors clamp dL/ddelta to +-1e-3 before the optimizer: backward gives it whole and
 * `grad_limit` tells optimizers, so that what is logged is the gradient.
 *
 * Edge rules: cuts are strict, w = c +- Delta gives 0; sign(0) = 0.  A constant row (sigma = 0)
 * has Delta = 0, S = |mu| and no derivatives but the straight-through term.  `sample_mean` has no
 * threshold gradient; where no weight is outside the cuts its scale is 0.
 */
#include <math.h>
#include <string.h>

#include "quant/mills.h"
#include "quant/rows.h"

enum {
    INIT,
    CENTER,
    SCALE,
    STATS_GRAD,
    GRAD_CORRECT,
    CLIP_SIGMA,
    TH_GRAD_CLAMP,
    GRANULARITY,
    N_THRESHOLDS
};
enum { INIT_TWN = -1, INIT_LLOYD_MAX = -2 };
enum { ONE_SIDED, TWO_SIDED_SIGMA, EXACT_ZERO, SAMPLE_MEAN };
enum { CORRECT_ON, CORRECT_OFF, CORRECT_OFF_CLIP };

/* Derivatives in a row's cache, one per term. */
enum { D_DELTA = TRIT_ROW_FREE, D_MU = D_DELTA + TRIT_MAX_TERMS, D_SIGMA = D_MU + TRIT_MAX_TERMS };

#define TWN_FACTOR       0.7    /* Delta / E|w|, the rule of TWN */
#define LLOYD_MAX_FACTOR 0.6120 /* Delta / sigma of the optimal ternary quantizer of a Gaussian */

static const trit_param params[] = {
    {.name = "init",
     .def = 0.05,
     .min = 0,
     .max = 1,
     .choices = "twn=-1|lloyd_max=-2",
     .number = true,
     .len = TRIT_MAX_TERMS,
     .list = true,
     .doc = "initial threshold: fraction of max|w|, the TWN rule 0.7 mean|w|, or 0.612 sigma; "
            "term k of several gets k times it, or give a list"},
    {.name = "center", .choices = "mean|zero", .doc = "cuts at mu +- Delta or at +- Delta"},
    {.name = "scale",
     .choices = "one_sided|two_sided_sigma|exact_zero|sample_mean",
     .doc = "mu + sigma lambda; sigma lambda; E|w| outside +-Delta of N(mu, sigma); mean of |w| "
            "over the non-zero codes (no threshold gradient)"},
    {.name = "stats_grad",
     .choices = "attached|detached",
     .doc = "whether dL/dw also flows through mu and sigma inside the scale"},
    {.name = "grad_correct",
     .choices = "on=0|off=1|off+clip=2|clip=2",
     .doc = "straight-through factor: 1; the scale; the scale where |w| <= 1"},
    {.name = "clip_sigma",
     .def = 3,
     .min = 1e-6,
     .max = 1e6,
     .choices = "none=inf",
     .number = true,
     .doc = "upper limit of the threshold in sigma"},
    {.name = "th_grad_clamp",
     .def = 1e-3,
     .min = 0,
     .max = 1e30,
     .choices = "none=inf",
     .number = true,
     .doc = "optimizers limit each |dL/ddelta| to this; backward gives it whole"},
    {.name = "granularity", .choices = "layer|filter", .doc = "one threshold a layer or a filter"},
    {.name = "n_thresholds",
     .def = 1,
     .choices = "1=1|2=2|4=4",
     .doc = "terms of the residual expansion"},
    TRIT_STE_PARAM,
    {0},
};

static const trit_learn learn[] = {
    {.name = "delta",
     .doc = "raw threshold, in units of the weights; |delta| is used",
     .lr_scale = 1,
     .decay = false,
     .threshold = true,
     .per_term = true},
    {0},
};

static int terms(const trit_args *args) { return (int)args->v[N_THRESHOLDS][0]; }

/* ------------------------------------------------------------------------- reset */

static trit_status check(const trit_args *args) {
    const int given = args->n[INIT], k = terms(args);
    if (given > 1 && given != k)
        return trit_fail(TRIT_ERR_ARG, "tga: init has %d values but n_thresholds is %d", given, k);
    return TRIT_OK;
}

static double initial(const trit_args *args, const trit_row_stats *s, int64_t n, int term) {
    const bool listed = args->n[INIT] > 1;
    const double factor = args->v[INIT][listed ? term : 0], times = listed ? 1 : term + 1;
    if (factor == INIT_TWN) return times * TWN_FACTOR * s->mean_abs;
    if (factor == INIT_LLOYD_MAX) return times * LLOYD_MAX_FACTOR * trit_row_sigma(s, n);
    return times * factor * s->max_abs;
}

static trit_status reset(const trit_quant_call *c, float *const learned[TRIT_MAX_LEARN]) {
    const size_t bytes = (size_t)c->rows.rows * sizeof(trit_row_stats);
    trit_row_stats *stats = trit_alloc(bytes);
    if (!stats) return TRIT_ERR_MEM;
    trit_status status = trit_rows_scan("tga", &c->rows, c->w, stats);
    for (int64_t r = 0; r < c->rows.rows && status == TRIT_OK; r++)
        for (int k = 0; k < c->terms; k++)
            learned[0][r * c->terms + k] = (float)initial(&c->args, &stats[r], c->rows.len, k);
    trit_free(stats, bytes);
    return status;
}

/* ------------------------------------------------------------- the scale of a row */

typedef struct {
    double s, d_delta, d_mu, d_sigma;
} scale_of;

static scale_of one_tail(double mu, double sigma, double z, bool with_mu) {
    double excess, lambda = trit_mills(z, &excess);
    return (scale_of){.s = sigma * lambda + (with_mu ? mu : 0),
                      .d_delta = lambda * excess,
                      .d_mu = with_mu ? 1 : 0,
                      .d_sigma = lambda * (1 - z * excess)};
}

/* E[|w| : |w| > Delta] for N(mu, sigma) and its derivatives, in terms of the two tails' shares
 * p, m so that neither tail's probability is formed: they underflow together. */
static scale_of two_tails(double mu, double sigma, double delta) {
    const double a = (delta - mu) / sigma, b = (delta + mu) / sigma;
    double da, db, la = trit_mills(a, &da), lb = trit_mills(b, &db);
    const double p = 1 / (1 + exp(trit_log_tail(b) - trit_log_tail(a))), m = 1 - p;
    const double hazard = p * la + m * lb, beyond = p * da + m * db; /* (S - Delta)/sigma */
    return (scale_of){.s = delta + sigma * beyond,
                      .d_delta = hazard * beyond,
                      .d_mu = p - m - beyond * (p * la - m * lb),
                      .d_sigma = hazard - beyond * (p * la * a + m * lb * b)};
}

/* Mean and deviation -> all else the terms need, in the cache; sample means come later. */
static void solve_row(const trit_quant_call *c, int64_t row) {
    double *cache = c->cache + row * TRIT_ROW_CACHE;
    const double mu = cache[TRIT_ROW_MU], sigma = cache[TRIT_ROW_SIGMA];
    const double limit = c->args.v[CLIP_SIGMA][0] * sigma;
    const int scale = (int)c->args.v[SCALE][0];
    cache[TRIT_ROW_CENTER] = c->args.v[CENTER][0] == 0 ? mu : 0;
    for (int k = 0; k < c->terms; k++) {
        const double raw = c->learn[0][row * c->terms + k], wanted = fabs(raw);
        const double delta = sigma == 0 ? 0 : fmin(wanted, limit);
        const bool clipped = sigma > 0 && wanted >= limit;
        const double sign = clipped || raw == 0 ? 0 : raw > 0 ? 1 : -1;
        scale_of v = {.s = fabs(mu)};
        if (sigma > 0 && scale == EXACT_ZERO)
            v = two_tails(mu, sigma, delta);
        else if (sigma > 0 && scale != SAMPLE_MEAN)
            v = one_tail(mu, sigma, delta / sigma, scale == ONE_SIDED);
        cache[TRIT_ROW_DELTA + k] = delta;
        cache[TRIT_ROW_CLIP + k] = clipped;
        cache[D_DELTA + k] = v.d_delta * sign;
        cache[D_MU + k] = v.d_mu;
        cache[D_SIGMA + k] = v.d_sigma;
        c->scale[row * c->terms + k] = c->scale_neg[row * c->terms + k] = (float)v.s;
    }
}

/* ----------------------------------------------------------------------- forward */

static trit_status sample_means(trit_quant_call *c, int k, const trit_row_cuts *cuts) {
    const size_t bytes = (size_t)c->rows.rows * sizeof(trit_row_kept);
    trit_row_kept *kept = trit_alloc(bytes);
    if (!kept) return TRIT_ERR_MEM;
    trit_status status = trit_rows_keep(&c->rows, c->w, cuts->lo, cuts->hi, kept);
    for (int64_t r = 0; r < c->rows.rows && status == TRIT_OK; r++) {
        if (c->cache[r * TRIT_ROW_CACHE + TRIT_ROW_SIGMA] == 0) continue;
        const double s = kept[r].count > 0 ? kept[r].sum / kept[r].count : 0;
        c->scale[r * c->terms + k] = c->scale_neg[r * c->terms + k] = (float)s;
    }
    trit_free(kept, bytes);
    return status;
}

/* Codes and weights of term k; `room` holds three numbers a row. */
static trit_status apply_term(trit_quant_call *c, int k, float *room) {
    const int64_t rows = c->rows.rows;
    float *lo = room, *hi = room + rows, *s = hi + rows;
    const trit_row_cuts cuts = {.lo = lo, .hi = hi, .pos = s, .neg = s};
    for (int64_t r = 0; r < rows; r++) {
        const double *cache = c->cache + r * TRIT_ROW_CACHE;
        lo[r] = trit_above(cache[TRIT_ROW_CENTER] - cache[TRIT_ROW_DELTA + k]);
        hi[r] = trit_below(cache[TRIT_ROW_CENTER] + cache[TRIT_ROW_DELTA + k]);
    }
    if (c->args.v[SCALE][0] == SAMPLE_MEAN) TRIT_TRY(sample_means(c, k, &cuts));
    for (int64_t r = 0; r < rows; r++) s[r] = c->scale[r * c->terms + k];
    trit_rows_cut(&c->rows, c->w, &cuts, c->codes + k * c->n, c->wq, k > 0);
    return TRIT_OK;
}

/* Mean and deviation of every row.  In the weight pass of the sequential scheme those of the
 * threshold pass stand: a look at all weights less. */
static trit_status survey(trit_quant_call *c) {
    if (c->same) return TRIT_OK;
    const size_t bytes = (size_t)c->rows.rows * sizeof(trit_row_stats);
    trit_row_stats *stats = trit_alloc(bytes);
    if (!stats) return TRIT_ERR_MEM;
    trit_status status = trit_rows_scan("tga", &c->rows, c->w, stats);
    for (int64_t r = 0; r < c->rows.rows && status == TRIT_OK; r++) trit_row_log(c, r, &stats[r]);
    trit_free(stats, bytes);
    return status;
}

static trit_status forward(trit_quant_call *c) {
    for (int64_t i = 0; i < c->rows.rows * c->terms; i++)
        if (!isfinite(c->learn[0][i]))
            return trit_fail(TRIT_ERR_ARG, "tga: threshold delta number %lld is %g",
                             (long long)i + 1, (double)c->learn[0][i]);
    TRIT_TRY(survey(c));
    for (int64_t r = 0; r < c->rows.rows; r++) solve_row(c, r);
    const size_t bytes = 3 * (size_t)c->rows.rows * sizeof(float);
    float *room = trit_alloc(bytes);
    if (!room) return TRIT_ERR_MEM;
    trit_status status = TRIT_OK;
    for (int k = 0; k < c->terms && status == TRIT_OK; k++) status = apply_term(c, k, room);
    trit_free(room, bytes);
    return status;
}

/* ---------------------------------------------------------------------- backward */

static double grad_limit(const trit_args *args, int k) {
    (void)k;
    return args->v[TH_GRAD_CLAMP][0];
}

/* One row's numbers of the weight gradient, summed over the terms. */
typedef struct {
    float *factor, *offset, *slope, *center; // [rows]
} gradient;

static void add_term(const trit_quant_call *c, int64_t r, int k, double G, gradient *d) {
    const double *cache = c->cache + r * TRIT_ROW_CACHE, n = (double)c->rows.len;
    const bool corrected = c->args.v[GRAD_CORRECT][0] == CORRECT_ON;
    d->factor[r] += corrected ? 1.0f : c->scale[r * c->terms + k];
    if (cache[TRIT_ROW_SIGMA] == 0) return;
    d->offset[r] += (float)(G * cache[D_MU + k] / n);
    d->slope[r] += (float)(G * cache[D_SIGMA + k] / ((n - 1) * cache[TRIT_ROW_SIGMA]));
}

static bool attached(const trit_args *args) {
    return args->v[STATS_GRAD][0] == 0 && args->v[SCALE][0] != SAMPLE_MEAN;
}

static trit_status walk_terms(const trit_quant_call *c, const float *g, float *dlearn,
                              gradient *d) {
    const int64_t rows = c->rows.rows;
    const bool sums = dlearn || attached(&c->args);
    trit_row_sides *sides = trit_alloc((size_t)rows * sizeof *sides);
    trit_status status = sides ? TRIT_OK : TRIT_ERR_MEM;
    for (int k = 0; k < c->terms && status == TRIT_OK; k++) {
        if (sums) status = trit_rows_gather(&c->rows, g, c->codes + k * c->n, sides);
        for (int64_t r = 0; r < rows && status == TRIT_OK; r++) {
            const double G = sums ? sides[r].pos - sides[r].neg : 0;
            const double by_delta = c->cache[r * TRIT_ROW_CACHE + D_DELTA + k];
            if (dlearn) dlearn[r * c->terms + k] = (float)(G * by_delta);
            if (d) add_term(c, r, k, G, d);
        }
    }
    trit_free(sides, (size_t)rows * sizeof *sides);
    return status;
}

static trit_status backward(const trit_quant_call *c, const float *g, float *dw,
                            float *const dlearn[TRIT_MAX_LEARN]) {
    const int64_t rows = c->rows.rows;
    if (!dw) return walk_terms(c, g, dlearn[0], NULL);
    const size_t bytes = 4 * (size_t)rows * sizeof(float);
    float *room = trit_alloc(bytes);
    if (!room) return TRIT_ERR_MEM;
    memset(room, 0, bytes);
    gradient d = {room, room + rows, room + 2 * rows, room + 3 * rows};
    for (int64_t r = 0; r < rows; r++) d.center[r] = (float)c->cache[r * TRIT_ROW_CACHE];
    trit_status status = walk_terms(c, g, dlearn[0], &d);
    if (status == TRIT_OK) {
        const bool masked = c->args.v[GRAD_CORRECT][0] == CORRECT_OFF_CLIP;
        const trit_row_affine by = {.factor = d.factor,
                                    .offset = attached(&c->args) ? d.offset : NULL,
                                    .slope = d.slope,
                                    .center = d.center,
                                    .limit = masked ? 1.0f : INFINITY};
        trit_rows_affine(&c->rows, c->w, g, &by, dw);
    }
    trit_free(room, bytes);
    return status;
}

typedef struct {
    const trit_quant_call *c;
    const gradient *d;
    float *dw;
} statistics;

static void statistics_body(void *context, const trit_segment *s) {
    const statistics *m = context;
    for (int64_t j = 0; j < s->n; j++) {
        const int64_t i = s->at + j, row = trit_segment_row(s, j);
        m->dw[i] += m->d->offset[row] + m->d->slope[row] * (m->c->w[i] - m->d->center[row]);
    }
}

/* What flows through mu and sigma inside the scale. */
static trit_status beside(const trit_quant_call *c, const float *g, float *dw) {
    if (!attached(&c->args)) return TRIT_OK;
    const int64_t rows = c->rows.rows;
    const size_t bytes = 4 * (size_t)rows * sizeof(float);
    float *room = trit_alloc(bytes);
    if (!room) return TRIT_ERR_MEM;
    memset(room, 0, bytes);
    gradient d = {room, room + rows, room + 2 * rows, room + 3 * rows};
    for (int64_t r = 0; r < rows; r++) d.center[r] = (float)c->cache[r * TRIT_ROW_CACHE];
    const trit_status status = walk_terms(c, g, NULL, &d);
    if (status == TRIT_OK) trit_rows_each(&c->rows, statistics_body, &(statistics){c, &d, dw});
    trit_free(room, bytes);
    return status;
}

static bool scale_only(const trit_args *args) {
    return terms(args) == 1 && args->v[SCALE][0] != SAMPLE_MEAN;
}

static trit_status backward_scale(const trit_quant_call *c, const double *G,
                                  float *const dlearn[TRIT_MAX_LEARN]) {
    for (int64_t r = 0; r < c->rows.rows; r++)
        dlearn[0][r] = (float)(G[r] * c->cache[r * TRIT_ROW_CACHE + D_DELTA]);
    return TRIT_OK;
}

static double integral(const trit_quant_call *c, trit_at at, double w) {
    const trit_args *args = &c->args;
    const double pos = c->scale[at.row * c->terms + at.term];
    if (args->v[GRAD_CORRECT][0] == CORRECT_ON) return w;
    return pos * (args->v[GRAD_CORRECT][0] == CORRECT_OFF ? w : fmax(-1, fmin(1, w)));
}

static const trit_case cases[] = {
    {"[6,4,3,3]", ""},
    {"[6,4,3,3]", "granularity=filter"},
    {"[5,24]", "center=zero,scale=exact_zero,grad_correct=off"},
    {"[5,24]", "scale=two_sided_sigma,grad_correct=off+clip,stats_grad=detached"},
    {"[4,3,3,3]", "n_thresholds=2,init=twn,granularity=filter"},
    {"[40]", "n_thresholds=4,clip_sigma=none,scale=sample_mean"},
    {"[3,33]", "init=lloyd_max,clip_sigma=1"},
    {0},
};

const trit_quantizer trit_quantizer_tga = {
    .name = "tga",
    .doc =
        "trit.quant.tga{ init, center, scale, stats_grad, grad_correct, clip_sigma,\n"
        "               th_grad_clamp, granularity, n_thresholds } -> quantizer\n"
        "Ternary weights with a trained threshold and the scale of a truncated Gaussian.\n"
        "shapes:  w [...] -> w' [...]; delta [rows, terms], rows = 1 or filters\n"
        "eq:      Delta = min(|delta|, clip sigma); S = mu + sigma phi(z)/Q(z), z = Delta/sigma;\n"
        "         w' = S sign(w - mu) [|w - mu| > Delta]; dS/dDelta = lambda (lambda - z)\n"
        "         (He & Fan 2019, arXiv:1810.01018, and the first author's code)\n"
        "units:   delta in units of the weights; init is a fraction of max|w|\n"
        "errors:  weights or thresholds that are not finite; init of the wrong length\n",
    .params = params,
    .learn = learn,
    .properties = TRIT_PROP_SCALE | TRIT_PROP_PERMUTE | TRIT_PROP_MONOTONE | TRIT_PROP_ODD_CODES |
                  TRIT_PROP_CODED,
    .terms = terms,
    .grad_limit = grad_limit,
    .check = check,
    .reset = reset,
    .forward = forward,
    .backward = backward,
    .beside = beside,
    .backward_scale = backward_scale,
    .scale_only = scale_only,
    .integral = integral,
    .attached = attached,
    .cases = cases,
};
