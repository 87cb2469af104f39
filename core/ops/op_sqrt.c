/*
 * op_sqrt.c - y = sqrt(x).
 *
 * At x = 0 the derivative is infinite; negative numbers give NaN.
 */
#include <math.h>

#include "ops/ops.h"

static float value(float x) { return sqrtf(x); }

static float slope(float x, float y) {
    (void)x;
    return 0.5f / y;
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

const trit_op trit_op_sqrt = {
    .name = "sqrt",
    .doc = "sqrt(x) -> y\n"
           "Takes the square root.\n"
           "shapes:  x [...] -> y [...]\n"
           "eq:      y = sqrt(x); dy/dx = 1 / (2 y)\n"
           "threads: parallel over fixed pieces\n"
           "exact:   correctly rounded\n"
           "errors:  none; negative numbers give NaN\n",
    .operands = "x",
    .strided = true,
    .layout = TRIT_CHANNELS_LAST,
    .infer = trit_infer_same,
    .forward = forward,
    .backward = backward,
    .grad = TRIT_GRAD_SMOOTH,
    .cases = cases,
};
