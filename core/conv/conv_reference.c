/*
 * conv_reference.c - the convolution as written in trit/conv.h: one loop nest a pass, sums in
 * double.  It is the specification the fast algorithms are tested against.
 */
#include "conv/conv_algo.h"

typedef struct {
    const trit_conv_geom *g;
    const float *a, *b; /* the two operands of the pass */
    float *out;
} pass_job;

static bool fits(const trit_conv_geom *g, char pass) {
    (void)g;
    (void)pass;
    return true;
}

/* One output row y[n,p,:,:]. */
static void forward_row(void *context, int64_t unit, int worker) {
    (void)worker;
    const pass_job *job = context;
    const trit_conv_geom *g = job->g;
    const float *x = job->a, *w = job->b; /* [N,H,W,C], [R,S,C/G,K] */
    int64_t n = unit / g->P, p = unit % g->P, Cg = g->C / g->G, Kg = g->K / g->G;
    for (int64_t q = 0; q < g->Q; q++)
        for (int64_t k = 0; k < g->K; k++) {
            double sum = 0.0;
            for (int64_t r = 0; r < g->R; r++)
                for (int64_t s = 0; s < g->S; s++) {
                    int64_t h = p * g->stride_h - g->pad_h + r * g->dil_h;
                    int64_t v = q * g->stride_w - g->pad_w + s * g->dil_w;
                    if (h < 0 || h >= g->H || v < 0 || v >= g->W) continue;
                    const float *xi = x + ((n * g->H + h) * g->W + v) * g->C + k / Kg * Cg;
                    const float *wi = w + (r * g->S + s) * Cg * g->K + k;
                    for (int64_t c = 0; c < Cg; c++) sum += (double)xi[c] * wi[c * g->K];
                }
            job->out[((n * g->P + p) * g->Q + q) * g->K + k] = (float)sum;
        }
}

/* The output position that input position `at` reaches through tap `tap`; -1 if none. */
static int64_t reached(int64_t at, int64_t tap, int64_t stride, int64_t pad, int64_t dil,
                       int64_t size) {
    int64_t t = at + pad - tap * dil;
    return t >= 0 && t % stride == 0 && t / stride < size ? t / stride : -1;
}

/* One input row dx[n,h,:,:]. */
static void data_row(void *context, int64_t unit, int worker) {
    (void)worker;
    const pass_job *job = context;
    const trit_conv_geom *g = job->g;
    const float *dy = job->a, *w = job->b; /* [N,P,Q,K], [R,S,C/G,K] */
    int64_t n = unit / g->H, h = unit % g->H, Cg = g->C / g->G, Kg = g->K / g->G;
    for (int64_t v = 0; v < g->W; v++)
        for (int64_t c = 0; c < g->C; c++) {
            double sum = 0.0;
            int64_t k0 = c / Cg * Kg;
            for (int64_t r = 0; r < g->R; r++)
                for (int64_t s = 0; s < g->S; s++) {
                    int64_t p = reached(h, r, g->stride_h, g->pad_h, g->dil_h, g->P);
                    int64_t q = reached(v, s, g->stride_w, g->pad_w, g->dil_w, g->Q);
                    if (p < 0 || q < 0) continue;
                    const float *yi = dy + ((n * g->P + p) * g->Q + q) * g->K + k0;
                    const float *wi = w + ((r * g->S + s) * Cg + c % Cg) * g->K + k0;
                    for (int64_t k = 0; k < Kg; k++) sum += (double)yi[k] * wi[k];
                }
            job->out[((n * g->H + h) * g->W + v) * g->C + c] = (float)sum;
        }
}

/* One row dw[r,s,c,:]. */
static void weight_row(void *context, int64_t unit, int worker) {
    (void)worker;
    const pass_job *job = context;
    const trit_conv_geom *g = job->g;
    const float *x = job->a, *dy = job->b; /* [N,H,W,C], [N,P,Q,K] */
    int64_t Cg = g->C / g->G, Kg = g->K / g->G;
    int64_t c = unit % Cg, s = unit / Cg % g->S, r = unit / Cg / g->S;
    for (int64_t k = 0; k < g->K; k++) {
        double sum = 0.0;
        for (int64_t n = 0; n < g->N; n++)
            for (int64_t p = 0; p < g->P; p++)
                for (int64_t q = 0; q < g->Q; q++) {
                    int64_t h = p * g->stride_h - g->pad_h + r * g->dil_h;
                    int64_t v = q * g->stride_w - g->pad_w + s * g->dil_w;
                    if (h < 0 || h >= g->H || v < 0 || v >= g->W) continue;
                    sum += (double)x[((n * g->H + h) * g->W + v) * g->C + k / Kg * Cg + c] *
                           dy[((n * g->P + p) * g->Q + q) * g->K + k];
                }
        job->out[unit * g->K + k] = (float)sum;
    }
}

static trit_status forward(const trit_conv_geom *g, const float *x, const float *w, float *y,
                           const trit_conv_along *along) {
    (void)along;
    pass_job job = {g, x, w, y};
    trit_parallel(g->N * g->P, forward_row, &job);
    return TRIT_OK;
}

static trit_status backward_data(const trit_conv_geom *g, const float *dy, const float *w,
                                 float *dx, const trit_conv_along *along) {
    (void)along;
    pass_job job = {g, dy, w, dx};
    trit_parallel(g->N * g->H, data_row, &job);
    return TRIT_OK;
}

static trit_status backward_weight(const trit_conv_geom *g, const float *x, const float *dy,
                                   float *dw, const trit_conv_along *along) {
    (void)along;
    pass_job job = {g, x, dy, dw};
    trit_parallel(g->R * g->S * (g->C / g->G), weight_row, &job);
    return TRIT_OK;
}

const conv_algo trit_conv_reference = {
    .name = "reference",
    .fits = fits,
    .forward = forward,
    .backward_data = backward_data,
    .backward_weight = backward_weight,
};
