/*
 * q_lqnets.c - learned quantization, weights (Zhang et al., ECCV 2018, arXiv:1807.10029, and the
 * authors' code).
 *
 *   levels v.b, b in {-1,+1}^K, of a basis v per filter; thresholds half-way between neighbours;
 *   w' = the level of w's interval;  dL/dw = dL/dw'
 * Every forward of the training does one round of QEM after w' was taken with the old basis:
 *   v_new = (B'B + eps I)^-1 (B'w + eps v), eps = 1e-4;   v <- m v + (1-m) v_new, m = 0.9
 * With `zero_debias` the average starts without memory, as TensorFlow's does: the first update is
 * v_new itself.  `ternary` ties v1 = v2 = s/2: levels -s, 0, s, cuts +-s/2, s_new = <w,t>/<t,t>.
 *
 * Edge rules: a weight on a threshold belongs to the lower level, in the ternary mode to 0.  First
 * basis: 2^j 0.6745 sigma / 2^(K-1) with the row's own deviation sigma; the code takes the one
 * of the initial distribution, sqrt(2/(k^2 Cout)), which is the same for fresh weights.
 */
#include <math.h>
#include <string.h>

#include "quant/rows.h"

enum { BITS, TERNARY, AVERAGE, ZERO_DEBIAS, GRANULARITY };
enum { BASIS, UPDATES };

#define EPSILON  1e-4   /* of the normal equations: the code's */
#define QUARTILE 0.6745 /* of N(0,1) */
#define MAX_BITS 4

static const trit_param params[] = {
    {.name = "bits", .def = 2, .choices = "1=1|2=2|3=3|4=4", .doc = "numbers of the basis"},
    {.name = "ternary", .choices = TRIT_BOOL, .doc = "tie two numbers: levels -s, 0, s"},
    {.name = "average",
     .def = 0.9,
     .min = 0,
     .max = 1,
     .doc = "weight of the old basis in the moving average"},
    {.name = "zero_debias", .choices = TRIT_BOOL, .doc = "correct the average for its start"},
    {.name = "granularity",
     .def = 1,
     .choices = "layer|filter",
     .doc = "one basis a layer or a filter"},
    TRIT_STE_PARAM,
    {0},
};

static const trit_learn learn[] = {
    {.name = "basis", .doc = "the basis, in units of the weights", .per_term = true, .state = true},
    {.name = "updates", .doc = "how often the basis has moved", .state = true},
    {0},
};

static bool ternary(const trit_args *args) { return args->v[TERNARY][0] != 0; }

static int terms(const trit_args *args) { return ternary(args) ? 1 : (int)args->v[BITS][0]; }

static double bits(const trit_args *args) { return ternary(args) ? 2 : terms(args); }

static trit_status reset(const trit_quant_call *c, float *const learned[TRIT_MAX_LEARN]) {
    const size_t bytes = (size_t)c->rows.rows * sizeof(trit_row_stats);
    trit_row_stats *stats = trit_alloc(bytes);
    if (!stats) return TRIT_ERR_MEM;
    const trit_status status = trit_rows_scan("lqnets", &c->rows, c->w, stats);
    for (int64_t r = 0; r < c->rows.rows && status == TRIT_OK; r++) {
        /* about 0, so that a row of equal weights has levels too */
        const double n = (double)(c->rows.len > 0 ? c->rows.len : 1);
        const double rms = sqrt(stats[r].deviation / n + stats[r].mean * stats[r].mean);
        learned[UPDATES][r] = 0;
        for (int k = 0; k < c->terms; k++)
            learned[BASIS][r * c->terms + k] =
                (float)(ternary(&c->args) ? 2 * QUARTILE * rms
                                          : (1 << k) * QUARTILE * rms / (1 << (c->terms - 1)));
    }
    trit_free(stats, bytes);
    return status;
}

/* ------------------------------------------------------------------------ forward */

typedef struct {
    double level[1 << MAX_BITS], cut[1 << MAX_BITS];
    int code[1 << MAX_BITS]; /* bit k set: basis number k counts +1 */
    int count;
} ladder;

