/*
 * u8_prepare.c - the integer engine's plan: steps and zero points from calibrated ranges, frames,
 * packed weights, scales and biases in steps of the result.
 *
 * A sum over codes of a plane, acc, stands for scale * step_in * (acc - zero_in * sum(w)).  Every
 * constant goes into one bias a channel; a two-sided plane (+p, -m) is the sum of two of one scale,
 * (p + m) / 2 on its codes and (p - m) / 2 on their magnitudes.
 */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "infer/u8.h"

#define UNIT_MACS   8000000 /* multiply-adds of a unit of work: some 20 microseconds */
#define LEAST_MACS  1000000 /* of a layer that is worth two units */
#define MOST_STRIPS 64
#define FEW_UNITS   4 /* with fewer strips than that, blocks are shared out */

static bool computes(const trit_node *d) {
    return d->kind == TRIT_NODE_CONV || d->kind == TRIT_NODE_POINTWISE;
}

/* Bytes for least .. greatest: zero is always one of the values, so padding is exact. */
static void choose_step(u8_value *v, float least, float greatest, int bits) {
    const float lo = least < 0 ? least : 0, hi = greatest > 0 ? greatest : 0;
    v->top = (float)((1 << bits) - 1);
    v->step = (hi - lo) / v->top;
    if (!(v->step >= FLT_MIN && v->step <= FLT_MAX)) v->step = 1.0f; /* all zeros, or absurd */
    const float zero = rintf(-lo / v->step);
    v->zero = zero < v->top ? zero : v->top;
}

static void describe_values(trit_runner *r, u8_state *s) {
    const trit_graph *g = r->graph;
    s->values[0] = (u8_value){.C = g->C, .H = g->H, .W = g->W};
    choose_step(&s->values[0], g->least, g->greatest, r->bits);
    for (int64_t i = 0; i < g->n; i++) {
        const trit_node *d = &g->nodes[i];
        u8_value *v = &s->values[i + 1];
        *v = (u8_value){.C = d->K, .H = d->P, .W = d->Q};
        choose_step(v, d->least, d->greatest, r->bits);
        if (d->kind == TRIT_NODE_MAX_POOL || d->kind == TRIT_NODE_SHORTCUT) { /* bytes are moved */
            v->step = s->values[d->a].step;
            v->zero = s->values[d->a].zero;
        }
        if (i + 1 == g->n && computes(d)) {
            v->none = true;
            v->step = 1;
            v->zero = 0;
        }
        if (d->kind != TRIT_NODE_CONV) continue;
        u8_value *a = &s->values[d->a];
        a->pad_h = d->pad_h > a->pad_h ? d->pad_h : a->pad_h;
        a->pad_w = d->pad_w > a->pad_w ? d->pad_w : a->pad_w;
    }
    for (int64_t v = 0; v <= g->n; v++) {
        u8_value *q = &s->values[v];
        q->pitch = (q->W + 2 * q->pad_w) * q->C;
        q->bytes = q->none ? 0 : whole_lines((size_t)((q->H + 2 * q->pad_h) * q->pitch) + SLACK);
    }
}

/* ------------------------------------------------------------------ weights */

static int planes_of(const trit_node *d) { return d->planes * (d->two_sided ? 2 : 1); }

/* Codes of row k of plane e, and its scale (gain included). */
static double plane_row(const trit_node *d, int e, int64_t k, int8_t *row) {
    const int p = d->two_sided ? e / 2 : e;
    const int64_t len = row_length(d), s = p * d->scales + (d->scales > 1 ? k : 0);
    const double gain = d->gain ? (double)d->gain[k] : 1, pos = (double)d->scale[s];
    trit_t2_unpack(d->codes + (p * d->K + k) * trit_t2_bytes(len), len, row);
    if (!d->two_sided) return gain * pos;
    const double neg = (double)d->scale_neg[s];
    if (e % 2 == 0) return gain * (pos + neg) / 2;
    for (int64_t i = 0; i < len; i++) row[i] = row[i] != 0;
    return gain * (pos - neg) / 2;
}

/* Parts of at most `rows`, all of a size. */
static int64_t even(int64_t total, int64_t rows) {
    rows = rows < 1 ? 1 : rows < total ? rows : total;
    const int64_t n = (total + rows - 1) / rows;
    return (total + n - 1) / n;
}

