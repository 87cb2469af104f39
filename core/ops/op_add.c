/*
 * op_add.c - y = a + b, shapes stretched by numpy's rule.
 *
 * The gradient of an operand that was stretched is summed over the stretched dimensions.
 */
#include "kernels/kernels.h"
#include "ops/ops.h"

static void span(const void *context, int64_t n, float *const *p) {
    (void)context;
    trit_kernels()->add(n, p[1], p[2], p[0]);
}

static trit_status forward(trit_call *c) {
    trit_spans(3, (const trit_tensor *[]){c->out, c->in[0], c->in[1]}, span, NULL);
    return TRIT_OK;
}

static trit_status backward(trit_call *c, trit_tensor *gy, trit_tensor **gx) {
    for (int i = 0; i < 2; i++)
        if (c->want[i]) TRIT_TRY(trit_unbroadcast(c, i, gy, &gx[i]));
    return TRIT_OK;
}

static const trit_case cases[] = {
    {"[2,3,4,5];[2,3,4,5]", ""},
    {"[2,3,4,5]L;[1,3,1,1]", ""},
    {"[2,3,4,5];[4,5]", ""},
    {"[2,1,4,1];[1,3,1,5]", ""},
    {"[5];[1]", ""},
    {"[3,4]T;[3,4]", ""},
    {"[0,4];[4]", ""},
    {"[2,3,4,5]L;[2,3,4,5]", ""},
    {0},
};

const trit_op trit_op_add = {
    .name = "add",
    .doc = "add(a, b) -> y, or a + b\n"
           "Adds element by element; dimensions of length 1, and missing leading ones, stretch.\n"
           "shapes:  a [...], b [...] -> y [...]\n"
           "eq:      y = a + b\n"
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
