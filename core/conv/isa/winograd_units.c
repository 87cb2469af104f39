/*
 * winograd_units.c - Winograd convolution: the work of one unit, all passes; see winograd.h.
 */
#include "conv/isa/tiles.h"
#include "conv/isa/vec.h"
#include "conv/isa/winograd_math.h"
#include "conv/isa/winograd_tiles.h"

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* ------------------------------------------------------------------ weights */

/* U of one input channel and one vector of output channels. */
INLINE void transform_weight(const winograd_plan *p, const float *w, float *u) {
    vec lines[6][3];
    UNROLL for (int j = 0; j < 3; j++) {
        vec g[3], o[6];
        UNROLL for (int i = 0; i < 3; i++) {
            int tap = i * 3 + j;
            g[i] = load(w + (p->turned ? 8 - tap : tap) * p->in * p->out);
        }
        weight_transform(g, o);
        UNROLL for (int i = 0; i < 6; i++) lines[i][j] = o[i];
    }
    UNROLL for (int i = 0; i < 6; i++) {
        vec o[6];
        weight_transform(lines[i], o);
        UNROLL for (int j = 0; j < 6; j++) store(u + (i * 6 + j) * p->u_position, o[j]);
    }
}

/* Input channels [c0, c1) of one output block; `u` is where the block starts. */
static void transform_block(const winograd_plan *p, int64_t block, int64_t c0, int64_t c1,
                            float *u) {
    for (int64_t c = c0; c < c1; c++)
        for (int64_t j = 0; j < p->cv; j++)
            transform_weight(p, p->weights + c * p->out + (block * p->cv + j) * LANES,
                             u + (c * p->cv + j) * LANES);
}

static void weights_unit(void *context, int64_t unit, int worker) {
    (void)worker;
    const winograd_plan *p = context;
    int64_t groups = p->in / WINOGRAD_CHANNELS, block = unit / groups;
    int64_t c = unit % groups * WINOGRAD_CHANNELS;
    transform_block(p, block, c, c + WINOGRAD_CHANNELS, p->u + block * p->u_block);
}

/* ------------------------------------------------------------------ forward, backward data */

/* M = V U at every position, for one output block. */
static void multiply(const winograd_plan *p, int64_t tiles, const float *v, const float *u,
                     float *m) {
    static const int64_t in_place = 0;
    rows_task t = {&in_place, 1, p->in_blocks, p->v_block, LANES, LANES, p->cv * LANES, false};
    for (int64_t position = 0; position < WINOGRAD_POSITIONS; position++)
        SYMBOL(trit_conv_rows_tiles)
    (tiles, p->cv, &t, v + position * p->v_position, u + position * p->u_position,
     m + position * p->m_position);
}

/* Scratch of a unit: lines, V, M, and the made rows of x and of dy. */
typedef struct {
    float *lines, *v, *m, *x, *dy;
} unit_scratch;

static unit_scratch scratch_of(const winograd_plan *p, int worker) {
    unit_scratch s = {.lines = trit_scratch(worker)};
    s.v = s.lines + SYMBOL(trit_winograd_lines)(p);
    s.m = s.v + WINOGRAD_POSITIONS * p->v_position;
    s.x = s.m + WINOGRAD_POSITIONS * p->m_position;
    s.dy = s.x + p->strip;
    return s;
}

/* Made rows with halo 1 in `strip`, or NULL where the array is read. */
static const float *make_rows(const winograd_plan *p, const trit_make *rows, int64_t halo,
                              int64_t r0, int64_t r1, float *strip) {
    if (!rows) return NULL;
    SYMBOL(trit_winograd_make)(p, rows, halo, r0, r1, strip);
    return strip;
}

/* From V to finished rows of the result. */
static void produce(const winograd_plan *p, int64_t r0, int64_t r1, int64_t unit,
                    const unit_scratch *s) {
    for (int64_t block = 0; block < p->out_blocks; block++) {
        multiply(p, (r1 - r0) * p->tile_cols, s->v, p->u + block * p->u_block, s->m);
        SYMBOL(trit_winograd_output)(p, r0, r1, block, s->m);
    }
    if (p->take) SYMBOL(trit_winograd_take)(p, r0, r1, 0, p->out, unit);
}

