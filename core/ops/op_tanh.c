/*
 * op_tanh.c - y = tanh(x).
 */
#include <math.h>

#include "ops/ops.h"

static float value(float x) { return tanhf(x); }

static float slope(float x, float y) {
    (void)x;
    return (1.0f - y) * (1.0f + y);
}

static trit_status forward(trit_call *c) {
    trit_map_forward(c, value);
    return TRIT_OK;
}

static trit_status backward(trit_call *c, trit_tensor *gy, trit_tensor **gx) {
    return trit_map_backward(c, gy, gx, slope);
}

static const trit_case cases[] = {
    {"[7]", ""}, {"[2,3,5,4]L", ""}, {"[3,4]T", ""}, {"[0,3]", ""}, {"[1]", ""}, {0},
};

const trit_op trit_op_tanh = {
    .name = "tanh",
    .doc = "tanh(x) -> y\n"
           "Squashes numbers into (-1, 1).\n"
           "shapes:  x [...] -> y [...]\n"
           "eq:      y = tanh(x); dy/dx = 1 - y^2\n"
           "threads: parallel over fixed pieces\n"
           "exact:   within 2 units in the last place of float (libm)\n"
           "errors:  none\n",
    .operands = "x",
    .strided = true,
    .layout = TRIT_CHANNELS_LAST,
    .infer = trit_infer_same,
    .forward = forward,
    .backward = backward,
    .grad = TRIT_GRAD_SMOOTH,
    .cases = cases,
};
