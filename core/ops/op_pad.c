/*
 * op_pad.c - y = x with a margin of `value` on every side.
 *
 * The gradient of the margin is dropped.
 */
#include "ops/ops.h"

enum { PADS, VALUE };

static const trit_param params[] = {
    {.name = "pads",
     .integer = true,
     .def = 0,
     .min = 0,
     .max = 1 << 24,
     .len = 16,
     .list = true,
     .required = true,
     .doc = "numbers before and after each axis, in order; missing axes get none"},
    {.name = "value", .def = 0, .min = -1e38, .max = 1e38, .doc = "of the margin"},
    {0},
};

static trit_status infer(const trit_call *c, trit_shape *out) {
    *out = c->in[0]->shape;
    const int n = c->args.n[PADS];
    if (n % 2 || n > 2 * out->ndim)
        return trit_fail(TRIT_ERR_ARG,
                         "pad: pads has %d numbers but must be pairs, at most %d for input %s", n,
                         2 * out->ndim, TRIT_TEXT(c->in[0]));
    for (int i = 0; i < n / 2; i++)
        out->dim[i] += (int64_t)c->args.v[PADS][2 * i] + (int64_t)c->args.v[PADS][2 * i + 1];
    return TRIT_OK;
}

/* The part of `whole` (y or gy) that is x. */
static trit_status inside(const trit_call *c, const trit_tensor *whole, trit_tensor **out) {
    int64_t start[TRIT_MAX_DIM] = {0};
    for (int i = 0; i < c->args.n[PADS] / 2; i++) start[i] = (int64_t)c->args.v[PADS][2 * i];
    return trit_box_view(whole, start, NULL, &c->in[0]->shape, out);
}

static trit_status forward(trit_call *c) {
    trit_tensor *box;
    trit_tensor_fill(c->out, (float)c->args.v[VALUE][0]);
    TRIT_TRY(inside(c, c->out, &box));
    trit_status status = trit_tensor_copy(box, c->in[0]);
    trit_tensor_release(box);
    return status;
}

static trit_status backward(trit_call *c, trit_tensor *gy, trit_tensor **gx) {
    trit_tensor *box;
    TRIT_TRY(trit_grad_new(c, 0, &gx[0]));
    TRIT_TRY(inside(c, gy, &box));
    trit_status status = trit_tensor_copy(gx[0], box);
    trit_tensor_release(box);
    return status;
}

static const trit_case cases[] = {
    {"[2,3,4,5]L", "pads=0;0;0;3"},
    {"[2,3,4,5]", "pads=0;0;0;0;1;2;3;0"},
    {"[1,2,3,3]", "pads=0;0;1;1;2;2;2;2,value=0.5"},
    {"[3,4]T", "pads=1;0"},
    {"[0,2]", "pads=1;1"},
    {"[1]", "pads=2;3"},
    {0},
};

const trit_op trit_op_pad = {
    .name = "pad",
    .doc = "pad(x, {pads [, value]}) -> y\n"
           "Puts a margin of one value around a tensor.\n"
           "shapes:  x [...] -> y with pads[2i-1] + pads[2i] more along axis i\n"
           "eq:      y inside = x, else value\n"
           "threads: parallel over fixed pieces\n"
           "exact:   copies\n"
           "errors:  an odd number of pads; more pairs than dimensions; negative pads\n",
    .operands = "x",
    .params = params,
    .strided = true,
    .layout = TRIT_CHANNELS_LAST,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .grad = TRIT_GRAD_SMOOTH,
    .cases = cases,
};
