/*
 * op_mul.c - y = a b, element by element, shapes stretched by numpy's rule.
 *
 *   ga = gy b, gb = gy a, each summed over the dimensions its operand was stretched in.
 */
#include "kernels/kernels.h"
#include "ops/ops.h"

static void span(const void *context, int64_t n, float *const *p) {
    (void)context;
    trit_kernels()->mul(n, p[1], p[2], p[0]);
}

static trit_status forward(trit_call *c) {
    trit_spans(3, (const trit_tensor *[]){c->out, c->in[0], c->in[1]}, span, NULL);
    return TRIT_OK;
}

static trit_status gradient(const trit_call *c, const trit_tensor *gy, int i, trit_tensor **gx) {
    trit_tensor *g;
    TRIT_TRY(trit_tensor_like(gy, &g));
    trit_spans(3, (const trit_tensor *[]){g, gy, c->in[1 - i]}, span, NULL);
    trit_status status = trit_unbroadcast(c, i, g, gx);
    trit_tensor_release(g);
    return status;
}

static trit_status backward(trit_call *c, trit_tensor *gy, trit_tensor **gx) {
    for (int i = 0; i < 2; i++)
        if (c->want[i]) TRIT_TRY(gradient(c, gy, i, &gx[i]));
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
    {0},
};

const trit_op trit_op_mul = {
    .name = "mul",
    .doc = "mul(a, b) -> y, or a * b\n"
           "Multiplies element by element; dimensions of length 1, and missing leading ones,"
           " stretch.\n"
           "shapes:  a [...], b [...] -> y [...]\n"
           "eq:      y = a b\n"
           "threads: parallel over fixed pieces\n"
           "exact:   forward bit-exact across instruction sets\n"
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
