/*
 * op_max_pool.c - maximum over a sliding window.
 *
 * Padding is minus infinity: it never wins.  Where several positions hold the maximum, the first in
 * row order gets the gradient.  NaN in a window wins.  The winner is found again in backward by
 * comparing with y, so nothing is stored.
 */
#include <math.h>
#include <string.h>

#include "ops/pool.h"

static const trit_param params[] = {POOL_PARAMS, {0}};

static void forward_image(const trit_pool_job *j, int64_t n) {
    const trit_pool_geom *g = &j->g;
    trit_kernels()->pool_max(g, j->x + n * g->H * g->W * g->C, j->out + n * g->P * g->Q * g->C);
}

static trit_status forward(trit_call *c) {
    trit_pool_job j = {.g = trit_pool_geometry(c),
                       .x = c->in[0]->data,
                       .out = c->out->data,
                       .body = forward_image};
    trit_pool_images(&j, c->in[0]->shape.dim[0]);
    return TRIT_OK;
}

static void backward_image(const trit_pool_job *j, int64_t n) {
    const trit_pool_geom *g = &j->g;
    const int64_t in = g->H * g->W * g->C, out = g->P * g->Q * g->C;
    memset(j->out + n * in, 0, (size_t)in * sizeof(float));
    trit_kernels()->pool_max_grad(g, j->x + n * in, j->y + n * out, j->gy + n * out,
                                  j->out + n * in);
}

static trit_status backward(trit_call *c, trit_tensor *gy, trit_tensor **gx) {
    TRIT_TRY(trit_grad_new(c, 0, &gx[0]));
    trit_pool_job j = {.g = trit_pool_geometry(c),
                       .x = c->in[0]->data,
                       .y = c->out->data,
                       .gy = gy->data,
                       .out = gx[0]->data,
                       .body = backward_image};
    trit_pool_images(&j, c->in[0]->shape.dim[0]);
    return TRIT_OK;
}

/* The derivative jumps where two values of a window are equal, not at values of x: the driver
 * spreads the inputs of an op without listed kinks on a grid of kink_gap. */
static const double kinks[] = {NAN};
static const trit_case cases[] = {
    {"[2,3,9,9]L", "kernel=3,stride=2,padding=1"},
    {"[1,20,8,8]", "kernel=2"},
    {"[1,3,11,10]", "kernel=3;2,stride=2;3,padding=1;0"},
    {"[0,3,4,4]", ""},
    {"[1,1,1,1]", "kernel=1"},
    {0},
};

const trit_op trit_op_max_pool = {
    .name = "max_pool",
    .doc =
        "max_pool(x [, {kernel, stride, padding}]) -> y\n"
        "Takes the largest value of every window.\n"
        "shapes:  x [N,C,H,W] -> y [N,C,P,Q], P = (H + 2 padding - kernel) / stride + 1\n"
        "units:   pixels, one number or {height, width}; stride 0: as the window\n"
        "eq:      y = max over the window; padding is minus infinity; ties: the first in row "
        "order gets the gradient\n"
        "threads: parallel over images\n"
        "exact:   bit-exact across instruction sets; NaN in a window wins\n"
        "errors:  rank other than 4; padding above half the window; a window that does not fit\n",
    .operands = "x",
    .params = params,
    .layout = TRIT_CHANNELS_LAST,
    .infer = trit_pool_infer,
    .forward = forward,
    .backward = backward,
    .grad = TRIT_GRAD_KINKED,
    .kink_gap = 0.1,
    .kinks = kinks,
    .cases = cases,
};
