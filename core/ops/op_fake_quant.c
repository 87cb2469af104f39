/*
 * op_fake_quant.c - numbers rounded to equally spaced levels, as floats: fake quantization of
 * activations.
 *
 *   y = round(scale min(max(x, low / scale), high / scale)) / scale    halves to even
 *   dy/dx = 1 for low / scale <= x <= high / scale, else 0             declared: straight through
 *
 * With scale = high = 2^k - 1 and low = 0 these are the k-bit activations of DoReFa-Net.
 *
 * Fusion: y is described, so that a convolution quantizes the rows it reads itself, and its data
 * gradient is cut on the way to the rectifier before (autograd/fuse.c).
 */
#include "kernels/kernels.h"
#include "ops/ops.h"
#include "tensor/pending.h"

enum { SCALE, LOW, HIGH };

static const trit_param params[] = {
    {.name = "scale", .def = 255, .min = 1e-6, .max = 1e6, .doc = "levels a unit of x"},
    {.name = "low",
     .integer = true,
     .def = 0,
     .min = -65536,
     .max = 0,
     .doc = "lowest level, counted from 0"},
    {.name = "high",
     .integer = true,
     .def = 255,
     .min = 1,
     .max = 65536,
     .doc = "highest level, counted from 0"},
    {0},
};

static trit_levels levels_of(const trit_call *c) {
    const double scale = c->args.v[SCALE][0];
    return (trit_levels){.scale = (float)scale,
                         .step = (float)(1 / scale),
                         .low = (float)(c->args.v[LOW][0] / scale),
                         .top = (float)(c->args.v[HIGH][0] / scale)};
}

static trit_status describe(trit_call *c, bool *done) {
    trit_tensor *x = c->in[0];
    if (x->shape.ndim != 4 || !trit_has_layout(x, TRIT_CHANNELS_LAST)) return TRIT_OK;
    /* A block's output is needed as it is by its other readers. */
    if (x->pending && (x->pending->rows.q || x->pending->rows.levels.scale != 0))
        TRIT_TRY(trit_tensor_settle(x));
    *done = true;
    return trit_pending_levels(x, levels_of(c), &c->out);
}

/* One row of n channels. */
static void forward_span(const void *context, int64_t n, float *const *p) {
    const trit_make row = {.C = n, .p = p[1], .levels = *(const trit_levels *)context};
    trit_kernels()->rows_make(&row, 0, 1, p[0]);
}

static trit_status forward(trit_call *c) {
    const trit_levels l = levels_of(c);
    trit_spans(2, (const trit_tensor *[]){c->out, c->in[0]}, forward_span, &l);
    return TRIT_OK;
}

static void backward_span(const void *context, int64_t n, float *const *p) {
    const trit_levels *l = context;
    trit_kernels()->range_grad(n, l->low, l->top, p[2], p[1], p[0]);
}

static trit_status backward(trit_call *c, trit_tensor *gy, trit_tensor **gx) {
    const trit_levels l = levels_of(c);
    TRIT_TRY(trit_tensor_settle(c->in[0]));
    TRIT_TRY(trit_grad_reuse(c, 0, gy, &gx[0]));
    trit_spans(3, (const trit_tensor *[]){gx[0], gy, c->in[0]}, backward_span, &l);
    return TRIT_OK;
}

static void caps(const trit_call *c, float *top) { *top = levels_of(c).top; }

static const trit_case cases[] = {
    {"[7]", ""},
    {"[2,20,5,4]L", "scale=3,high=3"},
    {"[3,4]T", "scale=2,low=-4,high=3"},
    {"[0,3]", ""},
    {"[1]", ""},
    {0},
};

const trit_op trit_op_fake_quant = {
    .name = "fake_quant",
    .doc = "fake_quant(x [, {scale, low, high}]) -> y\n"
           "Rounds to the nearest of equally spaced levels, low to high in units of 1/scale.\n"
           "shapes:  x [...] -> y [...]\n"
           "eq:      y = round(scale min(max(x, low/scale), high/scale)) / scale, halves to even;\n"
           "         dy/dx = 1 for low/scale <= x <= high/scale, else 0 (straight through);\n"
           "         scale = high = 2^k - 1, low = 0: k-bit activations (arXiv:1606.06160)\n"
           "threads: parallel over fixed pieces\n"
           "exact:   the level next to a half may differ across instruction sets; NaN stays NaN\n"
           "errors:  none\n",
    .operands = "x",
    .params = params,
    .strided = true,
    .layout = TRIT_CHANNELS_LAST,
    .infer = trit_infer_same,
    .describe = describe,
    .caps = caps,
    .forward = forward,
    .backward = backward,
    .grad = TRIT_GRAD_SURROGATE,
    .cases = cases,
};