/* Units of work: strips of whole bands, of one size where possible; where they are few, blocks of
 * weights are shared out, too, though every share computes sums and planes anew. */
static void choose_units(const trit_node *d, u8_conv *c, int64_t rows) {
    const int64_t macs = d->P * d->Q * d->K * row_length(d);
    int64_t units = macs / UNIT_MACS;
    units = units > MOST_STRIPS ? MOST_STRIPS : units < 1 ? 1 + (macs > LEAST_MACS) : units;
    rows = rows < 1 ? 1 : rows < d->P ? rows : d->P;
    c->strip = (d->P + units - 1) / units;
    if (c->strip < rows) c->strip = rows;
    for (int64_t more = c->strip; more <= 2 * c->strip && more <= d->P; more++)
        if (d->P % more == 0) {
            c->strip = more;
            break;
        }
    c->strips = (d->P + c->strip - 1) / c->strip;
    int64_t shares = (units < FEW_UNITS ? units : FEW_UNITS) / c->strips;
    shares = shares < 1 ? 1 : shares;
    c->share = even(c->blocks, (c->blocks + shares - 1) / shares);
    c->shares = (c->blocks + c->share - 1) / c->share;
}

static void describe_dot(const trit_node *d, u8_conv *c) {
    const bool runs = d->dil_w == 1; /* a kernel row is one run of bytes */
    c->shape.segments = d->R * (runs ? 1 : d->S);
    c->shape.length = d->C * (runs ? d->S : 1);
    c->shape.groups = c->shape.segments * ((c->shape.length + 3) / 4);
    c->set = d->P * d->Q > 1 ? trit_dot_choose_conv(d->K, row_length(d))
                             : trit_dot_choose(d->K, row_length(d));
    c->sums = c->set->sums;
    c->block = c->set->block;
    c->wide = d->Q;
    c->block_bytes =
        whole_lines((size_t)c->shape.groups * c->set->block_bytes + c->set->more_bytes);
    c->blocks = (d->K + c->block - 1) / c->block;
    const int64_t rows = (c->set->pixels + d->Q - 1) / d->Q; /* of a band, at least */
    choose_units(d, c, rows);
    const int64_t bands = c->strip < rows ? 1 : c->strip / rows;
    c->band = (c->strip + bands - 1) / bands;
}

/* Winograd: false where the direct way is right. */
static bool describe_wino(const trit_runner *r, const trit_node *d, u8_conv *c) {
    if (r->bits > WINO_BITS || d->S != 3 || d->Q < 2 || d->stride_h != 1 || d->stride_w != 1 ||
        d->dil_h != 1 || d->dil_w != 1)
        return false;
    c->wino = trit_wino_choose(d->K, d->C, d->R);
    if (!c->wino) return false;
    const int64_t pairs = (d->Q + 1) / 2;
    c->way = U8_WINO;
    c->sums = c->wino->sums;
    c->block = c->wino->block;
    c->wide = 2 * pairs;
    c->shape = (trit_dot_shape){.segments = d->R,
                                .length = d->C,
                                .groups = d->R * ((d->C + 3) / 4),
                                .step = d->C,
                                .row_step = pairs * d->C};
    c->blocks = (d->K + c->block - 1) / c->block;
    choose_units(d, c, c->wino->pairs / pairs);
    c->band = even(c->strip, c->wino->pairs / pairs);
    c->plane = u8_rows_read(d, c->strip) * c->shape.row_step;
    c->block_bytes = whole_lines(c->wino->bytes(&(trit_wino_shape){c->shape, c->plane}));
    return true;
}

static void describe_conv(const trit_runner *r, const u8_state *s, int64_t i) {
    const trit_node *d = &r->graph->nodes[i];
    const u8_value *a = &s->values[d->a];
    u8_conv *c = &s->convs[i];
    c->way = d->weight == TRIT_WEIGHT_FLOAT ? U8_FLOAT : d->groups > 1 ? U8_GROUPED : U8_DOT;
    c->planes = c->way == U8_FLOAT ? 0 : planes_of(d);
    c->origin = (a->pad_h - d->pad_h) * a->pitch + (a->pad_w - d->pad_w) * a->C;
    c->shape.step = d->stride_w * d->C;
    c->shape.row_step = d->stride_h * a->pitch;
    if (c->way == U8_DOT && !describe_wino(r, d, c)) describe_dot(d, c);
}

