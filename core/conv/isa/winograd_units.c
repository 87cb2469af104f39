/*
 * winograd_units.c - Winograd convolution: the work of one unit, all passes; see winograd.h.
 */
#include "conv/isa/tiles.h"
#include "conv/isa/vec.h"
#include "conv/isa/winograd_tiles.h"

#define AT_ONCE 128 /* tiles whose M of one output block stay in the first-level cache */

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static void weights_unit(void *context, int64_t unit, int worker) {
    (void)worker;
    const winograd_plan *p = context;
    int64_t block = unit / p->in_blocks, c = unit % p->in_blocks * LANES;
    SYMBOL(trit_winograd_weights)
    (p, block, c, c + LANES, p->u + block * p->u_block + c * p->cv * LANES);
}

/* ------------------------------------------------------------------ forward, backward data */

/* What is read and written once products are done: rows of the result, and of what it meets. */
typedef struct {
    fetch_list list[4];
    int lists;
    int64_t share; /* lines of each list at every position of every output block */
} result_fetch;

static result_fetch fetch_result(const winograd_plan *p, int64_t r0, int64_t r1) {
    const int64_t n0 = r0 / p->tile_rows, n1 = r1 / p->tile_rows;
    const int64_t first = n0 * p->height + r0 % p->tile_rows * 4;
    const int64_t end = n1 * p->height + r1 % p->tile_rows * 4;
    const int64_t floats = (end - first) * p->width * p->out;
    const int64_t calls = p->out_blocks * WINOGRAD_POSITIONS;
    const trit_take none = {0}, *take = p->take ? p->take : &none;
    const float *const arrays[] = {p->result, take->sparse.stride ? NULL : take->add, take->z,
                                   take->y};
    result_fetch f = {.share = (floats / FETCH_LINE + calls - 1) / calls};
    for (int i = 0; i < 4; i++)
        if (arrays[i])
            f.list[f.lists++] = fetch_range(arrays[i] + first * p->width * p->out, floats);
    return f;
}

/* M = V U at every position, for one output block. */
static void multiply(const winograd_plan *p, int64_t tiles, const float *v, const float *u,
                     result_fetch *fetch, float *m) {
    static const int64_t in_place = 0;
    rows_task t = {&in_place, 1, p->in_blocks, p->v_block, LANES, LANES, p->cv * LANES, false};
    for (int64_t i = 0; i < WINOGRAD_POSITIONS; i++) {
        for (int list = 0; list < fetch->lists; list++)
            fetch_some(&fetch->list[list], fetch->share);
        SYMBOL(trit_conv_rows_tiles_ahead)
        (tiles, p->cv, &t, p->v_position, v + i * p->v_position, u + i * p->u_position,
         m + i * p->m_position);
    }
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
    result_fetch fetch = fetch_result(p, r0, r1);
    for (int64_t block = 0; block < p->out_blocks; block++) {
        multiply(p, (r1 - r0) * p->tile_cols, s->v, p->u + block * p->u_block, &fetch, s->m);
        SYMBOL(trit_winograd_output)(p, r0, r1, block, s->m);
    }
    if (p->take) SYMBOL(trit_winograd_take)(p, r0, r1, 0, p->out, unit);
}

static void rows_unit(void *context, int64_t unit, int worker) {
    const winograd_plan *p = context;
    int64_t r0 = unit * p->rows, r1 = least(r0 + p->rows, p->all_rows);
    unit_scratch s = scratch_of(p, worker);
    const float *strip = make_rows(p, p->source_rows, 1, r0, r1, s.x);
    SYMBOL(trit_winograd_input)(p, strip, r0, r0, r1, s.lines, s.v);
    produce(p, r0, r1, unit, &s);
}

static void shared_input_unit(void *context, int64_t unit, int worker) {
    const winograd_plan *p = context;
    const int64_t first = p->first_row, r0 = first + unit * p->input_rows;
    const int64_t r1 = least(r0 + p->input_rows, p->end_row);
    float *lines = trit_scratch(worker), *rows = lines + SYMBOL(trit_winograd_lines)(p);
    const float *strip = make_rows(p, p->source_rows, 1, r0, r1, rows);
    SYMBOL(trit_winograd_input)(p, strip, first, r0, r1, lines, p->v);
    if (!p->correlates) return;
    strip = make_rows(p, p->dy_rows, 0, r0, r1, rows);
    SYMBOL(trit_winograd_gradient)(p, strip, 0, first, r0, r1, lines, p->m);
}

