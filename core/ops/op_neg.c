/*
 * op_neg.c - y = -x.
 */
#include "kernels/kernels.h"
#include "ops/ops.h"

static void span(const void *context, int64_t n, float *const *p) {
    (void)context;
    trit_kernels()->affine(n, -1.0f, 0.0f, p[1], p[0]);
}

static trit_status forward(trit_call *c) {
    trit_spans(2, (const trit_tensor *[]){c->out, c->in[0]}, span, NULL);
    return TRIT_OK;
}

static trit_status backward(trit_call *c, trit_tensor *gy, trit_tensor **gx) {
    TRIT_TRY(trit_grad_reuse(c, 0, gy, &gx[0]));
    trit_spans(2, (const trit_tensor *[]){gx[0], gy}, span, NULL);
    return TRIT_OK;
}

static const trit_case cases[] = {
    {"[7]", ""}, {"[2,3,5,4]L", ""}, {"[3,4]T", ""}, {"[0,3]", ""}, {"[1]", ""}, {0},
};

const trit_op trit_op_neg = {
    .name = "neg",
    .doc = "neg(x) -> y, or -x\n"
           "Turns the sign.\n"
           "shapes:  x [...] -> y [...]\n"
           "eq:      y = -x\n"
           "threads: parallel over fixed pieces\n"
           "exact:   exact; -0 comes out as 0\n"
           "errors:  none\n",
    .operands = "x",
    .strided = true,
    .layout = TRIT_CHANNELS_LAST,
    .infer = trit_infer_same,
    .forward = forward,
    .backward = backward,
    .grad = TRIT_GRAD_SMOOTH,
    .cases = cases,
};
