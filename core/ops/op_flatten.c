/*
 * op_flatten.c - all dimensions but the first become one, in the order of the interface (C,H,W).
 *
 * A view where memory is in that order; see op_reshape.c.
 */
#include "ops/ops.h"

static trit_status infer(const trit_call *c, trit_shape *out) {
    const trit_shape *x = &c->in[0]->shape;
    if (x->ndim < 1)
        return trit_fail(TRIT_ERR_SHAPE, "flatten: input must have at least 1 dimension: input %s",
                         TRIT_TEXT(c->in[0]));
    *out = (trit_shape){2, {x->dim[0], 1}};
    for (int i = 1; i < x->ndim; i++) out->dim[1] *= x->dim[i];
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
    {"[2,3,4,5]L", ""}, {"[2,3,1,1]L", ""}, {"[4,3]T", ""}, {"[5]", ""}, {"[0,3,2]", ""}, {0},
};

const trit_op trit_op_flatten = {
    .name = "flatten",
    .doc = "flatten(x) -> y\n"
           "Makes one row of numbers of every sample, channels first.\n"
           "shapes:  x [N,...] -> y [N,product of the rest]\n"
           "eq:      y[n, (c H + h) W + w] = x[n,c,h,w]\n"
           "alloc:   a view where x is in interface order in memory, else a copy\n"
           "threads: serial; a copy is parallel\n"
           "exact:   copies\n"
           "errors:  a tensor without dimensions\n",
    .operands = "x",
    .infer = infer,
    .forward = forward,
    .makes_out = true,
    .backward = backward,
    .grad = TRIT_GRAD_SMOOTH,
    .cases = cases,
};