/* Tiles [t0, t1) of the `tiles` that are at hand take part at a position. */
typedef struct {
    int64_t t0, t1;
} tile_range;

static tile_range taking_part(const winograd_plan *p, int64_t position, int64_t tiles) {
    const bool last_row = winograd_keeps(p->edge_h, position / 6);
    const bool last_column = winograd_keeps(p->edge_w, position % 6);
    if (last_row) return (tile_range){last_column ? 0 : p->inner, last_column ? tiles : p->corner};
    return (tile_range){last_column ? 0 : p->inner, p->last_row};
}

/* M (+)= V U over `blocks` input blocks from b0 on, `panels` output blocks side by side. */
static void multiply_chunk(const winograd_plan *p, int64_t tiles, int64_t b0, int64_t blocks,
                           int64_t panels, const float *v, const float *u, float *m) {
    static const int64_t in_place = 0;
    rows_task t = {&in_place, 1, blocks, p->v_block, LANES, LANES, p->cv * LANES, b0 > 0};
    v += b0 * p->v_block;
    for (int64_t i = 0; i < WINOGRAD_POSITIONS; i++)
        for (int64_t j = 0; j < panels; j++) {
            const tile_range r = taking_part(p, i, tiles);
            int64_t ahead = j == 0 && i + 1 < WINOGRAD_POSITIONS ? p->v_position : 0;
            SYMBOL(trit_conv_rows_tiles_ahead)
            (r.t1 - r.t0, p->cv, &t, ahead, v + i * p->v_position + r.t0 * LANES,
             u + j * p->u_block + i * p->u_position,
             m + j * p->m_panel + i * p->m_position + r.t0 * p->cv * LANES);
        }
}

static void shared_products_unit(void *context, int64_t unit, int worker) {
    const winograd_plan *p = context;
    const int64_t first = unit * p->wide, panels = least(p->wide, p->out_blocks - first);
    const int64_t r0 = p->first_row, r1 = p->end_row, tiles = (r1 - r0) * p->tile_cols;
    float *u = trit_scratch(worker), *m = u + p->wide * p->u_block;
    for (int64_t b = 0; b < p->in_blocks; b += p->deep) {
        int64_t blocks = least(p->deep, p->in_blocks - b);
        for (int64_t j = 0; j < panels; j++) SYMBOL(trit_winograd_weights)
        (p, first + j, b * LANES, (b + blocks) * LANES, u + j * p->u_block);
        multiply_chunk(p, tiles, b, blocks, panels, p->v, u, m);
    }
    for (int64_t j = 0; j < panels; j++)
        SYMBOL(trit_winograd_output)(p, r0, r1, first + j, m + j * p->m_panel);
    int64_t channels = p->cv * LANES;
    if (p->take) SYMBOL(trit_winograd_take)
    (p, r0, r1, first * channels, (first + panels) * channels, r0 / p->rows);
}

/* ------------------------------------------------------------------ backward weight */

/* dU (+)= V^T M at one position over `tiles` tiles, no more at a time than the first-level cache
 * holds of an output block.  `fetch`: operands come from memory. */
static void correlate(const winograd_plan *p, int64_t position, int64_t tiles, const float *v,
                      const float *m, bool fresh, bool fetch, float *du) {
    const tile_range r = taking_part(p, position, tiles);
    int64_t count = r.t1 - r.t0, parts = count / (AT_ONCE + 1) + 1, width = p->cv * LANES;
    v += position * p->v_position;
    m += position * p->m_position;
    du += position * p->u_position;
    for (int64_t part = 0; part < parts; part++) {
        int64_t t0 = r.t0 + tile_part(count, parts, part);
        int64_t t1 = r.t0 + tile_part(count, parts, part + 1);
        for (int64_t block = 0; block < p->out_blocks; block++) {
            const float *panel = m + block * p->m_block + t0 * width;
            float *to = du + block * p->u_block;
            const bool more = fetch && block + 1 < p->out_blocks;
            fetch_list dy = fetch_range(panel + p->m_block, (t1 - t0) * width);
            fetch_list sums = fetch_range(to + p->u_block, p->in * width);
            weight_task t = {1, t1 - t0, 0, 0, width, fresh && part == 0};
            for (int64_t b = 0; b < p->in_blocks; b++) {
                const float *x = v + b * p->v_block + t0 * LANES;
                if (more) SYMBOL(trit_conv_weight_tiles_fetch)
                (p->cv, &t, b < p->in_blocks / 2 ? &sums : &dy, x, panel, to + b * LANES * width);
                else SYMBOL(trit_conv_weight_tiles)(LANES, p->cv, &t, x, panel,
                                                    to + b * LANES * width);
            }
        }
    }
}

