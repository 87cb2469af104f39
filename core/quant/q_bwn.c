/*
 * q_bwn.c - binary weight networks, the weights of XNOR-Net (Rastegari et al. 2016,
 * arXiv:1603.05279).
 *
 *   alpha = mean|w| of the filter       w' = alpha sign(w)     (least squared error)
 *   paper  dL/dw_i = g_i (1/n + alpha [|w_i| < 1])
 *   exact  dL/dw_i = alpha g_i [|w_i| < 1] + sign(w_i)/n sum_j g_j sign(w_j)
 * n = weights of the filter.  The mean subtraction and clamping of the released loop belong to the
 * training (trit.methods.xnor).
 *
 * Edge rules: sign(0) = +1; a filter of zeros stays zero.
 */
#include <math.h>

#include "quant/rows.h"

enum { BWN_GRAD, GRANULARITY };
enum { PAPER, EXACT };

static const trit_param params[] = {
    {.name = "bwn_grad",
     .choices = "paper|exact",
     .doc = "the paper's gradient, or the exact one through alpha"},
    {.name = "granularity",
     .def = 1,
     .choices = "layer|filter",
     .doc = "one scale a layer or a filter"},
    TRIT_STE_PARAM,
    {0},
};

static trit_status forward(trit_quant_call *c) {
    TRIT_TRY(trit_quant_survey(c));
    for (int64_t r = 0; r < c->rows.rows; r++)
        c->scale[r] = c->scale_neg[r] = (float)c->cache[r * TRIT_ROW_CACHE + TRIT_ROW_MEAN_ABS];
    trit_quant_signs(c);
    return TRIT_OK;
}

typedef struct {
    const trit_quant_call *c;
    const float *g;
    const double *through; // [rows], sum of g sign(w) over n; NULL: the paper's
    const float *rounded;  // what passes the rounding; NULL: alpha g where |w| < 1
    float *dw;
} slopes;

static void slope_body(void *context, const trit_segment *s) {
    const slopes *m = context;
    const double n = (double)m->c->rows.len;
    for (int64_t j = 0; j < s->n; j++) {
        const int64_t i = s->at + j, row = trit_segment_row(s, j);
        double direct = fabsf(m->c->w[i]) < 1 ? (double)(m->c->scale[row] * m->g[i]) : 0;
        if (m->rounded) direct = (double)m->rounded[i];
        const double rest = m->through ? m->c->codes[i] * m->through[row] : (double)m->g[i] / n;
        m->dw[i] = (float)(direct + rest);
    }
}

static trit_status slope(const trit_quant_call *c, const float *g, const float *rounded,
                         float *dw) {
    const bool exact = c->args.v[BWN_GRAD][0] == EXACT;
    const int64_t rows = c->rows.rows;
    const size_t bytes = (size_t)rows * 2 * sizeof(double);
    double *sides = trit_alloc(bytes);
    if (!sides) return TRIT_ERR_MEM;
    trit_status status = exact ? trit_quant_sides(c, g, sides, sides + rows) : TRIT_OK;
    for (int64_t r = 0; r < rows && exact; r++)
        sides[r] = (sides[r] - sides[rows + r]) / (double)c->rows.len;
    if (status == TRIT_OK)
        trit_rows_each(&c->rows, slope_body, &(slopes){c, g, exact ? sides : NULL, rounded, dw});
    trit_free(sides, bytes);
    return status;
}

static trit_status backward(const trit_quant_call *c, const float *g, float *dw,
                            float *const dlearn[TRIT_MAX_LEARN]) {
    (void)dlearn;
    return dw ? slope(c, g, NULL, dw) : TRIT_OK;
}

static trit_status beside(const trit_quant_call *c, const float *g, float *dw) {
    return slope(c, g, dw, dw);
}

static double integral(const trit_quant_call *c, trit_at at, double w) {
    const double clipped = (double)c->scale[at.row] * fmax(-1, fmin(1, w));
    return c->args.v[BWN_GRAD][0] == EXACT ? clipped : clipped + w / (double)c->rows.len;
}

static bool attached(const trit_args *args) { return args->v[BWN_GRAD][0] == EXACT; }

static double bits(const trit_args *args) {
    (void)args;
    return 1;
}

static const trit_case cases[] = {{"[6,4,3,3]", ""},
                                  {"[5,24]", "bwn_grad=exact"},
                                  {"[6,4,3,3]", "bwn_grad=exact,granularity=layer"},
                                  {0}};

const trit_quantizer trit_quantizer_bwn = {
    .name = "bwn",
    .doc = "trit.quant.bwn{ bwn_grad, granularity, ste } -> quantizer\n"
           "Binary weights with the best scale for every filter.\n"
           "shapes:  w [...] -> w' [...]\n"
           "eq:      alpha = mean|w|; w' = alpha sign(w); dL/dw = g (1/n + alpha [|w| < 1])\n"
           "         (Rastegari et al. 2016, arXiv:1603.05279), or the exact derivative\n"
           "errors:  weights that are not finite\n",
    .params = params,
    .properties = TRIT_PROP_ODD | TRIT_PROP_SCALE | TRIT_PROP_PERMUTE | TRIT_PROP_MONOTONE |
                  TRIT_PROP_ODD_CODES | TRIT_PROP_CODED | TRIT_PROP_BINARY,
    .bits = bits,
    .forward = forward,
    .backward = backward,
    .beside = beside,
    .integral = integral,
    .attached = attached,
    .cases = cases,
};