static trit_status fill_offsets(const trit_node *d, const u8_value *a, u8_conv *c) {
    const bool taps = c->way == U8_GROUPED || c->way == U8_FLOAT;
    const int64_t per = taps ? 1 : c->shape.groups / c->shape.segments;
    const int64_t n = taps ? d->R * d->S : c->shape.groups;
    const bool runs = !taps && d->dil_w == 1;
    const int64_t pitch = c->way == U8_WINO ? c->shape.row_step : a->pitch;
    c->offset = malloc((size_t)n * sizeof *c->offset);
    if (!c->offset) return trit_fail(TRIT_ERR_MEM, "runner: out of memory");
    for (int64_t g = 0; g < n; g++) {
        const int64_t segment = g / per, y = runs ? segment : segment / d->S;
        const int64_t x = runs ? 0 : segment % d->S;
        c->offset[g] = (int32_t)(y * d->dil_h * pitch + x * d->dil_w * d->C + g % per * 4);
    }
    c->shape.offset = c->offset;
    return TRIT_OK;
}

static size_t packed_bytes(const trit_node *d, const u8_conv *c) {
    if (c->blocks) return (size_t)(c->planes * c->blocks) * c->block_bytes;
    if (c->way == U8_GROUPED) return whole_lines((size_t)(c->planes * d->K * row_length(d)));
    return whole_lines((size_t)(d->K * row_length(d)) * sizeof(float));
}

/* One plane of node i: packed weights, scales, and what zero_in takes from the bias. */
static trit_status pack_plane(const trit_node *d, u8_conv *c, int e, double unit, double zero,
                              double *bias) {
    const int64_t len = row_length(d), block = c->blocks ? c->block : d->K;
    int8_t *rows = malloc((size_t)(block * len));
    if (!rows) return trit_fail(TRIT_ERR_MEM, "runner: out of memory");
    for (int64_t k0 = 0; k0 < d->K; k0 += block) {
        const int64_t n = d->K - k0 < block ? d->K - k0 : block;
        for (int64_t k = k0; k < k0 + n; k++) {
            int8_t *row = rows + (k - k0) * len;
            const double scale = plane_row(d, e, k, row) * unit;
            int64_t sum = 0;
            for (int64_t j = 0; j < len; j++) sum += row[j];
            c->scale[e * d->K + k] = (float)scale;
            bias[k] -= (double)(float)scale * zero * (double)sum;
        }
        if (c->blocks) {
            uint8_t *to = c->packed + (size_t)(e * c->blocks + k0 / block) * c->block_bytes;
            if (c->way == U8_WINO)
                c->wino->pack(&(trit_wino_shape){c->shape, c->plane}, rows, n, to);
            else
                c->set->pack(&c->shape, rows, n, to);
        } else { /* [len][K] */
            int8_t *to = (int8_t *)c->packed + e * len * d->K;
            for (int64_t k = 0; k < d->K; k++)
                for (int64_t j = 0; j < len; j++) to[j * d->K + k] = rows[k * len + j];
        }
    }
    free(rows);
    return TRIT_OK;
}

static trit_status fill_node(trit_runner *r, u8_state *s, int64_t i, double *bias) {
    const trit_node *d = &r->graph->nodes[i];
    const u8_value *a = &s->values[d->a], *b = d->b < 0 ? NULL : &s->values[d->b];
    const u8_value *y = &s->values[i + 1];
    u8_conv *c = &s->convs[i];
    const double unit = (double)a->step / (double)y->step;
    for (int64_t k = 0; k < d->K; k++) {
        const double gain = d->gain ? (double)d->gain[k] : 1;
        bias[k] = (d->bias ? (double)d->bias[k] : 0) / (double)y->step + (double)y->zero;
        if (b) bias[k] -= (double)b->zero * (double)(b->step / y->step);
        if (d->kind != TRIT_NODE_POINTWISE) continue;
        s->gain[i][k] = (float)(gain * unit);
        bias[k] -= (double)s->gain[i][k] * (double)a->zero;
    }
    if (d->kind == TRIT_NODE_CONV && c->way == U8_FLOAT) {
        c->weights = (float *)(void *)c->packed;
        TRIT_TRY(trit_node_floats(d, c->weights));
        for (int64_t j = 0; j < trit_node_weights(d); j++) c->weights[j] /= y->step;
    }
    if (d->kind == TRIT_NODE_CONV && c->way != U8_FLOAT)
        for (int e = 0; e < c->planes; e++)
            TRIT_TRY(pack_plane(d, c, e, unit, (double)a->zero, bias));
    for (int64_t k = 0; k < d->K; k++) s->bias[i][k] = (float)bias[k];
    return TRIT_OK;
}

