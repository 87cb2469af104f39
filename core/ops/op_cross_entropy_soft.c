/*
 * op_cross_entropy_soft.c - softmax cross entropy against given probabilities.
 *
 *   y = - mean_n sum_k q[n,k] log p[n,k],  p = softmax(x)
 *   gx[n,k] = gy (p[n,k] sum_j q[n,j] - q[n,k]) / N
 *
 * The targets q need not sum to 1 and have no gradient.  An empty batch gives 0.
 */
#include <math.h>

#include "ops/softmax.h"

enum { X, TARGETS };

static trit_status infer(const trit_call *c, trit_shape *out) {
    TRIT_TRY(trit_op_rank(c, "input", X, 2));
    if (!trit_same_shape(c->in[X], c->in[TARGETS]))
        return trit_fail(TRIT_ERR_SHAPE,
                         "cross_entropy_soft: targets must have the shape of x: targets %s, x %s",
                         TRIT_TEXT(c->in[TARGETS]), TRIT_TEXT(c->in[X]));
    *out = (trit_shape){0};
    return TRIT_OK;
}

static trit_status forward(trit_call *c) {
    const int64_t N = c->in[X]->shape.dim[0], C = c->in[X]->shape.dim[1];
    double loss = 0;
    for (int64_t n = 0; n < N; n++) {
        const float *x = c->in[X]->data + n * C, *q = c->in[TARGETS]->data + n * C;
        const double z = trit_log_sum_exp(C, x, 1);
        for (int64_t k = 0; k < C; k++)
            if (q[k] != 0.0f) loss += (double)q[k] * (z - (double)x[k]);
    }
    c->out->data[0] = N ? (float)(loss / (double)N) : 0.0f;
    return TRIT_OK;
}

static trit_status backward(trit_call *c, trit_tensor *gy, trit_tensor **gx) {
    TRIT_TRY(trit_grad_new(c, X, &gx[X]));
    const int64_t N = c->in[X]->shape.dim[0], C = c->in[X]->shape.dim[1];
    const double scale = (double)gy->data[0] / (double)N;
    for (int64_t n = 0; n < N; n++) {
        const float *x = c->in[X]->data + n * C, *q = c->in[TARGETS]->data + n * C;
        float *g = gx[X]->data + n * C;
        const double z = trit_log_sum_exp(C, x, 1);
        double sum = 0;
        for (int64_t k = 0; k < C; k++) sum += (double)q[k];
        for (int64_t k = 0; k < C; k++)
            g[k] = (float)(scale * (exp((double)x[k] - z) * sum - (double)q[k]));
    }
    return TRIT_OK;
}

static const trit_case cases[] = {
    {"[5,10];[5,10]P", ""}, {"[3,7]T;[3,7]P", ""}, {"[1,1];[1,1]", ""}, {"[0,4];[0,4]", ""}, {0},
};

const trit_op trit_op_cross_entropy_soft = {
    .name = "cross_entropy_soft",
    .doc = "cross_entropy_soft(x, targets) -> loss\n"
           "Measures softmax(x) against given probabilities, mean over the batch.\n"
           "shapes:  x [N,C] logits, targets [N,C] -> loss []\n"
           "eq:      loss = -mean_n sum_k q log softmax(x); dloss/dx = (p sum q - q) / N\n"
           "threads: serial\n"
           "exact:   relative 1e-6; double inside\n"
           "errors:  x not [N,C]; targets of another shape\n",
    .operands = "x,targets",
    .nograd = 1u << TARGETS,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .grad = TRIT_GRAD_SMOOTH,
    .cases = cases,
};
