/*
 * conv_direct.c - direct convolution: a plain sum per output, at any kernel size, stride, padding,
 * dilation and group count.  This file plans; isa/direct_rows.c and isa/direct_weight.c compute.
 * What a plan means stands in direct.h.
 */
#include "conv/direct.h"

#include <string.h>

#include "conv/transpose.h"

#define STRIP_BYTES ((int64_t)128 << 10) /* of a unit: a part of the second-level cache */
#define HALO_SHARE                                                                                 \
    2 /* a strip has at least this many times the rows it shares with its
                             neighbour, which are copied twice */
#define WEIGHT_PIXELS                                                                              \
    256 /* of a unit of backward weight: storing a register tile then costs a
                             few percent */
#define SLOT_BYTES   ((int64_t)2 << 20) /* all slots together: what adding them may cost */
#define UNITS_WANTED 16                 /* below this the channels are shared out as well */

static const direct_kernels *kernels(void) {
    static const direct_kernels *const sets[] = {&trit_direct_generic, &trit_direct_avx2,
                                                 &trit_direct_avx512};
    return sets[trit_isa_level()];
}

static int64_t weight_floats(const trit_conv_geom *g) { return g->R * g->S * (g->C / g->G) * g->K; }

/* Rows of dy are made by every unit that shares the channels of a slot: only where none does. */
static bool rides(const trit_conv_geom *g, char pass) {
    return pass != 'w' || weight_floats(g) * UNITS_WANTED * (int64_t)sizeof(float) <= SLOT_BYTES;
}

static bool fits(const trit_conv_geom *g, char pass) {
    if (g->R * g->S > DIRECT_MAX_TAPS) return false;
    return pass != 'd' || g->stride_h * g->stride_w <= DIRECT_MAX_CLASSES;
}

/* NULL where rows are made. */
static const float *end_of(const float *x, int64_t n) { return x ? x + n : NULL; }

static int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* ------------------------------------------------------------------ strips */

/* How the values of a pixel are spread over blocks of lanes: evenly, so that no register tile of
 * backward weight is left with a few. */
static void plan_blocks(direct_plan *p, int64_t lanes, int64_t depth) {
    p->lanes = lanes;
    p->depth = depth;
    p->blocks = divide_up(depth, lanes);
    p->width = p->fold > 1 ? divide_up(depth, p->blocks) : lanes;
    p->last_width = depth - (p->blocks - 1) * p->width;
}

/* Rows of a unit so that the strip has about `bytes`, and all sizes that follow.  `reach` is the
 * distance in strip rows from a unit's first tap row to its last. */
static void plan_rows(direct_plan *p, int64_t reach, int64_t most) {
    int64_t row_bytes = p->phases * p->cols * p->blocks * p->lanes * (int64_t)sizeof(float);
    int64_t rows = (STRIP_BYTES / row_bytes - reach) / p->row_step;
    int64_t least = divide_up(HALO_SHARE * reach, p->row_step);
    rows = rows < least ? least : rows;
    rows = rows > most ? most : rows;
    rows = rows < 1 ? 1 : rows;
    p->row_blocks = divide_up(p->all_rows, rows);
    p->rows = divide_up(p->all_rows, p->row_blocks);
    p->row_blocks = divide_up(p->all_rows, p->rows);
    p->strip_rows = (p->rows - 1) * p->row_step + reach + 1;
    p->row_floats = p->phases * p->cols * p->lanes;
    p->block_floats = p->strip_rows * p->row_floats;
}

/* Strips of x for output rows: forward and backward weight. */
static void plan_input(direct_plan *p, const trit_conv_geom *g, int64_t lanes) {
    int64_t Cg = g->C / g->G;
    bool stem = g->S > 1 && g->G == 1 && g->C <= lanes / 2 && g->dil_w == 1;
    p->src_h = g->H;
    p->src_w = g->W;
    p->src_c = g->C;
    p->src_group = Cg;
    p->fold = stem ? g->S : 1;
    plan_blocks(p, lanes, p->fold * Cg);
    /* A kernel one tap high or wide leaves the rows or columns between strides unread. */
    p->row_pitch = g->R == 1 ? g->stride_h : 1;
    p->row_step = g->R == 1 ? 1 : g->stride_h;
    p->col_step = g->stride_w;
    p->phases = stem || g->S == 1 ? 1 : g->stride_w;
    p->cols = stem ? g->Q : g->Q + (g->S - 1) * g->dil_w / g->stride_w;
    p->first_row = -g->pad_h;
    p->first_col = -g->pad_w;
    p->images = g->N;
    p->groups = g->G;
    p->all_rows = g->P;
}

