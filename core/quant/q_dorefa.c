/*
 * q_dorefa.c - k-bit weights of DoReFa-Net (Zhou et al. 2016, arXiv:1606.06160, and the
 * reference code).
 *
 *   k >= 2  u = tanh(w), M = max|u|, N = 2^k - 1, r = round(N (u/(2M) + 1/2)), w' = 2 r/N - 1
 *           dL/dw_i = (1 - u_i^2) (g_i/M - [i = m] sign(u_m) sum_j g_j u_j / M^2), m = argmax|u|
 *   k = 1   w' = mean|w| sign(w), dL/dw = dL/dw'
 * `max_grad = detached` drops the second part: the maximum is a constant.  As codes: bit j of r,
 * +1 or -1, is worth 2^j/N.
 *
 * Edge rules: halves round to even; sign(0) = +1; a row of zeros has u/(2M) = 0 and gets the code
 * of 0, which is no level: +1/N for odd N.  k = 2 has four levels, it is not ternary.
 */
#include <math.h>
#include <string.h>

#include "quant/rows.h"

enum { BITS, MAX_GRAD, GRANULARITY };
enum { ATTACHED, DETACHED };
enum { TOP = TRIT_ROW_FREE }; /* M of the row */

static const trit_param params[] = {
    {.name = "bits",
     .def = 2,
     .choices = "1=1|2=2|3=3|4=4|5=5|6=6|7=7|8=8",
     .doc = "bits of a weight"},
    {.name = "max_grad",
     .choices = "attached|detached",
     .doc = "whether the gradient also flows through the maximum"},
    TRIT_GRANULARITY_PARAM,
    TRIT_STE_PARAM,
    {0},
};

static int terms(const trit_args *args) { return (int)args->v[BITS][0]; }

static double bits(const trit_args *args) { return terms(args); }

static void round_body(void *context, const trit_segment *s) {
    trit_quant_call *c = context;
    const int N = (1 << c->terms) - 1;
    for (int64_t j = 0; j < s->n; j++) {
        const int64_t i = s->at + j;
        const double M = c->cache[trit_segment_row(s, j) * TRIT_ROW_CACHE + TOP];
        const double u = tanh((double)c->w[i]);
        const int r = (int)rint(N * ((M > 0 ? u / (2 * M) : 0) + 0.5));
        for (int k = 0; k < c->terms; k++) c->codes[k * c->n + i] = r >> k & 1 ? 1 : -1;
        c->wq[i] = (float)(2.0 * r / N - 1);
    }
}

static trit_status forward(trit_quant_call *c) {
    TRIT_TRY(trit_quant_survey(c));
    const int N = (1 << c->terms) - 1;
    for (int64_t r = 0; r < c->rows.rows; r++) {
        double *cache = c->cache + r * TRIT_ROW_CACHE;
        cache[TOP] = tanh(cache[TRIT_ROW_MAX_ABS]);
        for (int k = 0; k < c->terms; k++) {
            const double worth = c->terms == 1 ? cache[TRIT_ROW_MEAN_ABS] : (double)(1 << k) / N;
            c->scale[r * c->terms + k] = c->scale_neg[r * c->terms + k] = (float)worth;
        }
    }
    if (c->terms == 1)
        trit_quant_signs(c);
    else
        trit_rows_each(&c->rows, round_body, c);
    return TRIT_OK;
}

typedef struct {
    const trit_quant_call *c;
    const float *g;
    float *dw;
} slopes;

static void slope_body(void *context, const trit_segment *s) {
    const slopes *m = context;
    for (int64_t j = 0; j < s->n; j++) {
        const int64_t i = s->at + j;
        const double M = m->c->cache[trit_segment_row(s, j) * TRIT_ROW_CACHE + TOP];
        const double u = tanh((double)m->c->w[i]);
        m->dw[i] = M > 0 ? (float)((1 - u * u) * (double)m->g[i] / M) : 0.0f;
    }
}

static void through_body(void *context, const trit_segment *s, double *sums) {
    const slopes *m = context;
    for (int64_t j = 0; j < s->n; j++)
        *trit_sum_at(s, sums, 0, j) += (double)m->g[s->at + j] * tanh((double)m->c->w[s->at + j]);
}

