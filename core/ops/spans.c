/*
 * spans.c - element-wise walks in runs of consecutive numbers.
 *
 * Kernels take consecutive numbers only.  Where an operand's run is not (a stretched dimension, a
 * slice with a step), the walk passes it through a small buffer, so that every op has one formula.
 */
#include <string.h>

#include "ops/ops.h"
#include "tensor/pending.h"
#include "tensor/tensor.h"

#define BUFFER 256 /* numbers per operand gathered at a time: 1 KiB, stays in the first cache */

typedef struct {
    int count;
    trit_span body;
    const void *context;
} span_walk;

static void gather(float *to, const float *from, int64_t step, int64_t n) {
    for (int64_t i = 0; i < n; i++) to[i] = from[i * step];
}

/* Operand 0 is the result: it is written back; its old values are not needed. */
static void buffered(const span_walk *w, int64_t n, float *const *p, const int64_t *s) {
    float buffer[TRIT_SPAN_OPERANDS][BUFFER];
    for (int64_t at = 0; at < n; at += BUFFER) {
        const int64_t m = n - at < BUFFER ? n - at : BUFFER;
        float *q[TRIT_SPAN_OPERANDS];
        for (int k = 0; k < w->count; k++) {
            q[k] = s[k] == 1 ? p[k] + at : buffer[k];
            if (k && s[k] != 1) gather(buffer[k], p[k] + at * s[k], s[k], m);
        }
        w->body(w->context, m, q);
        if (s[0] != 1)
            for (int64_t i = 0; i < m; i++) p[0][(at + i) * s[0]] = buffer[0][i];
    }
}

static void run(void *context, int64_t n, float *const *p, const int64_t *s) {
    const span_walk *w = context;
    for (int k = 0; k < w->count; k++)
        if (s[k] != 1) {
            buffered(w, n, p, s);
            return;
        }
    w->body(w->context, n, p);
}

void trit_spans(int count, const trit_tensor *const *t, trit_span body, const void *context) {
    const trit_shape *shape = &t[0]->shape;
    int64_t stretched[TRIT_SPAN_OPERANDS][TRIT_MAX_DIM];
    const int64_t *stride[TRIT_SPAN_OPERANDS];
    float *data[TRIT_SPAN_OPERANDS];
    for (int k = 0; k < count; k++) {
        const int missing = shape->ndim - t[k]->shape.ndim;
        for (int i = 0; i < shape->ndim; i++)
            stretched[k][i] =
                i < missing || t[k]->shape.dim[i - missing] == 1 ? 0 : t[k]->stride[i - missing];
        stride[k] = stretched[k];
        data[k] = t[k]->data;
    }
    span_walk w = {count, body, context};
    trit_walk(shape, count, data, stride, run, &w);
}

trit_status trit_grad_reuse(const trit_call *c, int i, trit_tensor *gy, trit_tensor **gx) {
    if (gy->refs > 1 || gy->storage->refs > 1 || !trit_is_dense(gy)) return trit_grad_new(c, i, gx);
    trit_tensor_set_sums(gy, NULL);
    *gx = trit_tensor_retain(gy);
    return TRIT_OK;
}

typedef struct {
    trit_map f;
    trit_map_grad df;
} map_context;

static void map_span(const void *context, int64_t n, float *const *p) {
    const map_context *m = context;
    for (int64_t i = 0; i < n; i++) p[0][i] = m->f(p[1][i]);
}

static void map_grad_span(const void *context, int64_t n, float *const *p) {
    const map_context *m = context;
    for (int64_t i = 0; i < n; i++) p[0][i] = p[1][i] * m->df(p[2][i], p[3][i]);
}

void trit_map_forward(const trit_call *c, trit_map f) {
    const map_context m = {f, NULL};
    trit_spans(2, (const trit_tensor *[]){c->out, c->in[0]}, map_span, &m);
}

trit_status trit_map_backward(trit_call *c, trit_tensor *gy, trit_tensor **gx, trit_map_grad df) {
    const map_context m = {NULL, df};
    TRIT_TRY(trit_grad_reuse(c, 0, gy, &gx[0]));
    trit_spans(4, (const trit_tensor *[]){gx[0], gy, c->in[0], c->out}, map_grad_span, &m);
    return TRIT_OK;
}
