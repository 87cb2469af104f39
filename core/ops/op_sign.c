/*
 * op_sign.c - y = -1, 0 or +1 by the sign of x; NaN stays NaN.
 *
 * No gradient: a surrogate is the quantizer's choice.
 */
#include "ops/ops.h"

static void span(const void *context, int64_t n, float *const *p) {
    (void)context;
    for (int64_t i = 0; i < n; i++) {
        const float x = p[1][i];
        p[0][i] = x > 0 ? 1.0f : x < 0 ? -1.0f : x == x ? 0.0f : x;
    }
}

static trit_status forward(trit_call *c) {
    trit_spans(2, (const trit_tensor *[]){c->out, c->in[0]}, span, NULL);
    return TRIT_OK;
}

static const trit_case cases[] = {
    {"[7]", ""}, {"[2,3,5,4]L", ""}, {"[3,4]T", ""}, {"[0,3]", ""}, {0},
};

const trit_op trit_op_sign = {
    .name = "sign",
    .doc = "sign(x) -> y\n"
           "Takes the sign; no gradient.\n"
           "shapes:  x [...] -> y [...] of -1, 0, 1\n"
           "eq:      y = sign(x), 0 at 0\n"
           "threads: parallel over fixed pieces\n"
           "exact:   exact; NaN stays NaN\n"
           "errors:  none\n",
    .operands = "x",
    .strided = true,
    .layout = TRIT_CHANNELS_LAST,
    .infer = trit_infer_same,
    .forward = forward,
    .grad = TRIT_GRAD_NONE,
    .cases = cases,
};
