/*
 * op_softmax.c - probabilities along an axis.
 *
 * The largest number is taken off first, so nothing overflows.
 */
#include <math.h>

#include "ops/softmax.h"

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
    TRIT_TRY(trit_op_axis(c, AXIS, 0, c->in[0]->shape.ndim, &axis));
    return trit_infer_same(c, out);
}

static void forward_line(const trit_softmax_job *j, int64_t at) {
    const trit_axis_split s = j->split;
    const float *x = j->x + at;
    float *y = j->out + at;
    const double z = trit_log_sum_exp(s.length, x, s.inner);
    for (int64_t k = 0; k < s.length; k++) y[k * s.inner] = (float)exp((double)x[k * s.inner] - z);
}

static trit_status forward(trit_call *c) {
    trit_softmax_job j = {.x = c->in[0]->data, .out = c->out->data, .line = forward_line};
    return trit_softmax_lines(c, AXIS, &j);
}

static void backward_line(const trit_softmax_job *j, int64_t at) {
    const trit_axis_split s = j->split;
    const float *y = j->x + at, *gy = j->gy + at;
    float *gx = j->out + at;
    double sum = 0;
    for (int64_t k = 0; k < s.length; k++) sum += (double)gy[k * s.inner] * (double)y[k * s.inner];
    for (int64_t k = 0; k < s.length; k++)
        gx[k * s.inner] = (float)((double)y[k * s.inner] * ((double)gy[k * s.inner] - sum));
}

static trit_status backward(trit_call *c, trit_tensor *gy, trit_tensor **gx) {
    TRIT_TRY(trit_grad_new(c, 0, &gx[0]));
    trit_softmax_job j = {
        .x = c->out->data, .gy = gy->data, .out = gx[0]->data, .line = backward_line};
    return trit_softmax_lines(c, AXIS, &j);
}

static const trit_case cases[] = {
    {"[5,10]", ""}, {"[2,3,4,5]L", "axis=2"}, {"[4,3]T", "axis=1"}, {"[0,3]", ""}, {"[1]", ""}, {0},
};

const trit_op trit_op_softmax = {
    .name = "softmax",
    .doc = "softmax(x [, {axis}]) -> y\n"
           "Makes probabilities of numbers along an axis.\n"
           "shapes:  x [...] -> y [...]\n"
           "units:   axis from 1, -1 is the last\n"
           "eq:      y = exp(x) / sum exp(x); gx = y (gy - sum gy y)\n"
           "threads: parallel over lines along the axis\n"
           "exact:   relative 1e-6; double inside\n"
           "errors:  an axis that is not there\n",
    .operands = "x",
    .params = params,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .grad = TRIT_GRAD_SMOOTH,
    .cases = cases,
};
