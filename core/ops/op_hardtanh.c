/*
 * op_hardtanh.c - y = min(max(x, min), max), by default between -1 and 1.
 *
 * At both kinks the derivative is 0.
 */
#include <math.h>

#include "kernels/kernels.h"
#include "ops/ops.h"

enum { MIN, MAX };

static const trit_param params[] = {
    {.name = "min", .def = -1, .min = -INFINITY, .max = INFINITY, .doc = "lower bound"},
    {.name = "max", .def = 1, .min = -INFINITY, .max = INFINITY, .doc = "upper bound"},
    {0},
};

static trit_status infer(const trit_call *c, trit_shape *out) {
    if (c->args.v[MIN][0] > c->args.v[MAX][0])
        return trit_fail(TRIT_ERR_ARG, "hardtanh: min is %g but max is %g", c->args.v[MIN][0],
                         c->args.v[MAX][0]);
    return trit_infer_same(c, out);
}

typedef struct {
    float lo, hi;
} bounds;

static bounds bounds_of(const trit_call *c) {
    return (bounds){(float)c->args.v[MIN][0], (float)c->args.v[MAX][0]};
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

static const double kinks[] = {-1.0, 1.0, NAN};
static const trit_case cases[] = {
    {"[7]", ""}, {"[2,3,5,4]L", ""}, {"[3,4]T", ""}, {"[0,3]", ""}, {"[1]", ""}, {0},
};

const trit_op trit_op_hardtanh = {
    .name = "hardtanh",
    .doc = "hardtanh(x [, {min, max}]) -> y\n"
           "Cuts off what lies outside an interval.\n"
           "shapes:  x [...] -> y [...]\n"
           "eq:      y = min(max(x, min), max); dy/dx = 1 for min < x < max, else 0\n"
           "threads: parallel over fixed pieces\n"
           "exact:   bit-exact across instruction sets; NaN stays NaN\n"
           "errors:  min above max\n",
    .operands = "x",
    .params = params,
    .strided = true,
    .layout = TRIT_CHANNELS_LAST,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .grad = TRIT_GRAD_KINKED,
    .kink_gap = 0.1,
    .kinks = kinks,
    .cases = cases,
};
