/*
 * run_float.c - the exact path: float32 activations, the convolutions of trit/conv.h.
 *
 * Codes, scales and gain are multiplied out once, on loading; what follows a convolution - bias,
 * the value added, the clamp - is one pass over its result.  Differences to the training graph
 * are those of folding batch norm: some units of the last place.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "infer/runner.h"
#include "kernels/kernels.h"
#include "trit/conv.h"

#define FINISH_NUMBERS 16384 /* numbers of one unit of the pass after a convolution: 64 KiB */

typedef struct {
    float *weights;    /* all convs' [R][S][C/groups][K] */
    float **w, **bias; /* per node */
    float *vectors;    /* biases, zeros where a node has none */
} state;

typedef struct {
    const trit_node *d;
    const float *a, *b, *bias;
    float *y;
    int64_t rows; /* pixels of the batch */
    int64_t unit; /* pixels of one unit */
} job;

static size_t value_bytes(const trit_runner *r, int64_t v) {
    const trit_graph *g = r->graph;
    const trit_node *d = v ? &g->nodes[v - 1] : NULL;
    if (!d || v == g->n) return 0; /* the caller's memory */
    return (size_t)(r->batch * d->K * d->P * d->Q) * sizeof(float);
}

static void release(trit_runner *r) {
    state *s = r->state;
    if (!s) return;
    trit_free(s->weights, r->weight_bytes);
    trit_free(s->vectors, r->vector_bytes);
    free(s->w);
    free(s->bias);
    free(s);
    r->state = NULL;
}

static trit_status fill(trit_runner *r, state *s) {
    float *w = s->weights, *v = s->vectors;
    for (int64_t i = 0; i < r->graph->n; i++) {
        const trit_node *d = &r->graph->nodes[i];
        if (d->kind == TRIT_NODE_CONV) {
            s->w[i] = w;
            TRIT_TRY(trit_node_floats(d, w));
            w += trit_node_weights(d);
        }
        s->bias[i] = v;
        for (int64_t k = 0; k < d->K; k++) *v++ = d->bias ? d->bias[k] : 0;
    }
    return TRIT_OK;
}

static trit_status prepare(trit_runner *r) {
    const trit_graph *g = r->graph;
    state *s = r->state = calloc(1, sizeof *s);
    if (!s) return trit_fail(TRIT_ERR_MEM, "runner: out of memory");
    for (int64_t i = 0; i < g->n; i++) {
        r->weight_bytes += (size_t)trit_node_weights(&g->nodes[i]) * sizeof(float);
        r->vector_bytes += (size_t)g->nodes[i].K * sizeof(float);
    }
    trit_plan_lives(g, r->spans);
    for (int64_t v = 0; v <= g->n; v++) r->spans[v].bytes = value_bytes(r, v);
    r->arena_bytes = trit_plan_spans(r->spans, g->n + 1);
    s->w = calloc((size_t)g->n, sizeof *s->w);
    s->bias = calloc((size_t)g->n, sizeof *s->bias);
    s->weights = trit_alloc(r->weight_bytes);
    s->vectors = trit_alloc(r->vector_bytes);
    r->arena = trit_alloc(r->arena_bytes);
    if (!s->w || !s->bias || !s->weights || !s->vectors || !r->arena)
        return trit_fail_within(TRIT_ERR_MEM, "runner");
    TRIT_TRY(fill(r, s));
    snprintf(r->kernels, sizeof r->kernels, "float %s", trit_isa_name(trit_isa_level()));
    return TRIT_OK;
}

static void finish_unit(void *context, int64_t unit, int worker) {
    (void)worker;
    const job *j = context;
    const int64_t first = unit * j->unit, left = j->rows - first, K = j->d->K;
    const float lo = j->d->clamp ? j->d->lo : -INFINITY, hi = j->d->clamp ? j->d->hi : INFINITY;
    float *y = j->y + first * K;
    const int64_t rows = left < j->unit ? left : j->unit;
    if (j->a) /* pointwise: gain * a first */
        for (int64_t i = 0; i < rows * K; i++)
            y[i] = j->a[first * K + i] * (j->d->gain ? j->d->gain[i % K] : 1.0f);
    trit_kernels()->row_finish(rows, K, j->bias, j->b ? j->b + first * K : NULL, lo, hi, y);
}

