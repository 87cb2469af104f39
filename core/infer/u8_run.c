/*
 * u8_run.c - the integer engine at work, node by node.
 *
 * A unit of work is some rows of one image and, for convolutions, a share of the output channels;
 * it goes in bands whose sums stay in the first-level cache until they are bytes.
 */
#include <math.h>

#include "infer/spread.h"
#include "infer/u8.h"
#include "kernels/kernels.h"

typedef struct {
    const trit_runner *r;
    const u8_state *s;
    const trit_node *d;
    const u8_conv *c;
    const u8_value *a, *b, *y;
    const float *x;    /* input of the network */
    float *result;     /* of the network, for the last node */
    const float *part; /* a float convolution's sums */
    int64_t i;
    trit_requant t;
} job;

/* Piece by piece of a worker's scratch. */
static void *take(uint8_t **from, size_t bytes) {
    void *p = *from;
    *from += whole_lines(bytes);
    return p;
}

/* Zero points beside rows p .. p + rows - 1, and above or below the image where they are at its
 * edge. */
static void frame_rows(const u8_value *v, uint8_t *image, int64_t p, int64_t rows) {
    const int zero = (int)v->zero;
    const size_t side = (size_t)(v->pad_w * v->C), edge = (size_t)(v->pad_h * v->pitch);
    if (edge && p == 0) memset(image, zero, edge);
    if (edge && p + rows == v->H) memset(image + (v->H + v->pad_h) * v->pitch, zero, edge);
    for (int64_t h = p; side && h < p + rows; h++) {
        uint8_t *row = image + (h + v->pad_h) * v->pitch;
        memset(row, zero, side);
        memset(row + v->pitch - side, zero, side);
    }
}

static void quantize_row(void *context, int64_t unit, int worker) {
    (void)worker;
    const job *j = context;
    const u8_value *v = &j->s->values[0];
    const int64_t n = unit / v->H, h = unit % v->H, numbers = v->W * v->C;
    uint8_t *image = u8_image(j->r, 0, n);
    frame_rows(v, image, h, 1);
    trit_finish()->quantize(numbers, j->x + unit * numbers, 1.0f / v->step, v->zero, v->top,
                            u8_row(v, image, h));
}

/* Zero points around results of rows p .. p + rows - 1. */
static void frame_results(const job *j, int64_t n, int64_t p, int64_t rows) {
    if (!j->y->none) frame_rows(j->y, u8_image(j->r, j->i + 1, n), p, rows);
}

/* `pixels` results of row p from channel k on: to bytes, or to the caller's numbers. */
static void finish(const job *j, const trit_requant *t, int64_t n, int64_t p, int64_t k,
                   int64_t pixels, const int32_t *acc, const float *part) {
    const trit_node *d = j->d;
    const uint8_t *add = j->b ? u8_row(j->b, u8_image(j->r, d->b, n), p) + k : NULL;
    if (j->y->none)
        trit_finish()->floats(t, pixels, acc, part, add,
                              j->result + ((n * d->P + p) * d->Q) * d->K + k);
    else
        trit_finish()->requant(t, pixels, acc, part, add,
                               u8_row(j->y, u8_image(j->r, j->i + 1, n), p) + k);
}

/* ------------------------------------------------------------- convolutions */

/* Sums of the channels of every pixel that `rows` rows of results read from x on. */
static void pixel_sums(const job *j, const uint8_t *x, int64_t rows, int32_t *pixel) {
    const trit_node *d = j->d;
    const int64_t columns = u8_columns_read(d), high = (d->R - 1) * d->dil_h;
    for (int64_t r = 0; r < u8_rows_read(d, rows); r++, x += j->a->pitch, pixel += columns)
        if (r % d->stride_h <= high) trit_finish()->pixel_sums(columns, d->C, d->C, x, pixel);
}

/* Sums under every window of a row: down the columns first, then along the row. */
static void window_row(const trit_node *d, const int32_t *column, int32_t *sums) {
    memset(sums, 0, (size_t)d->Q * sizeof *sums);
    for (int64_t x = 0; x < d->S; x++, column += d->dil_w)
        for (int64_t q = 0; q < d->Q; q++) sums[q] += column[q * d->stride_w];
}

