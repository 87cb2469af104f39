/* infer_graphs.h - small graphs that use every field of a packed model, and their plain execution
 * in double: the reference that runners are compared with. */
#ifndef INFER_GRAPHS_H
#define INFER_GRAPHS_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "infer/format.h"

enum { MAX_TEST_NODES = 12, MAX_POOL = 1 << 17 };

typedef struct {
    trit_graph g;
    trit_node nodes[MAX_TEST_NODES];
    uint8_t *codes[MAX_TEST_NODES];
    float floats[MAX_POOL];
    int64_t used;
    const char *names[8];
    uint64_t seed;
} test_graph;

static inline double draw(test_graph *t) {
    return trit_rng_uniform(t->seed, TRIT_STREAM_USER, (uint64_t)t->used++, 7);
}

static inline float *numbers(test_graph *t, int64_t n, double lo, double hi) {
    float *v = t->floats + t->used; /* draws and numbers share the counter */
    for (int64_t i = 0; i < n; i++) v[i] = (float)(lo + (hi - lo) * draw(t));
    return v;
}

static inline trit_node *add_node(test_graph *t, trit_node d) {
    trit_node *n = &t->nodes[t->g.n++];
    *n = d;
    n->name = "node";
    if (!n->R) n->R = n->S = 1;
    if (!n->stride_h) n->stride_h = n->stride_w = 1;
    if (!n->dil_h) n->dil_h = n->dil_w = 1;
    if (!n->groups) n->groups = 1;
    return n;
}

/* A conv of codes; C are the channels of value a. */
static inline trit_node *add_conv(test_graph *t, int64_t C, trit_node d, bool two_sided) {
    trit_node *n = add_node(t, d);
    n->kind = TRIT_NODE_CONV;
    if (!n->planes) n->planes = 1;
    if (!n->scales) n->scales = 1;
    const int64_t len = n->R * n->S * C / n->groups, rows = n->planes * n->K;
    uint8_t *codes = malloc((size_t)(rows * trit_t2_bytes(len)));
    int8_t *row = malloc((size_t)len);
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t i = 0; i < len; i++)
            row[i] =
                (int8_t)((int)(trit_rng_uniform(t->seed, TRIT_STREAM_USER, (uint64_t)(r * len + i),
                                                (uint32_t)t->g.n + 100) *
                               3) -
                         1);
        trit_t2_pack(row, len, codes + r * trit_t2_bytes(len));
    }
    free(row);
    t->codes[t->g.n - 1] = codes;
    n->weight = TRIT_WEIGHT_T2;
    n->codes = codes;
    n->scale = numbers(t, n->planes * n->scales, 0.05, 0.2);
    n->two_sided = two_sided;
    if (two_sided) n->scale_neg = numbers(t, n->planes * n->scales, 0.05, 0.2);
    n->gain = numbers(t, n->K, -1, 2);
    n->bias = numbers(t, n->K, -0.5, 0.5);
    return n;
}

#define RELU .clamp = true, .lo = 0, .hi = INFINITY

static inline void start_graph(test_graph *t, uint64_t seed, int64_t C, int64_t H, int64_t W) {
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    memset(t, 0, sizeof *t);
    t->seed = seed;
    memcpy(t->names, names, sizeof names);
    t->g = (trit_graph){.name = "test",
                        .C = C,
                        .H = H,
                        .W = W,
                        .classes = 7,
                        .mean = {0.5f, 0.5f, 0.5f},
                        .std = {0.25f, 0.25f, 0.25f},
                        .resize = H < W ? H : W,
                        .class_names = t->names,
                        .nodes = t->nodes};
}

