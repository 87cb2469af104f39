/*
 * op_sigmoid.c - y = 1 / (1 + exp(-x)).
 *
 * Written with exp of a negative number on either side, so that nothing overflows.
 */
#include <math.h>

#include "ops/ops.h"

static float value(float x) {
    const float e = expf(-fabsf(x));
    return (x < 0 ? e : 1.0f) / (1.0f + e);
}

static float slope(float x, float y) {
    (void)x;
    return y * (1.0f - y);
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

const trit_op trit_op_sigmoid = {
    .name = "sigmoid",
    .doc = "sigmoid(x) -> y\n"
           "Squashes numbers into (0, 1).\n"
           "shapes:  x [...] -> y [...]\n"
           "eq:      y = 1 / (1 + exp(-x)); dy/dx = y (1 - y)\n"
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
