/*
 * q_inq.c - incremental network quantization (Zhou et al., ICLR 2017, arXiv:1702.03044, and the
 * authors' code).
 *
 *   n1 = floor(log2(4 max|w| / 3)), n2 = n1 + 1 - 2^(b-1)/2; levels 0, +-2^n2 ... +-2^n1
 *   the level nearest to |w|: beta if (alpha + beta)/2 <= |w| < 3 beta/2, alpha the level below
 * A growing share of the weights, largest magnitudes first, is put on its level and held there; the
 * others stay real and are trained further: dL/dw = g where real, 0 where held.  The share follows
 * the progress of the training through `portions` (each for an equal part of it), or is `fraction`.
 * b = 2 is ternary: 0, +-2^n1.  Code +-k is the level +-2^(n2+k-1); codes of weights still real
 * are the ones they would get.
 *
 * Edge rules: n1 is fixed when the quantizer is reset from the weights; of equal magnitudes the
 * first in memory is held first; a row of zeros has n1 = 0.
 */
#include <math.h>
#include <string.h>

#include "quant/rows.h"

enum { BITS, FRACTION, PORTIONS, GRANULARITY };
enum { BY_PROGRESS = -1 };
enum { HELD, TOP }; /* held value or NAN; n1 */

static const trit_param params[] = {
    {.name = "bits", .def = 5, .choices = "2=2|3=3|4=4|5=5", .doc = "bits of a weight"},
    {.name = "fraction",
     .def = BY_PROGRESS,
     .min = 0,
     .max = 1,
     .choices = "scheduled=-1",
     .number = true,
     .doc = "share of weights held; scheduled: by portions"},
    {.name = "portions",
     .def = 0.5,
     .min = 0,
     .max = 1,
     .len = 8,
     .list = true,
     .doc = "shares held, one after the other; one number p: p, (1+p)/2, ..., 1"},
    TRIT_GRANULARITY_PARAM,
    TRIT_STE_PARAM,
    {0},
};

static const trit_learn learn[] = {
    {.name = "held",
     .doc = "value a weight is held at, NAN if free",
     .per_weight = true,
     .state = true},
    {.name = "top", .doc = "exponent n1 of the largest level", .state = true},
    {0},
};

static double bits(const trit_args *args) { return args->v[BITS][0]; }

static trit_status check(const trit_args *args) {
    for (int k = 1; k < args->n[PORTIONS]; k++)
        if (args->v[PORTIONS][k] < args->v[PORTIONS][k - 1])
            return trit_fail(TRIT_ERR_ARG, "inq: portions fall from %g to %g",
                             args->v[PORTIONS][k - 1], args->v[PORTIONS][k]);
    return TRIT_OK;
}

#define HALVINGS 4 /* of what is left, when one portion is given: 50, 75, 87.5, 100 % */

static double share(const trit_quant_call *c) {
    const double given = c->args.v[FRACTION][0];
    if (given != BY_PROGRESS) return given;
    const int n = c->args.n[PORTIONS] > 1 ? c->args.n[PORTIONS] : HALVINGS;
    int stage = (int)(c->progress * n);
    if (stage >= n - 1) return c->args.n[PORTIONS] > 1 ? c->args.v[PORTIONS][n - 1] : 1;
    if (c->args.n[PORTIONS] > 1) return c->args.v[PORTIONS][stage];
    return 1 - (1 - c->args.v[PORTIONS][0]) * ldexp(1, -stage);
}

/* -------------------------------------------------------------------------- levels */

static int exponents(const trit_args *args) { return 1 << ((int)args->v[BITS][0] - 2); }

static double level_of(const trit_args *args, double top, int code) {
    if (code == 0) return 0;
    const double magnitude = ldexp(1, (int)top - exponents(args) + (code < 0 ? -code : code));
    return code < 0 ? -magnitude : magnitude;
}

static int nearest(const trit_args *args, double top, double w) {
    int k = exponents(args);
    for (; k > 0; k--) { /* 3/4 of a level is half-way to the one below; below the lowest is 0 */
        const double level = level_of(args, top, k);
        if (fabs(w) >= (k > 1 ? 0.75 : 0.5) * level) break;
    }
    return w < 0 ? -k : k;
}

static double level(const trit_quant_call *c, trit_at at) {
    return level_of(&c->args, (double)c->learn[TOP][at.row], at.code);
}

/* ------------------------------------------------------------------------- holding */

/* Hold the `more` largest free weights of a row; room for 3 len floats. */
static void hold_row(const trit_quant_call *c, int64_t row, int64_t more, double top, float *held,
                     float *room) {
    const trit_rows *r = &c->rows, one = {1, r->len, r->len, 1};
    float *free_ = room, *sorted = room + r->len;
    for (int64_t i = 0; i < r->len; i++) {
        const int64_t at = row * r->row_stride + i * r->step;
        free_[i] = isnan(held[at]) ? fabsf(c->w[at]) : 0;
    }
    trit_row_sort(&one, free_, 0, sorted);
    const float least = sorted[r->len - more];
    int64_t above = 0;
    for (int64_t i = 0; i < more; i++) above += sorted[r->len - 1 - i] > least;
    int64_t ties = more - above;
    for (int64_t i = 0; i < r->len; i++) {
        const int64_t at = row * r->row_stride + i * r->step;
        if (!isnan(held[at]) || free_[i] < least || (free_[i] == least && ties-- <= 0)) continue;
        held[at] = (float)level_of(&c->args, top, nearest(&c->args, top, (double)c->w[at]));
    }
}