/* The sums of d0 + 2 d2 and 2 d1 + d3 under every pair of a row (wino.h). */
static void pair_row(const trit_node *d, const int32_t *column, int32_t *sums) {
    for (int64_t q = 0; q < d->Q; q += 2, column += 2) {
        sums[q] = column[0] + 2 * column[2];
        sums[q + 1] = q + 1 < d->Q ? 2 * column[1] + column[3] : 0; /* nobody reads that result */
    }
}

/* What the set wants to know of the pixels under the results of a strip. */
static void strip_sums(const job *j, int64_t rows, const int32_t *pixel, int32_t *column,
                       int32_t *sums) {
    const trit_node *d = j->d;
    const int64_t columns = u8_columns_read(d);
    for (int64_t p = 0; p < rows; p++, sums += j->c->wide) {
        memset(column, 0, (size_t)columns * sizeof *column);
        for (int64_t y = 0; y < d->R; y++) {
            const int32_t *row = pixel + (p * d->stride_h + y * d->dil_h) * columns;
            for (int64_t w = 0; w < columns; w++) column[w] += row[w];
        }
        (j->c->way == U8_WINO ? pair_row : window_row)(d, column, sums);
    }
}

/* A strip of one image at work: what is computed once for all blocks of weights. */
typedef struct {
    int64_t n, p0, rows; /* image, first row */
    const uint8_t *x;    /* bytes under its first result */
    int32_t *sums;
    uint8_t *planes;
    uint8_t *scratch; /* what is left */
} strip;

static void open_strip(const job *j, strip *s) {
    const trit_node *d = j->d;
    const u8_conv *c = j->c;
    if (c->sums) {
        const int64_t columns = u8_columns_read(d), rows = u8_rows_read(d, c->strip);
        s->sums = take(&s->scratch, (size_t)(c->strip * c->wide) * sizeof *s->sums);
        int32_t *pixel = take(&s->scratch, (size_t)(rows * columns) * sizeof *pixel);
        int32_t *column = take(&s->scratch, (size_t)columns * sizeof *column);
        pixel_sums(j, s->x, s->rows, pixel);
        strip_sums(j, s->rows, pixel, column, s->sums);
    }
    if (c->way != U8_WINO) return;
    s->planes = take(&s->scratch, (size_t)(WINO_PLANES * c->plane) + SLACK);
    for (int64_t r = 0; r < u8_rows_read(d, s->rows); r++)
        trit_finish()->wino_planes(c->wide / 2, d->C, u8_columns_read(d), c->plane,
                                   s->x + r * j->a->pitch, s->planes + r * c->shape.row_step);
}

/* Sums of `rows` rows from the strip's row p on, by packed weights w. */
static void band_sums(const job *j, const strip *s, int64_t p, int64_t rows, const uint8_t *w,
                      int32_t *acc, void *scratch) {
    const u8_conv *c = j->c;
    const int32_t *sums = c->sums ? s->sums + p * c->wide : NULL;
    if (c->way == U8_WINO) {
        const trit_wino_shape shape = {c->shape, c->plane};
        const uint8_t *v = s->planes + p * c->shape.row_step;
        c->wino->dot(&shape, w, v, rows * c->wide / 2, sums, acc, scratch);
    } else {
        const uint8_t *x = s->x + p * c->shape.row_step;
        c->set->dot(&c->shape, w, x, j->d->Q, rows, sums, acc, scratch);
    }
}

/* Results of `rows` rows from the strip's row p on, of one block of weights. */
static void band_results(const job *j, const strip *s, int64_t p, int64_t rows, int64_t block) {
    const trit_node *d = j->d;
    const u8_conv *c = j->c;
    const int64_t size = c->block, k = block * size, pixels = rows * c->wide;
    uint8_t *scratch = s->scratch;
    int32_t *acc = take(&scratch, (size_t)(c->band * c->wide * size) * sizeof *acc);
    float *part = take(&scratch, (size_t)(c->band * c->wide * size) * sizeof *part);
    trit_requant t = j->t;
    t.rows = d->K - k < size ? d->K - k : size;
    t.ld = size;
    t.bias += k;
    for (int e = 0; e < c->planes; e++) {
        const uint8_t *w = c->packed + (size_t)(e * c->blocks + block) * c->block_bytes;
        band_sums(j, s, p, rows, w, acc, scratch);
        t.scale = c->scale + e * d->K + k;
        if (e + 1 < c->planes)
            trit_finish()->partial(pixels, t.rows, size, e == 0, acc, t.scale, part);
    }
    for (int64_t r = 0; r < rows; r++)
        finish(j, &t, s->n, s->p0 + p + r, k, d->Q, acc + r * c->wide * size,
               c->planes > 1 ? part + r * c->wide * size : NULL);
}

