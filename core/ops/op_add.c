/*
 * op_add.c - y = a + b, shapes stretched by numpy's rule.
 *
 * The gradient of an operand that was stretched is summed over the stretched dimensions.
 */
#include <string.h>

#include "kernels/kernels.h"
#include "ops/ops.h"
#include "tensor/pending.h"

/* Described by (p - pm) pa + pb alone: one more operand can be added. */
static bool is_normed(const trit_tensor *t) {
    const struct trit_pending *d = t->pending;
    return d && d->rows.pm && !d->rows.q && !d->rows.relu && d->rows.levels.scale == 0;
}

/* Normed a + b with b as it is, or normed too. */
static trit_status describe_sum(trit_tensor *a, trit_tensor *b, trit_tensor **out) {
    const struct trit_pending *d = a->pending;
    unsigned has = 1u << ROWS_PM | 1u << ROWS_PA | 1u << ROWS_PB;
    if (!is_normed(b)) {
        TRIT_TRY(trit_tensor_settle(b));
        return trit_pending_new(d->p, b, d->vectors, has, false, out);
    }
    trit_tensor *vectors;
    const size_t half = (size_t)(3 * d->rows.C);
    TRIT_TRY(trit_pending_vectors(d->rows.C, &vectors));
    memcpy(vectors->data, d->vectors->data, half * sizeof(float));
    memcpy(vectors->data + half, b->pending->vectors->data, half * sizeof(float));
    has |= has << 3;
    trit_status status = trit_pending_new(d->p, b->pending->p, vectors, has, false, out);
    trit_tensor_release(vectors);
    return status;
}

/* A residual sum: one operand comes straight from a normalisation. */
static trit_status describe(trit_call *c, bool *done) {
    trit_tensor *a = c->in[0], *b = c->in[1];
    if (!trit_same_shape(a, b) || !trit_same_strides(a, b)) return TRIT_OK;
    if (!is_normed(a)) a = c->in[1], b = c->in[0];
    if (!is_normed(a)) return TRIT_OK;
    *done = true;
    return describe_sum(a, b, &c->out);
}

static void span(const void *context, int64_t n, float *const *p) {
    (void)context;
    trit_kernels()->add(n, p[1], p[2], p[0]);
}

static trit_status forward(trit_call *c) {
    trit_spans(3, (const trit_tensor *[]){c->out, c->in[0], c->in[1]}, span, NULL);
    return TRIT_OK;
}

static trit_status backward(trit_call *c, trit_tensor *gy, trit_tensor **gx) {
    for (int i = 0; i < 2; i++)
        if (c->want[i]) TRIT_TRY(trit_unbroadcast(c, i, gy, &gx[i]));
    return TRIT_OK;
}

static const trit_case cases[] = {
    {"[2,3,4,5];[2,3,4,5]", ""},
    {"[2,3,4,5]L;[1,3,1,1]", ""},
    {"[2,3,4,5];[4,5]", ""},
    {"[2,1,4,1];[1,3,1,5]", ""},
    {"[5];[1]", ""},
    {"[3,4]T;[3,4]", ""},
    {"[0,4];[4]", ""},
    {"[2,3,4,5]L;[2,3,4,5]", ""},
    {0},
};

const trit_op trit_op_add = {
    .name = "add",
    .doc = "add(a, b) -> y, or a + b\n"
           "Adds element by element; dimensions of length 1, and missing leading ones, stretch.\n"
           "shapes:  a [...], b [...] -> y [...]\n"
           "eq:      y = a + b\n"
           "threads: parallel over fixed pieces\n"
           "exact:   bit-exact across instruction sets\n"
           "errors:  shapes that do not stretch to one\n",
    .operands = "a,b",
    .strided = true,
    .layout = TRIT_CHANNELS_LAST,
    .infer = trit_infer_broadcast,
    .describe = describe,
    .passes = true,
    .forward = forward,
    .backward = backward,
    .grad = TRIT_GRAD_SMOOTH,
    .cases = cases,
};
