/*
 * op_global_avg_pool.c - the mean of every channel of every image.
 */
#include "kernels/kernels.h"
#include "ops/ops.h"

#define STRIP 128 /* channels summed at a time: 1 KiB of double sums on the stack */

typedef struct {
    int64_t C, pixels;
    const float *from; /* x, or gy */
    float *to;         /* y, or gx */
} job;

static trit_status infer(const trit_call *c, trit_shape *out) {
    const int64_t *x = c->in[0]->shape.dim;
    TRIT_TRY(trit_op_rank(c, "input", 0, 4));
    if (x[2] * x[3] == 0)
        return trit_fail(TRIT_ERR_SHAPE, "global_avg_pool: images have no pixels: input %s",
                         TRIT_TEXT(c->in[0]));
    *out = (trit_shape){2, {x[0], x[1]}};
    return TRIT_OK;
}

static void forward_image(void *context, int64_t n, int worker) {
    const job *j = context;
    (void)worker;
    const float *x = j->from + n * j->pixels * j->C;
    for (int64_t c0 = 0; c0 < j->C; c0 += STRIP) {
        const int64_t m = j->C - c0 < STRIP ? j->C - c0 : STRIP;
        double sum[STRIP] = {0};
        trit_kernels()->row_sums(j->pixels, m, j->C, x + c0, sum);
        for (int64_t c = 0; c < m; c++)
            j->to[n * j->C + c0 + c] = (float)(sum[c] / (double)j->pixels);
    }
}

static void backward_image(void *context, int64_t n, int worker) {
    const job *j = context;
    (void)worker;
    const float *gy = j->from + n * j->C;
    float *gx = j->to + n * j->pixels * j->C;
    const float share = 1.0f / (float)j->pixels;
    for (int64_t i = 0; i < j->pixels; i++)
        trit_kernels()->affine(j->C, share, 0.0f, gy, gx + i * j->C);
}

static job job_of(const trit_call *c) {
    const int64_t *x = c->in[0]->shape.dim;
    return (job){.C = x[1], .pixels = x[2] * x[3]};
}

static trit_status forward(trit_call *c) {
    job j = job_of(c);
    j.from = c->in[0]->data;
    j.to = c->out->data;
    trit_parallel(c->in[0]->shape.dim[0], forward_image, &j);
    return TRIT_OK;
}

static trit_status backward(trit_call *c, trit_tensor *gy, trit_tensor **gx) {
    TRIT_TRY(trit_grad_new(c, 0, &gx[0]));
    job j = job_of(c);
    j.from = gy->data;
    j.to = gx[0]->data;
    trit_parallel(c->in[0]->shape.dim[0], backward_image, &j);
    return TRIT_OK;
}

static const trit_case cases[] = {
    {"[3,5,8,8]L", ""}, {"[1,7,3,5]", ""}, {"[2,150,2,2]", ""},
    {"[0,3,4,4]", ""},  {"[1,1,1,1]", ""}, {0},
};

const trit_op trit_op_global_avg_pool = {
    .name = "global_avg_pool",
    .doc = "global_avg_pool(x) -> y\n"
           "Takes the mean over height and width.\n"
           "shapes:  x [N,C,H,W] -> y [N,C]\n"
           "eq:      y[n,c] = sum over h, w of x[n,c,h,w] / (H W)\n"
           "threads: parallel over images\n"
           "exact:   relative 1e-6\n"
           "errors:  rank other than 4; images without pixels\n",
    .operands = "x",
    .layout = TRIT_CHANNELS_LAST,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .grad = TRIT_GRAD_SMOOTH,
    .cases = cases,
};
