/*
 * q_abcnet.c - weights as a sum of binary bases (Lin, Zhao & Pan 2017, arXiv:1711.11294).
 *
 *   B_i = sign(w - mean + u_i std), u_i = -1 + 2 (i-1)/(M-1), M = 1: u = 0     std divides by n
 *   alpha = argmin |w - sum alpha_i B_i|^2          w' = sum alpha_i B_i
 *   dL/dw = (sum alpha_i) dL/dw'                    alpha held, dB/dw := 1
 *
 * Edge rules: sign(0) = +1; a base that the others contain gets alpha = 0.
 */
#include <math.h>

#include "quant/rows.h"

enum { BASES, GRANULARITY };
enum { CUT = TRIT_ROW_FREE }; /* +term: B is +1 where w >= cut */

static const trit_param params[] = {
    {.name = "bases",
     .def = 3,
     .choices = "1=1|2=2|3=3|4=4|5=5|6=6|7=7|8=8",
     .doc = "binary bases summed"},
    TRIT_GRANULARITY_PARAM,
    TRIT_STE_PARAM,
    {0},
};

static int terms(const trit_args *args) { return (int)args->v[BASES][0]; }

static double bits(const trit_args *args) { return terms(args); }

static void bases_body(void *context, const trit_segment *s) {
    trit_quant_call *c = context;
    for (int k = 0; k < c->terms; k++)
        for (int64_t j = 0; j < s->n; j++) {
            const int64_t i = s->at + j;
            const double cut = c->cache[trit_segment_row(s, j) * TRIT_ROW_CACHE + CUT + k];
            c->codes[k * c->n + i] = (double)c->w[i] >= cut ? 1 : -1;
        }
}

/* The normal equations' numbers: B'B above the diagonal, then B'w. */
static void products_body(void *context, const trit_segment *s, double *sums) {
    const trit_quant_call *c = context;
    int f = 0;
    for (int a = 0; a < c->terms; a++) {
        const int8_t *x = c->codes + a * c->n + s->at;
        for (int b = a + 1; b < c->terms; b++, f++) {
            const int8_t *y = c->codes + b * c->n + s->at;
            for (int64_t j = 0; j < s->n; j++) *trit_sum_at(s, sums, f, j) += x[j] * y[j];
        }
        for (int64_t j = 0; j < s->n; j++)
            *trit_sum_at(s, sums, f, j) += x[j] * (double)c->w[s->at + j];
        f++;
    }
}

static void solve_row(trit_quant_call *c, int64_t row, const double *sums) {
    double A[TRIT_SOLVE_MAX * TRIT_SOLVE_MAX], b[TRIT_SOLVE_MAX], x[TRIT_SOLVE_MAX];
    const int m = c->terms;
    for (int i = 0; i < m; i++) {
        A[i * m + i] = (double)c->rows.len;
        for (int j = i + 1; j < m; j++) A[i * m + j] = A[j * m + i] = *sums++;
        b[i] = *sums++;
    }
    trit_solve(m, A, b, x);
    for (int k = 0; k < m; k++) c->scale[row * m + k] = c->scale_neg[row * m + k] = (float)x[k];
}

static void add_body(void *context, const trit_segment *s) {
    trit_quant_call *c = context;
    for (int64_t j = 0; j < s->n; j++) {
        const int64_t i = s->at + j, row = trit_segment_row(s, j);
        double sum = 0;
        for (int k = 0; k < c->terms; k++)
            sum += c->codes[k * c->n + i] * (double)c->scale[row * c->terms + k];
        c->wq[i] = (float)sum;
    }
}

static trit_status forward(trit_quant_call *c) {
    const int m = c->terms, fields = m * (m + 1) / 2;
    TRIT_TRY(trit_quant_survey(c));
    for (int64_t r = 0; r < c->rows.rows; r++) {
        double *cache = c->cache + r * TRIT_ROW_CACHE;
        const double n = (double)c->rows.len;
        const double std = n > 1 ? cache[TRIT_ROW_SIGMA] * sqrt((n - 1) / n) : 0;
        for (int k = 0; k < m; k++) {
            const double u = m > 1 ? -1 + 2.0 * k / (m - 1) : 0;
            cache[CUT + k] = cache[TRIT_ROW_MU] - u * std;
        }
    }
    const size_t bytes = (size_t)(c->rows.rows * fields) * sizeof(double);
    double *sums = trit_alloc(bytes);
    if (!sums) return TRIT_ERR_MEM;
    trit_rows_each(&c->rows, bases_body, c);
    trit_status status = trit_rows_sum(&c->rows, fields, products_body, c, sums);
    for (int64_t r = 0; r < c->rows.rows && status == TRIT_OK; r++)
        solve_row(c, r, sums + r * fields);
    if (status == TRIT_OK) trit_rows_each(&c->rows, add_body, c);
    trit_free(sums, bytes);
    return status;
}

static double alphas(const trit_quant_call *c, int64_t row) {
    double sum = 0;
    for (int k = 0; k < c->terms; k++) sum += (double)c->scale[row * c->terms + k];
    return sum;
}

static trit_status backward(const trit_quant_call *c, const float *g, float *dw,
                            float *const dlearn[TRIT_MAX_LEARN]) {
    (void)dlearn;
    if (!dw) return TRIT_OK;
    const size_t bytes = (size_t)c->rows.rows * sizeof(float);
    float *factor = trit_alloc(bytes);
    if (!factor) return TRIT_ERR_MEM;
    for (int64_t r = 0; r < c->rows.rows; r++) factor[r] = (float)alphas(c, r);
    const trit_row_affine by = {.factor = factor, .limit = INFINITY};
    trit_rows_affine(&c->rows, c->w, g, &by, dw);
    trit_free(factor, bytes);
    return TRIT_OK;
}

static double integral(const trit_quant_call *c, trit_at at, double w) {
    return (double)c->scale[at.row * c->terms + at.term] * w;
}

static const trit_case cases[] = {{"[6,4,3,3]", ""},
                                  {"[6,4,3,3]", "bases=1"},
                                  {"[5,24]", "bases=2,granularity=filter"},
                                  {"[5,24]", "bases=5"},
                                  {0}};

const trit_quantizer trit_quantizer_abcnet = {
    .name = "abcnet",
    .doc =
        "trit.quant.abcnet{ bases, granularity, ste } -> quantizer\n"
        "Weights as the best sum of fixed binary bases.\n"
        "shapes:  w [...] -> w' [...]\n"
        "eq:      B_i = sign(w - mean + u_i std); alpha by least squares; w' = sum alpha_i B_i;\n"
        "         dL/dw = (sum alpha_i) dL/dw'   (Lin et al. 2017, arXiv:1711.11294)\n"
        "errors:  weights that are not finite\n",
    .params = params,
    .properties = TRIT_PROP_ODD | TRIT_PROP_SCALE | TRIT_PROP_PERMUTE | TRIT_PROP_MONOTONE |
                  TRIT_PROP_CODED | TRIT_PROP_BINARY,
    .bits = bits,
    .terms = terms,
    .forward = forward,
    .backward = backward,
    .integral = integral,
    .cases = cases,
};
