/*
 * run_float.c - the exact path: float32 activations.
 *
 * Three ways to a convolution, chosen once, on loading:
 *
 *   table     ternary weights, by tables of sums (tables.h); scale, bias, what is added and the
 *             clamp are fused.  Weights stay packed, 2.7 bits each.  Order of summation: see
 *             table_conv.c; the same bits on every instruction set
 *   columns   ternary weights where Winograd's saved multiplications outweigh that (3x3 kernels
 *             with transformed weights that stay in cache), or with channel groups: packed weights,
 *             2 bits each, become numbers just before trit_conv_forward
 *   numbers   weights stored as float: trit_conv_forward
 *
 * After the last two bias, the value added and the clamp are one pass over the result.  Sums there
 * have the order of the algorithm that trit/conv.h takes.  Differences to the training graph are
 * those of folding batch norm and of these orders: some units of the last place.
 */
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "infer/columns.h"
#include "infer/runner.h"
#include "infer/tables.h"
#include "kernels/kernels.h"

#define FINISH_NUMBERS 16384 /* numbers of one unit of the pass after a convolution: 64 KiB */
#define POOL_ROWS      8     /* of one unit */
#define CACHED_VALUES  ((int64_t)2 << 20)   /* bytes */
#define CACHED_WEIGHTS ((int64_t)128 * 128) /* channels in times out: see choose() */

typedef enum { WAY_NONE, WAY_TABLE, WAY_COLUMNS, WAY_NUMBERS } way;

typedef struct {
    way way;
    trit_table_conv table;
    trit_columns columns;
    float *numbers;
    float *bias; /* zeros where a node has none */
} prepared;

typedef struct {
    int64_t images; /* taken through the network together */
    prepared *nodes;
    uint8_t *weights; /* all packed weights and numbers */
    float *vectors;   /* biases, scales, offsets */
    size_t values_bytes, unpacked_bytes, frame_bytes, room_bytes, scratch;
    size_t lane_bytes; /* of these but scratch */
    int64_t lanes;     /* groups of images at a time */
} state;

/* Memory of the images that are taken through the network together. */
typedef struct {
    uint8_t *values;
    float *unpacked; /* the columns at work */
    float *frame;    /* the image at work by tables */
    void *room;      /* of the convolution at work */
} lane;

typedef struct {
    const trit_node *d;
    const float *a, *b, *bias;
    float *y;
    int64_t rows; /* pixels of the batch */
    int64_t unit; /* pixels of one unit */
} job;

/* Of one image. */
static size_t value_bytes(const trit_graph *g, int64_t v) {
    const trit_node *d = v ? &g->nodes[v - 1] : NULL;
    if (!d || v == g->n) return 0; /* the caller's memory */
    return (size_t)(d->K * d->P * d->Q) * sizeof(float);
}

/* Images taken through the network together: as many as keep its values in cache. */
static void plan_images(trit_runner *r, state *s) {
    const trit_graph *g = r->graph;
    trit_plan_lives(g, r->spans);
    for (int64_t v = 0; v <= g->n; v++) r->spans[v].bytes = value_bytes(g, v);
    const int64_t one = (int64_t)trit_plan_spans(r->spans, g->n + 1) + 1;
    s->images = one > CACHED_VALUES ? 1 : CACHED_VALUES / one;
    if (s->images > r->batch) s->images = r->batch;
    for (int64_t v = 0; v <= g->n; v++) r->spans[v].bytes *= (size_t)s->images;
    s->values_bytes = whole_lines(trit_plan_spans(r->spans, g->n + 1));
}

static void release(trit_runner *r) {
    state *s = r->state;
    if (!s) return;
    trit_free(s->weights, r->weight_bytes);
    trit_free(s->vectors, r->vector_bytes);
    free(s->nodes);
    free(s);
    r->state = NULL;
}

/*
 * Winograd's 36 floats for 9 weights must stay in cache, and what one thread transforms all read.
 * Of a table's time it takes 0.6 with 64 channels; with 128, 0.75 on one thread and 1.3 on two;
 * with more it loses everywhere (ResNet-18, one image, Xeon with AVX-512).
 */