static void rows_unit(void *context, int64_t unit, int worker) {
    const winograd_plan *p = context;
    int64_t r0 = unit * p->rows, r1 = least(r0 + p->rows, p->all_rows);
    unit_scratch s = scratch_of(p, worker);
    const float *strip = make_rows(p, p->source_rows, 1, r0, r1, s.x);
    SYMBOL(trit_winograd_input)(p, strip, r0, r1, 0, s.lines, s.v);
    produce(p, r0, r1, unit, &s);
}

static void shared_input_unit(void *context, int64_t unit, int worker) {
    const winograd_plan *p = context;
    int64_t r = p->first_row + unit, tile = unit * p->tile_cols;
    float *lines = trit_scratch(worker), *rows = lines + SYMBOL(trit_winograd_lines)(p);
    const float *strip = make_rows(p, p->source_rows, 1, r, r + 1, rows);
    SYMBOL(trit_winograd_input)(p, strip, r, r + 1, tile, lines, p->v);
    if (!p->correlates) return;
    strip = make_rows(p, p->dy_rows, 0, r, r + 1, rows);
    SYMBOL(trit_winograd_gradient)(p, strip, 0, r, r + 1, tile, lines, p->m);
}

static void shared_products_unit(void *context, int64_t unit, int worker) {
    const winograd_plan *p = context;
    int64_t block = unit % p->out_blocks;
    int64_t r0 = p->first_row + unit / p->out_blocks * p->rows;
    int64_t r1 = least(r0 + p->rows, p->end_row);
    float *u = trit_scratch(worker), *m = u + p->u_block;
    transform_block(p, block, 0, p->in, u);
    multiply(p, (r1 - r0) * p->tile_cols, p->v + (r0 - p->first_row) * p->tile_cols * LANES, u, m);
    SYMBOL(trit_winograd_output)(p, r0, r1, block, m);
    int64_t channels = p->cv * LANES;
    if (p->take) SYMBOL(trit_winograd_take)
    (p, r0, r1, block * channels, (block + 1) * channels, r0 / p->rows);
}

/* ------------------------------------------------------------------ backward weight */

/* dU (+)= V^T M at one position over `tiles` tiles. */
static void correlate(const winograd_plan *p, int64_t position, int64_t tiles, const float *v,
                      const float *m, bool fresh, float *du) {
    weight_task t = {1, tiles, 0, 0, p->cv * LANES, fresh};
    v += position * p->v_position;
    m += position * p->m_position;
    du += position * p->u_position;
    for (int64_t block = 0; block < p->out_blocks; block++)
        for (int64_t b = 0; b < p->in_blocks; b++) SYMBOL(trit_conv_weight_tiles)
    (LANES, p->cv, &t, v + b * p->v_block, m + block * p->m_block,
     du + block * p->u_block + b * LANES * p->cv * LANES);
}

/* Tile rows [r0, r1) into dU of one slot; `dy` made with `halo`, NULL = read. */
static void correlate_rows(const winograd_plan *p, int64_t r0, int64_t r1, const float *dy,
                           int64_t halo, bool fresh, const unit_scratch *s, float *du) {
    const float *x = make_rows(p, p->source_rows, 1, r0, r1, s->x);
    SYMBOL(trit_winograd_input)(p, x, r0, r1, 0, s->lines, s->v);
    SYMBOL(trit_winograd_gradient)(p, dy, halo, r0, r1, 0, s->lines, s->m);
    for (int64_t position = 0; position < WINOGRAD_POSITIONS; position++)
        correlate(p, position, (r1 - r0) * p->tile_cols, s->v, s->m, fresh, du);
}

static int64_t item_count(const winograd_plan *p) { return (p->all_rows + p->rows - 1) / p->rows; }

