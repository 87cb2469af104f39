/*
 * op_cross_entropy.c - softmax cross entropy against class labels.
 *
 *   q[n,k] = (1 - e) [k = label n] + e / C,   e = label_smoothing
 *   y = - mean_n sum_k q[n,k] log p[n,k],     p = softmax(x)
 *   gx[n,k] = gy (p[n,k] - q[n,k]) / N
 *
 * Sums are kept in double and p is formed from x - max(x), so large logits neither overflow nor
 * lose digits.  An empty batch gives 0.
 */
#include <math.h>

#include "ops/softmax.h"

enum { SMOOTHING };
enum { X, LABELS };

static const trit_param params[] = {
    {.name = "label_smoothing",
     .def = 0,
     .min = 0,
     .max = 1,
     .doc = "probability spread evenly over all classes"},
    {0},
};

static trit_status infer(const trit_call *c, trit_shape *out) {
    TRIT_TRY(trit_op_rank(c, "input", X, 2));
    const int64_t *x = c->in[X]->shape.dim;
    if (x[1] < 1)
        return trit_fail(TRIT_ERR_SHAPE, "cross_entropy: input has no classes: input %s",
                         TRIT_TEXT(c->in[X]));
    TRIT_TRY(trit_op_vector(c, "labels", LABELS, x[0]));
    TRIT_TRY(trit_op_labels(c, c->in[LABELS], x[1]));
    *out = (trit_shape){0};
    return TRIT_OK;
}

static trit_status forward(trit_call *c) {
    const int64_t N = c->in[X]->shape.dim[0], C = c->in[X]->shape.dim[1];
    const double e = c->args.v[SMOOTHING][0];
    double loss = 0;
    for (int64_t n = 0; n < N; n++) {
        const float *x = c->in[X]->data + n * C;
        const double z = trit_log_sum_exp(C, x, 1);
        double mean = 0;
        for (int64_t k = 0; k < C && e > 0; k++) mean += (double)x[k] / (double)C;
        loss += z - (1 - e) * (double)x[(int64_t)c->in[LABELS]->data[n] - 1] - e * mean;
    }
    c->out->data[0] = N ? (float)(loss / (double)N) : 0.0f;
    return TRIT_OK;
}

static trit_status backward(trit_call *c, trit_tensor *gy, trit_tensor **gx) {
    TRIT_TRY(trit_grad_new(c, X, &gx[X]));
    const int64_t N = c->in[X]->shape.dim[0], C = c->in[X]->shape.dim[1];
    const double e = c->args.v[SMOOTHING][0], scale = (double)gy->data[0] / (double)N;
    for (int64_t n = 0; n < N; n++) {
        const float *x = c->in[X]->data + n * C;
        float *g = gx[X]->data + n * C;
        const int64_t label = (int64_t)c->in[LABELS]->data[n] - 1;
        const double z = trit_log_sum_exp(C, x, 1);
        for (int64_t k = 0; k < C; k++) {
            const double q = (k == label ? 1 - e : 0) + e / (double)C;
            g[k] = (float)(scale * (exp((double)x[k] - z) - q));
        }
    }
    return TRIT_OK;
}

static const trit_case cases[] = {
    {"[5,10];[5]I", ""},
    {"[3,7]T;[3]I", "label_smoothing=0.1"},
    {"[1,1];[1]I", ""},
    {"[0,4];[0]I", ""},
    {0},
};

const trit_op trit_op_cross_entropy = {
    .name = "cross_entropy",
    .doc = "cross_entropy(x, labels [, {label_smoothing}]) -> loss\n"
           "Measures softmax(x) against class labels, mean over the batch.\n"
           "shapes:  x [N,C] logits, labels [N] class numbers 1..C -> loss []\n"
           "eq:      loss = -mean_n sum_k q log softmax(x), q = (1 - e) onehot + e / C\n"
           "         (label smoothing: Szegedy et al. 2016); dloss/dx = (p - q) / N\n"
           "threads: serial\n"
           "exact:   relative 1e-6; double inside\n"
           "errors:  x not [N,C]; labels not [N]; a label that is not a whole number 1..C\n",
    .operands = "x,labels",
    .params = params,
    .nograd = 1u << LABELS,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .grad = TRIT_GRAD_SMOOTH,
    .cases = cases,
};
