/*
 * op_where.c - y = a where mask is not 0, else b; shapes stretched by numpy's rule.
 *
 *   ga = gy where mask, gb = gy elsewhere, each summed over the dimensions it was stretched in.
 * The number not taken has no influence, not even NaN.
 */
#include "ops/ops.h"

enum { MASK, A, B };

static trit_status infer(const trit_call *c, trit_shape *out) {
    trit_call two = *c;
    trit_tensor pair = {0};
    two.in[0] = c->in[A];
    two.in[1] = c->in[B];
    TRIT_TRY(trit_infer_broadcast(&two, &pair.shape));
    two.in[0] = c->in[MASK];
    two.in[1] = &pair;
    return trit_infer_broadcast(&two, out);
}

static void span(const void *context, int64_t n, float *const *p) {
    (void)context;
    for (int64_t i = 0; i < n; i++) p[0][i] = p[1][i] != 0.0f ? p[2][i] : p[3][i];
}

static trit_status forward(trit_call *c) {
    trit_spans(4, (const trit_tensor *[]){c->out, c->in[MASK], c->in[A], c->in[B]}, span, NULL);
    return TRIT_OK;
}

/* Context: which side is wanted. */
static void side_span(const void *context, int64_t n, float *const *p) {
    const bool taken = *(const bool *)context;
    for (int64_t i = 0; i < n; i++) p[0][i] = (p[2][i] != 0.0f) == taken ? p[1][i] : 0.0f;
}

static trit_status backward(trit_call *c, trit_tensor *gy, trit_tensor **gx) {
    for (int i = A; i <= B; i++) {
        const bool side = i == A;
        trit_tensor *g;
        if (!c->want[i]) continue;
        TRIT_TRY(trit_tensor_like(gy, &g));
        trit_spans(3, (const trit_tensor *[]){g, gy, c->in[MASK]}, side_span, &side);
        trit_status status = trit_unbroadcast(c, i, g, &gx[i]);
        trit_tensor_release(g);
        TRIT_TRY(status);
    }
    return TRIT_OK;
}

static const trit_case cases[] = {
    {"[2,3,4,5]LB;[2,3,4,5];[2,3,4,5]", ""},
    {"[3,4]B;[4];[1]", ""},
    {"[4]B;[3,4]T;[3,4]", ""},
    {"[0,4]B;[4];[1]", ""},
    {0},
};

const trit_op trit_op_where = {
    .name = "where",
    .doc = "where(mask, a, b) -> y\n"
           "Takes a where the mask is not 0, else b.\n"
           "shapes:  mask, a, b [...] -> y [...], stretched by numpy's rule\n"
           "eq:      y = a if mask != 0, else b\n"
           "threads: parallel over fixed pieces\n"
           "exact:   copies\n"
           "errors:  shapes that do not stretch to one\n",
    .operands = "mask,a,b",
    .nograd = 1u << MASK,
    .strided = true,
    .layout = TRIT_CHANNELS_LAST,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .grad = TRIT_GRAD_SMOOTH,
    .cases = cases,
};