static void slot_unit(void *context, int64_t unit, int worker) {
    const winograd_plan *p = context;
    int64_t first = tile_part(item_count(p), p->slots, unit);
    int64_t end = tile_part(item_count(p), p->slots, unit + 1);
    unit_scratch s = scratch_of(p, worker);
    float *du = p->du + unit * p->out_blocks * p->u_block;
    for (int64_t item = first; item < end; item++) {
        int64_t r0 = item * p->rows, r1 = least(r0 + p->rows, p->all_rows);
        const float *dy = make_rows(p, p->dy_rows, 0, r0, r1, s.dy);
        correlate_rows(p, r0, r1, dy, 0, item == first, &s, du);
    }
}

/* V and M serve the data gradient first, then the weights'. */
static void both_unit(void *context, int64_t unit, int worker) {
    const winograd_both *b = context;
    const winograd_plan *d = &b->data, *w = &b->weight;
    int64_t first = tile_part(item_count(w), w->slots, unit);
    int64_t end = tile_part(item_count(w), w->slots, unit + 1);
    unit_scratch sd = scratch_of(d, worker), sw = scratch_of(w, worker);
    if (sd.x > sw.x) sw.x = sd.x;
    sw.dy = sw.x + w->strip;
    float *du = w->du + unit * w->out_blocks * w->u_block;
    for (int64_t item = first; item < end; item++) {
        int64_t r0 = item * w->rows, r1 = least(r0 + w->rows, w->all_rows);
        const float *dy = make_rows(d, d->source_rows, 1, r0, r1, sw.dy);
        SYMBOL(trit_winograd_input)(d, dy, r0, r1, 0, sd.lines, sd.v);
        produce(d, r0, r1, item, &sd);
        correlate_rows(w, r0, r1, dy, 1, item == first, &sw, du);
    }
}

static void shared_position_unit(void *context, int64_t unit, int worker) {
    (void)worker;
    const winograd_plan *p = context;
    correlate(p, unit, (p->end_row - p->first_row) * p->tile_cols, p->v, p->m, p->first_row == 0,
              p->du);
}

/* dw of one input channel and one vector of output channels. */
INLINE void transform_gradient(const winograd_plan *p, const float *du, float *dw) {
    vec lines[3][6];
    UNROLL for (int j = 0; j < 6; j++) {
        vec u[6], g[3];
        UNROLL for (int i = 0; i < 6; i++) {
            const float *from = du + (i * 6 + j) * p->u_position;
            u[i] = load(from);
            for (int64_t slot = 1; slot < p->slots; slot++)
                u[i] += load(from + slot * p->out_blocks * p->u_block);
        }
        weight_gradient_transform(u, g);
        UNROLL for (int i = 0; i < 3; i++) lines[i][j] = g[i];
    }
    UNROLL for (int i = 0; i < 3; i++) {
        vec g[3];
        weight_gradient_transform(lines[i], g);
        UNROLL for (int j = 0; j < 3; j++) store(dw + (i * 3 + j) * p->in * p->out, g[j]);
    }
}

static void gradient_unit(void *context, int64_t unit, int worker) {
    (void)worker;
    const winograd_plan *p = context;
    int64_t groups = p->in / WINOGRAD_CHANNELS, block = unit / groups;
    int64_t c = unit % groups * WINOGRAD_CHANNELS;
    for (int64_t end = c + WINOGRAD_CHANNELS; c < end; c++)
        for (int64_t j = 0; j < p->cv; j++)
            transform_gradient(p, p->du + block * p->u_block + (c * p->cv + j) * LANES,
                               p->result + c * p->out + (block * p->cv + j) * LANES);
}

const winograd_kernels SYMBOL(trit_winograd) = {
    .lanes = LANES,
    .lines = SYMBOL(trit_winograd_lines),
    .weights = weights_unit,
    .rows = rows_unit,
    .shared_input = shared_input_unit,
    .shared_products = shared_products_unit,
    .slot = slot_unit,
    .both = both_unit,
    .shared_position = shared_position_unit,
    .gradient = gradient_unit,
};
