/*
 * op_relu.c - y = max(x, 0).
 *
 * At x = 0 the derivative is 0, as in every framework.  NaN stays NaN: an activation must not
 * hide a diverged network.
 */
#include <math.h>

#include "kernels/kernels.h"
#include "ops/ops.h"
#include "tensor/pending.h"

/* max(v, 0) ends the description of a pending operand. */
static trit_status describe(trit_call *c, bool *done) {
    const struct trit_pending *d = c->in[0]->pending;
    if (!d || d->rows.relu || d->rows.levels.scale != 0) return TRIT_OK;
    *done = true;
    return trit_pending_relu(c->in[0], &c->out);
}

static void forward_span(const void *context, int64_t n, float *const *p) {
    (void)context;
    trit_kernels()->relu(n, p[1], p[0]);
}

static trit_status forward(trit_call *c) {
    trit_spans(2, (const trit_tensor *[]){c->out, c->in[0]}, forward_span, NULL);
    return TRIT_OK;
}

static void backward_span(const void *context, int64_t n, float *const *p) {
    (void)context;
    trit_kernels()->relu_grad(n, p[2], p[1], p[0]);
}

static trit_status backward(trit_call *c, trit_tensor *gy, trit_tensor **gx) {
    TRIT_TRY(trit_tensor_settle(c->out));
    TRIT_TRY(trit_grad_reuse(c, 0, gy, &gx[0]));
    trit_spans(3, (const trit_tensor *[]){gx[0], gy, c->out}, backward_span, NULL);
    return TRIT_OK;
}

static const double kinks[] = {0.0, NAN};
static const trit_case cases[] = {
    {"[7]", ""}, {"[2,3,5,4]L", ""}, {"[3,4]T", ""}, {"[0,3]", ""}, {"[1]", ""}, {0},
};

const trit_op trit_op_relu = {
    .name = "relu",
    .doc = "relu(x) -> y\n"
           "Cuts off what is negative.\n"
           "shapes:  x [...] -> y [...]\n"
           "eq:      y = max(x, 0); dy/dx = 1 for x > 0, else 0\n"
           "threads: parallel over fixed pieces\n"
           "exact:   bit-exact across instruction sets; NaN stays NaN\n"
           "errors:  none\n",
    .operands = "x",
    .strided = true,
    .layout = TRIT_CHANNELS_LAST,
    .infer = trit_infer_same,
    .describe = describe,
    .rectifies = true,
    .forward = forward,
    .backward = backward,
    .grad = TRIT_GRAD_KINKED,
    .kink_gap = 0.1,
    .kinks = kinks,
    .cases = cases,
};
