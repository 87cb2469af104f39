/*
 * q_admm.c - projection onto scaled codebooks, and ADMM's pull towards it (Leng et al., AAAI 2018,
 * arXiv:1707.09870).
 *
 *   projection   min |w - alpha q|^2, q in {+-1}, {0,+-1}, {0,+-1,+-2} or {0,+-1,+-2,+-4}
 *   training     w' = w, dL/dw = g + rho (w - target), target = G - U  (trit.methods.admm moves
 *                rho, G = projection(W + U) and U <- U + W - G)
 *   otherwise    w' = alpha q
 * The projection is exact: q is the nearest codeword of w/alpha for the best alpha, hence found
 * among the q that nearest codewords take as alpha falls from infinity; every step raises one
 * |q_i|, and with A = sum |w| q, B = sum q^2 the best is max A^2/B, alpha = A/B.
 *
 * Edge rules: {+-1} has sign(0) = +1; a row of zeros has alpha = 0.
 */
#include <math.h>
#include <string.h>

#include "quant/rows.h"

enum { CODEBOOK, GRANULARITY };
enum { TERNARY, BINARY, PM2, PM4 };
enum { TARGET, RHO, DUAL };
enum { ALPHA = TRIT_ROW_FREE };

static const trit_param params[] = {
    {.name = "codebook", .choices = "ternary|binary|pm2|pm4", .doc = "values of q"},
    TRIT_GRANULARITY_PARAM,
    TRIT_STE_PARAM,
    {0},
};

static const trit_learn learn[] = {
    {.name = "target",
     .doc = "G - U, what weights are pulled to",
     .per_weight = true,
     .state = true},
    {.name = "rho", .doc = "strength of the pull", .state = true},
    {.name = "dual", .doc = "U, for the next refresh", .per_weight = true, .state = true},
    {0},
};

/* Magnitudes of a codebook in ascending order; all but {+-1} start with 0. */
static const double books[][4] = {{0, 1}, {1}, {0, 1, 2}, {0, 1, 2, 4}};
static const int book_sizes[] = {2, 1, 3, 4};

static int book_of(const trit_args *args) { return (int)args->v[CODEBOOK][0]; }

static double bits(const trit_args *args) {
    static const double of[] = {2, 1, 3, 3};
    return of[book_of(args)];
}

static trit_status reset(const trit_quant_call *c, float *const learned[TRIT_MAX_LEARN]) {
    for (int64_t r = 0; r < c->rows.rows; r++) learned[RHO][r] = 0;
    if (c->n > 0) memcpy(learned[TARGET], c->w, (size_t)c->n * sizeof(float));
    for (int64_t i = 0; i < c->n; i++) learned[DUAL][i] = 0;
    return TRIT_OK;
}

/* Best alpha for |w| in ascending order; the steps 0 -> 1 -> 2 -> 4 of a weight are taken at
 * alpha = 2|w|, |w|/1.5 and |w|/3, half-way between two codewords. */
static double best_alpha(int book, const float *sorted, int64_t n) {
    const double *q = books[book];
    const int steps = book_sizes[book] - 1;
    int64_t at[3] = {n - 1, n - 1, n - 1};
    double A = 0, B = 0, best = -1, alpha = 0;
    for (int64_t k = 0; k < n * steps; k++) {
        int next = -1;
        double when = -1;
        for (int s = 0; s < steps; s++) {
            if (at[s] < 0) continue;
            const double a = 2 * (double)sorted[at[s]] / (q[s] + q[s + 1]);
            if (a > when) when = a, next = s;
        }
        A += (double)sorted[at[next]--] * (q[next + 1] - q[next]);
        B += q[next + 1] * q[next + 1] - q[next] * q[next];
        if (A * A / B <= best) continue;
        best = A * A / B;
        alpha = A / B;
    }
    return alpha;
}

static trit_status find_alphas(trit_quant_call *c) {
    const int book = book_of(&c->args);
    const size_t bytes = 2 * (size_t)c->rows.len * sizeof(float);
    float *room = book == BINARY ? NULL : trit_alloc(bytes);
    if (book != BINARY && !room) return TRIT_ERR_MEM;
    for (int64_t r = 0; r < c->rows.rows; r++) {
        double *cache = c->cache + r * TRIT_ROW_CACHE;
        if (room) trit_row_sort(&c->rows, c->w, r, room);
        cache[ALPHA] = room ? best_alpha(book, room, c->rows.len) : cache[TRIT_ROW_MEAN_ABS];
        cache[TRIT_ROW_DELTA] = room ? cache[ALPHA] / 2 : NAN;
        c->scale[r] = c->scale_neg[r] = (float)cache[ALPHA];
    }
    trit_free(room, bytes);
    return TRIT_OK;
}