static way choose(int64_t images, const trit_node *d) {
    const trit_conv_mode mode = trit_conv_get_mode();
    if (d->kind != TRIT_NODE_CONV) return WAY_NONE;
    if (d->weight == TRIT_WEIGHT_FLOAT) return WAY_NUMBERS;
    if (!trit_table_fits(d)) return WAY_COLUMNS;
    if (mode == TRIT_CONV_EXACT) return WAY_TABLE;
    if (mode != TRIT_CONV_AUTO) return WAY_COLUMNS;
    const trit_conv_geom g = trit_node_geometry(d, images);
    const bool winograd = !strcmp(trit_conv_algorithm(&g, 'f'), "winograd");
    return winograd && d->C * d->K <= CACHED_WEIGHTS ? WAY_COLUMNS : WAY_TABLE;
}

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

/* Room of trit_conv_forward for any number of images up to a group's. */
static void plan_room(state *s, const trit_node *d) {
    for (int64_t n = 1; n <= s->images; n++) {
        const trit_conv_geom g = trit_node_geometry(d, n);
        const trit_conv_room room = trit_conv_forward_room(&g);
        s->room_bytes = larger(s->room_bytes, room.shared);
        s->scratch = larger(s->scratch, room.scratch);
    }
}

/* What a node takes: bytes of weights and vectors, and of memory that all share. */
static void plan_node(trit_runner *r, state *s, int64_t i) {
    const trit_node *d = &r->graph->nodes[i];
    prepared *p = &s->nodes[i];
    const size_t numbers = (size_t)trit_node_weights(d) * sizeof(float);
    size_t weights = 0, vectors = (size_t)d->K, frame = 0, unpacked = 0, scratch = 0;
    p->way = choose(s->images, d);
    if (p->way == WAY_TABLE) {
        trit_table_plan(d, &p->table);
        weights = trit_table_code_bytes(&p->table);
        vectors = trit_table_numbers(&p->table);
        frame = (size_t)p->table.frame * sizeof(float);
        scratch = trit_table_scratch(&p->table);
    } else if (p->way == WAY_COLUMNS) {
        weights = trit_columns_code_bytes(d);
        vectors += trit_columns_numbers(d);
        unpacked = numbers;
    } else if (p->way == WAY_NUMBERS)
        weights = numbers;
    r->weight_bytes += whole_lines(weights);
    r->weighs[i] = whole_lines(weights);
    r->vector_bytes += vectors * sizeof(float);
    s->frame_bytes = larger(s->frame_bytes, frame);
    s->unpacked_bytes = larger(s->unpacked_bytes, unpacked);
    s->scratch = larger(s->scratch, scratch);
    if (p->way == WAY_COLUMNS || p->way == WAY_NUMBERS) plan_room(s, d);
}

static trit_status fill(trit_runner *r, state *s) {
    uint8_t *w = s->weights;
    float *v = s->vectors;
    for (int64_t i = 0; i < r->graph->n; i++) {
        const trit_node *d = &r->graph->nodes[i];
        prepared *p = &s->nodes[i];
        if (p->way == WAY_TABLE) {
            TRIT_TRY(trit_table_pack(d, &p->table, w, v));
            w += whole_lines(trit_table_code_bytes(&p->table));
            v += trit_table_numbers(&p->table);
            continue;
        }
        p->bias = v;
        for (int64_t k = 0; k < d->K; k++) *v++ = d->bias ? d->bias[k] : 0;
        if (p->way == WAY_COLUMNS) {
            trit_columns_pack(d, &p->columns, w, v);
            w += whole_lines(trit_columns_code_bytes(d));
            v += trit_columns_numbers(d);
        } else if (p->way == WAY_NUMBERS) {
            p->numbers = (float *)(void *)w;
            TRIT_TRY(trit_node_floats(d, p->numbers));
            w += whole_lines((size_t)trit_node_weights(d) * sizeof *p->numbers);
        }
    }
    return TRIT_OK;
}

