/*
 * op_permute.c - dimensions in another order: a view, nothing is copied.
 */
#include "ops/ops.h"

enum { AXES };

static const trit_param params[] = {
    {.name = "axes",
     .integer = true,
     .def = 1,
     .min = -8,
     .max = 8,
     .len = 8,
     .list = true,
     .required = true,
     .doc = "which axis of x comes first, second, ...; from 1, negative from the last"},
    {0},
};

static trit_status order_of(const trit_call *c, int *order) {
    const int ndim = c->in[0]->shape.ndim;
    bool seen[TRIT_MAX_DIM] = {false};
    if (c->args.n[AXES] != ndim)
        return trit_fail(TRIT_ERR_ARG, "permute: axes has %d numbers but x has %d dimensions: x %s",
                         c->args.n[AXES], ndim, TRIT_TEXT(c->in[0]));
    for (int i = 0; i < ndim; i++) {
        TRIT_TRY(trit_op_axis(c, AXES, i, ndim, &order[i]));
        if (seen[order[i]])
            return trit_fail(TRIT_ERR_ARG, "permute: axis %d is named twice: x %s", order[i] + 1,
                             TRIT_TEXT(c->in[0]));
        seen[order[i]] = true;
    }
    return TRIT_OK;
}

static trit_status infer(const trit_call *c, trit_shape *out) {
    int order[TRIT_MAX_DIM];
    TRIT_TRY(order_of(c, order));
    out->ndim = c->in[0]->shape.ndim;
    for (int i = 0; i < out->ndim; i++) out->dim[i] = c->in[0]->shape.dim[order[i]];
    return TRIT_OK;
}

static trit_status forward(trit_call *c) {
    int order[TRIT_MAX_DIM];
    trit_shape shape;
    int64_t stride[TRIT_MAX_DIM] = {0};
    TRIT_TRY(order_of(c, order));
    TRIT_TRY(infer(c, &shape));
    for (int i = 0; i < shape.ndim; i++) stride[i] = c->in[0]->stride[order[i]];
    return trit_tensor_view(c->in[0], &shape, stride, 0, &c->out);
}

static trit_status backward(trit_call *c, trit_tensor *gy, trit_tensor **gx) {
    int order[TRIT_MAX_DIM];
    int64_t stride[TRIT_MAX_DIM] = {0};
    TRIT_TRY(order_of(c, order));
    for (int i = 0; i < gy->shape.ndim; i++) stride[order[i]] = gy->stride[i];
    return trit_tensor_view(gy, &c->in[0]->shape, stride, 0, &gx[0]);
}

static const trit_case cases[] = {
    {"[2,3,4,5]L", "axes=1;3;4;2"},
    {"[3,4]T", "axes=2;1"},
    {"[2,0,3]", "axes=-1;1;2"},
    {"[1]", "axes=1"},
    {0},
};

const trit_op trit_op_permute = {
    .name = "permute",
    .doc = "permute(x, {axes}) -> y\n"
           "Puts the dimensions into another order.\n"
           "shapes:  x [...] -> y with axis i = axis axes[i] of x\n"
           "units:   axes from 1, -1 is the last\n"
           "eq:      y[i_1, i_2, ...] = x with i_k along its axis axes[k]\n"
           "alloc:   a view: y shares x's memory\n"
           "threads: serial\n"
           "exact:   no arithmetic\n"
           "errors:  axes that are not a permutation of x's\n",
    .operands = "x",
    .params = params,
    .strided = true,
    .layout = TRIT_CHANNELS_LAST,
    .infer = infer,
    .forward = forward,
    .makes_out = true,
    .backward = backward,
    .grad = TRIT_GRAD_SMOOTH,
    .cases = cases,
};
