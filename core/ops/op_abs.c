/*
 * op_abs.c - y = |x|.
 *
 * At x = 0 the derivative is 0.
 */
#include <math.h>

#include "ops/ops.h"

static float value(float x) { return fabsf(x); }

static float slope(float x, float y) {
    (void)y;
    return x > 0 ? 1.0f : x < 0 ? -1.0f : 0.0f;
}

static trit_status forward(trit_call *c) {
    trit_map_forward(c, value);
    return TRIT_OK;
}

static trit_status backward(trit_call *c, trit_tensor *gy, trit_tensor **gx) {
    return trit_map_backward(c, gy, gx, slope);
}

static const double kinks[] = {0.0, NAN};
static const trit_case cases[] = {
    {"[7]", ""}, {"[2,3,5,4]L", ""}, {"[3,4]T", ""}, {"[0,3]", ""}, {"[1]", ""}, {0},
};

const trit_op trit_op_abs = {
    .name = "abs",
    .doc = "abs(x) -> y\n"
           "Takes the magnitude.\n"
           "shapes:  x [...] -> y [...]\n"
           "eq:      y = |x|; dy/dx = sign(x), 0 at 0\n"
           "threads: parallel over fixed pieces\n"
           "exact:   bit-exact across instruction sets\n"
           "errors:  none\n",
    .operands = "x",
    .strided = true,
    .layout = TRIT_CHANNELS_LAST,
    .infer = trit_infer_same,
    .forward = forward,
    .backward = backward,
    .grad = TRIT_GRAD_KINKED,
    .kink_gap = 0.1,
    .kinks = kinks,
    .cases = cases,
};