static ladder ladder_of(const trit_quant_call *c, int64_t row) {
    ladder l = {.count = 1 << c->terms};
    for (int code = 0; code < l.count; code++) {
        double v = 0;
        int at = code;
        for (int k = 0; k < c->terms; k++)
            v += (code >> k & 1 ? 1 : -1) * (double)c->learn[BASIS][row * c->terms + k];
        for (; at > 0 && l.level[at - 1] > v; at--) {
            l.level[at] = l.level[at - 1];
            l.code[at] = l.code[at - 1];
        }
        l.level[at] = v;
        l.code[at] = code;
    }
    for (int i = 0; i + 1 < l.count; i++) l.cut[i] = (l.level[i] + l.level[i + 1]) / 2;
    return l;
}

typedef struct {
    trit_quant_call *c;
    const ladder *ladders; // [rows]
} work;

static void level_body(void *context, const trit_segment *s) {
    const work *m = context;
    const trit_quant_call *c = m->c;
    for (int64_t j = 0; j < s->n; j++) {
        const int64_t i = s->at + j;
        const ladder *l = &m->ladders[trit_segment_row(s, j)];
        int at = 0;
        while (at + 1 < l->count && (double)c->w[i] > l->cut[at]) at++;
        c->wq[i] = (float)l->level[at];
        for (int k = 0; k < c->terms; k++) c->codes[k * c->n + i] = l->code[at] >> k & 1 ? 1 : -1;
    }
}

/* B'B above the diagonal, then B'w; ternary: t't and t'w. */
static void products_body(void *context, const trit_segment *s, double *sums) {
    const trit_quant_call *c = context;
    const bool tied = ternary(&c->args);
    int f = 0;
    for (int a = 0; a < c->terms; a++) {
        const int8_t *x = c->codes + a * c->n + s->at;
        for (int b = a + !tied; b < c->terms; b++, f++) {
            const int8_t *y = c->codes + b * c->n + s->at;
            for (int64_t j = 0; j < s->n; j++) *trit_sum_at(s, sums, f, j) += x[j] * y[j];
        }
        for (int64_t j = 0; j < s->n; j++)
            *trit_sum_at(s, sums, f, j) += x[j] * (double)c->w[s->at + j];
        f++;
    }
}

static void average(trit_quant_call *c, int64_t row, const double *fresh) {
    const double m = c->args.v[AVERAGE][0], t = (double)c->learn[UPDATES][row] + 1;
    double keep = m;
    /* the debiased average a_t/(1 - m^t), a_t = m a_(t-1) + (1-m) v, in terms of itself */
    if (c->args.v[ZERO_DEBIAS][0] != 0)
        keep = m < 1 ? m * (1 - pow(m, t - 1)) / (1 - pow(m, t)) : 1;
    for (int k = 0; k < c->terms; k++) {
        float *v = &c->learn[BASIS][row * c->terms + k];
        *v = (float)(keep * (double)*v + (1 - keep) * fresh[k]);
    }
    c->learn[UPDATES][row] = (float)t;
}

static void move_row(trit_quant_call *c, int64_t row, const double *sums) {
    double A[MAX_BITS * MAX_BITS], b[MAX_BITS], fresh[MAX_BITS];
    const int m = c->terms;
    const float *v = c->learn[BASIS] + row * m;
    if (ternary(&c->args)) {
        fresh[0] = sums[0] > 0 ? sums[1] / sums[0] : (double)v[0];
    } else {
        for (int i = 0; i < m; i++) {
            A[i * m + i] = (double)c->rows.len + EPSILON;
            for (int j = i + 1; j < m; j++) A[i * m + j] = A[j * m + i] = *sums++;
            b[i] = *sums++ + EPSILON * (double)v[i];
        }
        trit_solve(m, A, b, fresh);
    }
    average(c, row, fresh);
}