static bool allocate(trit_runner *r, state *s) {
    s->weights = trit_alloc(r->weight_bytes);
    s->vectors = trit_alloc(r->vector_bytes);
    r->arena = trit_alloc(r->arena_bytes);
    return s->weights && s->vectors && r->arena;
}

static trit_status prepare(trit_runner *r) {
    const trit_graph *g = r->graph;
    state *s = r->state = calloc(1, sizeof *s);
    if (!s) return trit_fail(TRIT_ERR_MEM, "runner: out of memory");
    s->nodes = calloc((size_t)g->n, sizeof *s->nodes);
    if (!s->nodes) return trit_fail(TRIT_ERR_MEM, "runner: out of memory");
    plan_images(r, s);
    for (int64_t i = 0; i < g->n; i++) plan_node(r, s, i);
    const int64_t groups = (r->batch + s->images - 1) / s->images;
    s->lanes = groups < trit_threads() ? groups : trit_threads();
    s->lane_bytes = s->values_bytes + whole_lines(s->unpacked_bytes) + whole_lines(s->frame_bytes) +
                    whole_lines(s->room_bytes);
    r->arena_bytes = (size_t)s->lanes * s->lane_bytes;
    if (!allocate(r, s)) return trit_fail_within(TRIT_ERR_MEM, "runner");
    TRIT_TRY(fill(r, s));
    snprintf(r->kernels, sizeof r->kernels, "float %s", trit_isa_name(trit_isa_level()));
    return trit_scratch_reserve(s->scratch);
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

/* POOL_ROWS rows of an image's results. */
static void pool_band(void *context, int64_t unit, int worker) {
    (void)worker;
    const job *j = context;
    const trit_node *d = j->d;
    const int64_t bands = (d->P + POOL_ROWS - 1) / POOL_ROWS, n = unit / bands;
    const int64_t p = unit % bands * POOL_ROWS, left = d->P - p;
    const trit_pool_geom whole = {.H = d->H,
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
    int64_t first;
    const trit_pool_geom g =
        trit_pool_band(&whole, p, p + (left < POOL_ROWS ? left : POOL_ROWS), &first);
    const float *x = j->a + (n * d->H + first) * d->W * d->C;
    float *y = j->y + (n * d->P + p) * d->Q * d->K;
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

static lane lane_of(const trit_runner *r, int64_t i) {
    const state *s = r->state;
    uint8_t *values = r->arena + (size_t)i * s->lane_bytes, *unpacked = values + s->values_bytes;
    uint8_t *frame = unpacked + whole_lines(s->unpacked_bytes);
    return (lane){values, (float *)(void *)unpacked, (float *)(void *)frame,
                  frame + whole_lines(s->frame_bytes)};
}

static trit_status run_conv(const trit_runner *r, const lane *l, int64_t i, int64_t n, job *j) {
    const state *s = r->state;
    const trit_node *d = j->d;
    const prepared *p = &s->nodes[i];
    if (p->way == WAY_TABLE) {
        const int64_t in = d->H * d->W * d->C, out = d->P * d->Q * d->K;
        for (int64_t m = 0; m < n; m++)
            trit_table_run(d, &p->table, j->a + m * in, l->frame, j->b ? j->b + m * out : NULL,
                           j->y + m * out);
        return TRIT_OK;
    }
    const trit_conv_geom g = trit_node_geometry(d, n);
    if (p->way == WAY_COLUMNS) trit_columns_unpack(&p->columns, l->unpacked);
    const float *w = p->way == WAY_COLUMNS ? l->unpacked : p->numbers;
    const trit_conv_along along = {.room = l->room, .room_bytes = s->room_bytes};
    TRIT_TRY(trit_conv_forward(&g, j->a, w, j->y, &along));
    j->a = NULL;
    finish(j);
    return TRIT_OK;
}

static trit_status run_node(const trit_runner *r, const lane *l, int64_t i, int64_t n, job *j) {
    switch (j->d->kind) {
    case TRIT_NODE_CONV: return run_conv(r, l, i, n, j);
    case TRIT_NODE_MAX_POOL:
    case TRIT_NODE_AVG_POOL:
        trit_parallel(n * ((j->d->P + POOL_ROWS - 1) / POOL_ROWS), pool_band, j);
        break;
    case TRIT_NODE_SHORTCUT: trit_parallel(n, shortcut_image, j); break;
    case TRIT_NODE_POINTWISE: finish(j); break;
    }
    return TRIT_OK;
}

/* A value's numbers in a lane; the input is the caller's. */
static const float *value(const trit_runner *r, const lane *l, int64_t v, const float *x) {
    return v ? (const float *)(void *)(l->values + r->spans[v].offset) : x;
}

/* At most s->images in one lane. */
static trit_status run_lane(trit_runner *r, const lane *l, int64_t n, const float *x, float *y) {
    const trit_graph *g = r->graph;
    const state *s = r->state;
    trit_runner_note(r, 0, x, n * g->C * g->H * g->W);
    for (int64_t i = 0; i < g->n; i++) {
        const trit_node *d = &g->nodes[i];
        const double began = r->seconds ? trit_now() : 0;
        job j = {.d = d, .bias = s->nodes[i].bias, .rows = n * d->P * d->Q};
        j.a = value(r, l, d->a, x);
        if (d->b >= 0) j.b = value(r, l, d->b, x);
        j.y = i + 1 < g->n ? (float *)(void *)(l->values + r->spans[i + 1].offset) : y;
        TRIT_TRY(run_node(r, l, i, n, &j));
        trit_runner_note(r, i + 1, j.y, n * d->K * d->P * d->Q);
        if (r->seconds) r->seconds[i] += trit_now() - began;
    }
    return TRIT_OK;
}

typedef struct {
    trit_runner *r;
    const float *x;
    float *y;
    atomic_int failed;
} groups;

/* A whole group of images by one thread: what it starts runs on that thread alone. */
static void run_group(void *context, int64_t group, int worker) {
    groups *q = context;
    const trit_graph *g = q->r->graph;
    const state *s = q->r->state;
    const lane l = lane_of(q->r, worker);
    const int64_t first = group * s->images;
    if (run_lane(q->r, &l, s->images, q->x + first * g->C * g->H * g->W,
                 q->y + first * g->classes) != TRIT_OK)
        atomic_store(&q->failed, 1);
}

/* Groups of images one after the other, by all threads together. */
static trit_status run_in_turns(trit_runner *r, int64_t n, const float *x, float *y) {
    const trit_graph *g = r->graph;
    state *s = r->state;
    const lane l = lane_of(r, 0);
    for (int64_t i = 0; i < n; i += s->images)
        TRIT_TRY(run_lane(r, &l, n - i < s->images ? n - i : s->images, x + i * g->C * g->H * g->W,
                          y + i * g->classes));
    return TRIT_OK;
}

/*
 * A group for every thread at a time, as long as there are some: threads then share nothing but
 * weights.  What is left over goes in turns, as do observed and measured runs.
 */
static trit_status run(trit_runner *r, int64_t n, const float *x, float *y) {
    const trit_graph *g = r->graph;
    const state *s = r->state;
    const int64_t lanes = trit_threads(), shared = n / s->images / lanes * lanes;
    TRIT_TRY(trit_scratch_reserve(s->scratch)); /* none is lost but by a failure elsewhere */
    if (lanes < 2 || lanes > s->lanes || r->least || r->seconds || r->watch)
        return run_in_turns(r, n, x, y);
    groups q = {.r = r, .x = x, .y = y};
    trit_parallel(shared, run_group, &q);
    if (atomic_load(&q.failed)) return run_in_turns(r, n, x, y); /* says why on this thread */
    const int64_t done = shared * s->images;
    return run_in_turns(r, n - done, x + done * g->C * g->H * g->W, y + done * g->classes);
}

const trit_engine trit_engine_float = {"float", prepare, run, release};