/* The first of the largest |w| of a row carries the gradient of the maximum. */
static void through_maximum(const trit_quant_call *c, const double *sums, float *dw) {
    for (int64_t r = 0; r < c->rows.rows; r++) {
        const double M = c->cache[r * TRIT_ROW_CACHE + TOP];
        const float top = (float)c->cache[r * TRIT_ROW_CACHE + TRIT_ROW_MAX_ABS];
        int64_t i = r * c->rows.row_stride, left = c->rows.len;
        while (left > 0 && fabsf(c->w[i]) < top) i += c->rows.step, left--;
        if (left > 0 && M > 0)
            dw[i] -= (float)((1 - M * M) * copysign(sums[r] / (M * M), (double)c->w[i] * sums[r]));
    }
}

/* Through tanh and the maximum; dw may be g. */
static trit_status slope(const trit_quant_call *c, const float *g, float *dw) {
    slopes m = {c, g, dw};
    const bool attached = c->args.v[MAX_GRAD][0] == ATTACHED;
    const size_t bytes = (size_t)c->rows.rows * sizeof(double);
    double *sums = trit_alloc(bytes);
    if (!sums) return TRIT_ERR_MEM;
    trit_status status = TRIT_OK;
    if (attached) status = trit_rows_sum(&c->rows, 1, through_body, &m, sums);
    if (status == TRIT_OK) trit_rows_each(&c->rows, slope_body, &m);
    if (status == TRIT_OK && attached) through_maximum(c, sums, dw);
    trit_free(sums, bytes);
    return status;
}

static trit_status backward(const trit_quant_call *c, const float *g, float *dw,
                            float *const dlearn[TRIT_MAX_LEARN]) {
    (void)dlearn;
    if (!dw) return TRIT_OK;
    if (c->terms > 1) return slope(c, g, dw);
    memcpy(dw, g, (size_t)c->n * sizeof *dw);
    return TRIT_OK;
}

static trit_status beside(const trit_quant_call *c, const float *g, float *dw) {
    (void)g;
    return c->terms > 1 ? slope(c, dw, dw) : TRIT_OK;
}

/* tanh(w)/max|tanh w|: what is left without the rounding. */
static void surrogate(const trit_quant_call *c, int64_t row, const double *w, const double *learn,
                      double *out) {
    (void)learn;
    double M = 0;
    for (int64_t i = 0; i < c->rows.len; i++) M = fmax(M, fabs(tanh(w[i])));
    if (c->args.v[MAX_GRAD][0] == DETACHED) M = c->cache[row * TRIT_ROW_CACHE + TOP];
    for (int64_t i = 0; i < c->rows.len; i++)
        out[i] = c->terms == 1 ? w[i] : M > 0 ? tanh(w[i]) / M : 0;
}

static unsigned properties_of(const trit_args *args) {
    const unsigned one = terms(args) == 1 ? TRIT_PROP_SCALE | TRIT_PROP_MONOTONE : 0;
    return one | TRIT_PROP_ODD | TRIT_PROP_ODD_CODES | TRIT_PROP_PERMUTE | TRIT_PROP_CODED |
           TRIT_PROP_BINARY;
}

static const trit_case cases[] = {{"[6,4,3,3]", ""},
                                  {"[5,24]", "bits=1"},
                                  {"[6,4,3,3]", "bits=3,max_grad=detached,granularity=filter"},
                                  {"[5,24]", "bits=8,granularity=filter"},
                                  {0}};

const trit_quantizer trit_quantizer_dorefa = {
    .name = "dorefa",
    .doc = "trit.quant.dorefa{ bits, max_grad, granularity, ste } -> quantizer\n"
           "k-bit weights in [-1, 1] after tanh; one bit: sign times mean|w|.\n"
           "shapes:  w [...] -> w' [...]\n"
           "eq:      w' = 2 round(N (tanh(w)/(2 max|tanh w|) + 1/2))/N - 1, N = 2^k - 1\n"
           "         (Zhou et al. 2016, arXiv:1606.06160)\n"
           "errors:  weights that are not finite\n",
    .params = params,
    .properties_of = properties_of,
    .bits = bits,
    .terms = terms,
    .forward = forward,
    .backward = backward,
    .beside = beside,
    .surrogate = surrogate,
    .cases = cases,
};
