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

static void rows_unit(void *context, int64_t unit, int worker) {
    const winograd_plan *p = context;
    int64_t r0 = unit * p->rows, r1 = least(r0 + p->rows, p->all_rows);
    float *lines = trit_scratch(worker), *v = lines + SYMBOL(trit_winograd_lines)(p);
    float *m = v + WINOGRAD_POSITIONS * p->v_position;
    SYMBOL(trit_winograd_input)(p, r0, r1, 0, lines, v);
    for (int64_t block = 0; block < p->out_blocks; block++) {
        multiply(p, (r1 - r0) * p->tile_cols, v, p->u + block * p->u_block, m);
        SYMBOL(trit_winograd_output)(p, r0, r1, block, m);
    }
}

static void shared_input_unit(void *context, int64_t unit, int worker) {
    const winograd_plan *p = context;
    int64_t r = p->first_row + unit;
    float *lines = trit_scratch(worker);
    SYMBOL(trit_winograd_input)(p, r, r + 1, unit * p->tile_cols, lines, p->v);
    if (p->dy) SYMBOL(trit_winograd_gradient)(p, r, r + 1, unit * p->tile_cols, lines, p->m);
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

static void slot_unit(void *context, int64_t unit, int worker) {
    const winograd_plan *p = context;
    int64_t items = (p->all_rows + p->rows - 1) / p->rows;
    int64_t first = tile_part(items, p->slots, unit), end = tile_part(items, p->slots, unit + 1);
    float *lines = trit_scratch(worker), *v = lines + SYMBOL(trit_winograd_lines)(p);
    float *m = v + WINOGRAD_POSITIONS * p->v_position;
    float *du = p->du + unit * p->out_blocks * p->u_block;
    for (int64_t item = first; item < end; item++) {
        int64_t r0 = item * p->rows, r1 = least(r0 + p->rows, p->all_rows);
        SYMBOL(trit_winograd_input)(p, r0, r1, 0, lines, v);
        SYMBOL(trit_winograd_gradient)(p, r0, r1, 0, lines, m);
        for (int64_t position = 0; position < WINOGRAD_POSITIONS; position++)
            correlate(p, position, (r1 - r0) * p->tile_cols, v, m, item == first, du);
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
    .shared_position = shared_position_unit,
    .gradient = gradient_unit,
};
