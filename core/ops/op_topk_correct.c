/*
 * op_topk_correct.c - how many rows have their label among the k largest values.
 *
 * Equal values rank in class order.  A row whose label has NaN is not correct.
 */
#include "ops/ops.h"

enum { TOP };
enum { X, LABELS };

static const trit_param params[] = {
    {.name = "k",
     .integer = true,
     .def = 1,
     .min = 1,
     .max = 1 << 24,
     .doc = "how many of the largest count"},
    {0},
};

static trit_status infer(const trit_call *c, trit_shape *out) {
    TRIT_TRY(trit_op_rank(c, "input", X, 2));
    TRIT_TRY(trit_op_vector(c, "labels", LABELS, c->in[X]->shape.dim[0]));
    TRIT_TRY(trit_op_labels(c, c->in[LABELS], c->in[X]->shape.dim[1]));
    *out = (trit_shape){0};
    return TRIT_OK;
}

static trit_status forward(trit_call *c) {
    const int64_t N = c->in[X]->shape.dim[0], C = c->in[X]->shape.dim[1];
    const int64_t top = (int64_t)c->args.v[TOP][0];
    int64_t correct = 0;
    for (int64_t n = 0; n < N; n++) {
        const float *x = c->in[X]->data + n * C;
        const int64_t label = (int64_t)c->in[LABELS]->data[n] - 1;
        int64_t ahead = 0; /* NaN elsewhere counts as ahead */
        for (int64_t k = 0; k < C; k++)
            ahead += k < label ? !(x[k] < x[label]) : !(x[k] <= x[label]);
        correct += ahead < top && x[label] == x[label];
    }
    c->out->data[0] = (float)correct;
    return TRIT_OK;
}

static const trit_case cases[] = {
    {"[5,10];[5]I", ""}, {"[5,10];[5]I", "k=5"}, {"[0,4];[0]I", ""}, {"[1,1];[1]I", "k=5"}, {0},
};

const trit_op trit_op_topk_correct = {
    .name = "topk_correct",
    .doc = "topk_correct(x, labels [, {k}]) -> count\n"
           "Counts the rows whose label is among the k largest values.\n"
           "shapes:  x [N,C], labels [N] class numbers 1..C -> count []\n"
           "eq:      count = #{n : fewer than k values rank before x[n,label n]}; equal values\n"
           "         rank in class order\n"
           "threads: serial\n"
           "exact:   exact up to 2^24 rows\n"
           "errors:  x not [N,C]; labels not [N]; a label that is not a whole number 1..C\n",
    .operands = "x,labels",
    .params = params,
    .nograd = 1u << X | 1u << LABELS,
    .infer = infer,
    .forward = forward,
    .grad = TRIT_GRAD_NONE,
    .cases = cases,
};
