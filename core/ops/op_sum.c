/*
 * op_sum.c - sums over any axes.
 *
 * The sum of nothing is 0.
 */
#include "ops/ops.h"

static const trit_param params[] = {REDUCE_PARAMS, {0}};

static trit_status forward(trit_call *c) {
    bool reduced[TRIT_MAX_DIM];
    trit_tensor *y;
    TRIT_TRY(trit_op_axes(c, REDUCE_AXES, c->in[0]->shape.ndim, reduced));
    TRIT_TRY(trit_keep_view(c->out, &c->in[0]->shape, reduced, &y));
    trit_status status = trit_reduce_sum(c->in[0], 1.0, y);
    trit_tensor_release(y);
    return status;
}

static trit_status backward(trit_call *c, trit_tensor *gy, trit_tensor **gx) {
    bool reduced[TRIT_MAX_DIM];
    TRIT_TRY(trit_op_axes(c, REDUCE_AXES, c->in[0]->shape.ndim, reduced));
    return trit_stretch_grad(c, gy, reduced, 1.0, &gx[0]);
}

static const trit_case cases[] = {
    {"[3,4,5]", "axes=2"}, {"[2,3,4,5]L", "axes=1;3;4,keepdims=true"},
    {"[6,7]T", ""},        {"[2,3,4,5]L", "axes=2"},
    {"[5]", "axes=-1"},    {"[1]", ""},
    {"[0,3]", "axes=1"},   {0},
};

const trit_op trit_op_sum = {
    .name = "sum",
    .doc = "sum(x [, {axes, keepdims}]) -> y\n"
           "Adds up a tensor along axes.\n"
           "shapes:  x [...] -> y without the axes, or with length 1 there\n"
           "units:   axes from 1, -1 is the last; none given: all\n"
           "eq:      y = sum over the axes of x\n"
           "threads: parallel; partial sums in fixed slots\n"
           "exact:   relative 1e-6; sums in double\n"
           "errors:  an axis that is not there or named twice\n",
    .operands = "x",
    .params = params,
    .strided = true,
    .infer = trit_infer_reduced,
    .forward = forward,
    .backward = backward,
    .grad = TRIT_GRAD_SMOOTH,
    .cases = cases,
};
