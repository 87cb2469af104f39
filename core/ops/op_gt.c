/*
 * op_gt.c - y = 1 where a > b, else 0; shapes stretched by numpy's rule.
 *
 * Comparisons with NaN are false.  No gradient.
 */
#include "ops/ops.h"

static void span(const void *context, int64_t n, float *const *p) {
    (void)context;
    for (int64_t i = 0; i < n; i++) p[0][i] = p[1][i] > p[2][i] ? 1.0f : 0.0f;
}

static trit_status forward(trit_call *c) {
    trit_spans(3, (const trit_tensor *[]){c->out, c->in[0], c->in[1]}, span, NULL);
    return TRIT_OK;
}

static const trit_case cases[] = {
    {"[2,3,4,5]L;[1,3,1,1]", ""}, {"[5];[1]", ""}, {"[3,4]T;[3,4]", ""}, {"[0,4];[4]", ""}, {0},
};

const trit_op trit_op_gt = {
    .name = "gt",
    .doc = "gt(a, b) -> y\n"
           "Tells where one tensor is larger than another; no gradient.\n"
           "shapes:  a [...], b [...] -> y [...] of 0 and 1\n"
           "eq:      y = 1 if a > b, else 0; false with NaN\n"
           "threads: parallel over fixed pieces\n"
           "exact:   exact\n"
           "errors:  shapes that do not stretch to one\n",
    .operands = "a,b",
    .nograd = 3u,
    .strided = true,
    .layout = TRIT_CHANNELS_LAST,
    .infer = trit_infer_broadcast,
    .forward = forward,
    .grad = TRIT_GRAD_NONE,
    .cases = cases,
};
