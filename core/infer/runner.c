/*
 * runner.c - making, running and asking runners; the engines do the work.
 */
#include <immintrin.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "infer/runner.h"

#define MAX_BATCH 65536

double trit_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

unsigned trit_turn_take(void) {
    pthread_mutex_lock(&turn);
    const unsigned before = _mm_getcsr();
    trit_flush_denormals();
    return before;
}

void trit_turn_give(unsigned before) {
    _mm_setcsr(before);
    pthread_mutex_unlock(&turn);
}

int64_t trit_node_weights(const trit_node *d) {
    return d->kind == TRIT_NODE_CONV ? d->K * row_length(d) : 0;
}

/* One output channel's weights, in the order of the file, without gain. */
static void row_floats(const trit_node *d, int64_t k, float *row) {
    const int64_t len = row_length(d), bytes = trit_t2_bytes(len);
    if (d->weight == TRIT_WEIGHT_FLOAT) {
        memcpy(row, d->weights + k * len, (size_t)len * sizeof *row);
        return;
    }
    memset(row, 0, (size_t)len * sizeof *row);
    for (int p = 0; p < d->planes; p++) {
        const int64_t s = p * d->scales + (d->scales > 1 ? k : 0);
        const float pos = d->scale[s], neg = d->two_sided ? d->scale_neg[s] : pos;
        const float of[4] = {-neg, 0, pos, 0};
        const uint8_t *codes = d->codes + (p * d->K + k) * bytes;
        for (int64_t i = 0; i < len; i++) row[i] += of[codes[i / 4] >> (2 * (i % 4)) & 3];
    }
}