static void dot_unit(void *context, int64_t unit, int worker) {
    const job *j = context;
    const u8_conv *c = j->c;
    const int64_t share = unit % c->shares, last = (share + 1) * c->share;
    strip s = {.n = unit / (c->strips * c->shares),
               .p0 = unit / c->shares % c->strips * c->strip,
               .scratch = trit_scratch(worker)};
    s.rows = j->d->P - s.p0 < c->strip ? j->d->P - s.p0 : c->strip;
    s.x = u8_image(j->r, j->d->a, s.n) + c->origin + s.p0 * j->d->stride_h * j->a->pitch;
    open_strip(j, &s);
    for (int64_t b = share * c->share; b < last && b < c->blocks; b++)
        for (int64_t p = 0; p < s.rows; p += c->band)
            band_results(j, &s, p, s.rows - p < c->band ? s.rows - p : c->band, b);
    if (share == 0) frame_results(j, s.n, s.p0, s.rows);
}

/* Any number of groups: a plain sum per output; depthwise by rows of channels. */
static void grouped_sums(const job *j, const int8_t *w, const uint8_t *x, int32_t *acc) {
    const trit_node *d = j->d;
    const int64_t C = d->C / d->groups, K = d->K / d->groups;
    if (C == 1 && K == 1) {
        trit_finish()->depthwise(d->R * d->S, j->c->offset, d->K, w, x, acc);
        return;
    }
    for (int64_t k = 0; k < d->K; k++) {
        int32_t sum = 0;
        for (int64_t tap = 0; tap < d->R * d->S; tap++)
            for (int64_t c = 0; c < C; c++)
                sum += w[(tap * C + c) * d->K + k] * x[j->c->offset[tap] + k / K * C + c];
        acc[k] = sum;
    }
}

static void grouped_row(void *context, int64_t unit, int worker) {
    const job *j = context;
    const trit_node *d = j->d;
    const u8_conv *c = j->c;
    const int64_t n = unit / d->P, p = unit % d->P, len = row_length(d);
    uint8_t *scratch = trit_scratch(worker);
    int32_t *acc = take(&scratch, (size_t)(d->Q * d->K) * sizeof *acc);
    float *part = take(&scratch, (size_t)(d->Q * d->K) * sizeof *part);
    const uint8_t *x = u8_image(j->r, d->a, n) + c->origin + p * c->shape.row_step;
    trit_requant t = j->t;
    for (int e = 0; e < c->planes; e++) {
        const int8_t *w = (const int8_t *)c->packed + e * len * d->K;
        for (int64_t q = 0; q < d->Q; q++)
            grouped_sums(j, w, x + q * c->shape.step, acc + q * d->K);
        t.scale = c->scale + e * d->K;
        if (e + 1 < c->planes) trit_finish()->partial(d->Q, d->K, d->K, e == 0, acc, t.scale, part);
    }
    finish(j, &t, n, p, 0, d->Q, acc, c->planes > 1 ? part : NULL);
    frame_results(j, n, p, 1);
}

/* -------------------------------------------- float weights in between bytes */

static void restore_image(void *context, int64_t n, int worker) {
    (void)worker;
    const job *j = context;
    const u8_value *v = j->a;
    float *x = (float *)(void *)(j->r->arena + j->r->spans[j->r->graph->n + 1 + j->i].offset);
    for (int64_t h = 0; h < v->H; h++)
        trit_finish()->restore(v->W * v->C, u8_row(v, u8_image(j->r, j->d->a, n), h), v->step,
                               v->zero, x + (n * v->H + h) * v->W * v->C);
}

static void float_row(void *context, int64_t unit, int worker) {
    const job *j = context;
    const trit_node *d = j->d;
    const int64_t n = unit / d->P, p = unit % d->P;
    int32_t *none = trit_scratch(worker);
    memset(none, 0, (size_t)(d->Q * d->K) * sizeof *none);
    trit_requant t = j->t;
    t.scale = j->t.bias; /* times 0 */
    finish(j, &t, n, p, 0, d->Q, none, j->part + unit * d->Q * d->K);
    frame_results(j, n, p, 1);
}

