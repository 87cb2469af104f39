/*
 * op_linear.c - y = x w^T + b over the last dimension.
 *
 * Scales alone: with s given and w = s t without gradient, dL/ds_k = sum gy (y - b_k) / s_k, as in
 * op_conv2d.c.
 */
#include "ops/ops.h"
#include "trit/conv.h"

enum { X, W, B, S };

typedef struct {
    int64_t rows, C, K;
} sizes;

static sizes sizes_of(const trit_call *c) {
    const trit_shape *x = &c->in[X]->shape;
    sizes z = {1, x->dim[x->ndim - 1], c->in[W]->shape.dim[0]};
    for (int i = 0; i < x->ndim - 1; i++) z.rows *= x->dim[i];
    return z;
}

static trit_status infer(const trit_call *c, trit_shape *out) {
    TRIT_TRY(trit_op_rank(c, "weight", W, 2));
    *out = c->in[X]->shape;
    if (out->ndim < 1)
        return trit_fail(TRIT_ERR_SHAPE, "linear: input must have at least 1 dimension: input %s",
                         TRIT_TEXT(c->in[X]));
    const sizes z = sizes_of(c);
    if (z.C != c->in[W]->shape.dim[1])
        return trit_fail(TRIT_ERR_SHAPE,
                         "linear: input has %lld features but weight expects %lld: input %s, "
                         "weight %s",
                         (long long)z.C, (long long)c->in[W]->shape.dim[1], TRIT_TEXT(c->in[X]),
                         TRIT_TEXT(c->in[W]));
    TRIT_TRY(trit_op_vector(c, "bias", B, z.K));
    if (c->in[S] && trit_numel(c->in[S]) != 1) TRIT_TRY(trit_op_vector(c, "scale", S, z.K));
    out->dim[out->ndim - 1] = z.K;
    return TRIT_OK;
}

static trit_status forward(trit_call *c) {
    const sizes z = sizes_of(c);
    TRIT_TRY(trit_gemm(false, true, z.rows, z.K, z.C, 1.0f, c->in[X]->data, z.C, c->in[W]->data,
                       z.C, 0.0f, c->out->data, z.K));
    if (c->in[B]) trit_add_bias(z.rows, z.K, c->in[B]->data, c->out->data);
    return TRIT_OK;
}

static trit_status backward(trit_call *c, trit_tensor *gy, trit_tensor **gx) {
    const sizes z = sizes_of(c);
    for (int i = 0; i < c->n_in; i++)
        if (c->want[i]) TRIT_TRY(trit_grad_new(c, i, &gx[i]));
    if (gx[X])
        TRIT_TRY(trit_gemm(false, false, z.rows, z.C, z.K, 1.0f, gy->data, z.K, c->in[W]->data, z.C,
                           0.0f, gx[X]->data, z.C));
    if (gx[W])
        TRIT_TRY(trit_gemm(true, false, z.K, z.C, z.rows, 1.0f, gy->data, z.K, c->in[X]->data, z.C,
                           0.0f, gx[W]->data, z.C));
    if (gx[B]) TRIT_TRY(trit_column_sums(z.rows, z.K, gy->data, gx[B]->data));
    if (gx[S])
        TRIT_TRY(trit_scale_grad(z.rows, z.K, gy->data, c->out->data,
                                 c->in[B] ? c->in[B]->data : NULL, c->in[S], gx[S]));
    return TRIT_OK;
}

static const trit_case cases[] = {
    {"[5,7];[3,7];[3]", ""},
    {"[1,4];[2,4]", ""},
    {"[2,3,4];[5,4];[5]", ""},
    {"[4,3]T;[2,3]T", ""},
    {"[0,4];[2,4];[2]", ""},
    {"[1];[1,1]", ""},
    {0},
};

const trit_op trit_op_linear = {
    .name = "linear",
    .doc = "linear(x, w [, b [, s]]) -> y\n"
           "Applies a fully connected layer to the last dimension.\n"
           "shapes:  x [...,C], w [K,C], b [K], s [1] or [K] -> y [...,K]\n"
           "eq:      y = x w^T + b; s: dL/ds = sum gy (y - b) / s, for w = s t without gradient\n"
           "threads: parallel inside trit_gemm; same bits for any number of threads\n"
           "exact:   relative 1e-5\n"
           "errors:  feature counts that disagree; w not of rank 2; b not [K]\n"
           "see:     trit/conv.h (trit_gemm)\n",
    .operands = "x,w,b?,s?",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .grad = TRIT_GRAD_SMOOTH,
    .cases = cases,
};
