/*
 * op_relu6.c - y = min(max(x, 0), 6).
 *
 * At both kinks the derivative is 0.
 */
#include <math.h>

#include "kernels/kernels.h"
#include "ops/ops.h"

typedef struct {
    float lo, hi;
} bounds;

static bounds bounds_of(const trit_call *c) {
    (void)c;
    return (bounds){0.0f, 6.0f};
}

static void forward_span(const void *context, int64_t n, float *const *p) {
    const bounds *b = context;
    trit_kernels()->clamp(n, b->lo, b->hi, p[1], p[0]);
}

static trit_status forward(trit_call *c) {
    const bounds b = bounds_of(c);
    trit_spans(2, (const trit_tensor *[]){c->out, c->in[0]}, forward_span, &b);
    return TRIT_OK;
}

static void backward_span(const void *context, int64_t n, float *const *p) {
    const bounds *b = context;
    trit_kernels()->clamp_grad(n, b->lo, b->hi, p[2], p[1], p[0]);
}

static trit_status backward(trit_call *c, trit_tensor *gy, trit_tensor **gx) {
    const bounds b = bounds_of(c);
    TRIT_TRY(trit_grad_reuse(c, 0, gy, &gx[0]));
    trit_spans(3, (const trit_tensor *[]){gx[0], gy, c->in[0]}, backward_span, &b);
    return TRIT_OK;
}

static const double kinks[] = {0.0, 6.0, NAN};
static const trit_case cases[] = {
    {"[7]", ""}, {"[2,3,5,4]L", ""}, {"[3,4]T", ""}, {"[0,3]", ""}, {"[1]", ""}, {0},
};

const trit_op trit_op_relu6 = {
    .name = "relu6",
    .doc = "relu6(x) -> y\n"
           "Cuts off what is negative or above 6.\n"
           "shapes:  x [...] -> y [...]\n"
           "eq:      y = min(max(x, 0), 6); dy/dx = 1 for 0 < x < 6, else 0\n"
           "threads: parallel over fixed pieces\n"
           "exact:   bit-exact across instruction sets; NaN stays NaN\n"
           "errors:  none\n",
    .operands = "x",
    .strided = true,
    .layout = TRIT_CHANNELS_LAST,
    .infer = trit_infer_same,
    .forward = forward,
    .backward = backward,
    .grad = TRIT_GRAD_KINKED,
    .kink_gap = 0.1,
    .kinks = kinks,
    .cases = cases,
};
