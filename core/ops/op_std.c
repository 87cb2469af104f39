/*
 * op_std.c - standard deviations over any axes: the root of op_var.c.
 *
 * No gradient: sqrt(var(x)) has one.
 */
#include <math.h>

#include "kernels/kernels.h"
#include "ops/ops.h"

enum { UNBIASED = REDUCE_KEEP + 1 };

static const trit_param params[] = {
    REDUCE_PARAMS,
    {.name = "unbiased",
     .def = 0,
     .min = 0,
     .max = 1,
     .choices = TRIT_BOOL,
     .doc = "divide by count - 1 instead of count"},
    {0},
};

static double divisor(const trit_call *c, const bool *reduced) {
    const int64_t count = trit_reduced_count(&c->in[0]->shape, reduced);
    return (double)count - (c->args.v[UNBIASED][0] != 0);
}

static trit_status infer(const trit_call *c, trit_shape *out) {
    bool reduced[TRIT_MAX_DIM];
    TRIT_TRY(trit_op_axes(c, REDUCE_AXES, c->in[0]->shape.ndim, reduced));
    if (trit_numel(c->in[0]) == 0 || divisor(c, reduced) <= 0)
        return trit_fail(TRIT_ERR_SHAPE, "std: too few numbers along the axes: x %s",
                         TRIT_TEXT(c->in[0]));
    return trit_infer_reduced(c, out);
}

static void root_span(const void *context, int64_t n, float *const *p) {
    (void)context;
    for (int64_t i = 0; i < n; i++) p[0][i] = sqrtf(p[0][i]);
}

static trit_status forward(trit_call *c) {
    bool reduced[TRIT_MAX_DIM];
    trit_tensor *y;
    TRIT_TRY(trit_op_axes(c, REDUCE_AXES, c->in[0]->shape.ndim, reduced));
    TRIT_TRY(trit_keep_view(c->out, &c->in[0]->shape, reduced, &y));
    trit_status status = trit_moments(c->in[0], reduced, divisor(c, reduced), &c->saved[0], y);
    if (status == TRIT_OK) trit_spans(1, (const trit_tensor *[]){c->out}, root_span, NULL);
    trit_tensor_release(y);
    return status;
}

static const trit_case cases[] = {
    {"[3,4,5]", "axes=2"},
    {"[2,3,4,5]L", "axes=1;3;4,keepdims=true,unbiased=true"},
    {"[6,7]T", ""},
    {"[1]", ""},
    {0},
};

const trit_op trit_op_std = {
    .name = "std",
    .doc = "std(x [, {axes, keepdims, unbiased}]) -> y\n"
           "Takes the standard deviation along axes; no gradient (use var and sqrt).\n"
           "shapes:  x [...] -> y without the axes, or with length 1 there\n"
           "units:   axes from 1, -1 is the last; none given: all\n"
           "eq:      y = sqrt(sum (x - mean)^2 / count), or / (count - 1) when unbiased\n"
           "threads: parallel; partial sums in fixed slots\n"
           "exact:   relative 1e-6; two passes, sums in double\n"
           "errors:  an axis that is not there or named twice; too few numbers\n",
    .operands = "x",
    .params = params,
    .strided = true,
    .infer = infer,
    .forward = forward,
    .grad = TRIT_GRAD_NONE,
    .cases = cases,
};