static void code_body(void *context, const trit_segment *s) {
    trit_quant_call *c = context;
    const int book = book_of(&c->args);
    const double *q = books[book];
    for (int64_t j = 0; j < s->n; j++) {
        const int64_t i = s->at + j, row = trit_segment_row(s, j);
        const double alpha = c->cache[row * TRIT_ROW_CACHE + ALPHA];
        const double w = fabs((double)c->w[i]);
        int k = 0;
        while (k + 1 < book_sizes[book] && w > alpha * (q[k] + q[k + 1]) / 2) k++;
        c->codes[i] = (int8_t)(c->w[i] >= 0 ? q[k] : -q[k]);
        c->wq[i] = c->training ? c->w[i] : (float)(c->codes[i] * alpha);
    }
}

static trit_status forward(trit_quant_call *c) {
    TRIT_TRY(trit_quant_survey(c));
    if (c->training) { /* codes are for logging: they follow when they are looked at */
        for (int64_t r = 0; r < c->rows.rows; r++)
            c->cache[r * TRIT_ROW_CACHE + ALPHA] = c->cache[r * TRIT_ROW_CACHE + TRIT_ROW_MEAN_ABS];
        for (int64_t r = 0; r < c->rows.rows; r++)
            c->scale[r] = c->scale_neg[r] = (float)c->cache[r * TRIT_ROW_CACHE + ALPHA];
    } else {
        TRIT_TRY(find_alphas(c));
    }
    trit_rows_each(&c->rows, code_body, c);
    return TRIT_OK;
}

typedef struct {
    const trit_quant_call *c;
    const float *g;
    float *dw;
} slopes;

static void pull_body(void *context, const trit_segment *s) {
    const slopes *m = context;
    const trit_quant_call *c = m->c;
    for (int64_t j = 0; j < s->n; j++) {
        const int64_t i = s->at + j;
        const float rho = c->learn[RHO][trit_segment_row(s, j)];
        m->dw[i] = m->g[i] + (c->training ? rho * (c->w[i] - c->learn[TARGET][i]) : 0.0f);
    }
}

static trit_status backward(const trit_quant_call *c, const float *g, float *dw,
                            float *const dlearn[TRIT_MAX_LEARN]) {
    (void)dlearn;
    if (dw) trit_rows_each(&c->rows, pull_body, &(slopes){c, g, dw});
    return TRIT_OK;
}

static double integral(const trit_quant_call *c, trit_at at, double w) {
    (void)c, (void)at;
    return w;
}

static double level(const trit_quant_call *c, trit_at at) {
    return at.code * c->cache[at.row * TRIT_ROW_CACHE + ALPHA];
}

static unsigned properties_of(const trit_args *args) {
    const unsigned binary = book_of(args) == BINARY ? TRIT_PROP_BINARY : 0;
    return binary | TRIT_PROP_ODD | TRIT_PROP_SCALE | TRIT_PROP_PERMUTE | TRIT_PROP_MONOTONE |
           TRIT_PROP_ODD_CODES | TRIT_PROP_CODED;
}

static const trit_case cases[] = {{"[6,4,3,3]", ""},
                                  {"[6,4,3,3]", "codebook=binary,granularity=filter"},
                                  {"[5,24]", "codebook=pm2"},
                                  {"[5,24]", "codebook=pm4,granularity=filter"},
                                  {0}};

const trit_quantizer trit_quantizer_admm = {
    .name = "admm",
    .doc = "trit.quant.admm{ codebook, granularity, ste } -> quantizer\n"
           "Float weights while training, pulled to the nearest scaled codewords; those after it.\n"
           "shapes:  w [...] -> w' [...]; target [...], rho [rows]\n"
           "eq:      w' = w, dL/dw = g + rho (w - target) in training; else alpha q with the\n"
           "         least |w - alpha q|   (Leng et al. 2018, arXiv:1707.09870)\n"
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