/* ------------------------------------------------------------------- memory */

static size_t ints(int64_t n) { return whole_lines((size_t)n * sizeof(int32_t)); }

/* Bytes of a worker's scratch for node i: sums, partial sums, what the set wants. */
static size_t scratch_of(const trit_node *d, const u8_conv *c) {
    if (!c->blocks)
        return 2 * ints(d->Q * d->K) + 2 * ints(d->K) + whole_lines((size_t)(d->R * d->S) * 8);
    const int64_t columns = u8_columns_read(d);
    size_t bytes = 2 * ints(c->band * c->wide * c->block);
    bytes += whole_lines(c->wino ? c->wino->scratch : c->set->scratch);
    if (c->sums)
        bytes +=
            ints(c->strip * c->wide) + ints(u8_rows_read(d, c->strip) * columns) + ints(columns);
    if (c->wino) bytes += whole_lines((size_t)(WINO_PLANES * c->plane) + SLACK);
    return bytes;
}

/* A float convolution's numbers in and out, and what its forward pass needs for any number of
 * images. */
static size_t float_bytes(const trit_runner *r, u8_state *s, const trit_node *d) {
    const size_t numbers = (size_t)(d->C * d->H * d->W + d->K * d->P * d->Q);
    for (int64_t n = 1; n <= r->batch; n++) {
        const trit_conv_geom g = trit_node_geometry(d, n);
        const trit_conv_room room = trit_conv_forward_room(&g);
        s->room = room.shared > s->room ? room.shared : s->room;
        s->scratch = room.scratch > s->scratch ? room.scratch : s->scratch;
    }
    return (size_t)r->batch * sizeof(float) * numbers;
}

static void measure(trit_runner *r, u8_state *s) {
    const trit_graph *g = r->graph;
    trit_plan_lives(g, r->spans);
    for (int64_t v = 0; v <= g->n; v++) r->spans[v].bytes = (size_t)r->batch * s->values[v].bytes;
    for (int64_t i = 0; i < g->n; i++) {
        const trit_node *d = &g->nodes[i];
        trit_span *temporary = &r->spans[g->n + 1 + i];
        *temporary = (trit_span){.first = i, .last = i};
        r->vector_bytes += 2 * (size_t)d->K * sizeof(float);
        size_t scratch = scratch_of(d, &s->convs[i]);
        if (d->kind == TRIT_NODE_CONV) {
            const u8_conv *c = &s->convs[i];
            r->weight_bytes += packed_bytes(d, c);
            r->weighs[i] = packed_bytes(d, c);
            r->vector_bytes += (size_t)(c->planes * d->K) * sizeof(float);
            if (c->way == U8_FLOAT) temporary->bytes = float_bytes(r, s, d);
        }
        s->scratch = scratch > s->scratch ? scratch : s->scratch;
    }
    r->arena_bytes = whole_lines(trit_plan_spans(r->spans, 2 * g->n + 1));
    s->room_at = r->arena_bytes;
    r->arena_bytes += whole_lines(s->room);
}

static trit_status allocate(trit_runner *r, u8_state *s) {
    s->weights = trit_alloc(r->weight_bytes);
    s->vectors = trit_alloc(r->vector_bytes);
    r->arena = trit_alloc(r->arena_bytes);
    if (!s->weights || !s->vectors || !r->arena) return trit_fail_within(TRIT_ERR_MEM, "runner");
    uint8_t *w = s->weights;
    float *v = s->vectors;
    for (int64_t i = 0; i < r->graph->n; i++) {
        const trit_node *d = &r->graph->nodes[i];
        u8_conv *c = &s->convs[i];
        s->bias[i] = v;
        s->gain[i] = v + d->K;
        v += 2 * d->K;
        if (d->kind != TRIT_NODE_CONV) continue;
        c->packed = w;
        w += packed_bytes(d, c);
        c->scale = v;
        v += c->planes * d->K;
    }
    return trit_scratch_reserve(s->scratch);
}

