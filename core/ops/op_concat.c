/*
 * op_concat.c - tensors one after the other along an axis.
 */
#include "ops/ops.h"

enum { AXIS };

static const trit_param params[] = {
    {.name = "axis",
     .integer = true,
     .def = 1,
     .min = -8,
     .max = 8,
     .doc = "axis, from 1; negative from the last"},
    {0},
};

static trit_status infer(const trit_call *c, trit_shape *out) {
    int axis;
    *out = c->in[0]->shape;
    TRIT_TRY(trit_op_axis(c, AXIS, 0, out->ndim, &axis));
    for (int k = 1; k < c->n_in; k++) {
        const trit_shape *s = &c->in[k]->shape;
        bool fits = s->ndim == out->ndim;
        for (int i = 0; fits && i < s->ndim; i++) fits = i == axis || s->dim[i] == out->dim[i];
        if (!fits)
            return trit_fail(TRIT_ERR_SHAPE,
                             "concat: operand %d does not fit along axis %d: %s against %s", k + 1,
                             axis + 1, TRIT_TEXT(c->in[k]), TRIT_TEXT(c->in[0]));
        out->dim[axis] += s->dim[axis];
    }
    return TRIT_OK;
}

/* The part of `whole` (y or gy) that is operand k, which starts at `*at`; moves `*at` on. */
static trit_status part(const trit_call *c, const trit_tensor *whole, int k, int64_t *at,
                        trit_tensor **out) {
    int axis;
    int64_t start[TRIT_MAX_DIM] = {0};
    TRIT_TRY(trit_op_axis(c, AXIS, 0, whole->shape.ndim, &axis));
    start[axis] = *at;
    *at += c->in[k]->shape.dim[axis];
    return trit_box_view(whole, start, NULL, &c->in[k]->shape, out);
}

static trit_status forward(trit_call *c) {
    int64_t at = 0;
    trit_status status = TRIT_OK;
    for (int k = 0; k < c->n_in && status == TRIT_OK; k++) {
        trit_tensor *box;
        TRIT_TRY(part(c, c->out, k, &at, &box));
        status = trit_tensor_copy(box, c->in[k]);
        trit_tensor_release(box);
    }
    return status;
}

static trit_status backward(trit_call *c, trit_tensor *gy, trit_tensor **gx) {
    int64_t at = 0;
    trit_status status = TRIT_OK;
    for (int k = 0; k < c->n_in && status == TRIT_OK; k++) {
        trit_tensor *box;
        TRIT_TRY(part(c, gy, k, &at, &box));
        if (c->want[k]) status = trit_grad_new(c, k, &gx[k]);
        if (c->want[k] && status == TRIT_OK) status = trit_tensor_copy(gx[k], box);
        trit_tensor_release(box);
    }
    return status;
}

static const trit_case cases[] = {
    {"[2,3,4,5]L;[2,1,4,5];[2,6,4,5]", "axis=2"},
    {"[2,5];[3,5]", "axis=1"},
    {"[2,5];[2,0];[2,1]", "axis=-1"},
    {"[3,2]T;[3,2]", "axis=1"},
    {"[1]", ""},
    {0},
};

const trit_op trit_op_concat = {
    .name = "concat",
    .doc = "concat(x, ... [, {axis}]) -> y\n"
           "Joins up to 16 tensors along an axis.\n"
           "shapes:  x [...,A1,...], [...,A2,...], ... -> y [...,A1+A2+...,...]\n"
           "units:   axis from 1, -1 is the last\n"
           "eq:      y = x1 then x2 then ... along the axis\n"
           "threads: parallel over fixed pieces\n"
           "exact:   copies\n"
           "errors:  shapes that differ outside the axis; an axis that is not there\n",
    .operands = "x...",
    .params = params,
    .strided = true,
    .layout = TRIT_CHANNELS_LAST,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .grad = TRIT_GRAD_SMOOTH,
    .cases = cases,
};