static trit_status hold(const trit_quant_call *c, float *held, const float *top) {
    const int64_t len = c->rows.len, want = llround(share(c) * (double)len);
    const size_t bytes = 3 * (size_t)len * sizeof(float);
    float *room = NULL;
    for (int64_t r = 0; r < c->rows.rows; r++) {
        int64_t have = 0;
        for (int64_t i = 0; i < len; i++)
            have += !isnan(held[r * c->rows.row_stride + i * c->rows.step]);
        if (have >= want) continue;
        if (!room) room = trit_alloc(bytes);
        if (!room) return TRIT_ERR_MEM;
        hold_row(c, r, want - have, (double)top[r], held, room);
    }
    trit_free(room, bytes);
    return TRIT_OK;
}

static trit_status reset(const trit_quant_call *c, float *const learned[TRIT_MAX_LEARN]) {
    const size_t bytes = (size_t)c->rows.rows * sizeof(trit_row_stats);
    trit_row_stats *stats = trit_alloc(bytes);
    if (!stats) return TRIT_ERR_MEM;
    trit_status status = trit_rows_scan("inq", &c->rows, c->w, stats);
    for (int64_t r = 0; r < c->rows.rows && status == TRIT_OK; r++)
        learned[TOP][r] =
            stats[r].max_abs > 0 ? (float)floor(log2(4 * stats[r].max_abs / 3)) : 0.0f;
    for (int64_t i = 0; i < c->n; i++) learned[HELD][i] = NAN;
    if (status == TRIT_OK) status = hold(c, learned[HELD], learned[TOP]);
    trit_free(stats, bytes);
    return status;
}

/* ------------------------------------------------------------------------ forward */

static void level_body(void *context, const trit_segment *s) {
    trit_quant_call *c = context;
    for (int64_t j = 0; j < s->n; j++) {
        const int64_t i = s->at + j;
        const double top = (double)c->learn[TOP][trit_segment_row(s, j)];
        const float held = c->learn[HELD][i];
        c->wq[i] = isnan(held) ? c->w[i] : held;
        c->codes[i] = (int8_t)nearest(&c->args, top, (double)c->wq[i]);
    }
}

static trit_status forward(trit_quant_call *c) {
    TRIT_TRY(trit_quant_survey(c));
    if (c->training) TRIT_TRY(hold(c, c->learn[HELD], c->learn[TOP]));
    for (int64_t r = 0; r < c->rows.rows; r++)
        c->scale[r] = c->scale_neg[r] =
            (float)level_of(&c->args, (double)c->learn[TOP][r], exponents(&c->args));
    trit_rows_each(&c->rows, level_body, c);
    return TRIT_OK;
}

static trit_status backward(const trit_quant_call *c, const float *g, float *dw,
                            float *const dlearn[TRIT_MAX_LEARN]) {
    (void)dlearn;
    for (int64_t i = 0; dw && i < c->n; i++) dw[i] = isnan(c->learn[HELD][i]) ? g[i] : 0;
    return TRIT_OK;
}

static double integral(const trit_quant_call *c, trit_at at, double w) {
    return isnan(c->learn[HELD][at.i]) ? w : (double)c->learn[HELD][at.i];
}

static unsigned properties_of(const trit_args *args) {
    const unsigned whole = args->v[FRACTION][0] == 1 ? TRIT_PROP_CODED : 0;
    return whole | TRIT_PROP_ODD | TRIT_PROP_SCALE | TRIT_PROP_PERMUTE | TRIT_PROP_MONOTONE |
           TRIT_PROP_ODD_CODES;
}

static const trit_case cases[] = {{"[6,4,3,3]", ""},
                                  {"[6,4,3,3]", "bits=3,fraction=1,granularity=filter"},
                                  {"[5,24]", "bits=2,fraction=0.5"},
                                  {"[5,24]", "bits=2,fraction=1"},
                                  {0}};

const trit_quantizer trit_quantizer_inq = {
    .name = "inq",
    .doc = "trit.quant.inq{ bits, fraction, portions, granularity, ste } -> quantizer\n"
           "Powers of two, for a growing share of the weights, largest first.\n"
           "shapes:  w [...] -> w' [...]; held [...], top [rows]\n"
           "eq:      levels 0, +-2^n2..+-2^n1, n1 = floor(log2(4 max|w|/3)); dL/dw = g where\n"
           "         free, 0 where held   (Zhou et al. 2017, arXiv:1702.03044)\n"
           "errors:  weights that are not finite; portions that fall; a ste other than own:\n"
           "         no weight that trains is rounded\n",
    .params = params,
    .unrounded = true,
    .learn = learn,
    .properties_of = properties_of,
    .bits = bits,
    .check = check,
    .reset = reset,
    .forward = forward,
    .backward = backward,
    .integral = integral,
    .level = level,
    .cases = cases,
};
