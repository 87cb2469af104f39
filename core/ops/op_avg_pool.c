/*
 * op_avg_pool.c - mean over a sliding window.
 *
 * Padding counts as zeros; with count_include_pad = false the sum is divided by the positions
 * inside the image only.
 */
#include <string.h>

#include "ops/pool.h"

static const trit_param params[] = {
    POOL_PARAMS,
    {.name = "count_include_pad",
     .def = 1,
     .min = 0,
     .max = 1,
     .choices = TRIT_BOOL,
     .doc = "divide by the whole window at the border too"},
    {0},
};

static trit_pool_geom geometry(const trit_call *c) {
    trit_pool_geom g = trit_pool_geometry(c);
    g.count_pad = c->args.v[POOL_COUNT_PAD][0] != 0;
    return g;
}

static void forward_image(const trit_pool_job *j, int64_t n) {
    const trit_pool_geom *g = &j->g;
    trit_kernels()->pool_avg(g, j->x + n * g->H * g->W * g->C, j->out + n * g->P * g->Q * g->C);
}

static trit_status forward(trit_call *c) {
    trit_pool_job j = {
        .g = geometry(c), .x = c->in[0]->data, .out = c->out->data, .body = forward_image};
    trit_pool_images(&j, c->in[0]->shape.dim[0]);
    return TRIT_OK;
}

static void backward_image(const trit_pool_job *j, int64_t n) {
    const trit_pool_geom *g = &j->g;
    const int64_t in = g->H * g->W * g->C, out = g->P * g->Q * g->C;
    memset(j->out + n * in, 0, (size_t)in * sizeof(float));
    trit_kernels()->pool_avg_grad(g, j->gy + n * out, j->out + n * in);
}

static trit_status backward(trit_call *c, trit_tensor *gy, trit_tensor **gx) {
    TRIT_TRY(trit_grad_new(c, 0, &gx[0]));
    trit_pool_job j = {
        .g = geometry(c), .gy = gy->data, .out = gx[0]->data, .body = backward_image};
    trit_pool_images(&j, c->in[0]->shape.dim[0]);
    return TRIT_OK;
}

static const trit_case cases[] = {
    {"[2,3,9,9]L", "kernel=3,stride=2,padding=1,count_include_pad=false"},
    {"[1,20,8,8]", "kernel=2"},
    {"[1,3,8,7]", "kernel=3;2,stride=2;1,padding=1"},
    {"[0,3,4,4]", ""},
    {"[1,1,1,1]", "kernel=1"},
    {0},
};

const trit_op trit_op_avg_pool = {
    .name = "avg_pool",
    .doc =
        "avg_pool(x [, {kernel, stride, padding, count_include_pad}]) -> y\n"
        "Takes the mean of every window.\n"
        "shapes:  x [N,C,H,W] -> y [N,C,P,Q], P = (H + 2 padding - kernel) / stride + 1\n"
        "units:   pixels, one number or {height, width}; stride 0: as the window\n"
        "eq:      y = sum over the window / its size; without count_include_pad the size is\n"
        "         that of the part inside the image\n"
        "threads: parallel over images\n"
        "exact:   relative 1e-6\n"
        "errors:  rank other than 4; padding above half the window; a window that does not fit\n",
    .operands = "x",
    .params = params,
    .layout = TRIT_CHANNELS_LAST,
    .infer = trit_pool_infer,
    .forward = forward,
    .backward = backward,
    .grad = TRIT_GRAD_SMOOTH,
    .cases = cases,
};