static trit_status run_float(job *j, int64_t images) {
    const trit_node *d = j->d;
    float *x = (float *)(void *)(j->r->arena + j->r->spans[j->r->graph->n + 1 + j->i].offset);
    float *y = x + images * d->C * d->H * d->W;
    const trit_conv_geom g = trit_node_geometry(d, images);
    trit_parallel(images, restore_image, j);
    const trit_conv_along along = {.room = j->r->arena + j->s->room_at, .room_bytes = j->s->room};
    TRIT_TRY(trit_conv_forward(&g, x, j->c->weights, y, &along));
    j->part = y;
    trit_parallel(images * d->P, float_row, j);
    return TRIT_OK;
}

/* ------------------------------------------------------------ what is not a conv */

static void pointwise_row(void *context, int64_t unit, int worker) {
    const job *j = context;
    const trit_node *d = j->d;
    const int64_t n = unit / d->P, p = unit % d->P;
    int32_t *acc = trit_scratch(worker);
    const uint8_t *x = u8_row(j->a, u8_image(j->r, d->a, n), p);
    for (int64_t i = 0; i < d->Q * d->K; i++) acc[i] = x[i];
    trit_requant t = j->t;
    t.scale = j->s->gain[j->i];
    finish(j, &t, n, p, 0, d->Q, acc, NULL);
    frame_results(j, n, p, 1);
}

/* Offsets of the taps of window (p, q) that lie inside; returns how many. */
static int64_t taps_of(const job *j, int64_t p, int64_t q, int64_t *offset) {
    const trit_node *d = j->d;
    int64_t n = 0;
    for (int64_t y = 0; y < d->R; y++)
        for (int64_t x = 0; x < d->S; x++) {
            const int64_t h = p * d->stride_h - d->pad_h + y, w = q * d->stride_w - d->pad_w + x;
            if (h >= 0 && h < d->H && w >= 0 && w < d->W)
                offset[n++] = h * j->a->pitch + w * j->a->C;
        }
    return n;
}

/* Columns first .. last whose windows reach over neither side: their taps lie alike. */
static void inner_columns(const trit_node *d, int64_t *first, int64_t *last) {
    *first = (d->pad_w + d->stride_w - 1) / d->stride_w;
    const int64_t room = d->W + d->pad_w - d->S;
    *last = room < 0 ? -1 : room / d->stride_w;
}

static void pool_row(void *context, int64_t unit, int worker) {
    const job *j = context;
    const trit_node *d = j->d;
    const int64_t n = unit / d->P, p = unit % d->P;
    uint8_t *scratch = trit_scratch(worker);
    int32_t *sum = take(&scratch, (size_t)d->K * sizeof *sum);
    float *scale = take(&scratch, (size_t)d->K * sizeof *scale);
    float *bias = take(&scratch, (size_t)d->K * sizeof *bias);
    int64_t *offset = take(&scratch, (size_t)(d->R * d->S) * sizeof *offset);
    const uint8_t *x = u8_row(j->a, u8_image(j->r, d->a, n), 0);
    uint8_t *y = u8_row(j->y, u8_image(j->r, j->i + 1, n), p);
    trit_requant t = j->t;
    t.scale = scale;
    t.bias = bias;
    int64_t first, last, taps = 0;
    inner_columns(d, &first, &last);
    frame_results(j, n, p, 1);
    for (int64_t q = 0; q < d->Q; q++, y += d->K) {
        const bool again = q > first && q <= last; /* the taps of the column before, moved */
        if (again)
            x += d->stride_w * j->a->C;
        else
            x = u8_row(j->a, u8_image(j->r, d->a, n), 0), taps = taps_of(j, p, q, offset);
        if (d->kind == TRIT_NODE_MAX_POOL) {
            trit_finish()->max_bytes(taps, offset, d->K, x, y);
            continue;
        }
        const int64_t count = d->count_pad ? d->R * d->S : taps;
        const float unit_step = j->a->step / (j->y->step * (float)count);
        for (int64_t k = 0; k < d->K && !again; k++) {
            scale[k] = unit_step;
            bias[k] = j->y->zero - unit_step * j->a->zero * (float)taps;
        }
        trit_finish()->sum_bytes(taps, offset, d->K, x, sum);
        trit_finish()->requant(&t, 1, sum, NULL, NULL, y);
    }
}

