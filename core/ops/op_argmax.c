/*
 * op_argmax.c - where the largest number along an axis stands, counted from 1.
 *
 * The first of equal ones; the first NaN if there is one.
 */
#include <math.h>

#include "ops/ops.h"

enum { AXIS };

static const trit_param params[] = {
    {.name = "axis",
     .integer = true,
     .def = -1,
     .min = -8,
     .max = 8,
     .doc = "axis, from 1; negative from the last"},
    {0},
};

static trit_status infer(const trit_call *c, trit_shape *out) {
    int axis;
    bool reduced[TRIT_MAX_DIM] = {false};
    const trit_shape *x = &c->in[0]->shape;
    TRIT_TRY(trit_op_axis(c, AXIS, 0, x->ndim, &axis));
    if (x->dim[axis] == 0)
        return trit_fail(TRIT_ERR_SHAPE, "argmax: no numbers along the axis: x %s",
                         TRIT_TEXT(c->in[0]));
    reduced[axis] = true;
    trit_reduced_shape(x, reduced, false, out);
    return TRIT_OK;
}

static trit_status forward(trit_call *c) {
    int axis;
    TRIT_TRY(trit_op_axis(c, AXIS, 0, c->in[0]->shape.ndim, &axis));
    const trit_axis_split s = trit_split_axis(&c->in[0]->shape, axis);
    for (int64_t o = 0; o < s.outer * s.inner; o++) {
        const float *x = c->in[0]->data + o / s.inner * s.length * s.inner + o % s.inner;
        int64_t best = 0;
        for (int64_t k = 1; k < s.length && !isnan(x[best * s.inner]); k++)
            if (x[k * s.inner] > x[best * s.inner] || isnan(x[k * s.inner])) best = k;
        c->out->data[o] = (float)(best + 1);
    }
    return TRIT_OK;
}

static const trit_case cases[] = {
    {"[5,10]", ""}, {"[2,3,4,5]L", "axis=2"}, {"[6,7]T", "axis=1"}, {"[1]", ""}, {"[0,3]", ""}, {0},
};

const trit_op trit_op_argmax = {
    .name = "argmax",
    .doc = "argmax(x [, {axis}]) -> y\n"
           "Finds where the largest number along an axis stands; no gradient.\n"
           "shapes:  x [...] -> y, x's shape without the axis, of numbers from 1\n"
           "units:   axis from 1, -1 is the last; default: the last\n"
           "eq:      y = the first k with x_k = max x; NaN counts as largest\n"
           "threads: serial\n"
           "exact:   exact up to 2^24\n"
           "errors:  an axis that is not there; no numbers along it\n",
    .operands = "x",
    .params = params,
    .nograd = 1u,
    .infer = infer,
    .forward = forward,
    .grad = TRIT_GRAD_NONE,
    .cases = cases,
};