/* Tile rows [r0, r1) into dU of one slot; `dy` made with `halo`, NULL = read. */
static void correlate_rows(const winograd_plan *p, int64_t r0, int64_t r1, const float *dy,
                           int64_t halo, bool fresh, const unit_scratch *s, float *du) {
    const float *x = make_rows(p, p->source_rows, 1, r0, r1, s->x);
    SYMBOL(trit_winograd_input)(p, x, r0, r0, r1, s->lines, s->v);
    SYMBOL(trit_winograd_gradient)(p, dy, halo, r0, r0, r1, s->lines, s->m);
    for (int64_t position = 0; position < WINOGRAD_POSITIONS; position++)
        correlate(p, position, (r1 - r0) * p->tile_cols, s->v, s->m, fresh, false, du);
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
        SYMBOL(trit_winograd_input)(d, dy, r0, r0, r1, sd.lines, sd.v);
        produce(d, r0, r1, item, &sd);
        correlate_rows(w, r0, r1, dy, 1, item == first, &sw, du);
    }
}

static void shared_position_unit(void *context, int64_t unit, int worker) {
    (void)worker;
    const winograd_plan *p = context;
    correlate(p, unit, (p->end_row - p->first_row) * p->tile_cols, p->v, p->m, p->first_row == 0,
              true, p->du);
}

/* The part of dw that shared_square_unit writes. */
static fetch_list fetch_gradient(const winograd_plan *p, int64_t b0, int64_t blocks, int64_t first,
                                 int64_t panels) {
    fetch_list f = {.at = p->result + b0 * LANES * p->out + first * p->cv * LANES,
                    .lines = (panels * p->cv * LANES + FETCH_LINE - 1) / FETCH_LINE,
                    .rows = blocks * LANES,
                    .row_step = p->out,
                    .slabs = 9,
                    .slab_step = p->in * p->out};
    return f;
}

/* dU of some channels over all tiles at hand, and at once their part of dw. */
static void shared_square_unit(void *context, int64_t unit, int worker) {
    const winograd_plan *p = context;
    int64_t across = (p->out_blocks + p->wide - 1) / p->wide, first = unit % across * p->wide;
    int64_t panels = least(p->wide, p->out_blocks - first);
    int64_t b0 = unit / across * p->deep, blocks = least(p->deep, p->in_blocks - b0);
    int64_t width = p->cv * LANES;
    fetch_list fetch = fetch_gradient(p, b0, blocks, first, panels);
    const int64_t tiles = (p->end_row - p->first_row) * p->tile_cols;
    float *du = trit_scratch(worker);
    for (int64_t i = 0; i < WINOGRAD_POSITIONS; i++) {
        const tile_range r = taking_part(p, i, tiles);
        weight_task t = {1, r.t1 - r.t0, 0, 0, width, true};
        for (int64_t j = 0; j < panels; j++)
            for (int64_t b = 0; b < blocks; b++) SYMBOL(trit_conv_weight_tiles_fetch)
        (p->cv, &t, &fetch, p->v + i * p->v_position + (b0 + b) * p->v_block + r.t0 * LANES,
         p->m + i * p->m_position + (first + j) * p->m_block + r.t0 * width,
         du + j * p->u_block + i * p->u_position + b * LANES * width);
    }
    for (int64_t j = 0; j < panels; j++) SYMBOL(trit_winograd_weight_gradient)
    (p, first + j, b0 * LANES, (b0 + blocks) * LANES, du + j * p->u_block);
}

static void gradient_unit(void *context, int64_t unit, int worker) {
    (void)worker;
    const winograd_plan *p = context;
    int64_t groups = p->in / WINOGRAD_CHANNELS, block = unit / groups;
    int64_t c = unit % groups * WINOGRAD_CHANNELS;
    SYMBOL(trit_winograd_weight_gradient)
    (p, block, c, c + WINOGRAD_CHANNELS, p->du + block * p->u_block + c * p->cv * LANES);
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
    .shared_square = shared_square_unit,
    .gradient = gradient_unit,
};