static trit_status fill(trit_runner *r, u8_state *s) {
    int64_t most = 0;
    for (int64_t i = 0; i < r->graph->n; i++)
        most = r->graph->nodes[i].K > most ? r->graph->nodes[i].K : most;
    double *bias = malloc((size_t)most * sizeof *bias);
    trit_status status = bias ? TRIT_OK : trit_fail(TRIT_ERR_MEM, "runner: out of memory");
    for (int64_t i = 0; i < r->graph->n && status == TRIT_OK; i++)
        status = fill_node(r, s, i, bias);
    free(bias);
    return status;
}

/* Exact sums in 32 bits. */
static trit_status check_rows(const trit_runner *r) {
    for (int64_t i = 0; i < r->graph->n; i++) {
        const trit_node *d = &r->graph->nodes[i];
        if (d->kind == TRIT_NODE_CONV && d->weight != TRIT_WEIGHT_FLOAT &&
            row_length(d) > TRIT_DOT_MOST)
            return trit_fail(TRIT_ERR_UNSUPPORTED,
                             "runner: node %lld sums %lld numbers, integers at most %lld",
                             (long long)i, (long long)row_length(d), (long long)TRIT_DOT_MOST);
    }
    return TRIT_OK;
}

static trit_status check_frames(const trit_runner *r, const u8_state *s) {
    for (int64_t v = 0; v <= r->graph->n; v++)
        if (s->values[v].bytes > INT32_MAX / 2)
            return trit_fail(TRIT_ERR_UNSUPPORTED,
                             "runner: value %lld takes %zu bytes with its padding", (long long)v,
                             s->values[v].bytes);
    return TRIT_OK;
}

trit_status trit_u8_prepare(trit_runner *r) {
    const trit_graph *g = r->graph;
    const size_t n = (size_t)g->n;
    if (!(g->least < g->greatest))
        return trit_fail(TRIT_ERR_STATE,
                         "runner: %d-bit activations need a calibrated model; "
                         "trit export --calibrate makes one",
                         r->bits);
    TRIT_TRY(check_rows(r));
    u8_state *s = r->state = calloc(1, sizeof *s);
    if (!s) return trit_fail(TRIT_ERR_MEM, "runner: out of memory");
    s->values = calloc(n + 1, sizeof *s->values);
    s->convs = calloc(n, sizeof *s->convs);
    s->bias = calloc(n, sizeof *s->bias);
    s->gain = calloc(n, sizeof *s->gain);
    if (!s->values || !s->convs || !s->bias || !s->gain)
        return trit_fail(TRIT_ERR_MEM, "runner: out of memory");
    describe_values(r, s);
    TRIT_TRY(check_frames(r, s));
    const char *used = trit_isa_name(trit_isa_level()), *more = "";
    for (int64_t i = 0; i < g->n; i++) {
        const trit_node *d = &g->nodes[i];
        if (d->kind != TRIT_NODE_CONV) continue;
        describe_conv(r, s, i);
        TRIT_TRY(fill_offsets(d, &s->values[d->a], &s->convs[i]));
        if (s->convs[i].sums) used = "vnni";
        if (s->convs[i].wino) more = ", winograd";
    }
    measure(r, s);
    TRIT_TRY(allocate(r, s));
    TRIT_TRY(fill(r, s));
    snprintf(r->kernels, sizeof r->kernels, "u8 %s, %d bits%s", used, r->bits, more);
    return TRIT_OK;
}

void trit_u8_release(trit_runner *r) {
    u8_state *s = r->state;
    if (!s) return;
    for (int64_t i = 0; s->convs && i < r->graph->n; i++) free(s->convs[i].offset);
    trit_free(s->weights, r->weight_bytes);
    trit_free(s->vectors, r->vector_bytes);
    free(s->values);
    free(s->convs);
    free(s->bias);
    free(s->gain);
    free(s);
    r->state = NULL;
}