static void finish(job *j) {
    j->unit = FINISH_NUMBERS / j->d->K + 1;
    trit_parallel((j->rows + j->unit - 1) / j->unit, finish_unit, j);
}

static void pool_image(void *context, int64_t n, int worker) {
    (void)worker;
    const job *j = context;
    const trit_node *d = j->d;
    const trit_pool_geom g = {.H = d->H,
                              .W = d->W,
                              .C = d->C,
                              .P = d->P,
                              .Q = d->Q,
                              .R = d->R,
                              .S = d->S,
                              .stride_h = d->stride_h,
                              .stride_w = d->stride_w,
                              .pad_h = d->pad_h,
                              .pad_w = d->pad_w,
                              .count_pad = d->count_pad};
    const float *x = j->a + n * d->H * d->W * d->C;
    float *y = j->y + n * d->P * d->Q * d->K;
    if (d->kind == TRIT_NODE_MAX_POOL)
        trit_kernels()->pool_max(&g, x, y, NULL);
    else
        trit_kernels()->pool_avg(&g, x, y);
}

static void shortcut_image(void *context, int64_t n, int worker) {
    (void)worker;
    const job *j = context;
    const trit_node *d = j->d;
    float *y = j->y + n * d->P * d->Q * d->K;
    for (int64_t p = 0; p < d->P; p++)
        for (int64_t q = 0; q < d->Q; q++, y += d->K) {
            const float *x = j->a + ((n * d->H + p * d->stride_h) * d->W + q * d->stride_w) * d->C;
            memcpy(y, x, (size_t)d->C * sizeof *y);
            memset(y + d->C, 0, (size_t)(d->K - d->C) * sizeof *y);
        }
}

static trit_status run_conv(const trit_runner *r, int64_t i, int64_t n, job *j) {
    const state *s = r->state;
    const trit_node *d = j->d;
    const trit_conv_geom g = {.N = n,
                              .H = d->H,
                              .W = d->W,
                              .C = d->C,
                              .K = d->K,
                              .R = d->R,
                              .S = d->S,
                              .P = d->P,
                              .Q = d->Q,
                              .stride_h = d->stride_h,
                              .stride_w = d->stride_w,
                              .pad_h = d->pad_h,
                              .pad_w = d->pad_w,
                              .dil_h = d->dil_h,
                              .dil_w = d->dil_w,
                              .G = d->groups};
    TRIT_TRY(trit_conv_forward(&g, j->a, s->w[i], j->y, NULL));
    j->a = NULL;
    finish(j);
    return TRIT_OK;
}

static trit_status run_node(trit_runner *r, int64_t i, int64_t n, job *j) {
    (void)r;
    switch (j->d->kind) {
    case TRIT_NODE_CONV: return run_conv(r, i, n, j);
    case TRIT_NODE_MAX_POOL:
    case TRIT_NODE_AVG_POOL: trit_parallel(n, pool_image, j); break;
    case TRIT_NODE_SHORTCUT: trit_parallel(n, shortcut_image, j); break;
    case TRIT_NODE_POINTWISE: finish(j); break;
    }
    return TRIT_OK;
}

static trit_status run(trit_runner *r, int64_t n, const float *x, float *y) {
    const trit_graph *g = r->graph;
    const state *s = r->state;
    trit_runner_note(r, 0, x, n * g->C * g->H * g->W);
    for (int64_t i = 0; i < g->n; i++) {
        const trit_node *d = &g->nodes[i];
        const double began = r->seconds ? trit_now() : 0;
        job j = {.d = d, .bias = s->bias[i], .rows = n * d->P * d->Q};
        j.a = d->a ? (const float *)(void *)(r->arena + r->spans[d->a].offset) : x;
        if (d->b >= 0) j.b = d->b ? (const float *)(void *)(r->arena + r->spans[d->b].offset) : x;
        j.y = i + 1 < g->n ? (float *)(void *)(r->arena + r->spans[i + 1].offset) : y;
        TRIT_TRY(run_node(r, i, n, &j));
        trit_runner_note(r, i + 1, j.y, n * d->K * d->P * d->Q);
        if (r->seconds) r->seconds[i] += trit_now() - began;
    }
    return TRIT_OK;
}

const trit_engine trit_engine_float = {"float", prepare, run, release};
