/*
 * op_squared_hinge.c - squared hinge loss, one class against the others.
 *
 *   y = mean over all N*C of max(0, 1 - t x)^2, t = +1 at the label, -1 elsewhere
 *   gx = gy * -2 t max(0, 1 - t x) / (N C)
 *
 * Smooth at the hinge (the derivative is 0 from both sides).  An empty batch gives 0.
 */
#include "ops/ops.h"

enum { X, LABELS };

static trit_status infer(const trit_call *c, trit_shape *out) {
    TRIT_TRY(trit_op_rank(c, "input", X, 2));
    TRIT_TRY(trit_op_vector(c, "labels", LABELS, c->in[X]->shape.dim[0]));
    TRIT_TRY(trit_op_labels(c, c->in[LABELS], c->in[X]->shape.dim[1]));
    *out = (trit_shape){0};
    return TRIT_OK;
}

/* max(0, 1 - t x), and t. */
static double margin(const trit_call *c, int64_t n, int64_t k, double *t) {
    const int64_t C = c->in[X]->shape.dim[1];
    *t = k == (int64_t)c->in[LABELS]->data[n] - 1 ? 1.0 : -1.0;
    const double m = 1.0 - *t * (double)c->in[X]->data[n * C + k];
    return m < 0 ? 0 : m; /* NaN stays */
}

static trit_status forward(trit_call *c) {
    const int64_t N = c->in[X]->shape.dim[0], C = c->in[X]->shape.dim[1];
    double loss = 0, t;
    for (int64_t n = 0; n < N; n++)
        for (int64_t k = 0; k < C; k++) {
            const double m = margin(c, n, k, &t);
            loss += m * m;
        }
    c->out->data[0] = N * C > 0 ? (float)(loss / (double)(N * C)) : 0.0f;
    return TRIT_OK;
}

static trit_status backward(trit_call *c, trit_tensor *gy, trit_tensor **gx) {
    TRIT_TRY(trit_grad_new(c, X, &gx[X]));
    const int64_t N = c->in[X]->shape.dim[0], C = c->in[X]->shape.dim[1];
    const double scale = -2.0 * (double)gy->data[0] / (double)(N * C);
    for (int64_t n = 0; n < N; n++)
        for (int64_t k = 0; k < C; k++) {
            double t;
            const double m = margin(c, n, k, &t);
            gx[X]->data[n * C + k] = (float)(scale * t * m);
        }
    return TRIT_OK;
}

static const trit_case cases[] = {
    {"[6,10];[6]I", ""}, {"[3,7]T;[3]I", ""}, {"[1,1];[1]I", ""}, {"[0,4];[0]I", ""}, {0},
};

const trit_op trit_op_squared_hinge = {
    .name = "squared_hinge",
    .doc = "squared_hinge(x, labels) -> loss\n"
           "Measures scores against class labels by the squared hinge, mean over all numbers.\n"
           "shapes:  x [N,C] scores, labels [N] class numbers 1..C -> loss []\n"
           "eq:      loss = mean max(0, 1 - t x)^2, t = +1 at the label, -1 elsewhere\n"
           "threads: serial\n"
           "exact:   relative 1e-6; double inside\n"
           "errors:  x not [N,C]; labels not [N]; a label that is not a whole number 1..C\n",
    .operands = "x,labels",
    .nograd = 1u << LABELS,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .grad = TRIT_GRAD_SMOOTH,
    .cases = cases,
};
