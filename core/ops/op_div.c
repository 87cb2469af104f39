/*
 * op_div.c - y = a / b, element by element, shapes stretched by numpy's rule.
 *
 *   ga = gy / b, gb = -(gy / b) y, each summed over the dimensions its operand was stretched in.
 * Division by 0 gives infinity or NaN, as in IEEE arithmetic.
 */
#include "kernels/kernels.h"
#include "ops/ops.h"

static void span(const void *context, int64_t n, float *const *p) {
    (void)context;
    trit_kernels()->div(n, p[1], p[2], p[0]);
}

static trit_status forward(trit_call *c) {
    trit_spans(3, (const trit_tensor *[]){c->out, c->in[0], c->in[1]}, span, NULL);
    return TRIT_OK;
}

static void divisor_span(const void *context, int64_t n, float *const *p) {
    (void)context;
    trit_kernels()->mul(n, p[1], p[2], p[0]);
    trit_kernels()->div(n, p[0], p[3], p[0]);
    trit_kernels()->affine(n, -1.0f, 0.0f, p[0], p[0]);
}

static trit_status gradient(const trit_call *c, const trit_tensor *gy, int i, trit_tensor **gx) {
    trit_tensor *g;
    TRIT_TRY(trit_tensor_like(gy, &g));
    if (i == 0)
        trit_spans(3, (const trit_tensor *[]){g, gy, c->in[1]}, span, NULL);
    else
        trit_spans(4, (const trit_tensor *[]){g, gy, c->out, c->in[1]}, divisor_span, NULL);
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
    {"[2,3,4,5];[2,3,4,5]P", ""},
    {"[2,3,4,5]L;[1,3,1,1]P", ""},
    {"[2,3,4,5];[4,5]P", ""},
    {"[2,1,4,1];[1,3,1,5]P", ""},
    {"[5];[1]P", ""},
    {"[3,4]T;[3,4]P", ""},
    {"[0,4];[4]P", ""},
    {0},
};

const trit_op trit_op_div = {
    .name = "div",
    .doc = "div(a, b) -> y, or a / b\n"
           "Divides element by element; dimensions of length 1, and missing leading ones,"
           " stretch.\n"
           "shapes:  a [...], b [...] -> y [...]\n"
           "eq:      y = a / b\n"
           "threads: parallel over fixed pieces\n"
           "exact:   forward bit-exact across instruction sets\n"
           "errors:  shapes that do not stretch to one; division by 0 gives infinity or NaN\n",
    .operands = "a,b",
    .strided = true,
    .layout = TRIT_CHANNELS_LAST,
    .infer = trit_infer_broadcast,
    .forward = forward,
    .backward = backward,
    .grad = TRIT_GRAD_SMOOTH,
    .cases = cases,
};