static void plan_input_taps(direct_plan *p, const trit_conv_geom *g) {
    int64_t across = p->fold > 1 ? 1 : g->S;
    for (int64_t r = 0; r < g->R; r++)
        for (int64_t s = 0; s < across; s++) {
            int64_t at = s * g->dil_w, phase = at % g->stride_w;
            p->tap_index[p->taps] = r * across + s;
            p->tap_offset[p->taps++] =
                r * g->dil_h * p->row_floats + (phase * p->cols + at / g->stride_w) * p->lanes;
        }
    p->classes = 1;
    p->class[0] = (direct_class){0, 0, 0, p->taps};
}

static void plan_outputs(direct_plan *p, int64_t height, int64_t width, int64_t channels) {
    p->out_h = height;
    p->out_w = width;
    p->out_c = channels;
    p->channels = channels / p->groups;
    p->vectors = divide_up(p->channels, p->lanes);
}

/* ------------------------------------------------------------------ weights */

/* Weights as a matrix [taps][rows][ld]: row d of a group's tap holds its output channels. */
typedef struct {
    const direct_plan *p;
    const float *w;
    int64_t rows, ld;
    int64_t group_row, group_column; /* from one group to the next */
    float *packed;
} pack_job;

/* Values [d, d + width) of one tap for the register tile at vector v: to[l][j]. */
static float *pack_block(const pack_job *job, int64_t group, int64_t tap, int64_t d, int64_t width,
                         int64_t v, int64_t cv, float *to) {
    int64_t o = v * job->p->lanes, ld = cv * job->p->lanes;
    int64_t n = job->p->channels - o < ld ? job->p->channels - o : ld;
    const float *from = job->w + (tap * job->rows + group * job->group_row + d) * job->ld +
                        group * job->group_column + o;
    if (n < ld) memset(to, 0, (size_t)(width * ld) * sizeof(float));
    for (int64_t l = 0; l < width; l++, from += job->ld)
        memcpy(to + l * ld, from, (size_t)n * sizeof(float));
    return to + width * ld;
}

/* unit = (group, class, vector): the tile that starts there, if one does. */
static void pack_tile(void *context, int64_t unit, int worker) {
    (void)worker;
    const pack_job *job = context;
    const direct_plan *p = job->p;
    int64_t v = unit % p->vectors, k = unit / p->vectors % p->classes;
    int64_t group = unit / p->vectors / p->classes, start = 0;
    while (start < v) start += direct_tile_vectors(p, start);
    if (start != v) return;
    const direct_class *c = &p->class[k];
    int64_t cv = direct_tile_vectors(p, v), all = p->vectors * p->lanes * p->depth;
    float *to =
        job->packed + (group * p->taps + c->first_tap) * all + v * p->lanes * c->taps * p->depth;
    for (int64_t b = 0; b < p->blocks; b++)
        for (int64_t t = 0; t < c->taps; t++)
            to = pack_block(job, group, p->tap_index[c->first_tap + t], b * p->width,
                            b == p->blocks - 1 ? p->last_width : p->width, v, cv, to);
}

static size_t packed_bytes(const direct_plan *p) {
    return (size_t)(p->groups * p->taps * p->depth * p->vectors * p->lanes) * sizeof(float);
}

/* Floats of a made source row; a vector more may be read. */
static int64_t made_floats(const direct_plan *p) {
    return p->source_rows ? p->src_w * p->src_c + p->lanes : 0;
}

/* Of a worker: a strip, a made row. */
static size_t scratch_bytes(const direct_plan *p) {
    return (size_t)(p->blocks * p->block_floats + made_floats(p)) * sizeof(float);
}

