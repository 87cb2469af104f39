/*
 * op_max.c - the largest number, of a tensor or along an axis.
 *
 * NaN wins.  No gradient: it is for looking at numbers and for quantizers' statistics.
 */
#include <math.h>

#include "ops/ops.h"

enum { AXIS, KEEP };

static const trit_param params[] = {
    {.name = "axis",
     .integer = true,
     .def = 0,
     .min = -8,
     .max = 8,
     .choices = "all=0",
     .number = true,
     .doc = "axis, from 1; negative from the last; all: of the whole tensor"},
    {.name = "keepdims",
     .def = 0,
     .min = 0,
     .max = 1,
     .choices = TRIT_BOOL,
     .doc = "leave the axis in with length 1"},
    {0},
};

static trit_status reduced_axes(const trit_call *c, bool *reduced, trit_axis_split *split) {
    const trit_shape *x = &c->in[0]->shape;
    const bool all = c->args.v[AXIS][0] == 0;
    int axis = 0;
    if (!all) TRIT_TRY(trit_op_axis(c, AXIS, 0, x->ndim, &axis));
    for (int i = 0; i < x->ndim; i++) reduced[i] = all || i == axis;
    *split = all ? (trit_axis_split){1, trit_numel(c->in[0]), 1} : trit_split_axis(x, axis);
    return TRIT_OK;
}

static trit_status infer(const trit_call *c, trit_shape *out) {
    bool reduced[TRIT_MAX_DIM];
    trit_axis_split s;
    TRIT_TRY(reduced_axes(c, reduced, &s));
    if (s.length == 0)
        return trit_fail(TRIT_ERR_SHAPE, "max: no numbers along the axis: x %s",
                         TRIT_TEXT(c->in[0]));
    trit_reduced_shape(&c->in[0]->shape, reduced, c->args.v[KEEP][0] != 0, out);
    return TRIT_OK;
}

static trit_status forward(trit_call *c) {
    bool reduced[TRIT_MAX_DIM];
    trit_axis_split s;
    TRIT_TRY(reduced_axes(c, reduced, &s));
    for (int64_t o = 0; o < s.outer * s.inner; o++) {
        const float *x = c->in[0]->data + o / s.inner * s.length * s.inner + o % s.inner;
        float best = -INFINITY;
        for (int64_t k = 0; k < s.length; k++) {
            const float v = x[k * s.inner];
            if (v > best || isnan(v)) best = v;
        }
        c->out->data[o] = best;
    }
    return TRIT_OK;
}

static const trit_case cases[] = {
    {"[3,4,5]", "axis=2"},
    {"[2,3,4,5]L", "axis=-1,keepdims=true"},
    {"[6,7]T", ""},
    {"[1]", ""},
    {0},
};

const trit_op trit_op_max = {
    .name = "max",
    .doc = "max(x [, {axis, keepdims}]) -> y\n"
           "Finds the largest number, of all or along an axis; no gradient.\n"
           "shapes:  x [...] -> y [], or x's shape without the axis\n"
           "units:   axis from 1, -1 is the last\n"
           "eq:      y = max x; NaN wins\n"
           "threads: serial\n"
           "exact:   exact\n"
           "errors:  an axis that is not there; no numbers along it\n",
    .operands = "x",
    .params = params,
    .infer = infer,
    .forward = forward,
    .grad = TRIT_GRAD_NONE,
    .cases = cases,
};
