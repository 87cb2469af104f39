/*
 * op_mean.c - means over any axes.
 */
#include "ops/ops.h"

static const trit_param params[] = {REDUCE_PARAMS, {0}};

static trit_status infer(const trit_call *c, trit_shape *out) {
    if (trit_numel(c->in[0]) == 0)
        return trit_fail(TRIT_ERR_SHAPE, "mean: nothing to average: x %s", TRIT_TEXT(c->in[0]));
    return trit_infer_reduced(c, out);
}

static trit_status forward(trit_call *c) {
    bool reduced[TRIT_MAX_DIM];
    trit_tensor *y;
    TRIT_TRY(trit_op_axes(c, REDUCE_AXES, c->in[0]->shape.ndim, reduced));
    TRIT_TRY(trit_keep_view(c->out, &c->in[0]->shape, reduced, &y));
    const int64_t count = trit_reduced_count(&c->in[0]->shape, reduced);
    trit_status status = trit_reduce_sum(c->in[0], 1.0 / (double)count, y);
    trit_tensor_release(y);
    return status;
}

static trit_status backward(trit_call *c, trit_tensor *gy, trit_tensor **gx) {
    bool reduced[TRIT_MAX_DIM];
    TRIT_TRY(trit_op_axes(c, REDUCE_AXES, c->in[0]->shape.ndim, reduced));
    const int64_t count = trit_reduced_count(&c->in[0]->shape, reduced);
    return trit_stretch_grad(c, gy, reduced, 1.0 / (double)count, &gx[0]);
}

static const trit_case cases[] = {
    {"[3,4,5]", "axes=2"},
    {"[2,3,4,5]L", "axes=1;3;4,keepdims=true"},
    {"[6,7]T", ""},
    {"[2,3,4,5]L", "axes=2"},
    {"[5]", "axes=-1"},
    {"[1]", ""},
    {0},
};

const trit_op trit_op_mean = {
    .name = "mean",
    .doc = "mean(x [, {axes, keepdims}]) -> y\n"
           "Averages a tensor along axes.\n"
           "shapes:  x [...] -> y without the axes, or with length 1 there\n"
           "units:   axes from 1, -1 is the last; none given: all\n"
           "eq:      y = sum over the axes of x / count\n"
           "threads: parallel; partial sums in fixed slots\n"
           "exact:   relative 1e-6; sums in double\n"
           "errors:  an axis that is not there or named twice; a tensor without elements\n",
    .operands = "x",
    .params = params,
    .strided = true,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .grad = TRIT_GRAD_SMOOTH,
    .cases = cases,
};