/* A residual network in small: stem, block with projection, block with shortcut, pools, classes. */
static inline void residual_graph(test_graph *t, uint64_t seed, int64_t width, int64_t H) {
    start_graph(t, seed, 3, H, H);
    const int64_t w = width, v = 2 * width;
    add_conv(t, 3, (trit_node){.b = -1, .K = w, .R = 3, .S = 3, .pad_h = 1, .pad_w = 1, RELU}, 0);
    add_conv(t, w,
             (trit_node){.a = 1,
                         .b = -1,
                         .K = v,
                         .R = 3,
                         .S = 3,
                         .stride_h = 2,
                         .stride_w = 2,
                         .pad_h = 1,
                         .pad_w = 1,
                         .scales = v,
                         RELU},
             0);
    add_conv(t, w, (trit_node){.a = 1, .b = -1, .K = v, .stride_h = 2, .stride_w = 2}, 0);
    add_conv(t, v,
             (trit_node){.a = 2, .b = 3, .K = v, .R = 3, .S = 3, .pad_h = 1, .pad_w = 1, RELU},
             true);
    add_node(
        t,
        (trit_node){
            .kind = TRIT_NODE_SHORTCUT, .a = 4, .b = -1, .K = v + 5, .stride_h = 2, .stride_w = 2});
    add_conv(t, v,
             (trit_node){.a = 4,
                         .b = 5,
                         .K = v + 5,
                         .R = 3,
                         .S = 3,
                         .stride_h = 2,
                         .stride_w = 2,
                         .pad_h = 1,
                         .pad_w = 1,
                         .clamp = true,
                         .hi = 6},
             0);
    trit_node *p =
        add_node(t, (trit_node){.kind = TRIT_NODE_POINTWISE, .a = 6, .b = 5, .K = v + 5});
    p->bias = numbers(t, v + 5, -1, 1);
    add_node(t, (trit_node){.kind = TRIT_NODE_MAX_POOL,
                            .a = 7,
                            .b = -1,
                            .K = v + 5,
                            .R = 3,
                            .S = 3,
                            .pad_h = 1,
                            .pad_w = 1,
                            .stride_h = 2,
                            .stride_w = 2});
    trit_graph_check("test", &t->g);
    const int64_t P = t->nodes[7].P, Q = t->nodes[7].Q;
    add_node(t,
             (trit_node){.kind = TRIT_NODE_AVG_POOL, .a = 8, .b = -1, .K = v + 5, .R = P, .S = Q});
    add_conv(t, v + 5, (trit_node){.a = 9, .b = -1, .K = 7}, 0);
    trit_graph_check("test", &t->g);
}

/* Groups, depthwise, dilation, planes, odd kernels; the last layer of codes or of floats. */
static inline void odd_graph(test_graph *t, uint64_t seed, bool coded) {
    start_graph(t, seed, 2, 9, 11);
    add_conv(t, 2,
             (trit_node){.b = -1,
                         .K = 6,
                         .R = 3,
                         .S = 2,
                         .pad_h = 2,
                         .pad_w = 1,
                         .dil_h = 2,
                         .dil_w = 2,
                         .planes = 3},
             true);
    add_conv(t, 6,
             (trit_node){.a = 1,
                         .b = -1,
                         .K = 6,
                         .R = 3,
                         .S = 3,
                         .pad_h = 1,
                         .pad_w = 1,
                         .groups = 6,
                         .clamp = true,
                         .hi = 6},
             0);
    add_conv(t, 6, (trit_node){.a = 2, .b = -1, .K = 8, .groups = 2, .planes = 2}, 0);
    trit_graph_check("test", &t->g);
    add_node(t, (trit_node){.kind = TRIT_NODE_AVG_POOL,
                            .a = 3,
                            .b = -1,
                            .K = 8,
                            .R = 2,
                            .S = 3,
                            .pad_h = 1,
                            .pad_w = 1,
                            .stride_h = 2,
                            .stride_w = 2,
                            .count_pad = true});
    trit_graph_check("test", &t->g);
    const int64_t R = t->nodes[3].P, S = t->nodes[3].Q;
    if (coded) {
        add_conv(t, 8, (trit_node){.a = 4, .b = -1, .K = 7, .R = R, .S = S}, true);
        trit_graph_check("test", &t->g);
        return;
    }
    trit_node *fc = add_node(t, (trit_node){.kind = TRIT_NODE_CONV,
                                            .a = 4,
                                            .b = -1,
                                            .K = 7,
                                            .R = R,
                                            .S = S,
                                            .weight = TRIT_WEIGHT_FLOAT});
    fc->weights = numbers(t, 7 * R * S * 8, -0.3, 0.3);
    fc->bias = numbers(t, 7, -1, 1);
    trit_graph_check("test", &t->g);
}

static inline void free_graph(test_graph *t) {
    for (int i = 0; i < MAX_TEST_NODES; i++) free(t->codes[i]);
}

/* ------------------------------------------------------------- the reference */

static inline double weight_at(const trit_node *d, int64_t k, int64_t i) {
    const int64_t len = row_length(d);
    if (d->weight == TRIT_WEIGHT_FLOAT) return d->weights[k * len + i];
    double w = 0;
    for (int p = 0; p < d->planes; p++) {
        const uint8_t *row = d->codes + (p * d->K + k) * trit_t2_bytes(len);
        const int c = (row[i / 4] >> 2 * (i % 4) & 3) - 1;
        const int64_t s = p * d->scales + (d->scales > 1 ? k : 0);
        w += c > 0 ? d->scale[s] : c < 0 ? -(d->two_sided ? d->scale_neg : d->scale)[s] : 0;
    }
    return w;
}

