/*
 * op_reshape.c - the same numbers in another shape, in the order of the interface (N,C,H,W).
 *
 * A view where memory is in that order already (every tensor but images kept channels-last, and
 * those too when H = W = 1); otherwise the numbers are brought into it first.
 */
#include "ops/ops.h"

enum { SHAPE };

static const trit_param params[] = {
    {.name = "shape",
     .integer = true,
     .def = 1,
     .min = -1,
     .max = 0x1p44,
     .len = 8,
     .list = true,
     .required = true,
     .doc = "new lengths; at most one -1: what is left over"},
    {0},
};

static trit_status infer(const trit_call *c, trit_shape *out) {
    const int64_t n = trit_numel(c->in[0]);
    int64_t stride[TRIT_MAX_DIM];
    int open = -1, opens = 0;
    *out = (trit_shape){.ndim = c->args.n[SHAPE]};
    trit_shape closed = *out; /* without what is left over */
    for (int i = 0; i < out->ndim; i++) {
        out->dim[i] = closed.dim[i] = (int64_t)c->args.v[SHAPE][i];
        if (out->dim[i] >= 0) continue;
        closed.dim[i] = 1;
        open = i;
        opens++;
    }
    const int64_t known = trit_layout_strides(&closed, TRIT_ROW_MAJOR, stride); /* -1: too many */
    if (opens == 1 && known > 0 && n % known == 0)
        out->dim[open] = n / known;
    else if (opens || known != n) {
        char text[96];
        return trit_fail(TRIT_ERR_SHAPE, "reshape: %lld elements do not fit: %s to %s",
                         (long long)n, TRIT_TEXT(c->in[0]),
                         trit_shape_text(out, text, sizeof text));
    }
    return TRIT_OK;
}

static trit_status as_shape(const trit_tensor *t, const trit_shape *shape, trit_tensor **out) {
    int64_t stride[TRIT_MAX_DIM] = {0};
    trit_layout_strides(shape, TRIT_ROW_MAJOR, stride);
    return trit_tensor_view(t, shape, stride, 0, out);
}

static trit_status forward(trit_call *c) {
    trit_shape shape;
    TRIT_TRY(infer(c, &shape));
    return as_shape(c->in[0], &shape, &c->out);
}

static trit_status backward(trit_call *c, trit_tensor *gy, trit_tensor **gx) {
    return as_shape(gy, &c->in[0]->shape, &gx[0]);
}

static const trit_case cases[] = {
    {"[2,3,4,5]L", "shape=2;-1"}, {"[6,4]T", "shape=3;8"}, {"[2,12]", "shape=2;3;2;2"},
    {"[0,3]", "shape=3;0"},       {"[1]", "shape=1;1;1"},  {0},
};

const trit_op trit_op_reshape = {
    .name = "reshape",
    .doc = "reshape(x, {shape}) -> y\n"
           "Gives the same numbers, in the same order, another shape.\n"
           "shapes:  x [...] -> y shape; one -1 takes what is left over\n"
           "eq:      y's numbers in order (last dimension fastest) = x's\n"
           "alloc:   a view where x is in interface order in memory, else a copy\n"
           "threads: serial; a copy is parallel\n"
           "exact:   copies\n"
           "errors:  element counts that disagree; more than one -1\n",
    .operands = "x",
    .params = params,
    .infer = infer,
    .forward = forward,
    .makes_out = true,
    .backward = backward,
    .grad = TRIT_GRAD_SMOOTH,
    .cases = cases,
};