static void shortcut_row(void *context, int64_t unit, int worker) {
    (void)worker;
    const job *j = context;
    const trit_node *d = j->d;
    const int64_t n = unit / d->P, p = unit % d->P;
    const uint8_t *x = u8_row(j->a, u8_image(j->r, d->a, n), p * d->stride_h);
    uint8_t *y = u8_row(j->y, u8_image(j->r, j->i + 1, n), p);
    frame_results(j, n, p, 1);
    for (int64_t q = 0; q < d->Q; q++, y += d->K, x += d->stride_w * d->C) {
        memcpy(y, x, (size_t)d->C);
        memset(y + d->C, (int)j->y->zero, (size_t)(d->K - d->C));
    }
}

static trit_status run_conv(job *j, int64_t images) {
    const u8_conv *c = j->c;
    switch (c->way) {
    case U8_DOT:
    case U8_WINO: trit_spread(images * c->strips * c->shares, dot_unit, j); break;
    case U8_GROUPED: trit_spread(images * j->d->P, grouped_row, j); break;
    case U8_FLOAT: return run_float(j, images);
    }
    return TRIT_OK;
}

static trit_status run_node(job *j, int64_t images) {
    const int64_t rows = images * j->d->P;
    switch (j->d->kind) {
    case TRIT_NODE_CONV: return run_conv(j, images);
    case TRIT_NODE_POINTWISE: trit_spread(rows, pointwise_row, j); break;
    case TRIT_NODE_MAX_POOL:
    case TRIT_NODE_AVG_POOL: trit_spread(rows, pool_row, j); break;
    case TRIT_NODE_SHORTCUT: trit_spread(rows, shortcut_row, j); break;
    }
    return TRIT_OK;
}

/* A clamp may lie outside of what was seen in calibration, and of the bytes. */
static float within(float v, float least, float most) {
    return v < least ? least : v > most ? most : v;
}

/* The requantisation of node i, as far as it does not depend on the plane. */
static trit_requant requant_of(const job *j) {
    const trit_node *d = j->d;
    const u8_value *y = j->y;
    trit_requant t = {
        .rows = d->K, .ld = d->K, .bias = j->s->bias[j->i], .y_step = d->K, .add_step = d->K};
    if (j->b) t.add_scale = j->b->step / y->step;
    const float least = y->none ? -INFINITY : 0, most = y->none ? INFINITY : y->top;
    t.lo = d->clamp ? within(d->lo / y->step + y->zero, least, most) : least;
    t.hi = d->clamp ? within(d->hi / y->step + y->zero, least, most) : most;
    return t;
}

/* The value just made, as numbers. */
static void show(const job *j, int64_t images) {
    const u8_value *v = j->y;
    const int64_t row = v->W * v->C;
    float *to = j->r->watch + j->r->watch_at;
    if (v->none) memcpy(to, j->result, (size_t)(images * row) * sizeof *to);
    for (int64_t i = 0; !v->none && i < images * v->H; i++)
        trit_finish()->restore(row, u8_row(v, u8_image(j->r, j->i + 1, i / v->H), i % v->H),
                               v->step, v->zero, to + i * row);
}

static trit_status run(trit_runner *r, int64_t images, const float *x, float *y) {
    const trit_graph *g = r->graph;
    const u8_state *s = r->state;
    TRIT_TRY(trit_scratch_reserve(s->scratch));
    job in = {.r = r, .s = s, .x = x};
    trit_spread(images * g->H, quantize_row, &in);
    for (int64_t i = 0; i < g->n; i++) {
        const trit_node *d = &g->nodes[i];
        const double began = r->seconds ? trit_now() : 0;
        job j = {.r = r,
                 .s = s,
                 .d = d,
                 .c = &s->convs[i],
                 .a = &s->values[d->a],
                 .b = d->b < 0 ? NULL : &s->values[d->b],
                 .y = &s->values[i + 1],
                 .result = y,
                 .i = i};
        j.t = requant_of(&j);
        TRIT_TRY(run_node(&j, images));
        if (r->seconds) r->seconds[i] += trit_now() - began;
        if (r->watch && r->watched == i + 1) {
            show(&j, images);
            r->watch_at += images * d->K * d->P * d->Q;
        }
    }
    const u8_value *last = &s->values[g->n];
    if (last->none) return TRIT_OK;
    for (int64_t n = 0; n < images; n++)
        trit_finish()->restore(g->classes, u8_row(last, u8_image(r, g->n, n), 0), last->step,
                               last->zero, y + n * g->classes);
    return TRIT_OK;
}

const trit_engine trit_engine_u8 = {"u8", trit_u8_prepare, run, trit_u8_release};