static inline double conv_at(const trit_node *d, const double *x, int64_t p, int64_t q, int64_t k) {
    const int64_t C = d->C / d->groups, g = k / (d->K / d->groups);
    double sum = 0;
    for (int64_t r = 0; r < d->R; r++)
        for (int64_t s = 0; s < d->S; s++) {
            const int64_t h = p * d->stride_h - d->pad_h + r * d->dil_h;
            const int64_t w = q * d->stride_w - d->pad_w + s * d->dil_w;
            if (h < 0 || h >= d->H || w < 0 || w >= d->W) continue;
            for (int64_t c = 0; c < C; c++)
                sum +=
                    weight_at(d, k, (r * d->S + s) * C + c) * x[(h * d->W + w) * d->C + g * C + c];
        }
    return sum;
}

static inline double pool_at(const trit_node *d, const double *x, int64_t p, int64_t q, int64_t k) {
    double most = -INFINITY, sum = 0;
    int64_t n = 0;
    for (int64_t r = 0; r < d->R; r++)
        for (int64_t s = 0; s < d->S; s++) {
            const int64_t h = p * d->stride_h - d->pad_h + r, w = q * d->stride_w - d->pad_w + s;
            if (h < 0 || h >= d->H || w < 0 || w >= d->W) continue;
            const double v = x[(h * d->W + w) * d->C + k];
            most = fmax(most, v);
            sum += v;
            n++;
        }
    return d->kind == TRIT_NODE_MAX_POOL ? most : sum / (double)(d->count_pad ? d->R * d->S : n);
}

static inline double node_at(const trit_node *d, const double *a, const double *b, int64_t p,
                             int64_t q, int64_t k) {
    const int64_t at = (p * d->Q + q) * d->K + k;
    double v;
    if (d->kind == TRIT_NODE_MAX_POOL || d->kind == TRIT_NODE_AVG_POOL)
        return pool_at(d, a, p, q, k);
    if (d->kind == TRIT_NODE_SHORTCUT)
        return k < d->C ? a[(p * d->stride_h * d->W + q * d->stride_w) * d->C + k] : 0;
    v = d->kind == TRIT_NODE_CONV ? conv_at(d, a, p, q, k) : a[at];
    v = v * (d->gain ? d->gain[k] : 1) + (d->bias ? d->bias[k] : 0) + (b ? b[at] : 0);
    return d->clamp ? fmin(fmax(v, d->lo), d->hi) : v;
}

/* One image [H][W][C] -> logits; least and greatest of every value when asked. */
static inline void reference_run(trit_graph *g, const float *x, double *y, bool widen) {
    double *value[MAX_TEST_NODES + 1] = {NULL};
    const int64_t in = g->C * g->H * g->W;
    value[0] = malloc((size_t)in * sizeof(double));
    for (int64_t i = 0; i < in; i++) {
        value[0][i] = x[i];
        if (widen) g->least = fminf(g->least, x[i]), g->greatest = fmaxf(g->greatest, x[i]);
    }
    for (int64_t i = 0; i < g->n; i++) {
        trit_node *d = &g->nodes[i];
        double *to = value[i + 1] = malloc((size_t)(d->P * d->Q * d->K) * sizeof(double));
        for (int64_t p = 0; p < d->P; p++)
            for (int64_t q = 0; q < d->Q; q++)
                for (int64_t k = 0; k < d->K; k++) {
                    const double v =
                        node_at(d, value[d->a], d->b < 0 ? NULL : value[d->b], p, q, k);
                    if (widen) d->least = fminf(d->least, (float)v);
                    if (widen) d->greatest = fmaxf(d->greatest, (float)v);
                    *to++ = v;
                }
    }
    memcpy(y, value[g->n], (size_t)g->classes * sizeof *y);
    for (int64_t i = 0; i <= g->n; i++) free(value[i]);
}

static inline trit_model *model_of(test_graph *t, bool archive) {
    trit_model *m = NULL;
    if (trit_model_encode(&t->g, archive, &m) != TRIT_OK) fail_msg("%s", trit_last_error());
    return m;
}

static inline void images(float *x, int64_t n, uint64_t seed) {
    trit_rng_fill_normal(seed, TRIT_STREAM_USER, 0.0f, 1.0f, x, n);
}

#endif
