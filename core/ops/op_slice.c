/*
 * op_slice.c - a box of a tensor, every step-th element: a view, nothing is copied.
 *
 * Indices count from 0, stop is excluded (numpy's rule; x:narrow and x:select in Lua count from
 * 1).  Negative start and stop count from the end.  Stops beyond the end mean the end.
 */
#include <math.h>

#include "ops/ops.h"

enum { START, STOP, STEP };

static const trit_param params[] = {
    {.name = "start",
     .integer = true,
     .def = 0,
     .min = -0x1p44,
     .max = 0x1p44,
     .len = 8,
     .list = true,
     .doc = "first index per axis, from 0; negative: from the end"},
    {.name = "stop",
     .integer = true,
     .def = INFINITY,
     .min = -0x1p44,
     .max = 0x1p44,
     .choices = "end=inf",
     .number = true,
     .len = 8,
     .list = true,
     .doc = "first index that is not taken, from 0; negative: from the end"},
    {.name = "step",
     .integer = true,
     .def = 1,
     .min = 1,
     .max = 0x1p44,
     .len = 8,
     .list = true,
     .doc = "distance of taken elements"},
    {0},
};

static double given(const trit_call *c, int row, int axis) {
    return axis < c->args.n[row] ? c->args.v[row][axis] : params[row].def;
}

static int64_t position(double v, int64_t n) {
    if (v >= (double)n) return n;
    if (v < 0) v += (double)n;
    return v < 0 ? 0 : (int64_t)v;
}

static void box_of(const trit_call *c, int64_t *start, int64_t *step, trit_shape *box) {
    const trit_shape *x = &c->in[0]->shape;
    box->ndim = x->ndim;
    for (int i = 0; i < x->ndim; i++) {
        start[i] = position(given(c, START, i), x->dim[i]);
        step[i] = (int64_t)given(c, STEP, i);
        const int64_t room = position(given(c, STOP, i), x->dim[i]) - start[i];
        box->dim[i] = room > 0 ? (room + step[i] - 1) / step[i] : 0;
    }
}

static trit_status infer(const trit_call *c, trit_shape *out) {
    int64_t start[TRIT_MAX_DIM], step[TRIT_MAX_DIM];
    for (int row = START; row <= STEP; row++)
        if (c->args.n[row] > c->in[0]->shape.ndim)
            return trit_fail(TRIT_ERR_ARG, "slice: %s has %d numbers but x has %d dimensions: x %s",
                             params[row].name, c->args.n[row], c->in[0]->shape.ndim,
                             TRIT_TEXT(c->in[0]));
    box_of(c, start, step, out);
    return TRIT_OK;
}

static trit_status forward(trit_call *c) {
    int64_t start[TRIT_MAX_DIM], step[TRIT_MAX_DIM];
    trit_shape box;
    box_of(c, start, step, &box);
    return trit_box_view(c->in[0], start, step, &box, &c->out);
}

static trit_status backward(trit_call *c, trit_tensor *gy, trit_tensor **gx) {
    int64_t start[TRIT_MAX_DIM], step[TRIT_MAX_DIM];
    trit_shape box;
    trit_tensor *view;
    TRIT_TRY(trit_grad_new(c, 0, &gx[0]));
    trit_tensor_fill(gx[0], 0.0f);
    box_of(c, start, step, &box);
    TRIT_TRY(trit_box_view(gx[0], start, step, &box, &view));
    trit_status status = trit_tensor_copy(view, gy);
    trit_tensor_release(view);
    return status;
}

static const trit_case cases[] = {
    {"[2,6,8,8]L", "start=0;2;0;0,stop=2;5;8;8,step=1;1;2;2"},
    {"[7,4]", "start=2,stop=6"},
    {"[7,4]T", "start=-3"},
    {"[5]", "start=4,stop=2"},
    {"[1]", ""},
    {0},
};

const trit_op trit_op_slice = {
    .name = "slice",
    .doc = "slice(x [, {start, stop, step}]) -> y\n"
           "Takes a box of a tensor; y shares x's memory.\n"
           "shapes:  x [...] -> y [...] of the same rank, ceil((stop - start) / step) per axis\n"
           "units:   indices from 0, stop excluded (numpy's rule); negative from the end\n"
           "eq:      y[i] = x[start + i step]\n"
           "alloc:   a view: writing to y writes to x\n"
           "threads: gradient parallel over fixed pieces\n"
           "exact:   copies\n"
           "errors:  more numbers than dimensions; a step below 1\n",
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
