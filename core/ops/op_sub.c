/*
 * op_sub.c - y = a - b, shapes stretched by numpy's rule.
 *
 * The gradient of an operand that was stretched is summed over the stretched dimensions.
 */
#include "kernels/kernels.h"
#include "ops/ops.h"

static void span(const void *context, int64_t n, float *const *p) {
    (void)context;
    trit_kernels()->sub(n, p[1], p[2], p[0]);
}

static trit_status forward(trit_call *c) {
    trit_spans(3, (const trit_tensor *[]){c->out, c->in[0], c->in[1]}, span, NULL);
    return TRIT_OK;
}

static void negate(const void *context, int64_t n, float *const *p) {
    (void)context;
    trit_kernels()->affine(n, -1.0f, 0.0f, p[0], p[0]);
}

static trit_status backward(trit_call *c, trit_tensor *gy, trit_tensor **gx) {
    if (c->want[0]) TRIT_TRY(trit_unbroadcast(c, 0, gy, &gx[0]));
    if (!c->want[1]) return TRIT_OK;
    trit_tensor *g;
    TRIT_TRY(trit_unbroadcast(c, 1, gy, &g));
    if (g == gy) { /* handed on, hence shared: negate a copy */
        trit_tensor_release(g);
        TRIT_TRY(trit_tensor_clone(gy, &g));
    }
    trit_spans(1, (const trit_tensor *[]){g}, negate, NULL);
    gx[1] = g;
    return TRIT_OK;
}

static const trit_case cases[] = {
    {"[2,3,4,5];[2,3,4,5]", ""},
    {"[2,3,4,5]L;[1,3,1,1]", ""},
    {"[2,3,4,5];[4,5]", ""},
    {"[2,1,4,1];[1,3,1,5]", ""},
    {"[1];[5]", ""},
    {"[3,4]T;[3,4]", ""},
    {"[0,4];[4]", ""},
    {0},
};

const trit_op trit_op_sub = {
    .name = "sub",
    .doc = "sub(a, b) -> y, or a - b\n"
           "Subtracts element by element; dimensions of length 1, and missing leading ones,"
           " stretch.\n"
           "shapes:  a [...], b [...] -> y [...]\n"
           "eq:      y = a - b\n"
           "threads: parallel over fixed pieces\n"
           "exact:   bit-exact across instruction sets\n"
           "errors:  shapes that do not stretch to one\n",
    .operands = "a,b",
    .strided = true,
    .layout = TRIT_CHANNELS_LAST,
    .infer = trit_infer_broadcast,
    .forward = forward,
    .backward = backward,
    .grad = TRIT_GRAD_SMOOTH,
    .cases = cases,
};
