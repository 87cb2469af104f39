/*
 * op_shortcut_a.c - the parameter-free shortcut of CIFAR ResNets (type A, He et al. 2016).
 *
 *   y[n,k,p,q] = x[n,k,p*stride,q*stride] for k < C, 0 for C <= k < out_channels
 *
 * The same as average pooling with kernel 1, then zero channels appended at the end.  The gradient,
 * mostly zeros, is described, not written: the convolution beside it adds it to its own.
 */
#include <string.h>

#include "ops/ops.h"
#include "tensor/pending.h"

enum { STRIDE, OUT_CHANNELS };

static const trit_param params[] = {
    {.name = "stride",
     .integer = true,
     .def = 2,
     .min = 1,
     .max = 1024,
     .doc = "pixels, both directions"},
    {.name = "out_channels",
     .integer = true,
     .def = 0,
     .min = 0,
     .max = 1 << 24,
     .doc = "channels of y; 0: as many as x has"},
    {0},
};

typedef struct {
    int64_t H, W, C, P, Q, K, stride;
    const float *x;
    float *y;
} job;

static job job_of(const trit_call *c) {
    const int64_t *x = c->in[0]->shape.dim;
    job j = {.C = x[1], .H = x[2], .W = x[3], .stride = (int64_t)c->args.v[STRIDE][0]};
    j.K = (int64_t)c->args.v[OUT_CHANNELS][0];
    if (!j.K) j.K = j.C;
    j.P = (j.H + j.stride - 1) / j.stride;
    j.Q = (j.W + j.stride - 1) / j.stride;
    return j;
}

static trit_status infer(const trit_call *c, trit_shape *out) {
    TRIT_TRY(trit_op_rank(c, "input", 0, 4));
    const job j = job_of(c);
    if (j.K < j.C)
        return trit_fail(TRIT_ERR_SHAPE,
                         "shortcut_a: out_channels is %lld but input has %lld channels: input %s",
                         (long long)j.K, (long long)j.C, TRIT_TEXT(c->in[0]));
    *out = (trit_shape){4, {c->in[0]->shape.dim[0], j.K, j.P, j.Q}};
    return TRIT_OK;
}

/* A row of output pixels; `unit` = n*P + p. */
static void forward_row(void *context, int64_t unit, int worker) {
    const job *j = context;
    (void)worker;
    const int64_t n = unit / j->P, p = unit % j->P;
    const float *x = j->x + (n * j->H + p * j->stride) * j->W * j->C;
    float *y = j->y + unit * j->Q * j->K;
    for (int64_t q = 0; q < j->Q; q++) {
        memcpy(y + q * j->K, x + q * j->stride * j->C, (size_t)j->C * sizeof *y);
        memset(y + q * j->K + j->C, 0, (size_t)(j->K - j->C) * sizeof *y);
    }
}

static trit_status forward(trit_call *c) {
    job j = job_of(c);
    j.x = c->in[0]->data;
    j.y = c->out->data;
    trit_parallel(c->in[0]->shape.dim[0] * j.P, forward_row, &j);
    return TRIT_OK;
}

static trit_status backward(trit_call *c, trit_tensor *gy, trit_tensor **gx) {
    const job j = job_of(c);
    return trit_pending_sparse(gy, &c->in[0]->shape, j.stride, &gx[0]);
}

static const trit_case cases[] = {
    {"[2,4,8,8]L", "stride=2,out_channels=8"},
    {"[1,3,7,9]", "stride=2,out_channels=6"},
    {"[2,3,4,4]", "stride=1"},
    {"[0,3,4,4]", ""},
    {"[1,1,1,1]", "stride=2,out_channels=2"},
    {0},
};

const trit_op trit_op_shortcut_a = {
    .name = "shortcut_a",
    .doc = "shortcut_a(x [, {stride, out_channels}]) -> y\n"
           "Takes every stride-th pixel and appends zero channels (type-A shortcut).\n"
           "shapes:  x [N,C,H,W] -> y [N,out_channels,ceil(H/stride),ceil(W/stride)]\n"
           "units:   stride in pixels\n"
           "eq:      y[n,k,p,q] = x[n,k,p stride,q stride], 0 for k >= C (He et al. 2016, 3.3)\n"
           "threads: parallel over rows\n"
           "exact:   copies\n"
           "errors:  rank other than 4; fewer out_channels than channels\n",
    .operands = "x",
    .params = params,
    .layout = TRIT_CHANNELS_LAST,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .grad = TRIT_GRAD_SMOOTH,
    .cases = cases,
};