/* Packed weights, sums where rows are taken; then the units run. */
static trit_status run_units(direct_plan *p, pack_job *weights, int64_t units,
                             const trit_conv_along *along) {
    const int64_t slots = p->images * p->row_blocks, width = 2 * p->out_c;
    const size_t bytes = p->take ? (size_t)(slots * width) * sizeof(double) : 0;
    float *packed = trit_conv_hold(along, packed_bytes(p));
    if (!packed) return TRIT_ERR_MEM;
    if (p->take) p->sums = trit_alloc(bytes);
    if (p->take && !p->sums) {
        trit_conv_let_go(along, packed, packed_bytes(p));
        return TRIT_ERR_MEM;
    }
    if (p->take) memset(p->sums, 0, bytes);
    weights->p = p;
    weights->packed = packed;
    trit_parallel(p->groups * p->classes * p->vectors, pack_tile, weights);
    p->packed = packed;
    trit_parallel(units * p->parts, kernels()->rows_unit, p);
    trit_conv_let_go(along, packed, packed_bytes(p));
    if (p->take) trit_add_slots(p->sums, slots, width, along->sums);
    trit_free(p->sums, bytes);
    return TRIT_OK;
}

/* Register tile, sharing of channels, scratch. */
static trit_status run_rows(direct_plan *p, pack_job weights, const trit_conv_along *along) {
    const direct_kernels *k = kernels();
    int64_t pixels = divide_up(p->out_w, p->step_w), units = p->images * p->groups * p->row_blocks;
    bool wide = p->vectors % k->wide_tile == 0 && pixels <= k->wide_pixels;
    p->tile_vectors = wide ? k->wide_tile : p->vectors >= 2 ? 2 : 1;
    p->parts = divide_up(UNITS_WANTED, units);
    if (p->parts > divide_up(p->vectors, p->tile_vectors))
        p->parts = divide_up(p->vectors, p->tile_vectors);
    TRIT_TRY(trit_scratch_reserve(scratch_bytes(p)));
    if (along) p->take = along->take;
    return run_units(p, &weights, units, along);
}

/* ------------------------------------------------------------------ passes */

static direct_plan forward_plan(const trit_conv_geom *g) {
    direct_plan p = {.step_h = 1, .step_w = 1};
    plan_input(&p, g, kernels()->lanes);
    plan_rows(&p, (g->R - 1) * g->dil_h, g->P);
    plan_input_taps(&p, g);
    plan_outputs(&p, g->P, g->Q, g->K);
    return p;
}

static trit_conv_room forward_room(const trit_conv_geom *g) {
    const direct_plan p = forward_plan(g);
    return (trit_conv_room){packed_bytes(&p), scratch_bytes(&p)};
}

static trit_status forward(const trit_conv_geom *g, const float *x, const float *w, float *y,
                           const trit_conv_along *along) {
    direct_plan p = forward_plan(g);
    p.source = x;
    p.source_rows = along ? along->x : NULL;
    p.source_end = end_of(x, g->N * g->H * g->W * g->C);
    p.out = y;
    const pack_job weights = {.w = w, .rows = p.depth, .ld = g->K, .group_column = p.channels};
    return run_rows(&p, weights, along);
}

/* Floor division: b > 0. */
static int64_t divide_down(int64_t a, int64_t b) { return a >= 0 ? a / b : -((b - 1 - a) / b); }

/* Source offset of tap `tap` for outputs of class `c`, if the tap reaches them. */
static bool reaches(int64_t c, int64_t tap, int64_t stride, int64_t pad, int64_t dil,
                    int64_t *offset) {
    int64_t t = c + pad - tap * dil;
    *offset = divide_down(t, stride);
    return *offset * stride == t;
}

/* Smallest and largest offset over classes and taps. */
static void offset_range(int64_t taps, int64_t stride, int64_t pad, int64_t dil, int64_t *low,
                         int64_t *high) {
    *low = INT64_MAX;
    *high = INT64_MIN;
    for (int64_t c = 0; c < stride; c++)
        for (int64_t t = 0, at; t < taps; t++) {
            if (!reaches(c, t, stride, pad, dil, &at)) continue;
            *low = at < *low ? at : *low;
            *high = at > *high ? at : *high;
        }
}

