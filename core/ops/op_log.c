/*
 * op_log.c - y = log(x), the natural logarithm.
 *
 * log(0) = -inf and log of a negative number = NaN, as in IEEE arithmetic.
 */
#include <math.h>

#include "ops/ops.h"

static float value(float x) { return logf(x); }

static float slope(float x, float y) {
    (void)y;
    return 1.0f / x;
}

static trit_status forward(trit_call *c) {
    trit_map_forward(c, value);
    return TRIT_OK;
}

static trit_status backward(trit_call *c, trit_tensor *gy, trit_tensor **gx) {
    return trit_map_backward(c, gy, gx, slope);
}

static const trit_case cases[] = {
    {"[7]P", ""}, {"[2,3,5,4]LP", ""}, {"[3,4]TP", ""}, {"[0,3]", ""}, {"[1]P", ""}, {0},
};

const trit_op trit_op_log = {
    .name = "log",
    .doc = "log(x) -> y\n"
           "Takes the natural logarithm.\n"
           "shapes:  x [...] -> y [...]\n"
           "eq:      y = log(x); dy/dx = 1 / x\n"
           "threads: parallel over fixed pieces\n"
           "exact:   within 2 units in the last place of float (libm)\n"
           "errors:  none; log(0) is -inf, negative numbers give NaN\n",
    .operands = "x",
    .strided = true,
    .layout = TRIT_CHANNELS_LAST,
    .infer = trit_infer_same,
    .forward = forward,
    .backward = backward,
    .grad = TRIT_GRAD_SMOOTH,
    .cases = cases,
};