static trit_status move_basis(trit_quant_call *c) {
    const int fields = ternary(&c->args) ? 2 : c->terms * (c->terms + 1) / 2;
    const size_t bytes = (size_t)(c->rows.rows * fields) * sizeof(double);
    double *sums = trit_alloc(bytes);
    if (!sums) return TRIT_ERR_MEM;
    const trit_status status = trit_rows_sum(&c->rows, fields, products_body, c, sums);
    for (int64_t r = 0; r < c->rows.rows && status == TRIT_OK; r++)
        move_row(c, r, sums + r * fields);
    trit_free(sums, bytes);
    return status;
}

static trit_status cut_ternary(trit_quant_call *c) {
    const size_t bytes = (size_t)c->rows.rows * sizeof(trit_cut);
    trit_cut *cuts = trit_alloc(bytes);
    if (!cuts) return TRIT_ERR_MEM;
    for (int64_t r = 0; r < c->rows.rows; r++) {
        const double s = (double)c->learn[BASIS][r];
        cuts[r] = (trit_cut){-fabs(s) / 2, fabs(s) / 2, s, s};
    }
    const trit_status status = trit_quant_cut(c, cuts);
    trit_free(cuts, bytes);
    return status;
}

static trit_status cut_levels(trit_quant_call *c) {
    const size_t bytes = (size_t)c->rows.rows * sizeof(ladder);
    ladder *ladders = trit_alloc(bytes);
    if (!ladders) return TRIT_ERR_MEM;
    for (int64_t r = 0; r < c->rows.rows; r++) ladders[r] = ladder_of(c, r);
    for (int64_t r = 0; r < c->rows.rows * c->terms; r++)
        c->scale[r] = c->scale_neg[r] = c->learn[BASIS][r];
    trit_rows_each(&c->rows, level_body, &(work){c, ladders});
    trit_free(ladders, bytes);
    return TRIT_OK;
}

static trit_status forward(trit_quant_call *c) {
    TRIT_TRY(trit_quant_survey(c));
    TRIT_TRY(ternary(&c->args) ? cut_ternary(c) : cut_levels(c));
    return c->training ? move_basis(c) : TRIT_OK;
}

static trit_status backward(const trit_quant_call *c, const float *g, float *dw,
                            float *const dlearn[TRIT_MAX_LEARN]) {
    (void)dlearn;
    if (dw) memcpy(dw, g, (size_t)c->n * sizeof *dw);
    return TRIT_OK;
}

static double integral(const trit_quant_call *c, trit_at at, double w) {
    (void)at;
    return w / c->terms;
}

static unsigned properties_of(const trit_args *args) {
    const unsigned always =
        TRIT_PROP_ODD | TRIT_PROP_SCALE | TRIT_PROP_PERMUTE | TRIT_PROP_CODED | TRIT_PROP_ODD_CODES;
    if (ternary(args)) return always | TRIT_PROP_MONOTONE;
    return always | TRIT_PROP_BINARY | (terms(args) == 1 ? TRIT_PROP_MONOTONE : 0);
}

static const trit_case cases[] = {{"[6,4,3,3]", ""},
                                  {"[5,24]", "bits=1"},
                                  {"[6,4,3,3]", "bits=3,granularity=layer"},
                                  {"[5,24]", "ternary=true"},
                                  {0}};

const trit_quantizer trit_quantizer_lqnets = {
    .name = "lqnets",
    .doc = "trit.quant.lqnets{ bits, ternary, average, zero_debias, granularity, ste }\n"
           "    -> quantizer\n"
           "Levels spanned by a basis that follows the weights.\n"
           "shapes:  w [...] -> w' [...]; basis [rows, bits]\n"
           "eq:      w' = v.b, b in {-1,1}^K; v <- 0.9 v + 0.1 argmin |w - B v|^2;\n"
           "         dL/dw = dL/dw'   (Zhang et al. 2018, arXiv:1807.10029)\n"
           "units:   basis in units of the weights\n"
           "errors:  weights that are not finite\n",
    .params = params,
    .learn = learn,
    .properties_of = properties_of,
    .bits = bits,
    .terms = terms,
    .reset = reset,
    .forward = forward,
    .backward = backward,
    .integral = integral,
    .cases = cases,
};