trit_conv_geom trit_node_geometry(const trit_node *d, int64_t images) {
    return (trit_conv_geom){.N = images,
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
}

trit_status trit_node_floats(const trit_node *d, float *w) {
    const int64_t len = row_length(d);
    float *row = malloc((size_t)len * sizeof *row);
    if (!row) return trit_fail(TRIT_ERR_MEM, "runner: out of memory");
    for (int64_t k = 0; k < d->K; k++) {
        const float gain = d->gain ? d->gain[k] : 1;
        row_floats(d, k, row);
        for (int64_t i = 0; i < len; i++) w[i * d->K + k] = gain * row[i];
    }
    free(row);
    return TRIT_OK;
}

void trit_runner_note(trit_runner *r, int64_t value, const float *x, int64_t n) {
    if (r->watch && r->watched == value) {
        memcpy(r->watch + r->watch_at, x, (size_t)n * sizeof *x);
        r->watch_at += n;
    }
    if (!r->least) return;
    float lo = r->least[value], hi = r->greatest[value];
    for (int64_t i = 0; i < n; i++) {
        lo = x[i] < lo ? x[i] : lo;
        hi = x[i] > hi ? x[i] : hi;
    }
    r->least[value] = lo;
    r->greatest[value] = hi;
}

static trit_status check_options(const trit_runner_options *o) {
    if (o->bits != 0 && (o->bits < 6 || o->bits > 8))
        return trit_fail(TRIT_ERR_ARG,
                         "runner: activations of %d bits; 0 (float) or 6 to 8 are possible",
                         o->bits);
    if (o->batch < 0 || o->batch > MAX_BATCH)
        return trit_fail(TRIT_ERR_ARG, "runner: batch is %lld but must lie in [1, %d]",
                         (long long)o->batch, MAX_BATCH);
    return TRIT_OK;
}

trit_status trit_runner_new(trit_model *m, const trit_runner_options *options, trit_runner **out) {
    const trit_runner_options o = options ? *options : (trit_runner_options){0};
    TRIT_TRY(check_options(&o));
    trit_runner *r = calloc(1, sizeof *r);
    if (!r) return trit_fail(TRIT_ERR_MEM, "runner: out of memory");
    r->model = m;
    atomic_fetch_add(&m->refs, 1);
    r->graph = trit_model_graph(m);
    r->bits = o.bits;
    r->batch = o.batch ? o.batch : 1;
    r->engine = o.bits ? &trit_engine_u8 : &trit_engine_float;
    r->spans = calloc(2 * (size_t)r->graph->n + 1, sizeof *r->spans);
    r->weighs = calloc((size_t)r->graph->n, sizeof *r->weighs);
    trit_status status = TRIT_OK;
    if (!r->spans || !r->weighs) status = trit_fail(TRIT_ERR_MEM, "runner: out of memory");
    for (int64_t i = 0; status == TRIT_OK && i < r->graph->n; i++)
        r->weighs[i] = (size_t)trit_node_weights(&r->graph->nodes[i]) * sizeof(float);
    if (status == TRIT_OK) {
        const unsigned before = trit_turn_take();
        status = r->engine->prepare(r);
        trit_turn_give(before);
    }
    if (status == TRIT_OK)
        *out = r;
    else
        trit_runner_close(r);
    return status;
}

trit_status trit_runner_run(trit_runner *r, int64_t n, const float *x, float *y) {
    const trit_graph *g = r->graph;
    const int64_t in = g->C * g->H * g->W;
    const unsigned before = trit_turn_take();
    trit_status status = TRIT_OK;
    r->watch_at = 0;
    for (int64_t i = 0; i < n && status == TRIT_OK; i += r->batch) {
        const int64_t m = n - i < r->batch ? n - i : r->batch;
        status = r->engine->run(r, m, x + i * in, y + i * g->classes);
    }
    trit_turn_give(before);
    return status;
}

void trit_runner_close(trit_runner *r) {
    if (!r) return;
    r->engine->release(r);
    trit_free(r->arena, r->arena_bytes);
    free(r->spans);
    free(r->least);
    free(r->greatest);
    free(r->seconds);
    free(r->weighs);
    trit_model_close(r->model);
    free(r);
}

void trit_runner_query(const trit_runner *r, trit_runner_facts *f) {
    *f = (trit_runner_facts){r->weight_bytes, r->vector_bytes, r->arena_bytes, r->kernels};
}

trit_status trit_runner_observe(trit_runner *r) {
    const size_t n = (size_t)r->graph->n + 1;
    if (r->bits)
        return trit_fail(TRIT_ERR_STATE, "runner: ranges are observed by the exact path only");
    if (!r->least) r->least = malloc(n * sizeof *r->least);
    if (!r->greatest) r->greatest = malloc(n * sizeof *r->greatest);
    if (!r->least || !r->greatest) return trit_fail(TRIT_ERR_MEM, "runner: out of memory");
    for (size_t v = 0; v < n; v++) r->least[v] = r->greatest[v] = 0; /* 0 is always in range */
    return TRIT_OK;
}

trit_status trit_model_calibrated(const trit_runner *r, bool archive, trit_model **out) {
    trit_graph g = *r->graph;
    if (!r->least) return trit_fail(TRIT_ERR_STATE, "runner: observe() it over some images first");
    g.nodes = malloc((size_t)g.n * sizeof *g.nodes);
    if (!g.nodes) return trit_fail(TRIT_ERR_MEM, "runner: out of memory");
    memcpy(g.nodes, r->graph->nodes, (size_t)g.n * sizeof *g.nodes);
    g.least = r->least[0];
    g.greatest = r->greatest[0];
    for (int64_t i = 0; i < g.n; i++) {
        g.nodes[i].least = r->least[i + 1];
        g.nodes[i].greatest = r->greatest[i + 1];
    }
    trit_status status = trit_model_encode(&g, archive, out);
    free(g.nodes);
    return status;
}

trit_status trit_runner_profile(trit_runner *r) {
    if (!r->seconds) r->seconds = malloc((size_t)r->graph->n * sizeof *r->seconds);
    if (!r->seconds) return trit_fail(TRIT_ERR_MEM, "runner: out of memory");
    for (int64_t i = 0; i < r->graph->n; i++) r->seconds[i] = 0;
    return TRIT_OK;
}

double trit_runner_seconds(const trit_runner *r, int64_t node) {
    return r->seconds ? r->seconds[node] : 0;
}

size_t trit_runner_weight_bytes(const trit_runner *r, int64_t node) { return r->weighs[node]; }

trit_status trit_runner_watch(trit_runner *r, int64_t node, float *y) {
    if (y && (node < 0 || node >= r->graph->n))
        return trit_fail(TRIT_ERR_ARG, "runner: node %lld of %lld", (long long)node,
                         (long long)r->graph->n);
    r->watched = node + 1;
    r->watch = y;
    return TRIT_OK;
}