static void plan_class(direct_plan *p, const trit_conv_geom *g, int64_t row, int64_t column) {
    direct_class *c = &p->class[p->classes++];
    *c = (direct_class){row, column, p->taps, 0};
    for (int64_t r = 0, h; r < g->R; r++)
        for (int64_t s = 0, v; s < g->S; s++) {
            if (!reaches(row, r, g->stride_h, g->pad_h, g->dil_h, &h)) continue;
            if (!reaches(column, s, g->stride_w, g->pad_w, g->dil_w, &v)) continue;
            p->tap_index[p->taps] = r * g->S + s;
            p->tap_offset[p->taps++] =
                (h - p->first_row) * p->row_floats + (v - p->first_col) * p->lanes;
            c->taps++;
        }
}

static trit_status backward_data(const trit_conv_geom *g, const float *dy, const float *w,
                                 float *dx, const trit_conv_along *along) {
    direct_plan p = {.source = dy,
                     .source_rows = along ? along->dy : NULL,
                     .source_end = end_of(dy, g->N * g->P * g->Q * g->K),
                     .out = dx,
                     .src_h = g->P,
                     .src_w = g->Q,
                     .src_c = g->K,
                     .src_group = g->K / g->G,
                     .fold = 1,
                     .row_pitch = 1,
                     .row_step = 1,
                     .phases = 1,
                     .col_step = 1,
                     .images = g->N,
                     .groups = g->G,
                     .step_h = g->stride_h,
                     .step_w = g->stride_w};
    int64_t last_row, last_col;
    offset_range(g->R, g->stride_h, g->pad_h, g->dil_h, &p.first_row, &last_row);
    offset_range(g->S, g->stride_w, g->pad_w, g->dil_w, &p.first_col, &last_col);
    p.all_rows = divide_up(g->H, g->stride_h);
    p.cols = divide_up(g->W, g->stride_w) + last_col - p.first_col;
    plan_blocks(&p, kernels()->lanes, g->K / g->G);
    plan_rows(&p, last_row - p.first_row, p.all_rows);
    for (int64_t row = 0; row < g->stride_h; row++)
        for (int64_t column = 0; column < g->stride_w; column++) plan_class(&p, g, row, column);
    plan_outputs(&p, g->H, g->W, g->C);
    size_t bytes;
    float *turned = trit_conv_transposed(g, w, &bytes);
    if (!turned) return TRIT_ERR_MEM;
    const pack_job weights = {.w = turned, .rows = g->K, .ld = p.channels, .group_row = p.depth};
    trit_status status = run_rows(&p, weights, along);
    trit_free(turned, bytes);
    return status;
}

static trit_status backward_weight(const trit_conv_geom *g, const float *x, const float *dy,
                                   float *dw, const trit_conv_along *along) {
    const direct_kernels *k = kernels();
    direct_plan p = {.source = x, .source_end = end_of(x, g->N * g->H * g->W * g->C), .dy = dy};
    if (along) p.source_rows = along->x, p.dy_rows = along->dy;
    plan_input(&p, g, k->lanes);
    plan_rows(&p, (g->R - 1) * g->dil_h, divide_up(WEIGHT_PIXELS, g->Q));
    plan_input_taps(&p, g);
    plan_outputs(&p, g->P, g->Q, g->K);
    conv_slots slots;
    int64_t length = weight_floats(g), strip = p.blocks * p.block_floats;
    int64_t panel = 2 * p.rows * g->Q * p.lanes, made = made_floats(&p);
    if (p.dy_rows) panel += p.rows * g->Q * g->K;
    int64_t room = panel > made ? panel : made; /* the strip is finished before the panel */
    TRIT_TRY(trit_scratch_reserve((size_t)(strip + room) * sizeof(float)));
    TRIT_TRY(trit_conv_slots_new(&slots, length, SLOT_BYTES, g->N * p.row_blocks, dw));
    p.slots = &slots;
    p.parts = divide_up(UNITS_WANTED, slots.slots * p.groups);
    if (p.parts > p.blocks) p.parts = p.blocks;
    trit_parallel(slots.slots * p.groups * p.parts, k->weight_unit, &p);
    trit_conv_slots_add(&slots, dw);
    trit_conv_slots_free(&slots);
    return TRIT_OK;
}

const conv_algo trit_conv_direct = {
    .name = "direct",
    .fits = fits,
    .rides = rides,
    .forward = forward,
    .forward_room = forward_room,
    .backward_data = backward_data,
    .backward_weight = backward_weight,
};
